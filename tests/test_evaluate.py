"""evaluate.py end to end on runs of the embedded corpus."""

import csv
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import seqeval.metrics
import torch
from accelerate.state import AcceleratorState
from datasets import load_dataset
from transformers import AutoModelForTokenClassification, AutoTokenizer

import evaluate
import train
from ner.analysis import token_losses, views
from ner.analysis.label_errors import label_error_score
from ner.report.sections import label_error_scores
from tests.conftest import part_of, write_json_lines
from tests.processes import fork_ranks
from tests.runs import train_run

FLAGS = ["--mixed-precision", "no"]
pytestmark = pytest.mark.usefixtures("fresh_accelerator")


@pytest.fixture(scope="module")
def corpus_folder(corpus_folder, tmp_path_factory) -> Path:
    """A part of the embedded corpus."""
    return part_of(corpus_folder, tmp_path_factory.mktemp("part"), train=600, validation=100, test=200)


@pytest.fixture(scope="module")
def runs(corpus_folder, encoder_folder, tmp_path_factory):
    """Runs on de, on fr, and on both."""
    folder = tmp_path_factory.mktemp("runs")
    for languages in ("de", "fr", "de fr"):
        flags = f"--train-on {languages} --epochs 2 --batch-size 32"
        train_run(encoder_folder, corpus_folder, folder / "{train_on}", flags)
    return folder


def run(*arguments):
    evaluate.main([*map(str, arguments), *FLAGS])


def test_the_matrix(runs, tmp_path, capsys):
    names = [runs / "de", runs / "de+fr", runs / "fr", f"{runs}/de/"]  # the last is no other run
    run(*names, "--languages", "de", "fr", "it", "--output", tmp_path / "out")
    printed = capsys.readouterr().out
    written = json.loads((tmp_path / "out/matrix.json").read_text(encoding="utf-8"))
    matrix = written["f1"]["test"]
    assert list(matrix) == ["de", "fr", "each", "de+fr"]
    assert matrix["each"] == {"de": matrix["de"]["de"], "fr": matrix["fr"]["fr"], "it": None}
    assert matrix["de"]["de"] > matrix["fr"]["de"]
    assert matrix["fr"]["fr"] > matrix["de"]["fr"]
    assert f"{matrix['de+fr']['it']:.3f}" in printed
    rows = list(csv.DictReader((tmp_path / "out/matrix.csv").open(encoding="utf-8")))
    assert float(rows[0]["it"]) == pytest.approx(matrix["de"]["it"], abs=1e-6)
    assert "| de+fr | it | PER |" in (tmp_path / "out/matrix.md").read_text(encoding="utf-8")
    assert len(written["results"]) == 9
    assert {r["num_sentences"] for r in written["results"]} == {200}


def test_scores_by_type_are_printed_where_they_are_asked_for(runs, capsys):
    run(runs / "de", "--languages", "de", "fr")
    assert "By entity type" not in capsys.readouterr().out
    run(runs / "de", "--languages", "de", "fr", "--by-type", "--scoring", "strict")
    text = capsys.readouterr().out
    assert "By entity type, test (strict scoring)\n\n| trained on | tested on | type " in text
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    found = [(row[1], row[2]) for row in rows if len(row) == 7 and row[0] == "de"]
    names = ("LOC", "ORG", "PER", "all (micro)", "all (macro)", "all (weighted)")
    assert found == [(language, name) for language in ("de", "fr") for name in names]
    f1 = next(line for line in rows if line[0] == "de")[1]
    assert f1 in next(row for row in rows if row[1:3] == ["de", "all (micro)"])


