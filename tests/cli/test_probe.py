"""`ner probe` on runs of the embedded corpus: a dictionary, which learns by heart, and an encoder."""

import base64
import csv
import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from accelerate.state import AcceleratorState

import evaluate
from ner.analysis.probing.flips import FLIPS
from ner.analysis.probing.probes import ALL, NAMES
from ner.cli import baseline, probe
from tests.processes import fork_ranks
from tests.report.test_page import unpack
from tests.runs import train_run

pytestmark = pytest.mark.usefixtures("fresh_accelerator")
FILES = {"probes.md", "probes.csv", "probes.json", "flips.parquet", "probes.png", "probes.svg"}


@pytest.fixture(scope="module")
def runs(small_corpus, thin_encoder, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    data = ["--data", str(small_corpus), "--train-on", "de", "--method", "dictionary"]
    baseline.main([*data, "--output", str(folder / "dictionary")])
    train_run(thin_encoder, small_corpus, folder / "encoder", "--train-on de --epochs 2 --batch-size 16")
    return folder


def main(*arguments: object) -> None:
    AcceleratorState._reset_state(reset_partial_state=True)
    probe.main([*map(str, arguments), "--mixed-precision", "no"])


def read(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "probes.csv").read_text(encoding="utf-8").splitlines()))


def test_all_probes_on_two_languages(runs, tmp_path, capsys):
    """Every probe has a row for each language, and files are equal each time."""
    arguments = [runs / "dictionary", "--languages", "de", "fr", "--max-drop", "1"]
    main(*arguments, "--output", tmp_path / "first")
    printed = capsys.readouterr().out
    main(*arguments, "--output", tmp_path / "again")
    assert {file.name for file in (tmp_path / "first").iterdir()} >= FILES - {"probes.png", "probes.svg"}
    for file in (tmp_path / "first").iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes(), file.name
    rows = read(tmp_path / "first")
    slices = {each.name for each in ALL if each.change is None}
    for language in ("de", "fr"):
        found = {row["probe"] for row in rows if row["language"] == language}
        assert set(NAMES) - slices <= found <= set(NAMES)
    by_heart = {row["probe"]: row for row in rows if row["language"] == "de"}
    assert float(by_heart["unseen"]["after"]) < 0.1 < 0.7 < float(by_heart["seen"]["after"])
    assert float(by_heart["upper"]["after"]) < 0.1
    assert f"| de       | upper            | {by_heart['upper']['changed']:>17} |" in printed
    for row in rows:
        if row["kept"]:
            assert float(row["low"]) <= float(row["difference"]) <= float(row["high"])
    written = json.loads((tmp_path / "first/probes.json").read_text(encoding="utf-8"))
    assert len(written["outcomes"]) == len(rows)
    assert written["changes"]["de"]["upper"][0][1].isupper()
    flipped = pq.read_table(tmp_path / "first/flips.parquet").to_pylist()
    for row in rows:
        of_row = [each for each in flipped if (each["language"], each["probe"]) == (row["language"], row["probe"])]
        for flip in FLIPS[1:]:
            assert sum(each["flip"] == flip for each in of_row) == int(row[flip.replace("-", "_")] or 0)
    text = (tmp_path / "first/probes.md").read_text(encoding="utf-8")
    assert "### upper (fr): all in upper case" in text


