"""Where a run begins: what is refused, what goes on, and who may write into its folder."""

import errno
import json
import os
import re
import shutil
from pathlib import Path

import pytest
from accelerate import Accelerator

from ner.errors import InputError
from ner.files import MANIFEST, write_json
from ner.training import checkpoint, run_folder
from ner.training.checkpoint import CONFIG, of_step, write_folder
from ner.training.run_folder import find_start, held, train_sentences
from tests.processes import fork_ranks


def write(folder: Path) -> None:
    (folder / "state.json").write_text('{"best": {"step": 0}}', encoding="utf-8")


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def run(tmp_path):
    """A run with two checkpoints and a best model."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / CONFIG).write_text("lr: 1\n", encoding="utf-8")
    (folder / "log.jsonl").write_text("{}\n", encoding="utf-8")
    for name in ("best", of_step(Path(), 10), of_step(Path(), 20)):
        write_folder(folder / name, write, facts={"step": 10})
    return folder


def refusal(accelerator: Accelerator, run: Path, resume: str | None = "auto", overwrite: bool = False) -> str:
    """Why the run cannot begin; its folder is as it was."""
    before = snapshot(run)
    with pytest.raises(InputError) as caught:
        find_start(run, resume, overwrite, accelerator)
    assert snapshot(run) == before
    return str(caught.value)


def test_without_a_sound_checkpoint_nothing_is_touched(run, accelerator):
    for folder in checkpoint.found(run):
        (folder / "state.json").write_text("?", encoding="utf-8")
    message = refusal(accelerator, run)
    assert message.startswith(
        f"{run}: none of its checkpoints is sound; restore one of them, or begin again with `overwrite`"
    )
    assert message.count("state.json has 1 bytes instead of 21") == 2


def test_what_can_not_be_read_now_is_not_missing(run, accelerator, monkeypatch):
    """EIO of a disk, ESTALE of a network: another time the newest checkpoint may be there again."""
    newest = of_step(run, 20)
    read_text = Path.read_text

    def fails(path: Path, *arguments, **more) -> str:
        if path == newest / MANIFEST:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))
        return read_text(path, *arguments, **more)

    monkeypatch.setattr(Path, "read_text", fails)
    assert refusal(accelerator, run) == f"{newest / MANIFEST}: Stale file handle"
    assert refusal(accelerator, run, str(newest)) == f"{newest / MANIFEST}: Stale file handle"


def test_a_corrupt_checkpoint_is_passed_over(run, accelerator, messages):
    (of_step(run, 20) / MANIFEST).unlink()
    start = find_start(run, "auto", False, accelerator)
    assert (start.resume_from, start.stored) == (of_step(run, 10), of_step(run, 10))
    assert any(message.startswith("corrupt checkpoint passed over: ") for message in messages)


@pytest.mark.parametrize("content", ["", "{", '{"bes', "[]", "\0\0\0", '{"steps": 3}', "[" * 100_000])
def test_broken_metrics_are_not_the_end(run, accelerator, content):
    (run / "metrics.json").write_text(content, encoding="utf-8")
    assert not find_start(run, "auto", False, accelerator).is_finished
    (run / "metrics.json").write_text('{"best": {}}', encoding="utf-8")
    assert find_start(run, "auto", False, accelerator).is_finished


def test_a_run_without_checkpoints_must_have_the_same_options(run, accelerator):
    """Killed before its first checkpoint, or finished and cleared: a sound model there is not replaced."""
    shutil.rmtree(run / checkpoint.FOLDER)
    start = find_start(run, "auto", False, accelerator)
    assert (start.resume_from, start.stored) == (None, run)
    shutil.rmtree(run / "best")
    assert find_start(run, "auto", False, accelerator).stored is None


@pytest.mark.parametrize(("resume", "overwrite"), [("auto", False), (None, True)])
def test_only_a_run_of_ours_is_replaced_or_gone_on_with(run, accelerator, resume, overwrite):
    (run / CONFIG).unlink()
    assert "not a run of train.py: it has no config.yaml; give another `output`" in refusal(
        accelerator, run, resume, overwrite
    )


def test_a_run_does_not_replace_a_model_that_it_reads(run, accelerator, tmp_path, monkeypatch):
    """Neither the tagger that it goes on from nor a teacher; a finished run may have done so once."""
    monkeypatch.chdir(tmp_path)
    for name in (str(run / "best"), "run/last", "run"):
        message = f"{name} is a model of {run}, which this run would replace; give another `output`"
        with pytest.raises(InputError, match=re.escape(message)):
            find_start(run, None, True, accelerator, ("xlm-roberta-base", name))
    assert find_start(run, None, True, accelerator, (str(tmp_path / "run-2/best"),)).stored is None
    (run / "metrics.json").write_text('{"best": {}}', encoding="utf-8")
    assert find_start(run, "auto", False, accelerator, (str(run / "best"),)).is_finished


def test_a_checkpoint_goes_on_in_its_own_folder_or_a_new_one(run, accelerator, tmp_path):
    other = tmp_path / "other"
    path = str(of_step(run, 10))
    assert find_start(run, path, False, accelerator).resume_from == of_step(run, 10)
    assert find_start(other, path, False, accelerator).resume_from == of_step(run, 10)
    other.mkdir()
    (other / CONFIG).write_text("lr: 1\n", encoding="utf-8")
    write_folder(of_step(other, 5), write, facts={"step": 5})
    assert refusal(accelerator, other, path) == (
        f"`resume` {path}: something else is in {other}; give a new folder as `output`"
    )


def test_a_process_that_does_not_see_the_checkpoint_ends_all(run, accelerator, monkeypatch):
    """The main process sees it; what it decided reaches one on a machine with other disks."""
    monkeypatch.setattr(run_folder, "look", lambda *_: run_folder.Start(resume_from=Path("/nowhere/step-00000010")))
    with pytest.raises(InputError, match=r"step-00000010: not there on .* \(1 of 1 processes\); put the run folder"):
        find_start(run, "auto", False, accelerator)


def test_two_programs_do_not_write_one_folder(run, accelerator):
    with held(run, accelerator):
        assert find_start(run, "auto", False, accelerator).resume_from == of_step(run, 20)
        with pytest.raises(InputError, match=str(run)), held(run, accelerator):
            pass
    with held(run, accelerator):
        pass


def test_a_folder_that_was_made_for_nothing_goes(tmp_path, accelerator):
    with held(tmp_path / "new", accelerator):
        assert find_start(tmp_path / "new", "auto", False, accelerator) == run_folder.Start()
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="file: File exists"), held(tmp_path / "file", accelerator):
        pass


def test_what_replaces_a_run_keeps_other_files_and_a_card_of_ones_own(run):
    (run / "notes.txt").write_text("mine", encoding="utf-8")
    (run / "README.md").write_text("by hand", encoding="utf-8")
    run_folder.begin_run(run, "lr: 2\n", is_new=True)
    assert {path.name for path in run.iterdir()} == {CONFIG, "README.md", "notes.txt", checkpoint.REPLACED}
    kept = {path.name for path in (run / checkpoint.REPLACED).iterdir()}
    assert kept == {CONFIG, "log.jsonl", "best", checkpoint.FOLDER}
    assert json.loads((run / checkpoint.REPLACED / "best" / MANIFEST).read_text(encoding="utf-8"))["step"] == 10


RANKS = """
import sys
from pathlib import Path
from accelerate import Accelerator
from ner.training import run_folder
from ner.errors import InputError

