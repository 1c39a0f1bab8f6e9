"""A kill at every file operation of saving, overwriting and resuming: no sound model or checkpoint is ever lost.

A forked child works on a copy of a run folder and ends without another word at its n-th file operation, for every n
that there is. Then the run is looked at as the next start of train.py does, and goes on.
"""

import itertools
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ner.files import is_sound, verify
from ner.training import checkpoint, run_folder
from ner.training.checkpoint import CONFIG, REPLACED, of_step, prune, prune_models, read_state, write_folder

KILLED = 9
WATCHED = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.link", "os.symlink"}


def save_best(run: Path, step: int, text: str = "model") -> None:
    """As train.py does it."""

    def files(folder: Path) -> None:
        write(folder / "model", f"{text} {step}")

    write_folder(run / "best", files, facts={"step": step}, keep_old=True)
    prune_models(run)


def save_checkpoint(run: Path, step: int, best: int, keep: int = 1) -> None:
    """As the checkpointer does it."""

    def files(folder: Path) -> None:
        write(folder / "state.json", json.dumps({"step": step, "best": {"step": best}}))
        write(folder / CONFIG, "lr: 1\n")

    write_folder(of_step(run, step), files, facts={"step": step})
    prune(run, keep)


def write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")


def resume(run: Path) -> int | None:
    """What the next start does before it trains: finds the newest checkpoint, and its best model. Returns its step."""
    start = run_folder.look(run, "auto", overwrite=False)
    if start.resume_from is None:
        return None
    state = read_state(start.resume_from)
    assert checkpoint.restore_best(run, state["best"]["step"])
    checkpoint.forget_after(run, state["step"])
    return state["step"]


def killed_at(number: int, work: Callable[[], Any], folder: Path) -> bool:
    """Works in a fork that is killed before its file operation of that number. Whether it came that far."""
    child = os.fork()
    if child == 0:
        operations = itertools.count(1)

        def count(event: str, arguments: tuple) -> None:
            if event in WATCHED and str(folder) in str(arguments[0]) and next(operations) == number:
                os._exit(KILLED)

        sys.addaudithook(count)
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, KILLED), "the work itself failed"
    return code == KILLED


def every_kill(start: Callable[[Path], Any], work: Callable[[Path], Any], tmp_path: Path):
    """The run folder after a kill at each operation in turn."""
    start(tmp_path / "before")
    for number in itertools.count(1):
        run = tmp_path / f"run-{number}"
        shutil.copytree(tmp_path / "before", run)
        if not killed_at(number, lambda: work(run), run):  # noqa: B023
            assert number > 5
            return
        yield run


def begun(run: Path) -> None:
    """A run with a checkpoint after step 10, whose best model is that of step 8."""
    run.mkdir()
    write(run / CONFIG, "lr: 1\n")
    save_best(run, 8)
    save_checkpoint(run, 10, best=8)


def test_a_checkpoint(tmp_path):
    for run in every_kill(begun, lambda run: save_checkpoint(run, 20, best=8), tmp_path):
        assert resume(run) in (10, 20)
        save_checkpoint(run, 30, best=8)
        assert resume(run) == 30
        assert sorted(path.name for path in run.rglob("*") if path.is_dir()) == [
            "best",
            "checkpoints",
            of_step(run, 30).name,
        ]


def test_the_same_checkpoint_again(tmp_path):
    for run in every_kill(begun, lambda run: save_checkpoint(run, 10, best=8), tmp_path):
        assert resume(run) == 10


def test_a_better_model(tmp_path):
    for run in every_kill(begun, lambda run: save_best(run, 16), tmp_path):
        assert resume(run) == 10
        assert verify(run / "best")["step"] == 8
        save_best(run, 16)
        save_checkpoint(run, 20, best=16)
        assert resume(run) == 20
        assert verify(run / "best")["step"] == 16


def test_a_better_model_before_the_first_checkpoint(tmp_path):
    def start(run: Path) -> None:
        run.mkdir()
        write(run / CONFIG, "lr: 1\n")
        save_best(run, 8)

    for run in every_kill(start, lambda run: save_best(run, 16), tmp_path):
        assert resume(run) is None
        assert verify(run / "best")["step"] in (8, 16)


def test_resuming(tmp_path):
    """Also when the next best model had been saved, and a later checkpoint is corrupt."""

    def start(run: Path) -> None:
        begun(run)
        save_best(run, 16)
        save_checkpoint(run, 20, best=16, keep=2)
        write(of_step(run, 20) / "state.json", "damaged")

    for run in every_kill(start, resume, tmp_path):
        assert resume(run) == 10
        assert verify(run / "best")["step"] == 8


def finished(run: Path) -> None:
    begun(run)
    save_best(run, 20)
    write_folder(run / "last", lambda folder: write(folder / "model", "last"), facts={"step": 20})
    shutil.rmtree(run / "checkpoints")  # as launch/swiss.sh does
    write(run / "metrics.json", '{"best": {}}')
    write(run / "notes.txt", "mine")


def overwrite(run: Path) -> None:
    """As train.py does it, up to the first model of the new run."""
    run_folder.look(run, None, overwrite=True)
    run_folder.begin_run(run, "lr: 2\n", is_new=True)
    save_best(run, 4, "new")


def models(run: Path) -> set[str]:
    """What sound best models hold, wherever they wait."""
    return {
        (best / "model").read_text(encoding="utf-8")
        for best in (run / "best", run / REPLACED / "best")
        if is_sound(best)
    }


def test_overwriting(tmp_path):
    for run in every_kill(finished, overwrite, tmp_path):
        assert models(run) & {"model 20", "new 4"}
        start = run_folder.look(run, "auto", overwrite=False)  # the next start, without --overwrite
        assert models(run) & {"model 20", "new 4"}
        if "lr: 1" in (run / CONFIG).read_text(
            encoding="utf-8"
        ):  # the new run had not begun: all of the old one is back
            assert start.is_finished
            assert verify(run / "last")["step"] == verify(run / "best")["step"] == 20
            assert not (run / REPLACED).exists()
        overwrite(run)
        assert models(run) == {"new 4"}
        assert {path.name for path in run.iterdir()} - {"checkpoints"} == {"best", CONFIG, "notes.txt"}


def test_overwriting_again_what_had_made_nothing(tmp_path):
    def start(run: Path) -> None:
        finished(run)
        run_folder.begin_run(run, "lr: 2\n", is_new=True)
        write(run / "log.jsonl", "begun")

    for run in every_kill(start, overwrite, tmp_path):
        assert models(run) & {"model 20", "new 4"}
        run_folder.look(run, "auto", overwrite=False)
        assert models(run) & {"model 20", "new 4"}


def test_a_failed_rename_puts_the_old_folder_back(tmp_path, monkeypatch):
    begun(tmp_path / "run")
    rename = Path.rename

    def fails(path: Path, to: Path) -> Path:
        if path.name == "best.unfinished":
            raise OSError(5, "Input/output error")
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(OSError, match="Input/output error"):
        save_best(tmp_path / "run", 16)
    assert verify(tmp_path / "run/best")["step"] == 8
