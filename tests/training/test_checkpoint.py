import json
import os
import pickle
import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ner import files
from ner.files import MANIFEST, verify
from ner.training import checkpoint
from ner.training.checkpoint import forget_after, found, newest, of_step, prune, restore_best, write_folder
from ner.training.state import read_snapshot


def write(text: str, **more: str):
    """Writes a file `a` of this text, and others."""

    def into(folder: Path) -> None:
        for name, content in {"a": text, **more}.items():
            (folder / name).write_text(content, encoding="utf-8")

    return into


def state(best: int) -> str:
    return json.dumps({"best": {"step": best}})


def test_a_checkpoint_is_whole(tmp_path):
    size = write_folder(tmp_path / "c", write("one"), facts={"step": 3})
    assert size == sum(file.stat().st_size for file in (tmp_path / "c").iterdir())
    assert verify(tmp_path / "c")["step"] == 3
    write_folder(tmp_path / "c", write("two"), facts={"step": 4})
    assert (tmp_path / "c/a").read_text(encoding="utf-8") == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_files_are_for_those_that_the_umask_lets_read(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_folder(tmp_path / "c", lambda folder: save_file({"x": torch.ones(1)}, folder / "x.safetensors"), facts={})
    finally:
        os.umask(before)
    assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "c").iterdir()} == {0o666 & ~umask}


def test_what_fails_leaves_the_checkpoint_before(tmp_path):
    write_folder(tmp_path / "c", write("one"), facts={"step": 3})

    def fails(folder: Path) -> None:
        (folder / "a").write_text("half", encoding="utf-8")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_folder(tmp_path / "c", fails, facts={"step": 4})
    assert verify(tmp_path / "c")["step"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_everything_is_synced_before_the_name_is_given(tmp_path, monkeypatch):
    """The order that a power cut needs: files and folder, then the rename, then the folder above."""
    events = []
    rename, sync = Path.rename, files.sync

    def watched_sync(path: Path) -> None:
        events.append(("sync", path.name))
        sync(path)

    def watched_rename(path: Path, to: Path) -> Path:
        events.append(("rename", path.name))
        return rename(path, to)

    monkeypatch.setattr(checkpoint, "sync", watched_sync)
    monkeypatch.setattr(Path, "rename", watched_rename)
    write_folder(tmp_path / "c", write("one"), facts={"step": 3})
    assert sorted(events[:2]) == [("sync", "a"), ("sync", MANIFEST)]
    assert events[2:] == [("sync", "c.unfinished"), ("rename", "c.unfinished"), ("sync", tmp_path.name)]


def pipe(file):
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: os.truncate(folder / "a", 1), "a has 1 bytes instead of 3"),
        (lambda folder: (folder / "a").write_text("onE", encoding="utf-8"), "a is not what was written"),
        (lambda folder: (folder / "a").unlink(), "a is missing"),
        (lambda folder: (folder / MANIFEST).unlink(), "no manifest.json to read: No such file"),
        (lambda folder: (folder / MANIFEST).write_text('{"files": {', encoding="utf-8"), "its manifest.json is broken"),
        (
            lambda folder: (folder / MANIFEST).write_text('{"files": {"a": 3}}', encoding="utf-8"),
            "its manifest.json is broken",
        ),
        (lambda folder: (folder / MANIFEST).write_text("[]", encoding="utf-8"), "its manifest.json is broken"),
        (lambda folder: (folder / MANIFEST).write_text("[" * 100_000, encoding="utf-8"), "its manifest.json is broken"),
        (
            lambda folder: (folder / MANIFEST).write_text(
                '{"files": {"a": {"size": 1e999, "sha256": ""}}}', encoding="utf-8"
            ),
            "its manifest.json is broken",
        ),
        (lambda folder: (folder / MANIFEST).write_text('{"files": {}}', encoding="utf-8"), "lists no files"),
        (lambda folder: pipe(folder / "a"), "a is no file"),
    ],
)
def test_damage_is_named_and_the_checkpoint_before_is_taken(tmp_path, change, message):
    for step in (100, 200):
        write_folder(of_step(tmp_path, step), write("one"), facts={"step": step})
    change(of_step(tmp_path, 200))
    with pytest.raises(ValueError, match=message):
        verify(of_step(tmp_path, 200))
    folder, (damaged,) = newest(tmp_path)
    assert folder == of_step(tmp_path, 100)
    assert message.split(":")[0] in damaged
    assert newest(tmp_path / "nowhere") == (None, [])


def test_the_newest_are_kept_and_the_best_models_they_name(tmp_path):
    for step, best in ((100, 100), (200, 100), (300, 300), (1000, 300)):
        write_folder(tmp_path / "best", write(f"model {best}"), facts={"step": best}, keep_old=True)
        write_folder(of_step(tmp_path, step), write("x", **{"state.json": state(best)}), facts={"step": step})
    (tmp_path / "checkpoints/step-00000999.unfinished").mkdir()
    assert len(found(tmp_path)) == 4
    prune(tmp_path, 3)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["best-100", "best-300", "step-00000200", "step-00000300", "step-00001000"]
    prune(tmp_path, 2)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["best-300", "step-00000300", "step-00001000"]
    forget_after(tmp_path, 300)
    assert found(tmp_path) == [of_step(tmp_path, 300)]


def test_the_best_model_of_an_step_comes_back(tmp_path):
    for step in (100, 200):
        write_folder(tmp_path / "best", write(f"model {step}"), facts={"step": step}, keep_old=True)
    assert restore_best(tmp_path, 200)
    assert restore_best(tmp_path, 100)  # the run goes on from a checkpoint that does not know of 200
    assert (tmp_path / "best/a").read_text(encoding="utf-8") == "model 100"
    assert not restore_best(tmp_path, 200)


class Malicious:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return (Path.write_text, (self.file, "executed"))


@pytest.mark.parametrize("name", ["state.safetensors", "state.json", "optimizer.pt", MANIFEST])
def test_a_pickle_executes_nothing(tmp_path, name):
    """Wherever it stands in a checkpoint, its hash in the manifest or not."""
    harm, folder = tmp_path / "harm", of_step(tmp_path, 100)
    pickle.loads(pickle.dumps(Malicious(tmp_path / "works")))
    assert (tmp_path / "works").exists()

    def with_pickle(aside: Path) -> None:
        write("x", **{"state.json": state(1)})(aside)
        (aside / name).write_bytes(pickle.dumps(Malicious(harm)))

    write_folder(folder, with_pickle, facts={"step": 100})
    if name == MANIFEST:
        (folder / name).write_bytes(pickle.dumps(Malicious(harm)))
    with pytest.raises(ValueError, match="step-00000100"):
        read_snapshot(folder)
    newest(tmp_path)
    assert not harm.exists()