def test_a_cell_is_what_seqeval_says_of_the_saved_model(runs, corpus_folder, tmp_path):
    """From the words of the file to F1 without any code of ours between."""
    run(runs / "de", "--languages", "de", "--output", tmp_path)
    ours = json.loads((tmp_path / "matrix.json").read_text(encoding="utf-8"))["results"][0]["scores"]
    model = AutoModelForTokenClassification.from_pretrained(runs / "de/best").eval()
    tokenizer = AutoTokenizer.from_pretrained(runs / "de/best")
    gold, predicted = [], []
    for line in (corpus_folder / "de/test.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        encoding = tokenizer(row["tokens"], is_split_into_words=True, return_tensors="pt")
        with torch.no_grad():
            tags = model(**encoding).logits[0].argmax(-1).tolist()
        first = [encoding.word_ids().index(w) for w in range(len(row["tokens"]))]
        gold.append(row["ner_tags"])
        predicted.append([model.config.id2label[tags[i]] for i in first])
    assert ours["default"]["f1"] == pytest.approx(seqeval.metrics.f1_score(gold, predicted), abs=1e-9)
    assert ours["default"]["accuracy"] == pytest.approx(seqeval.metrics.accuracy_score(gold, predicted), abs=1e-9)


def test_every_table_and_picture_of_the_matrix(runs, tmp_path, capsys):
    """Two seeds of a row: a run that differs from another in seed and place alone."""
    second = tmp_path / "second"
    shutil.copytree(runs / "de", second)
    config = (second / "config.yaml").read_text(encoding="utf-8")
    (second / "config.yaml").write_text(
        config.replace("seed: 42", "seed: 43").replace("keep: 2", "keep: 5"), encoding="utf-8"
    )
    output = tmp_path / "out"
    run(runs / "de", second, runs / "fr", "--languages", "de", "fr", "--output", output, "--scoring", "strict")
    printed = capsys.readouterr().out
    written = json.loads((output / "matrix.json").read_text(encoding="utf-8"))
    cell = written["cells"]["test"]["de"]["fr"]
    results = [r for r in written["results"] if (r["trained_on"], r["language"]) == (["de"], "fr")]
    assert cell["runs"] == [result["scores"]["strict"]["f1"] for result in results]
    assert [result["seed"] for result in results] == [42, 43]
    assert {result["train_sentences"] for result in results} == {600}
    assert cell["interval"]["low"] < cell["f1"] < cell["interval"]["high"]
    assert cell["gap"] == pytest.approx(written["f1"]["test"]["fr"]["fr"] - cell["f1"])
    assert written["best"]["test"]["fr"] == ["each", "fr"]
    types = list(csv.DictReader((output / "types.csv").open(encoding="utf-8")))
    micro = next(row for row in types if (row["average"], row["tested_on"]) == ("micro", "fr"))
    assert float(micro["f1"]) == pytest.approx(cell["runs"][0], abs=1e-6)
    names = ["matrix.csv", "matrix.json", "matrix.md", "matrix.png", "matrix.svg", "matrix.tex", "types.csv"]
    assert sorted(file.name for file in output.iterdir()) == names
    assert f"**{written['f1']['test']['fr']['fr']:.3f}**" in printed
    assert f"{cell['gap']:.3f} [" in printed
    assert r"\toprule" in (output / "matrix.tex").read_text(encoding="utf-8")
    row = next(csv.DictReader((output / "matrix.csv").open(encoding="utf-8")))
    assert float(row["fr_low"]) == pytest.approx(cell["interval"]["low"], abs=1e-6)


def test_runs_of_several_sizes_are_a_curve(runs, encoder_folder, corpus_folder, tmp_path, capsys):
    train.main(
        [
            "--model",
            str(encoder_folder),
            "--data",
            str(corpus_folder),
            "--train-on",
            "fr",
            "--lr",
            "2e-3",
            "--output",
            str(tmp_path / "fr-32"),
            "--epochs",
            "2",
            "--batch-size",
            "32",
            "--max-train-sentences",
            "32",
            *FLAGS,
        ]
    )
    AcceleratorState._reset_state(reset_partial_state=True)
    run(runs / "de", runs / "fr", tmp_path / "fr-32", "--languages", "fr", "--output", tmp_path / "out")
    (curve,) = json.loads((tmp_path / "out/curve.json").read_text(encoding="utf-8"))["test"]
    assert [point["train_sentences"] for point in curve["points"]] == [32, 600]
    assert [point["runs"] for point in curve["points"]] == [[str(tmp_path / "fr-32")], [str(runs / "fr")]]
    assert curve["level"]["trained_on"] == "de"
    assert 32 < curve["crossing_interval"]["low"] <= curve["crossing"] <= curve["crossing_interval"]["high"] < 600
    summary = f"fr alone: zero-shot from de (600 sentences) {curve['level']['f1']:.3f}"
    assert summary in capsys.readouterr().out
    assert summary in (tmp_path / "out/curve.md").read_text(encoding="utf-8")
    for name in ("curve.csv", "curve.png", "curve.svg"):
        assert (tmp_path / "out" / name).stat().st_size > 100


def test_without_matplotlib_all_tables_are_written(runs, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    run(runs / "de", "--languages", "de", "--output", tmp_path)
    names = {"matrix.md", "matrix.csv", "matrix.json", "matrix.tex", "types.csv"}
    assert {file.name for file in tmp_path.iterdir()} == names
    assert "no pictures: matplotlib is not installed; pip install" in capsys.readouterr().err


def test_two_runs_compared(runs, corpus_folder, tmp_path, capsys):
    run(runs / "de", runs / "fr", "--compare", "--languages", "de", "fr", "--output", tmp_path)
    compared = json.loads((tmp_path / "compare.json").read_text(encoding="utf-8"))["test"]
    matrix = json.loads((tmp_path / "matrix.json").read_text(encoding="utf-8"))
    for language in ("de", "fr"):
        found = compared["found"][language]
        support = matrix["results"][["de", "fr"].index(language)]["scores"]["default"]["support"]
        assert sum(sum(row.values()) for row in found.values()) == support
        f1 = [matrix["f1"]["test"][name][language] for name in ("de", "fr")]
        assert compared["f1"][language] == pytest.approx(f1)
        assert compared["test"][language]["f1"] == pytest.approx(f1[1] - f1[0])
        assert compared["test"][language]["p"] < 0.05
    assert sum(row["only A"] for row in compared["found"]["de"].values()) > 0
    example = compared["examples"]["only A"][0]
    rows = [json.loads(line) for line in (corpus_folder / "de/test.jsonl").read_text(encoding="utf-8").splitlines()]
    assert example["text"].replace("[", "").replace("]", "").split() == rows[example["sentence"]]["tokens"]
    text = (tmp_path / "compare.md").read_text(encoding="utf-8")
    assert "Gold entities, by who found them" in text
    assert text.strip() in capsys.readouterr().out


def test_only_two_runs_on_the_same_sentences_are_compared(runs, tmp_path, capsys):
    assert "--compare takes two runs, not 1" in failure(capsys, runs / "de", f"{runs}/de/", "--compare")
    sampled = tmp_path / "sampled"
    shutil.copytree(runs / "de", sampled)
    config = (sampled / "config.yaml").read_text(encoding="utf-8")
    (sampled / "config.yaml").write_text(config.replace("sample:\n- all", "sample:\n- de=0.5"), encoding="utf-8")
    message = failure(capsys, runs / "de", sampled, "--compare")
    assert "are tested on different de test sentences: 200 of" in message
    assert "100 of" in message
    (sampled / "metrics.json").write_text("[]", encoding="utf-8")
    assert "metrics.json: not what train.py writes" in failure(capsys, sampled)


def test_languages_default_to_those_trained_on_and_splits_are_a_matrix_each(runs, capsys):
    run(runs / "de+fr", "--splits", "validation", "test", "--checkpoint", "last", "--scoring", "strict")
    printed = capsys.readouterr().out
    assert "F1 on validation (entities, micro average, strict scoring)" in printed
    assert "F1 on test" in printed
    assert "| trained on |    de |    fr |" in printed


def test_a_model_folder_of_unknown_training(runs, corpus_folder, capsys):
    run(runs / "de/best", "--data", corpus_folder, "--languages", "it")
    assert f"| {runs}/de/best |" in capsys.readouterr().out


def failure(capsys, *arguments) -> str:
    with pytest.raises(SystemExit) as caught:
        run(*arguments)
    assert caught.value.code == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_missing_tags_are_named_before_anything_is_evaluated(runs, tmp_path, capsys):
    write_json_lines(tmp_path / "it/test.jsonl", [{"tokens": ["a", "b"], "ner_tags": ["B-MISC", "I-MISC"]}])
    message = failure(capsys, runs / "de", "--data", tmp_path, "--languages", "it", "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert "lacks the tags B-MISC I-MISC of" in message
    assert "it has O B-LOC" in message
    assert "--map-tags MISC=O reads" in message
    run(runs / "de", "--data", tmp_path, "--languages", "it", "--output", tmp_path / "out", "--map-tags", "MISC=O")
    written = json.loads((tmp_path / "out/matrix.json").read_text(encoding="utf-8"))
    assert written["results"][0]["scores"]["strict"]["support"] == 0


def test_other_data_in_columns(runs, corpus_folder, tmp_path, capsys):
    """What a run says about its own data (a sample, say) does not hold for other data; bad rows are kept."""
    rows = [json.loads(line) for line in (corpus_folder / "de/test.jsonl").read_text(encoding="utf-8").splitlines()]
    text = ["\n".join(f"{w} {t}" for w, t in zip(row["tokens"], row["ner_tags"], strict=True)) for row in rows]
    first = json.loads((corpus_folder / "de/train.jsonl").read_text(encoding="utf-8").splitlines()[0])
    text += ["\n".join(f"{word} O" for word in first["tokens"]), "kaputt"]
    (tmp_path / "de.test.bio").write_text("\n\n".join(text), encoding="utf-8")
    sampled = tmp_path / "sampled"
    shutil.copytree(runs / "de", sampled)
    config = (sampled / "config.yaml").read_text(encoding="utf-8")
    (sampled / "config.yaml").write_text(config.replace("sample:\n- all", "sample:\n- de=0.5"), encoding="utf-8")
    capsys.readouterr()
    run(sampled, "--data", tmp_path, "--on-bad-row", "skip", "--output", tmp_path / "out")
    error = capsys.readouterr().err
    assert f"note: {tmp_path}/de.test.bio: 1 of 202 rows skipped" in error
    assert json.loads((tmp_path / "out/matrix.json").read_text(encoding="utf-8"))["results"][0]["num_sentences"] == 201
    assert json.loads((tmp_path / "out/skipped.jsonl").read_text(encoding="utf-8"))["value"] == "kaputt"
    assert re.search(rf"note: {sampled} was trained on \d+ of 201 de test sentences", error)
    run(sampled, "--output", tmp_path / "own")
    assert json.loads((tmp_path / "own/matrix.json").read_text(encoding="utf-8"))["results"][0]["num_sentences"] == 100
    (sampled / "config.yaml").write_text(config.replace(f"data: {corpus_folder}", "data: ./moved"), encoding="utf-8")
    run(sampled, "--data", tmp_path, "--on-bad-row", "skip", "--languages", "de")
    assert "its data is gone: ./moved: no such file or folder" in capsys.readouterr().err


def test_bf16_is_packed_too(runs, capsys):
    evaluate.main([str(runs / "de"), "--languages", "de", "--mixed-precision", "bf16"])
    assert "packing: on" in capsys.readouterr().err


def test_bad_input_is_one_line_and_status_2(runs, tmp_path, capsys):
    assert "no such folder" in failure(capsys, tmp_path / "nowhere")
    assert "neither a run" in failure(capsys, tmp_path)
    assert "no language rm" in failure(capsys, runs / "de", "--languages", "rm")
    assert "split dev" in failure(capsys, runs / "de", "--splits", "dev")
    half = tmp_path / "half"
    half.mkdir()
    shutil.copy(runs / "de/config.yaml", half)
    assert "has not written it yet" in failure(capsys, half)
    write_json_lines(tmp_path / "empty/de/test.jsonl", [])
    assert "test.jsonl: empty" in failure(capsys, runs / "de", "--data", tmp_path / "empty")
    assert "name the languages" in failure(capsys, runs / "de/best")
    assert "--output FOLDER" in failure(capsys, runs / "de", "--token-losses")


def test_a_damaged_model_does_not_cost_the_results_of_the_others(runs, tmp_path, capsys):
    shutil.copytree(runs / "fr", tmp_path / "damaged")
    (tmp_path / "damaged/best/model.safetensors").write_bytes(b"cut off")
    message = failure(capsys, tmp_path / "damaged", runs / "de", "--languages", "de", "--output", tmp_path / "out")
    assert "damaged" in message
    assert list(json.loads((tmp_path / "out/matrix.json").read_text(encoding="utf-8"))["f1"]["test"]) == ["de"]


def test_token_losses_are_a_row_a_word(runs, corpus_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(token_losses, "SENTENCES_PER_TABLE", 75)
    run(runs / "de", runs / "fr", "--languages", "fr", "de", "--output", tmp_path, "--token-losses")
    table = pq.read_table(tmp_path / "token_losses.parquet")
    assert pq.ParquetFile(tmp_path / "token_losses.parquet").num_row_groups == 2 * 2 * 3
    assert [str(field.type) for field in table.schema] == [
        "string",
        "string",
        "string",
        "int64",
        "int32",
        "string",
        "list<element: string>",
        "string",
        "string",
        "float",
        "float",
        "float",
        "float",
    ]
    results = json.loads((tmp_path / "matrix.json").read_text(encoding="utf-8"))["results"]
    assert list(dict.fromkeys(zip(*(table[name].to_pylist() for name in ("run", "language")), strict=True))) == [
        (str(runs / name), language) for name in ("de", "fr") for language in ("fr", "de")
    ]
    for result in results:
        part = token_losses.select(table, run=result["run"], language=result["language"], split="test")
        text = (corpus_folder / result["language"] / "test.jsonl").read_text(encoding="utf-8")
        rows = [json.loads(line) for line in text.splitlines()]
        assert part["text"].to_pylist() == [word for row in rows for word in row["tokens"]]
        assert part["gold"].to_pylist() == [tag for row in rows for tag in row["ner_tags"]]
        assert part["sentence"].to_pylist() == [i for i, row in enumerate(rows) for _ in row["tokens"]]
        assert part["word"].to_pylist() == [i for row in rows for i in range(len(row["tokens"]))]
        scores = result["scores"]["default"]
        assert pc.mean(part["loss"]).as_py() == pytest.approx(scores["loss"], rel=1e-6)
        assert pc.mean(pc.equal(part["gold"], part["predicted"])).as_py() == pytest.approx(scores["accuracy"])
        loss, p_gold, p_predicted, entropy = (part[name].to_numpy() for name in part.column_names[-4:])
        np.testing.assert_allclose(p_gold, np.exp(-loss), rtol=1e-6)
        right = pc.equal(part["gold"], part["predicted"]).to_numpy()
        np.testing.assert_allclose(p_gold[right], p_predicted[right], rtol=1e-5)
        assert (p_gold <= p_predicted * (1 + 1e-5)).all()
        assert entropy.min() >= 0
        assert entropy.max() < np.log(7) + 1e-5
        kinds = views.entity_kinds(part).to_pydict()
        count = dict(zip(kinds["kind"], kinds["count"], strict=True))
        assert sum(kinds["count"]) - count["spurious"] == scores["support"]
        assert count["correct"] == round(scores["recall"] * scores["support"])
        assert sum(kinds["count"]) - count["missed"] == round(count["correct"] / scores["precision"])
    tokenizer = AutoTokenizer.from_pretrained(runs / "de/best")
    for word, pieces in zip(table["text"].to_pylist()[:300], table["sub_tokens"].to_pylist(), strict=False):
        assert pieces == tokenizer.convert_ids_to_tokens(tokenizer([word], is_split_into_words=True)["input_ids"][1:-1])
    assert not list(tmp_path.glob(".*"))  # nothing unfinished


def test_token_losses_are_read_by_all(runs, corpus_folder, tmp_path):
    """One file, the same words and losses everywhere; a word without a sub-token has none."""
    rows = [{"tokens": ["Anna", "\u00ad", "<b>", "\U0001f600"], "ner_tags": ["B-PER", "I-PER", "O", "O"]}]
    write_json_lines(tmp_path / "data/de/test.jsonl", rows)
    run(runs / "de/best", "--data", tmp_path / "data", "--languages", "de", "--output", tmp_path, "--token-losses")
    file = tmp_path / "token_losses.parquet"
    table = pq.read_table(file)
    assert table["sub_tokens"].to_pylist()[1] == []
    assert table["predicted"].to_pylist()[1] == "O"
    for name in table.column_names[-4:]:
        assert [value is None for value in table[name].to_pylist()] == [False, True, False, False]
    frame = pd.read_parquet(file)
    assert frame["text"].tolist() == rows[0]["tokens"]
    loaded = load_dataset("parquet", data_files=str(file), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded["gold"][:] == rows[0]["ner_tags"]
    assert loaded["sub_tokens"][:] == table["sub_tokens"].to_pylist()
    mean = json.loads((tmp_path / "matrix.json").read_text(encoding="utf-8"))["results"][0]["scores"]["default"]["loss"]
    assert frame["loss"].mean() == pytest.approx(mean, rel=1e-6)
    duckdb = pytest.importorskip("duckdb")
    (found,) = duckdb.sql(f"select avg(loss), count(*), list(text) from '{file}'").fetchall()
    assert found == (pytest.approx(mean, rel=1e-6), 4, rows[0]["tokens"])


def test_two_processes_score_every_word_once(runs, tmp_path):
    run(runs / "de", "--languages", "de", "fr", "--output", tmp_path / "one", "--token-losses")
    arguments = [runs / "de", "--languages", "de", "fr", "--output", tmp_path / "two", "--token-losses", *FLAGS]
    program = "import evaluate, sys, torch; evaluate.main(sys.argv[1:]); assert not torch.distributed.is_initialized()"
    fork_ranks(2, program, *arguments)
    one, two = (
        json.loads((tmp_path / name / "matrix.json").read_text(encoding="utf-8"))["results"] for name in ("one", "two")
    )
    cells = [
        json.loads((tmp_path / name / "matrix.json").read_text(encoding="utf-8"))["cells"] for name in ("one", "two")
    ]
    assert cells[0] == cells[1]
    assert cells[0]["test"]["de"]["fr"]["interval"]["low"] > 0
    for mine, theirs in zip(one, two, strict=True):
        assert theirs["scores"]["strict"].pop("loss") == pytest.approx(mine["scores"]["strict"].pop("loss"), rel=1e-5)
        assert theirs["scores"]["strict"] == mine["scores"]["strict"]
    one, two = (pq.read_table(tmp_path / name / "token_losses.parquet") for name in ("one", "two"))
    for name in one.column_names[:9]:
        assert one[name].equals(two[name]), name
    for name in one.column_names[9:]:
        np.testing.assert_allclose(two[name].to_numpy(), one[name].to_numpy(), rtol=1e-3, atol=1e-5)


def test_the_page_holds_what_was_found(runs, tmp_path):
    run(runs / "de", runs / "fr", "--languages", "de", "fr", "--report", "--output", tmp_path / "out")
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    headings = re.findall(r"<h2[^>]*>([^<]+)</h2>", page)
    assert headings == [
        "Matrix",
        "Confusion",
        "By entity type",
        "Kinds of errors",
        "F1 by length",
        "Loss by gold tag",
        "Loss by sub-token",
        "Training",
        "Sentences",
    ]
    assert "Of 2 trainings, " in page
    f1 = json.loads((tmp_path / "out/matrix.json").read_text(encoding="utf-8"))["f1"]["test"]
    assert all(f"{value:.3f}" in page for row in f1.values() for value in row.values())
    assert page.count("data:image/svg+xml") == 2  # losses and F1 of each run
    with pytest.raises(SystemExit) as caught:
        run(runs / "de", "--report")
    assert caught.value.code == 2


def test_sentences_that_another_system_has_tagged_are_a_run(runs, corpus_folder, tmp_path, capsys):
    gold = (corpus_folder / "de/test.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    other = tmp_path / "other.jsonl"
    other.write_text("".join(reversed(gold)), encoding="utf-8")
    data = ["--data", corpus_folder, "--languages", "de"]
    run(runs / "de", other, *data, "--report", "--compare", "--output", tmp_path / "out")
    f1 = json.loads((tmp_path / "out/matrix.json").read_text(encoding="utf-8"))["f1"]["test"]
    assert f1[str(other)] == {"de": 1.0}
    assert json.loads((tmp_path / "out/compare.json").read_text(encoding="utf-8"))
    assert "Of this run no losses are known." in (tmp_path / "out/report.html").read_text(encoding="utf-8")
    other.write_text("".join(gold[1:]), encoding="utf-8")
    with pytest.raises(SystemExit) as caught:
        run(other, *data)
    assert caught.value.code == 2
    assert "other.jsonl: no sentence with the words" in capsys.readouterr().err


def test_types_that_only_the_data_or_only_another_system_has_are_mapped(tmp_path, capsys):
    words = ["Bern", "liegt", "am", "Rhein"]
    gold = write_json_lines(tmp_path / "de/test.jsonl", [{"tokens": words, "ner_tags": ["B-LOC", "O", "O", "B-MISC"]}])
    other = write_json_lines(tmp_path / "other.jsonl", [{"tokens": words, "ner_tags": ["I-GPE", "O", "O", "O"]}])
    arguments = [other, "--data", gold.parent.parent, "--languages", "de", "--output", tmp_path / "out"]
    run(*arguments, "--map-tags", "GPE=LOC,MISC=O")
    f1 = json.loads((tmp_path / "out/matrix.json").read_text(encoding="utf-8"))["f1"]["test"]
    assert f1 == {str(other): {"de": 1.0}}
    assert f"note: {other}: IOB1, converted to IOB2" in capsys.readouterr().err
    message = failure(capsys, *arguments, "--map-tags", "GEP=LOC")
    assert message.endswith("--map-tags GEP: the data has no such type; it has GPE, LOC, MISC")


def test_a_type_that_a_run_was_trained_without_need_not_be_in_what_it_is_tested_on(runs, tmp_path, capsys):
    mapping = tmp_path / "mapping"
    shutil.copytree(runs / "de", mapping)
    config = (mapping / "config.yaml").read_text(encoding="utf-8")
    (mapping / "config.yaml").write_text(re.sub("map_tags: .*", "map_tags: MISC=O", config), encoding="utf-8")
    capsys.readouterr()
    run(mapping, "--languages", "fr")
    captured = capsys.readouterr()
    assert "F1 on test" in captured.out
    assert "is unknown" not in captured.err  # its training sentences are read, too
    assert "--map-tags MISC: the data has no such type" in failure(capsys, mapping, "--map-tags", "MISC=O")


def test_a_twentieth_of_each_language_is_a_likely_label_error(runs, tmp_path):
    run(runs / "de", "--languages", "de", "fr", "--token-losses", "--output", tmp_path)
    scores = label_error_scores(tmp_path / "token_losses.parquet")
    assert {place[:3] for place in scores} == {(str(runs / "de"), language, "test") for language in ("de", "fr")}
    for language in ("de", "fr"):
        own = {place[3]: score for place, score in scores.items() if place[1] == language}
        assert len(own) == 10  # of 200
        part = token_losses.select(tmp_path / "token_losses.parquet", language=language)
        assert min(own.values()) >= np.sort(label_error_score(part))[-10] - 1e-9