def test_two_processes_find_what_one_does(runs, tmp_path):
    """Each tags its part of the sentences; the main one alone writes, and what one process would."""
    shutil.copytree(runs, tmp_path / "runs")
    arguments = [tmp_path / "runs/encoder", "--languages", "de", "fr", "--probes", "lower", "paragraph", "unseen-names"]
    main(*arguments, "--output", tmp_path / "one")
    (tmp_path / "runs/encoder/probing.json").unlink()
    flags = ["--mixed-precision", "no", "--output", tmp_path / "two"]
    fork_ranks(2, "import sys; from ner.cli import probe; probe.main(sys.argv[1:])", *arguments, *flags)
    assert sum(int(row["changed"]) for row in read(tmp_path / "one")) > 0
    for name in ("probes.csv", "flips.parquet", "probes.md"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes(), name
    assert (tmp_path / "runs/encoder/probing.json").is_file()


def test_before_a_change_the_scores_are_those_of_evaluate(runs, tmp_path):
    """Of an encoder and a baseline; a paragraph's groups add up to the same sentences: one F1 for all probes."""
    names = [str(runs / "dictionary"), str(runs / "encoder")]
    main(*names, "--probes", "lower", "paragraph", "alone", "unseen", "--output", tmp_path / "probes")
    AcceleratorState._reset_state(reset_partial_state=True)
    evaluate.main([*names, "--mixed-precision", "no", "--output", str(tmp_path / "matrix")])
    rows = read(tmp_path / "probes")
    results = json.loads((tmp_path / "matrix/matrix.json").read_text(encoding="utf-8"))["results"]
    assert [result["run"] for result in results] == names
    for result in results:
        of_run = [row for row in rows if row["run"] == result["run"]]
        assert [row["probe"] for row in of_run] == ["lower", "paragraph", "unseen", "alone"]
        scores = result["scores"]["default"]
        assert {row["before"] for row in of_run if row["measure"] == "F1"} == {f"{scores['f1']:.6f}"}
        assert {row["before"] for row in of_run if row["measure"] == "recall"} == {f"{scores['recall']:.6f}"}


def test_a_loss_that_is_too_large_ends_with_status_1(runs, capsys):
    arguments = [runs / "dictionary", "--probes", "upper", "swiss", "unseen", "--max-drop"]
    with pytest.raises(SystemExit) as end:
        main(*arguments, "0.05")
    captured = capsys.readouterr()
    assert end.value.code == 1
    (message,) = [line for line in captured.err.splitlines() if "max-drop" in line]
    assert f"{runs / 'dictionary'}, de, upper: F1 0." in message
    assert message.endswith("]: a loss above --max-drop 0.05")
    assert "F1 before" in captured.out
    main(*arguments, "1")


def test_lists_of_names(runs, tmp_path, capsys):
    file = tmp_path / "clubs.csv"
    file.write_text("1,FC Entenhausen\n2,Alpina AG\n", encoding="utf-8")
    main(runs / "dictionary", "--probes", "seen", "--names", f"ORG={file}:1", "--output", tmp_path / "out")
    printed = capsys.readouterr().out
    assert "Lists of names" in printed
    names = json.loads((tmp_path / "out/probes.json").read_text(encoding="utf-8"))["names"]
    assert [(each["place"], each["names"], each["sentences"]) for each in names] == [("alone", 2, 2), ("de", 2, 6)]
    rows = list(csv.DictReader((tmp_path / "out/names.csv").read_text(encoding="utf-8").splitlines()))
    assert "FC Entenhausen" in {row["name"] for row in rows}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--probes lowre", "--probes: no probe lowre"),
        ("--max-drop 5", "--max-drop 5.0 must be from 0 to 1"),
        ("--names MISC={}", "--names MISC: {} has no tag B-MISC"),
        ("--split dev", "no split dev"),
        ("--names ORG=none.csv", "--names none.csv: No such file"),
        ("{run}/", "--runs names one twice"),
        ("--map-tags MSIC=O", "--map-tags MSIC: the data has no such type; it has LOC, ORG, PER"),
    ],
)
def test_what_can_not_be(runs, small_corpus, tmp_path, flags, message, capsys):
    file = tmp_path / "names.txt"
    file.write_text("Oscar\n", encoding="utf-8")
    with pytest.raises(SystemExit) as end:
        main(runs / "dictionary", *flags.format(file, run=runs / "dictionary").split())
    assert end.value.code == 2
    assert message.format(small_corpus) in capsys.readouterr().err


def test_a_model_of_which_no_training_is_known(runs, small_corpus, capsys):
    """No slices, and a note that says so."""
    main(runs / "encoder/best", "--data", small_corpus, "--languages", "de", "--probes", "unseen", "no-full-stop")
    captured = capsys.readouterr()
    assert "no slices of seen and unseen mentions: " in captured.err
    assert "no-full-stop" in captured.out
    assert "recall" not in captured.out


