"""`ner probe --parallel`: the embedded corpus's templates as parallel text, whose gold entities are known."""

import csv
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState

from ner.analysis.probing.parallel import ALL_TYPES
from ner.cli import baseline, probe
from ner.data import synthetic
from ner.data.perturbation import spans
from ner.tagging.tagger import Tagger
from tests.conftest import write_json_lines
from tests.taggers import write_tagger

pytestmark = pytest.mark.usefixtures("fresh_accelerator")
LANGUAGES = ("de", "fr")
Row = dict[str, list[str]]


def templates(language: str) -> list[str]:
    return list(dict.fromkeys(synthetic.lines(synthetic.TEMPLATES[language])))


def name(slot: str, language: str, number: int) -> list[str]:
    """Those of one number stand for the same. No name of a type is part of one of another."""
    town = synthetic.TOWNS_AND_SURNAMES[number % 14]
    organisations = synthetic.lines(synthetic.ORGANISATIONS[language])
    first, last = (names[number % 30] for names in (synthetic.FIRST, synthetic.SURNAMES))
    found = {
        "per": f"{first} {last}",
        "sur": last,
        "loc": synthetic.TOWNS[language][number % 13],
        "org": organisations[number % 7].replace("{town}", town),
    }
    return found[slot].split()


def row(template: str, language: str, number: int) -> Row:
    """The template, filled with the names from that number on, and tagged."""
    tokens: list[str] = []
    tags: list[str] = []
    for part in f"{template} .".split():
        slot = re.fullmatch(r"\{(\w+)\}", part)
        words = name(slot[1], language, number) if slot else [part]
        number += 1 if slot else 0
        type_ = synthetic.TYPE[slot[1]] if slot else ""
        tags += [f"{'I' if i else 'B'}-{type_}" for i in range(len(words))] if slot else ["O"]
        tokens += words
    return {"tokens": tokens, "ner_tags": tags}


@pytest.fixture(scope="module")
def sides() -> dict[str, list[Row]]:
    """The same 72 sentences in both languages."""
    slots = [[re.findall(r"\{(\w+)\}", template) for template in templates(language)] for language in LANGUAGES]
    assert slots[0] == slots[1]
    return {
        language: [
            row(template, language, 5 * i + 7 * turn)
            for turn in range(4)
            for i, template in enumerate(templates(language))
        ]
        for language in LANGUAGES
    }


@pytest.fixture(scope="module")
def folder(sides, tmp_path_factory) -> Path:
    """de-fr.tsv, and dictionaries of its mentions: `both`, and `german` of those of the left side."""
    folder = tmp_path_factory.mktemp("parallel")
    for language, rows in sides.items():
        for split in ("train", "validation"):
            write_json_lines(folder / "corpus" / language / f"{split}.jsonl", rows)
    for run, languages in (("both", LANGUAGES), ("german", ("de",))):
        AcceleratorState._reset_state(reset_partial_state=True)
        flags = ["--data", str(folder / "corpus"), "--method", "dictionary", "--train-on", *languages]
        baseline.main([*flags, "--output", str(folder / run)])
    pairs = zip(*([" ".join(row["tokens"]) for row in sides[language]] for language in LANGUAGES), strict=True)
    (folder / "de-fr.tsv").write_text("".join(f"{left}\t{right}\n" for left, right in pairs), encoding="utf-8")
    return folder


def main(*arguments: object) -> None:
    AcceleratorState._reset_state(reset_partial_state=True)
    probe.main([*map(str, arguments), "--mixed-precision", "no"])


def mentions(row: Row) -> list[tuple[str, str]]:
    """(type, words) of each."""
    found = spans(row["ner_tags"])
    return [(type_, " ".join(row["tokens"][start:end])) for start, end, type_ in found if type_]


def counts(rows: list[Row], known: set[tuple[str, str]]) -> list[Counter[str]]:
    """Of each sentence, how many of its mentions by type are known."""
    return [Counter(type_ for type_, words in mentions(row) if (type_, words) in known) for row in rows]