accelerator, run = Accelerator(cpu=True), Path(sys.argv[1])
with run_folder.held(run, accelerator):
    if accelerator.process_index:
        run_folder.look = None  # who asks here would decide for itself
    start = run_folder.find_start(run, "auto", False, accelerator)
    print("goes on from", start.resume_from.name)
    if accelerator.process_index:
        Path.is_file = lambda path: False  # its disks are others
    try:
        run_folder.find_start(run, "auto", False, accelerator)
    except InputError as error:
        print("ended:", error)
try:
    with run_folder.held(Path(sys.argv[2]), accelerator):
        pass
except InputError as error:
    print("refused:", error)
accelerator.end_training()
"""


def test_two_processes_take_the_word_of_the_main_one(run, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    output = fork_ranks(2, RANKS, run, tmp_path / "file")
    assert output.count("goes on from step-00000020") == 2
    assert output.count("step-00000020: not there on ") == 2
    assert output.count("(1 of 2 processes); put the run folder on a disk that all machines see") == 2
    assert output.count(f"refused: {tmp_path}/file: File exists") == 2


@pytest.mark.parametrize(
    ("metrics", "languages", "expected"),
    [
        ({"train_sentences": 250, "sentences": {"fr": 4580}}, ["fr"], (250, {"fr": 250})),
        ({"train_sentences": 9, "sentences": {"de": 6, "fr": 3}}, ["de", "fr"], (9, {"de": 6, "fr": 3})),
        ({"train_sentences": 5, "sentences": {"de": 6, "fr": 3}}, ["de", "fr"], (5, {})),
        ({"train_sentences": 3, "train_sentences_by_language": {"de": 2, "fr": 1}}, ["de"], (3, {"de": 2})),
        (None, ["fr"], (None, {})),
    ],
)
def test_sentences_of_each_language(tmp_path, metrics, languages, expected):
    if metrics:
        write_json(tmp_path / "metrics.json", metrics)
    assert train_sentences(tmp_path, languages) == expected


@pytest.mark.parametrize(
    "damage",
    [{}, {"train_sentences": 1, "train_sentences_by_language": {"fr": "x"}}, {"train_sentences": 1, "sentences": [3]}],
)
def test_sentences_of_a_damaged_file(tmp_path, damage):
    write_json(tmp_path / "metrics.json", damage)
    with pytest.raises(InputError, match=r"metrics\.json: not what train\.py writes"):
        train_sentences(tmp_path, ["de", "fr"])
