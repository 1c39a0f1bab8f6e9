"""Checkpoints: all that a run needs to go on, on disk whole or not at all.

A checkpoint is a folder, written aside, with a manifest of the size and SHA-256 of each of its files, synced, and
renamed in one step. One that fails verification is ignored.

Nothing sound is deleted before what takes its place is on the disk: a run that is replaced, and what a resumed run
will make again, wait in replaced/ until the new run has written a model. `recover` undoes a kill between two steps.
"""

import contextlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ner.errors import InputError, single_line
from ner.files import MANIFEST, is_sound, read_json, sync, verify, write_json, write_manifest

FOLDER = "checkpoints"  # in the run folder
UNFINISHED = ".unfinished"
OLD = ".old" + UNFINISHED
REPLACED = "replaced"  # in the run folder
CONFIG = "config.yaml"  # in the run folder: there is a run


def write_folder(folder: Path, write: Callable[[Path], None], *, facts: dict[str, Any], keep_old: bool = False) -> int:
    """Makes `folder` hold what `write` writes into the folder it is given. Returns its size in bytes.

    facts: stand in the manifest, `step` among them. keep_old: keeps what stood there, as `kept_model` of its step.
    Raises OSError or SafetensorError; what was there before is intact then.
    """
    aside = folder.with_name(folder.name + UNFINISHED)
    shutil.rmtree(aside, ignore_errors=True)
    old = None
    try:
        aside.mkdir(parents=True)
        write(aside)
        write_manifest(aside, facts)
        for path in (*aside.iterdir(), aside):
            sync(path)
        if folder.exists():
            kept = kept_model(folder.parent, step_of(folder)) if keep_old else folder.with_name(folder.name + OLD)
            kept.parent.mkdir(exist_ok=True)
            shutil.rmtree(kept, ignore_errors=True)
            folder.rename(kept)
            old = kept
        aside.rename(folder)
        sync(folder.parent)
        if old and not keep_old:
            shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        if old and not folder.exists():
            old.rename(folder)
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return sum(file.stat().st_size for file in folder.iterdir())


def change_config(folder: Path, **values: Any) -> None:
    """Sets values of the config.json of a model folder, and its manifest with it, if it has one. Raises OSError."""
    config = {**read_json(folder / "config.json"), **values}
    if not (folder / MANIFEST).is_file():
        write_json(folder / "config.json", config)
        return
    facts = {name: value for name, value in read_json(folder / MANIFEST).items() if name != "files"}

    def write(aside: Path) -> None:
        for file in folder.iterdir():
            if file.name != MANIFEST:
                shutil.copyfile(file, aside / file.name)
        write_json(aside / "config.json", config)

    write_folder(folder, write, facts=facts)


