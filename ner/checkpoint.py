"""Commits: all that a run needs to go on, on disk whole or not at all.

A commit is a folder, written aside, with a manifest of the size and SHA-256 of each of its files, synced, and renamed
in one step. A folder whose manifest is missing or does not check out does not exist.
"""

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ner.faults import InputError, one_line
from ner.files import sha256, sync

MANIFEST = "manifest.json"
FOLDER = "checkpoints"  # in the run folder
UNFINISHED = ".unfinished"
OLD = ".old" + UNFINISHED


def commit(folder: Path, write: Callable[[Path], None], *, facts: dict[str, Any], keep_old: bool = False) -> int:
    """Makes `folder` hold what `write` writes into the folder it is given. Returns its size in bytes.

    facts: stand in the manifest, `update` among them. keep_old: keeps what stood there, as `kept_model` of its update.
    Raises OSError or SafetensorError; what was there before is intact then.
    """
    aside = folder.with_name(folder.name + UNFINISHED)
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(parents=True)
        write(aside)
        files = {file.name: {"size": file.stat().st_size, "sha256": sha256(file)} for file in sorted(aside.iterdir())}
        (aside / MANIFEST).write_text(json.dumps({**facts, "files": files}, indent=2) + "\n", encoding="utf-8")
        for path in (*aside.iterdir(), aside):
            sync(path)
        old = None
        if folder.exists():
            old = kept_model(folder.parent, update_of(folder)) if keep_old else folder.with_name(folder.name + OLD)
            old.parent.mkdir(exist_ok=True)
            shutil.rmtree(old, ignore_errors=True)
            folder.rename(old)
        aside.rename(folder)
        sync(folder.parent)
        if old and not keep_old:
            shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return sum(file.stat().st_size for file in folder.iterdir())


def verify(folder: Path) -> dict[str, Any]:
    """The manifest of a commit whose files are all there as they were written. Raises InputError if one is not."""
    try:
        manifest = dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
        files = [(str(name), int(entry["size"]), str(entry["sha256"])) for name, entry in manifest["files"].items()]
    except OSError as error:
        raise InputError(f"{folder}: no {MANIFEST} to read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # JSON of any shape, or none
        raise InputError(f"{folder}: its {MANIFEST} is broken") from error
    for name, size, expected in files:
        file = folder / name
        if not file.is_file():
            raise InputError(f"{folder}: {name} is missing")
        if file.stat().st_size != size:
            raise InputError(f"{folder}: {name} has {file.stat().st_size:,} bytes instead of {size:,}")
        if sha256(file) != expected:
            raise InputError(f"{folder}: {name} is not what was written, by its SHA-256")
    return manifest


def update_of(folder: Path) -> int | None:
    """The update in a manifest, None if it can not be read."""
    try:
        return int(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["update"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def kept_model(run: Path, update: int | None) -> Path:
    """Where the best model of an update is kept when a later one takes its place."""
    return run / FOLDER / f"best-{update}"


def of_update(run: Path, update: int) -> Path:
    """The folder of the commit after that update."""
    return run / FOLDER / f"update-{update:08d}"


def found(run: Path) -> list[Path]:
    """Folders of commits, newest first, sound or not."""
    return sorted((p for p in (run / FOLDER).glob("update-*") if p.suffix != UNFINISHED), reverse=True)


def newest(run: Path) -> tuple[Path | None, list[str]]:
    """The newest sound commit of a run, None without one, and what is wrong with those that are newer."""
    damaged = []
    for folder in found(run):
        try:
            verify(folder)
        except InputError as error:
            damaged.append(str(error))
        else:
            return folder, damaged
    return None, damaged


def prune(run: Path, keep: int) -> None:
    """Leaves the newest `keep` commits and the best models that they name; clears what was never finished."""
    for folder in found(run)[keep:]:
        remove(folder)
    prune_models(run)
    for folder in (run / FOLDER).glob(f"*{UNFINISHED}"):
        shutil.rmtree(folder, ignore_errors=True)


def prune_models(run: Path) -> None:
    """Removes models that were the best once, and that no commit names."""
    named = set()
    for folder in found(run):
        with contextlib.suppress(InputError, KeyError):  # a damaged one names none
            named.add(kept_model(run, read_state(folder)["best"]["update"]).name)
    for folder in (run / FOLDER).glob("best-*"):
        if folder.name not in named:
            remove(folder)


def forget_after(run: Path, update: int) -> None:
    """Removes commits of later updates: the run goes on from this one, and makes them anew."""
    for folder in found(run):
        if folder > of_update(run, update):
            remove(folder)


def remove(folder: Path) -> None:
    """Removes a commit; half removed, it is none."""
    unfinished = folder.with_name(folder.name + UNFINISHED)
    shutil.rmtree(unfinished, ignore_errors=True)
    folder.rename(unfinished)
    shutil.rmtree(unfinished, ignore_errors=True)


def restore_best(run: Path, update: int) -> bool:
    """Makes best/ the model of that update again, where a later one had taken its place. Returns whether it is."""
    best, kept = run / "best", kept_model(run, update)
    for folder in (best, kept):
        try:
            if verify(folder).get("update") != update:
                continue
        except InputError:
            continue
        if folder is kept:
            if best.exists():
                remove(best)
            kept.rename(best)
        return True
    return False


def read_state(folder: Path) -> dict[str, Any]:
    """The numbers of a commit, without its tensors. Raises InputError."""
    try:
        return dict(json.loads((folder / "state.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{folder}: no state.json to read: {one_line(error)}") from error
