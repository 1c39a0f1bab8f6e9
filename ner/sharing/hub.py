"""A run on the Hub: its best model and its card, in one commit."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from accelerate import Accelerator
from huggingface_hub import CommitOperationAdd, HfApi, get_token
from huggingface_hub.constants import HF_HUB_OFFLINE
from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # of whichever package it talks HTTP with
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # its documented place

from ner.arguments import FAILED, echo
from ner.config import HubOptions
from ner.errors import InputError, single_line
from ner.files import verify
from ner.runtime import say
from ner.sharing.model_card import make_card, write_card
from ner.training.checkpoint import CONFIG
from ner.training.log_entries import LOG
from ner.training.run_folder import CARD, EVALUATION, PROBING, own_card

FAILURES = (HTTPError, OSError, ValueError, RuntimeError)  # what huggingface_hub raises where an upload goes wrong


def repositories(options: HubOptions, folders: Sequence[Path]) -> dict[Path, str]:
    """Where each run folder goes; empty where nothing is to be uploaded.

    Everything that can be known beforehand is checked. Raises InputError for a name that the Hub would refuse, or one
    for several runs, and without a token that can be sent.
    """
    name = options.push_to_hub
    if name is None:
        return {}
    if "{run}" not in name and len(folders) > 1:
        raise InputError(f"`push_to_hub` {name}: one repository for {len(folders)} runs; put {{run}} into its name")
    names = {folder: name.replace("{run}", hub_part(folder.resolve().name)) for folder in folders}
    for folder, repository in names.items():
        try:
            validate_repo_id(repository)
        except ValueError as error:
            raise InputError(f"`push_to_hub` {name}: {single_line(error)}") from error
        if taken := [str(other) for other in folders if other != folder and names[other] == repository]:
            raise InputError(f"`push_to_hub` {name}: {folder} and {taken[0]} would both go to {repository}")
    if options.push_dry_run:
        return names
    if HF_HUB_OFFLINE:
        raise InputError("`push_to_hub` needs the Hub, and HF_HUB_OFFLINE is set; `push_dry_run` does without")
    token = get_token()
    if not token:
        raise InputError(
            "`push_to_hub` needs a token that may write: `hf auth login`, or HF_TOKEN; `push_dry_run` does without"
        )
    if not (token.isascii() and token.isprintable()):  # else the HTTP package quotes it when it refuses the header
        raise InputError("`push_to_hub`: the token of HF_TOKEN or `hf auth login` has characters that no token has")
    return names


def hub_part(name: str) -> str:
    """A folder's name with `-` for what the Hub forbids in one of its own."""
    return re.sub(r"[^A-Za-z0-9._]+|\.{2,}", "-", name).strip("-.")


def publish(options: HubOptions, folders: Sequence[Path]) -> Iterator[tuple[bool, str]]:
    """Uploads run folders, or shows what would go. Yields for each whether that worked, and a message."""
    for folder, repository in repositories(options, folders).items():
        try:
            if options.push_dry_run:
                yield True, preview(folder, repository, options.push_private)
            else:
                yield True, f"{folder}: uploaded, {upload(folder, repository, options.push_private)}"
        except FAILURES as error:
            reason = single_line(error).replace(get_token() or "\n", "***")  # a server may say anything
            remedy = f"`evaluate.py {folder} --push-to-hub {repository}` tries again"
            yield False, f"{folder}: not uploaded to {repository}: {reason}\nThe run is complete; {remedy}"


def upload(folder: Path, repository: str, is_private: bool) -> str:
    """Uploads the best model of a run and its card in one commit; returns its address. Raises FAILURES."""
    files = model_files(folder)
    card_for(folder, repository)  # raises, before anything is made there
    hub = HfApi(token=get_token())
    name = hub.create_repo(repository, private=is_private or None, exist_ok=True).repo_id  # with its owner
    operations = [CommitOperationAdd(CARD, card_for(folder, name).encode())]
    operations += [CommitOperationAdd(file.name, file) for file in files]
    return hub.create_commit(name, operations, commit_message="Model and card").commit_url


def preview(folder: Path, repository: str, is_private: bool) -> str:
    """What `upload` would send. Raises OSError and InputError."""
    card = card_for(folder, repository)
    sizes = {CARD: len(card.encode()), **{file.name: file.stat().st_size for file in model_files(folder)}}
    visibility = "private " if is_private else ""
    return "\n".join(
        [
            f"{folder} would go to the {visibility}repository {repository}; bytes:",
            *(f"  {size:>15,}  {name}" for name, size in sizes.items()),
            f"{CARD}:\n\n{card}",
        ]
    )


def model_files(folder: Path) -> list[Path]:
    """The files of a run's best model that its manifest lists.

    Raises InputError if one is not as it was written, or if a link or the like is among them: a run may be somebody
    else's, and what a link leads to may be nobody's business.
    """
    best = folder / "best"
    for path in [best, *(sorted(best.iterdir()) if best.is_dir() else ())]:
        check_plain(path)
    return [best / name for name in verify(best)["files"]]


def check_plain(path: Path) -> None:
    """Raises InputError for a link, a pipe and the like."""
    if os.path.lexists(path) and (path.is_symlink() or not (path.is_file() or path.is_dir())):
        what = f"a link to {path.readlink()}" if path.is_symlink() else "no plain file"
        raise InputError(f"{path}: is {what}, which is not uploaded; put a copy there")


def card_for(folder: Path, repository: str) -> str:
    """The card that goes with a run: one that was written by hand as it is. Raises InputError and OSError."""
    for name in (CARD, CONFIG, "metrics.json", EVALUATION, PROBING, LOG):  # what a card is made of
        check_plain(folder / name)
    return own_card(folder) or make_card(folder, repository)


def share(options: HubOptions, folder: Path, accelerator: Accelerator) -> int:
    """Writes the card of a run that train.py finished, and uploads both where that is asked for.

    Prints what would go or where it went; returns the exit status.
    """
    try:
        write_card(folder)
    except (OSError, InputError) as error:
        say(accelerator, f"note: {folder}: its model card is not written: {single_line(error)}")
    status = 0
    for worked, message in publish(options, [folder]):
        if worked:
            echo(message)
        else:
            say(accelerator, f"train.py: {message}")
            status = FAILED
    return status