def step_of(folder: Path) -> int | None:
    """The step in a manifest, None if it cannot be read."""
    try:
        return int(read_json(folder / MANIFEST)["step"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None


def kept_model(run: Path, step: int | None) -> Path:
    """Where the best model of a step is kept when a later one takes its place."""
    return run / FOLDER / f"best-{step}"


def of_step(run: Path, step: int) -> Path:
    """The folder of the checkpoint after that step."""
    return run / FOLDER / f"step-{step:08d}"


def found(run: Path) -> list[Path]:
    """Folders of checkpoints, newest first, sound or not."""
    return sorted((p for p in (run / FOLDER).glob("step-*") if p.suffix != UNFINISHED), reverse=True)


def newest(run: Path) -> tuple[Path | None, list[str]]:
    """The newest sound checkpoint of a run, None without one, and what is wrong with those that are newer.

    Raises OSError where that cannot be told.
    """
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
    """Leaves the newest `keep` checkpoints and the best models that they name; clears what was never finished."""
    for folder in found(run)[keep:]:
        remove(folder)
    prune_models(run)
    for folder in (run / FOLDER).glob(f"*{UNFINISHED}"):
        if not folder.name.endswith(OLD):  # which may be all there is of a checkpoint
            shutil.rmtree(folder, ignore_errors=True)


def prune_models(run: Path) -> None:
    """Removes models that were the best once, and that no checkpoint names; and what waited to be replaced.

    Called when a model or a checkpoint has been written.
    """
    shutil.rmtree(run / REPLACED, ignore_errors=True)
    named = set()
    for folder in found(run):
        with contextlib.suppress(InputError, KeyError):  # a damaged one names none
            named.add(kept_model(run, read_state(folder)["best"]["step"]).name)
    for folder in (run / FOLDER).glob("best-*"):
        if folder.name not in named:
            remove(folder)


def forget_after(run: Path, step: int) -> None:
    """Puts aside checkpoints of later steps: the run goes on from this one, and makes them anew."""
    for folder in found(run):
        if folder > of_step(run, step):
            set_aside(run, folder)


def set_aside(run: Path, path: Path) -> None:
    """Moves a file or folder of a run into replaced/, until the run has written a model."""
    (run / REPLACED).mkdir(exist_ok=True)
    to = run / REPLACED / path.name
    shutil.rmtree(to, ignore_errors=True)
    path.replace(to)


def replace_run(run: Path, names: Sequence[str]) -> None:
    """Makes room for a new run: what is there under these names goes into replaced/.

    What waits there already stays if the run in between has made nothing that is sound. Raises OSError.
    """
    there = [run / name for name in (CONFIG, *names) if (run / name).exists()]  # without a config, `recover` goes back
    if (run / REPLACED).exists():
        if not any(map(is_sound, (run / "best", run / "last", *found(run)))):
            for path in there:
                remove(path)
            return
        shutil.rmtree(run / REPLACED)
    for path in there:
        set_aside(run, path)


def recover(run: Path) -> None:
    """Undoes what a killed program left half done: what had made room comes back. Raises OSError."""
    waiting = run / REPLACED
    if (waiting / CONFIG).exists() and not (run / CONFIG).exists():
        for path in sorted(waiting.iterdir(), key=lambda path: path.name == CONFIG):
            if (run / path.name).exists():
                remove(run / path.name)  # of a run that had made nothing
            path.replace(run / path.name)
    remove_if_empty(waiting)
    for old in (*run.glob(f"*{OLD}"), *(run / FOLDER).glob(f"*{OLD}")):
        folder = old.with_name(old.name.removesuffix(OLD))
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.rename(folder)
    kept = sorted((run / FOLDER).glob("best-*[0-9]"), key=lambda folder: step_of(folder) or 0)
    if kept and not (run / "best").exists():
        kept[-1].rename(run / "best")


def remove_if_empty(folder: Path) -> None:
    """Removes a folder if there is nothing in it."""
    with contextlib.suppress(OSError):  # there is something, or no folder
        folder.rmdir()


def remove(folder: Path) -> None:
    """Removes a checkpoint, or a file; half removed, it is none."""
    if not folder.is_dir():
        folder.unlink()
        return
    unfinished = folder.with_name(folder.name + UNFINISHED)
    shutil.rmtree(unfinished, ignore_errors=True)
    folder.rename(unfinished)
    shutil.rmtree(unfinished, ignore_errors=True)


def restore_best(run: Path, step: int) -> bool:
    """Makes best/ the model of that step again, where a later one had taken its place. Returns whether it is."""
    best, kept = run / "best", kept_model(run, step)
    for folder in (best, kept):
        if not is_sound(folder) or step_of(folder) != step:
            continue
        if folder is kept:
            if best.exists():
                set_aside(run, best)
            kept.rename(best)
        return True
    return False


def read_state(folder: Path) -> dict[str, Any]:
    """The numbers of a checkpoint, without its tensors. Raises InputError."""
    try:
        return dict(read_json(folder / "state.json"))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{folder}: no state.json to read: {single_line(error)}") from error
