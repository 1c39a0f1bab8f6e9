"""`ner average`: the mean of runs of several seeds, what is refused, and what the other programs make of it."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import evaluate
from ner.cli import average, tag
from ner.files import MANIFEST, write_manifest
from tests.runs import train_run
from tests.test_train import weights

pytestmark = pytest.mark.usefixtures("fresh_accelerator")


@pytest.fixture(scope="module")
def runs(small_corpus, thin_encoder, tmp_path_factory) -> Path:
    """Runs on de of three seeds, and one at another rate."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in (1, 2, 3):
        train_run(thin_encoder, small_corpus, folder / f"de-{seed}", f"--train-on de --max-steps 4 --seed {seed}")
    train_run(thin_encoder, small_corpus, folder / "faster", "--train-on de --max-steps 4 --lr 1e-2")
    return folder


@pytest.fixture
def copied(runs, tmp_path) -> Path:
    """A run that a test may change: seed 2."""
    return shutil.copytree(runs / "de-2", tmp_path / "copied")


def changed(run: Path, **config: object) -> None:
    """Gives the model other keys in its config, as if it had been saved so."""
    file = run / "best/config.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**content, **config}), encoding="utf-8")
    sealed(run / "best")


def sealed(model: Path) -> None:
    """Writes its manifest anew."""
    (model / MANIFEST).unlink()
    write_manifest(model, {"step": 4})


def failure(capsys, *arguments: object) -> str:
    with pytest.raises(SystemExit) as caught:
        average.main(list(map(str, arguments)))
    assert caught.value.code == 2
    return capsys.readouterr().err


def test_the_mean_is_a_run(runs, tmp_path, capsys):
    soup = tmp_path / "soup"
    names = [runs / f"de-{seed}" for seed in (1, 2, 3)]
    average.main([*map(str, names), "--output", str(soup)])
    models = [weights(name, "best") for name in names]
    for name, value in weights(soup, "best").items():
        assert value.dtype == torch.float32
        mean = torch.stack([model[name].double() for model in models]).mean(dim=0)
        torch.testing.assert_close(value.double(), mean, rtol=1e-6, atol=1e-8)
    metrics = json.loads((soup / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["averaged"] == [str(name / "best") for name in names]
    assert metrics["train_sentences"] == 200
    assert metrics["config"]["averaged"] == metrics["averaged"]
    assert metrics["environment"]["versions"]["torch"] == torch.__version__
    for checkpoint in ("best", "average"):  # it has one model
        flags = ["--checkpoint", checkpoint, "--languages", "de", "fr", "--mixed-precision", "no"]
        evaluate.main([str(runs / "de-1"), str(soup), *flags[2:], "--output", str(tmp_path / "report")])
        evaluate.main([str(soup), *flags])
    rows = json.loads((tmp_path / "report/matrix.json").read_text(encoding="utf-8"))["f1"]["test"]
    assert list(rows) == [f"de [{runs / 'de-1'}]", f"de [{soup}]"]  # it is no further seed of its runs
    capsys.readouterr()
    tag.main([str(soup), "--text", "Anna wohnt in Zürich .", "--mixed-precision", "no"])
    assert "Anna" in capsys.readouterr().out


def test_what_can_not_be_averaged(runs, copied, thin_encoder, tmp_path, capsys):
    first, output = runs / "de-1", ["--output", tmp_path / "soup"]

    def refused(other: Path | str) -> str:
        message = failure(capsys, first, other, *output)
        assert not (tmp_path / "soup").exists()
        return message

    message = refused(runs / "faster")
    assert f"{runs / 'faster'} and {first} differ in more than their seed:\n  lr is 0.01, and 0.002" in message
    assert "no run folder of train.py (config.yaml)" in refused(first / "best")
    names = json.loads((copied / "best/config.json").read_text(encoding="utf-8"))["id2label"]
    other_order = {**names, "1": names["3"], "3": names["1"]}
    changed(copied, id2label=other_order)
    message = refused(copied)
    assert f"{copied / 'best/config.json'}: id2label is {{'0': 'O', '1': '{names['3']}'" in message
    assert f"in {first / 'best'}" in message
    changed(copied, id2label=names)
    (copied / "best/tokenizer.json").write_text("{}", encoding="utf-8")
    assert "tokenizer.json has 2 bytes instead of" in refused(copied)
    sealed(copied / "best")
    message = refused(copied)
    assert f"{copied / 'best/tokenizer.json'} is not that of {first / 'best'}" in message


def test_tensors_of_other_shapes_and_unfinished_runs(runs, copied, tmp_path, capsys):
    arguments = [runs / "de-1", copied, "--output", tmp_path / "soup"]
    tensors = weights(copied, "best")
    save_file(tensors | {"classifier.bias": torch.zeros(3)}, copied / "best/model.safetensors", {"format": "pt"})
    sealed(copied / "best")
    message = failure(capsys, *arguments)
    assert f"{copied / 'best/model.safetensors'}: classifier.bias is 'F32 [3]', and 'F32 [7]' in" in message
    (copied / "metrics.json").unlink()
    assert f"{copied}: its training is not finished" in failure(capsys, *arguments)
    assert not (tmp_path / "soup").exists()


def test_options_that_make_no_sense(runs, tmp_path, capsys):
    first = runs / "de-1"
    message = failure(capsys, first, f"{first}/")
    assert "--runs names one twice" in message
    assert "--output FOLDER" in message
    assert "two runs or more" in failure(capsys, first, "--output", tmp_path / "soup")
    assert "is one of the runs" in failure(capsys, first, runs / "de-2", "--output", first, "--overwrite")
    assert "average; it was trained without --average on" in failure(
        capsys, first, runs / "de-2", "--checkpoint", "average", "--output", tmp_path / "soup"
    )
    average.main([str(first), str(runs / "de-2"), "--output", str(tmp_path / "soup")])
    capsys.readouterr()
    assert "is not empty" in failure(capsys, first, runs / "de-2", "--output", tmp_path / "soup")
    average.main([str(first), str(runs / "de-3"), "--output", str(tmp_path / "soup"), "--overwrite"])