def evaluated(*arguments: object) -> None:
    AcceleratorState._reset_state(reset_partial_state=True)
    evaluate.main([*map(str, arguments), "--mixed-precision", "no"])


def test_the_report_has_what_probes_found(runs, tmp_path, capsys):
    """Of an encoder and a baseline; what was lost before `Bern` is what the page shows as predicted there."""
    names = [runs / "dictionary", runs / "encoder"]
    main(*names, "--probes", "upper", "unseen", "--output", tmp_path / "probes")
    report = ["--report", "--output", tmp_path / "out", "--probing", tmp_path / "probes"]
    evaluated(*names, *report)
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "<h2>Probing</h2>" in page
    header, columns = unpack(base64.b64decode(page.partition('type="application/octet-stream">')[2].partition("<")[0]))
    flips = pq.read_table(tmp_path / "probes/flips.parquet")
    assert len(columns["flip_probe"]) == len(flips) > 0
    assert header["flips"]["probes"] == ["upper"]
    words = pq.read_table(tmp_path / "out/token_losses.parquet").to_pylist()
    sentence_of: dict[tuple[str, int], list[str]] = {}
    for word in words:
        sentence_of.setdefault((word["run"], word["sentence"]), []).append(word["text"])
    for flip in flips.to_pylist():
        sentence = " ".join(sentence_of[flip["run"], flip["sentence"]])
        assert flip["before"] is None or flip["before"] in sentence
        assert flip["after"] is None or flip["after"] in sentence.upper()
    with pytest.raises(SystemExit) as end:
        evaluated(runs / "dictionary", "--languages", "fr", *report)
    assert end.value.code == 2
    assert "of the language de, and tested is fr; run `ner probe` on what is tested" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        evaluated(runs / "dictionary", "--probing", tmp_path / "probes")
    assert end.value.code == 2
    assert "--probing is for the report: --report" in capsys.readouterr().err


def test_a_model_that_was_trained_anew_is_another_one(runs, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(runs / "encoder", run)
    main(run, "--probes", "upper", "--output", tmp_path / "probes")
    shutil.rmtree(run / "best")
    shutil.copytree(run / "last", run / "best")
    manifest = json.loads((run / "best/manifest.json").read_text(encoding="utf-8"))
    (run / "best/manifest.json").write_text(json.dumps(manifest | {"step": 0}), encoding="utf-8")
    with pytest.raises(SystemExit) as end:
        evaluated(run, "--report", "--output", tmp_path / "out", "--probing", tmp_path / "probes")
    assert end.value.code == 2
    assert f"of {run} another model was probed than is tested" in capsys.readouterr().err


def test_the_card_names_what_costs_most(runs, tmp_path):
    """And probing.json keeps it; a probe takes the place of an earlier one; other models and baselines have no card."""
    run = tmp_path / "run"
    shutil.copytree(runs / "encoder", run, ignore=shutil.ignore_patterns("probing.json"))  # of other tests
    main(run, "--probes", "upper", "nonsense", "unseen")
    kept = json.loads((run / "probing.json").read_text(encoding="utf-8"))["results"]
    assert [(each["probe"], each["language"], each["split"]) for each in kept] == [
        ("upper", "de", "test"),
        ("nonsense", "de", "test"),
    ]
    assert str(tmp_path) not in (run / "probing.json").read_text(encoding="utf-8")
    card = (run / "README.md").read_text(encoding="utf-8")
    assert "## Probing" in card
    assert kept[0]["before"] == 0  # it was trained for a moment
    assert "In `de` none cost anything." in card
    assert "`nonsense`" not in card
    before = (run / "probing.json").read_text(encoding="utf-8")
    main(run, "--probes", "upper")
    assert (run / "probing.json").read_text(encoding="utf-8") == before
    main(run, "--probes", "lower", "--split", "validation")
    assert len(json.loads((run / "probing.json").read_text(encoding="utf-8"))["results"]) == 3
    main(run, "--probes", "upper", "--checkpoint", "last")
    main(runs / "dictionary", "--probes", "upper")
    assert len(json.loads((run / "probing.json").read_text(encoding="utf-8"))["results"]) == 3
    assert not (runs / "dictionary/probing.json").exists()
