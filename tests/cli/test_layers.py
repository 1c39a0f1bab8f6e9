"""`ner layers` on the embedded corpus and a small encoder: what it writes, twice the same, and what it refuses."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from ner.cli import layers
from tests.runs import train_run

pytestmark = pytest.mark.usefixtures("fresh_accelerator")
pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def run(small_corpus, thin_encoder, tmp_path_factory) -> Path:
    """A run on de of a few steps."""
    folder = tmp_path_factory.mktemp("runs") / "de"
    train_run(thin_encoder, small_corpus, folder, "--train-on de --max-steps 4")
    return folder


def main(*arguments: object) -> None:
    layers.main([*map(str, arguments), "--max-words", "150", "--max-entities", "10"])


def failure(capsys, *arguments: object) -> str:
    with pytest.raises(SystemExit) as caught:
        main(*arguments)
    assert caught.value.code == 2
    return capsys.readouterr().err


def test_everything_is_written_and_the_same_again(run, thin_encoder, tmp_path, capsys):
    flags = ["--languages", "de", "fr", "--attention", "Anna Keller wohnt in Bern."]
    main(run, *flags, "--output", tmp_path / "a")
    printed = capsys.readouterr().out
    assert "Linear probe, tag of a word, fr: fitted on" in printed
    assert "(fr, train)" in printed
    assert "Alignment of languages" in printed
    main(run, *flags, "--output", tmp_path / "b")
    names = {file.name for file in (tmp_path / "a").iterdir()}
    pictures = {f"{name}.{ending}" for name in ("layers", "entity-map") for ending in ("png", "svg")}
    assert names == pictures | {"layers.md", "layers.csv", "layers.json", "entity-map.csv", "attention.html"}
    for name in names - {"layers.json"}:  # which has the name of its folder
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    with (tmp_path / "a/layers.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    # 2 encoders, 2 tasks, 2 languages, embeddings and one layer
    assert len(rows) == 16
    assert {(row["encoder"], row["fine_tuned"]) for row in rows} == {(str(thin_encoder), "False"), (str(run), "True")}
    content = json.loads((tmp_path / "a/layers.json").read_text(encoding="utf-8"))
    assert [each["entity_layer"] for each in content["encoders"]] == [1, 1]
    assert content["encoders"][0]["alignment"]["num_entities"] == 20


def test_probes_of_one_language_tested_on_others(run, tmp_path):
    main(run, "--languages", "fr", "it", "--probe-on", "de", "--layer", 0, "--output", tmp_path / "a")
    with (tmp_path / "a/layers.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["trained_on"] for row in rows} == {"de"}
    assert {row["language"] for row in rows} == {"fr", "it"}
    assert not (tmp_path / "a/attention.html").exists()


def test_one_language_and_no_output(run, capsys):
    main(run)
    printed = capsys.readouterr().out
    assert "tag of a word, de" in printed
    assert "Alignment" not in printed


def test_what_is_refused(run, small_corpus, tmp_path, capsys):
    assert "--layer 5: " in (message := failure(capsys, run, "--layer", 5))
    assert "has the layers 0 (embeddings) to 1" in message
    assert "--layer -1 must not be below 0" in failure(capsys, run, "--layer", -1)
    assert "--attention needs a folder" in failure(capsys, run, "--attention", "Bern")
    message = failure(capsys, run, "--attention", " ", "--output", tmp_path / "x")
    assert "--attention ' ' has no words; give a sentence" in message
    message = failure(capsys, run / "best", "--data", small_corpus, "--languages", "de")
    assert "does not say what it was fine-tuned from; name that as --encoder" in message
    moved = shutil.copytree(run, tmp_path / "moved")
    text = (moved / "config.yaml").read_text(encoding="utf-8").splitlines()
    lines = ["model: /gone/encoder" if line.startswith("model:") else line for line in text]
    (moved / "config.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert "name where it is now as --encoder" in failure(capsys, moved)


def test_a_baseline_has_no_layers(small_corpus, tmp_path, capsys):
    from ner.cli import baseline

    baseline.main(["--method", "dictionary", "--data", str(small_corpus), "--output", str(tmp_path / "words")])
    capsys.readouterr()
    assert "a baseline (dictionary), which has no layers" in failure(capsys, tmp_path / "words")
