"""Runs with `--corrections`: they are a part of the data, for resuming and for testing."""

import json
from pathlib import Path
from typing import Any

import pytest

import evaluate
from ner.data.corpus import Source, load_corpus
from ner.data.corrections import sentence_key
from ner.training.checkpointer import Checkpointer
from tests.conftest import part_of
from tests.runs import train_run
from tests.training.test_augmented_runs import refused

FLAGS = "--train-on de --batch-size 16 --epochs 2 --log-every 1"
pytestmark = pytest.mark.usefixtures("fresh_accelerator")


@pytest.fixture(scope="module")
def corpus(corpus_folder, tmp_path_factory) -> Path:
    return part_of(corpus_folder, tmp_path_factory.mktemp("part"), train=40, validation=10, test=10)


def write(file: Path, corpus: Path, split: str, sentences: list[int], **changes: Any) -> None:
    """Corrections of these sentences of a split."""
    loaded = load_corpus(Source(str(corpus)), ["de"], (split,))
    lines = []
    for row in loaded["de"][split].select(sentences):
        tags = [loaded.tags.names[i] for i in row["ner_tags"]]
        key = sentence_key(row["tokens"], tags)
        lines.append({"language": "de", "split": split, "key": key, "ner_tags": ["O"] * len(tags), **changes})
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def test_a_run_goes_on_with_its_corrections_alone(corpus, thin_encoder, tmp_path, monkeypatch, capsys):
    def interrupt(self, point, progress, meter, log, signals):
        signals.asked_by = "SIGTERM" if progress.step == 2 else None
        after_step(self, point, progress, meter, log, signals)

    after_step = Checkpointer.after_step
    file = tmp_path / "review.jsonl"
    write(file, corpus, "train", [0, 1, 2])
    run = (thin_encoder, corpus, tmp_path / "run")
    flags = f"{FLAGS} --corrections {file}"
    with monkeypatch.context() as patch:
        patch.setattr(Checkpointer, "after_step", interrupt)
        with pytest.raises(SystemExit) as caught:
            train_run(*run, flags)
    assert caught.value.code == 75
    assert "corrections of de train: 3 sentences changed, 0 dropped, 0 as they were" in capsys.readouterr().err

    write(file, corpus, "train", [0, 1])  # the file of that name says something else
    message = refused(capsys, *run, f"{flags} --resume auto")
    assert "the training or validation sentences are not the same" in message
    assert "corrections is None, and was" in refused(capsys, *run, f"{FLAGS} --resume auto")
    write(file, corpus, "train", [0, 1, 2], drop=True)
    refused(capsys, *run, f"{flags} --resume auto")
    write(file, corpus, "train", [0, 1, 2])
    train_run(*run, f"{flags} --resume auto")
    assert json.loads((tmp_path / "run/metrics.json").read_text(encoding="utf-8"))["train_sentences"] == 40
    *_, note = json.loads((tmp_path / "run/log.jsonl").read_text(encoding="utf-8").splitlines()[0])["notes"]
    assert note.startswith("corrections of de train: 3")

    file.unlink()  # a test takes the corrections that it is given, and not those of the run
    scores = [evaluated(run[2], tmp_path / "plain", "")]
    write(tmp_path / "test.jsonl", corpus, "test", list(range(9)), drop=True)
    scores.append(evaluated(run[2], tmp_path / "corrected", f"--corrections {tmp_path / 'test.jsonl'}"))
    assert [score["num_sentences"] for score in scores] == [10, 1]


def evaluated(run: Path, output: Path, flags: str) -> dict[str, Any]:
    options = f"--languages de --mixed-precision no --output {output} {flags}"
    evaluate.main([str(run), *options.split()])
    (result,) = json.loads((output / "matrix.json").read_text(encoding="utf-8"))["results"]
    return dict(result)