def test_two_runs_against_gold(folder, sides, capsys):
    """One knows all names of both sides; the other, of the right side, those that are written alike."""
    every, german = ({m for name in names for row in sides[name] for m in mentions(row)} for names in (sides, ["de"]))
    gold = counts(sides["de"], every)
    assert gold == counts(sides["fr"], every)
    known = counts(sides["fr"], german)
    main(folder / "both", folder / "german", "--parallel", folder / "de-fr.tsv", "--output", folder / "out")
    printed = capsys.readouterr().out
    assert f"{folder}/de-fr.tsv: entities found in 72 pairs of de and fr" in printed
    assert "F1 before" not in printed
    assert {file.name for file in (folder / "out").iterdir()} == {"probes.md", "probes.json", "parallel.csv"}
    written = json.loads((folder / "out/probes.json").read_text(encoding="utf-8"))
    assert written["outcomes"] == written["names"] == []
    both, one = written["parallel"]
    total, there = (sum(part, Counter()) for part in (gold, known))
    assert 0 < there["LOC"] < total["LOC"]
    assert there["PER"] == total["PER"]
    found = {each["type"]: each for each in both["types"]}
    assert {type_: each["left"] for type_, each in found.items()} == dict(total) | {ALL_TYPES: total.total()}
    for each in both["types"]:
        assert (each["agreement"], each["difference"], each["alike"]) == (1, 0, 1)
        assert each["left"] == each["right"] == each["matched"]
    found = {each["type"]: each for each in one["types"]}
    assert {type_: each["left"] for type_, each in found.items()} == dict(total) | {ALL_TYPES: total.total()}
    assert {type_: each["right"] for type_, each in found.items()} == dict(there) | {ALL_TYPES: there.total()}
    assert all(each["right"] == each["matched"] for each in one["types"])
    pairs = list(zip(gold, known, strict=True))
    for type_ in total:
        assert found[type_]["alike"] == pytest.approx(sum(left[type_] == right[type_] for left, right in pairs) / 72)
    assert found[ALL_TYPES]["alike"] == pytest.approx(sum(left == right for left, right in pairs) / 72)
    assert one["types"][-1]["difference_interval"]["high"] < 0
    rows = list(csv.DictReader((folder / "out/parallel.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["run"] for row in rows] == [str(folder / "both")] * 4 + [str(folder / "german")] * 4
    text = (folder / "out/probes.md").read_text(encoding="utf-8")
    assert f"### {folder}/de-fr.tsv: where {folder / 'german'} differs most" in text
    assert f"where {folder / 'both'}" not in text


def test_a_model_of_which_nothing_is_known_and_no_data(thin_encoder, folder, tmp_path, monkeypatch):
    """The entities are those of `ner tag`; no corpus is looked for."""
    monkeypatch.chdir(tmp_path)
    model = write_tagger(tmp_path / "model", thin_encoder)
    lines = (folder / "de-fr.tsv").read_text(encoding="utf-8").splitlines()[:20]
    lines[0] = "Anna wohnt in Bern. Sie sagt: «Urs kommt aus Genf!» Das stimmt.\tAnna habite à Berne (Suisse)."
    (tmp_path / "x.csv").write_text(
        "de,fr\n" + "".join(f'"{line.replace(chr(9), chr(34) + "," + chr(34))}"\n' for line in lines), encoding="utf-8"
    )
    main(model, "--parallel", tmp_path / "x.csv", folder / "de-fr.tsv", "--output", tmp_path / "out")
    first, second = json.loads((tmp_path / "out/probes.json").read_text(encoding="utf-8"))["parallel"]
    assert (first["pairs"], second["pairs"]) == (20, 72)
    tagger = Tagger.from_pretrained(model, device="cpu", precision="no")
    for side, texts in (
        ("left", [line.split("\t")[0] for line in lines]),
        ("right", [line.split("\t")[1] for line in lines]),
    ):
        expected = Counter(entity.type for found in tagger(texts) for entity in found)
        found = {each["type"]: each[side] for each in first["types"]}
        assert found == {type_: expected[type_] for type_ in found if type_ != ALL_TYPES} | {
            ALL_TYPES: expected.total()
        }
        assert expected.total() > 20


def test_beside_probes(folder, capsys, tmp_path):
    """--max-drop is about the probes alone."""
    arguments = [folder / "german", "--parallel", folder / "de-fr.tsv", "--languages", "fr", "--split", "validation"]
    with pytest.raises(SystemExit) as end:
        main(*arguments, "--probes", "upper", "no-full-stop", "seen", "--max-drop", "0.1", "--output", tmp_path)
    assert end.value.code == 1
    assert {file.name for file in tmp_path.iterdir()} >= {"probes.md", "probes.csv", "probes.json", "parallel.csv"}
    printed = capsys.readouterr()
    (message,) = [line for line in printed.err.splitlines() if "max-drop" in line]
    assert "fr, upper: F1" in message
    assert all(text in printed.out for text in ("no-full-stop", "recall of all", "entities found in 72 pairs"))


def test_names_and_parallel_text_without_probes(folder, capsys, tmp_path):
    file = tmp_path / "clubs.txt"
    file.write_text("FC Entenhausen\n", encoding="utf-8")
    names = ["--names", f"ORG={file}", "--languages", "fr", "--split", "validation"]
    main(folder / "german", "--parallel", folder / "de-fr.tsv", *names)
    printed = capsys.readouterr().out
    assert "Lists of names" in printed
    assert "entities found in 72 pairs" in printed
    assert "F1 before" not in printed


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--parallel {}/bad-de-fr.tsv", "--parallel {}/bad-de-fr.tsv:1: 1 column, not 2: 'Bern'; fix the row"),
        ("--parallel {}/none.tsv", "--parallel {}/none.tsv: no such file"),
        ("--parallel {0}/de-fr.tsv {0}/de-fr.tsv", "--parallel names one twice"),
        ("--parallel {}/de-fr.tsv --max-drop 0.1", "--max-drop is about probes that change sentences"),
        ("--parallel {}/de-fr.tsv --languages de", "--languages is of no use with --parallel alone: add --probes"),
        ("--parallel {}/de-fr.tsv --data x", "--data is of no use with --parallel alone"),
        ("--probes lower every", "--probes: no probe every; there are lower"),
    ],
)
def test_what_can_not_be(folder, flags, message, capsys):
    (folder / "bad-de-fr.tsv").write_text("Bern\n", encoding="utf-8")
    with pytest.raises(SystemExit) as end:
        main(folder / "both", *flags.format(folder).split())
    assert end.value.code == 2
    assert message.format(folder) in capsys.readouterr().err
