"""Runs with `--augment`: what their folders say, what resumes them, and what is refused."""

import json
from pathlib import Path

import pytest
import yaml

import evaluate
from ner.training.checkpointer import Checkpointer
from tests.conftest import part_of
from tests.runs import train_run
from tests.test_train import log_of, same, weights

FLAGS = "--train-on de fr --batch-size 32 --log-every 1 --max-train-sentences 60 --evaluate-every 4"
AUGMENT = "--augment mentions=2 case=0.2"
pytestmark = pytest.mark.usefixtures("fresh_accelerator")


@pytest.fixture(scope="module")
def corpus(corpus_folder, tmp_path_factory) -> Path:
    return part_of(corpus_folder, tmp_path_factory.mktemp("part"), train=60, validation=30, test=30)


@pytest.fixture(scope="module")
def whole(corpus, thin_encoder, tmp_path_factory) -> Path:
    """A run that nothing stopped, with the options in another order."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    train_run(thin_encoder, corpus, folder, f"{FLAGS} --epochs 2 --augment case=0.20 mentions=2")
    return folder


def refused(capsys, *arguments) -> str:
    with pytest.raises(SystemExit) as caught:
        train_run(*arguments)
    assert caught.value.code == 2
    return capsys.readouterr().err


def test_the_run_folder_says_what_was_trained_on(whole):
    """The sentences are those that somebody annotated: copies are no more of them."""
    metrics = json.loads((whole / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["train_sentences"] == 60
    *_, note = json.loads((whole / "log.jsonl").read_text(encoding="utf-8").splitlines()[0])["notes"]
    assert note.startswith("augmentation: 60 sentences, +")
    assert yaml.safe_load((whole / "config.yaml").read_text(encoding="utf-8"))["augment"] == ["mentions=2", "case=0.2"]
    assert 60 * 2 < metrics["steps"] / 2 * 32 < 60 * 3.2 + 32  # an epoch has the copies, too
    assert "| training sentences | 60 " in " ".join((whole / "README.md").read_text(encoding="utf-8").split())


def test_a_run_that_is_stopped_goes_on_with_the_same_copies(whole, corpus, thin_encoder, tmp_path, monkeypatch, capsys):
    after_step = Checkpointer.after_step

    def interrupt(self, point, progress, meter, log, signals):
        if progress.step == 5:
            signals.asked_by = "SIGTERM"
        after_step(self, point, progress, meter, log, signals)

    run = (thin_encoder, corpus, tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(Checkpointer, "after_step", interrupt)
        with pytest.raises(SystemExit) as caught:
            train_run(*run, f"{FLAGS} --epochs 2 {AUGMENT}")
    assert caught.value.code == 75
    assert "training on 60 sentences" in capsys.readouterr().err
    for other, shown in (("", "()"), ("--augment mentions=1 case=0.2", "('mentions=1', 'case=0.2')")):
        message = refused(capsys, *run, f"{FLAGS} --epochs 2 --resume auto {other}")
        assert "cannot be resumed, this would change its result:\n" in message
        assert f"augment is {shown}, and was ('mentions=2', 'case=0.2')" in message
    train_run(*run, f"{FLAGS} --epochs 2 --resume auto {AUGMENT}")
    for name in ("best", "last"):
        assert same(weights(whole, name), weights(run[2], name))
    assert [e["loss"] for e in log_of(whole)[0]] == [e["loss"] for e in log_of(run[2])[0]]


def test_the_curve_counts_annotated_sentences(whole, corpus, thin_encoder, tmp_path):
    for size in (20, 40):
        flags = f"--train-on fr --max-train-sentences {size} --max-steps 1 {AUGMENT}"
        train_run(thin_encoder, corpus, tmp_path / f"fr-{size}", flags)
    names = [str(tmp_path / "fr-20"), str(tmp_path / "fr-40")]
    evaluate.main([*names, "--languages", "fr", "--mixed-precision", "no", "--output", str(tmp_path / "report")])
    (curve,) = json.loads((tmp_path / "report/curve.json").read_text(encoding="utf-8"))["test"]
    assert [point["train_sentences"] for point in curve["points"]] == [20, 40]


def test_what_makes_no_sense_is_said_before_anything_is_read(tmp_path, capsys):
    message = refused(capsys, tmp_path / "none", tmp_path / "none", tmp_path / "run", "--augment mentions=0 --epochs 0")
    assert "--epochs 0 must be above 0" in message
    assert "--augment 'mentions=0': give a number of copies from 1 to 100, as in mentions=2" in message
