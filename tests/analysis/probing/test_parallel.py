"""Parallel text: files of pairs, and agreement of pairs tagged by hand, with numbers counted on fingers."""

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ner.analysis.probing.parallel import ALL_TYPES, Agreement, ParallelOutcome, agreements, counted, probe_parallel
from ner.analysis.probing.parallel_tables import parallel_examples, parallel_to_csv, parallel_to_markdown
from ner.analysis.probing.parallel_text import read_parallel
from ner.data.arrow_store import TAGS as TAG_COLUMN
from ner.data.arrow_store import WORDS, flat_column, tag_set
from ner.errors import InputError
from ner.evaluation.bootstrap import Interval
from ner.tagging.unlabelled import split_sentences
from ner.utils import DASH
from tests.analysis.probing.test_probing import Dictionary, texts
from tests.conftest import TAGS

PAIRS = """Anna wohnt in Bern.\tAnna habite à Berne.
Genf und Chur\tGenève et Coire
Es regnet.\tIl pleut.
Die UNO ist in Bern. Bern ruft!\tL'ONU est à Berne.
"""
TAGGER = {"Anna": "PER", "Bern": "LOC", "Berne": "LOC", "Genf": "LOC", "Chur": "LOC", "Genève": "ORG", "UNO": "ORG"}


def write(file: Path, text: str) -> str:
    data = text.encode(errors="surrogateescape")
    file.write_bytes(gzip.compress(data) if file.suffix == ".gz" else data)
    return str(file)


def outcome_of(tmp_path: Path, pairs: str = PAIRS) -> ParallelOutcome:
    text = read_parallel(write(tmp_path / "de-fr.tsv", pairs), split_sentences)
    return probe_parallel("runs/x", Dictionary(TAGGER), text, lambda _: None)


def test_agreement_counted_by_hand(tmp_path):
    """Pair 2: two places against an organisation. Pair 4: UNO and Bern twice against Berne. The others agree."""
    outcome = outcome_of(tmp_path)
    assert (outcome.languages, outcome.pairs) == (("de", "fr"), 4)
    found = {each.type: each for each in outcome.types}
    assert list(found) == ["LOC", "ORG", "PER", ALL_TYPES]
    counts = {name: (each.left, each.right, each.matched) for name, each in found.items()}
    assert counts == {"LOC": (5, 2, 2), "ORG": (1, 1, 0), "PER": (1, 1, 1), ALL_TYPES: (7, 4, 3)}
    assert [each.agreement for each in outcome.types] == pytest.approx([4 / 7, 0, 1, 6 / 11])
    assert [each.difference for each in outcome.types] == [-0.75, 0, 0, -0.75]
    assert [each.alike for each in outcome.types] == [0.5, 0.5, 1, 0.5]
    assert found["PER"].alike_interval == Interval(1, 1)
    assert found["PER"].difference_interval == Interval(0, 0)
    for each in outcome.types:
        assert each.agreement_interval is not None
        assert each.agreement is not None
        assert each.agreement_interval.low <= each.agreement <= each.agreement_interval.high
        assert each.difference_interval.low <= each.difference <= each.difference_interval.high
    assert [(each.line, each.differing) for each in outcome.examples] == [(2, 3), (4, 2)]
    assert outcome.examples[0].left == "[Genf LOC] und [Chur LOC]"
    assert outcome.examples[0].right == "[Genève ORG] et Coire"
    assert outcome_of(tmp_path) == outcome
    assert outcome.examples[1].left == "Die [UNO ORG] ist in [Bern LOC] . [Bern LOC] ruft !"


def test_intervals_of_two_pairs_by_hand():
    """Each resample has the pair that agrees 0, 1 or 2 times, with 1/4, 1/2, 1/4: both ends are reached."""
    sides = np.array([[[1], [1]], [[2], [0]]])
    (found, _) = agreements(sides, ["LOC"])
    assert (found.agreement, found.difference, found.alike) == (0.5, -1, 0.5)
    assert (found.agreement_interval, found.alike_interval) == (Interval(0, 1), Interval(0, 1))
    assert found.difference_interval == Interval(-2, 0)


def test_entities_are_counted_where_they_stand():
    """Sentences of 2, 1, 3 words: the first two on the left of the first pair, the last on the right of the second."""
    found = np.array([[0, 1, 1], [2, 3, 0], [3, 5, 1], [5, 6, 1]])
    sides = counted(found, np.array([0, 2, 3, 6]), np.array([0, 0, 3]), 2, 2)
    assert sides.tolist() == [[[1, 1], [0, 0]], [[0, 0], [0, 2]]]


@given(st.lists(st.tuples(*[st.integers(0, 3)] * 4), min_size=1, max_size=12))
def test_sides_may_be_exchanged(numbers):
    """Agreement stays and the difference turns round; a side agrees with itself wholly."""
    sides = np.array(numbers).reshape(-1, 2, 2)
    there, back = (list(agreements(part, ["LOC", "PER"])) for part in (sides, sides[:, ::-1]))
    assert [each.type for each in there] == [each.type for each in back]
    for first, second in zip(there, back, strict=True):
        assert (first.left, first.right, first.matched) == (second.right, second.left, second.matched)
        assert first.matched <= min(first.left, first.right)
        assert (first.agreement, first.alike) == (second.agreement, second.alike)
        assert (first.agreement_interval, first.alike_interval) == (second.agreement_interval, second.alike_interval)
        assert first.difference == -second.difference
    assert there[-1].alike <= min(each.alike for each in there)
    for same in agreements(sides[:, [0, 0]], ["LOC", "PER"]):
        assert (same.agreement, same.difference, same.alike) == (1 if same.left else None, 0, 1)


def test_sentences_of_a_file(tmp_path):
    text = read_parallel(write(tmp_path / "news.de-fr.tsv", PAIRS), split_sentences)
    assert texts(text.rows)[:2] == ["Anna wohnt in Bern .", "Anna habite à Berne ."]
    assert texts(text.rows)[6:] == ["Die UNO ist in Bern .", "Bern ruft !", "L'ONU est à Berne ."]
    assert text.side.tolist() == [0, 1, 2, 3, 4, 5, 6, 6, 7]
    assert text.lines == (1, 2, 3, 4)
    assert tag_set(text.rows).names == ("O",)
    assert set(flat_column(text.rows, TAG_COLUMN)[0].tolist()) == {0}


@pytest.mark.parametrize(
    ("name", "content", "languages", "first"),
    [
        ("x.tsv", "de\tfr\n\nBern\tBerne\n", ("de", "fr"), (3, "Bern")),
        ("de-fr.tsv", "de-CH\tit\nBern\tBerna\n", ("de-CH", "it"), (2, "Bern")),
        ("web_en-gsw.tsv.gz", '"Bern", "Thun\tBärn\n', ("en", "gsw"), (1, '" Bern ", " Thun')),
        ("DE-FR.CSV", '"Bern, ""Thun""",Berne\r\n\r\n', ("de", "fr"), (1, 'Bern , " Thun "')),
        ("x.csv", '\ufeffde,fr\n"Bern\nund Thun",Berne\nA,B\n', ("de", "fr"), (2, "Bern und Thun")),
        ("de-fr.tsv", "Ja\tOui\n", ("de", "fr"), (1, "Ja")),
        ("de-de.tsv", "Bern\u2028und\x85Thun\tBern\n", ("de", "de"), (1, "Bern und Thun")),
    ],
)
def test_forms_of_files(tmp_path, name, content, languages, first):
    """Quotes belong to a .tsv; a first line of two codes wins over the name; a text may hold other ends of lines."""
    text = read_parallel(write(tmp_path / name, content), split_sentences)
    assert text.languages == languages
    assert (text.lines[0], texts(text.rows)[0]) == first


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("de-fr.tsv", "A\tB\nBern\n", r"`parallel` .*de-fr.tsv:2: 1 column, not 2: 'Bern'; fix the row: two texts in"),
        ("de-fr.tsv", "a\tb\tc\n", r":1: 3 columns, not 2: 'a\\tb\\tc'; fix the row: .* a tab between them"),
        ("de-fr.csv", "a\n", r":1: 1 column, not 2: 'a'; fix the row: .* a comma between them"),
        ("de-fr.tsv", "A\tB\nBern\t \n", r":2: the right text is empty: 'Bern\\t '"),
        ("de-fr.tsv", "\tBerne\n", r":1: the left text is empty"),
        ("de-fr.tsv", "A\tB\nBern\tGen\udce8ve\n", r":2: not UTF-8: byte 0xe8 in 'Gen"),
        ("de-fr.tsv", "a\nb\nc\td\n", r"2 faults in the data\n  .*:1: 1 column.*\n  .*:2: 1 column.*\nfix the rows"),
        ("de-fr.csv", 'a,b\n"c,d\n', r"de-fr.csv: line 2: unexpected end of data"),
        ("texts.tsv", "Bern\tBerne\n", r"of which languages is it\? name it like de-fr.tsv, or begin it with a line"),
        ("x.tsv", "de\tfr\n", "it has no texts"),
        ("de-fr.csv", ",\n", "it has no texts"),
        ("de-fr.tsv", "", "de-fr.tsv: empty"),
        ("de-fr.tsv.gz", "x", "not a sound gzip file"),
        ("de-fr.txt", "a\tb\n", r"its name should end in .tsv \(tabs\) or .csv \(commas\)"),
    ],
)
def test_files_that_are_none(tmp_path, name, content, message):
    file = tmp_path / name
    write(file, content) if content != "x" else file.write_bytes(b"x")
    with pytest.raises(InputError, match=message):
        read_parallel(str(file), split_sentences)


def test_a_file_that_is_not_there(tmp_path):
    for name in (tmp_path / "de-fr.tsv", tmp_path / "folder.tsv"):
        (tmp_path / "folder.tsv").mkdir(exist_ok=True)
        with pytest.raises(InputError, match=r"`parallel` .*: no such file"):
            read_parallel(str(name), split_sentences)


def test_tables(tmp_path):
    outcome = outcome_of(tmp_path)
    lines = parallel_to_markdown([outcome]).splitlines()
    assert lines[0] == f"{tmp_path}/de-fr.tsv: entities found in 4 pairs of de and fr"
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    assert rows[0][2:8] == ["de", "fr", "matched", "only de", "only fr", "agreement"]
    assert rows[1][:8] == ["runs/x", "LOC", "5", "2", "2", "3", "0", "0.571"]
    assert (rows[1][9], rows[4][1:8], rows[4][11]) == ("-0.750", [ALL_TYPES, "7", "4", "3", "4", "1", "0.545"], "0.500")
    assert "fr - de per pair" in rows[0]
    assert "line 2, 3 differ: [Genf LOC] und [Chur LOC]\n                > [Genève ORG] et" in parallel_examples(
        [outcome]
    )
    written = list(csv.DictReader(parallel_to_csv([outcome]).splitlines()))
    assert [row["type"] for row in written] == ["LOC", "ORG", "PER", ALL_TYPES]
    first = written[0]
    assert (first["left_language"], first["right_language"], first["pairs"]) == ("de", "fr", "4")
    assert (first["left"], first["matched"], first["agreement"]) == ("5", "2", "0.571429")
    assert first["difference"] == "-0.750000"


def test_where_nothing_is_found(tmp_path):
    """No agreement of nothing, and no examples; pairs are alike."""
    outcome = outcome_of(tmp_path, "Es regnet\tIl pleut\n")
    (found,) = outcome.types
    assert isinstance(found, Agreement)
    assert (found.type, found.left, found.right, found.alike) == (ALL_TYPES, 0, 0, 1)
    assert outcome.examples == ()
    assert parallel_examples([outcome]) == ""
    assert found.agreement is found.agreement_interval is None
    assert "entities found in 1 pair of de and fr" in parallel_to_markdown([outcome])
    assert f"| {DASH:>9} | {DASH:<12} |" in parallel_to_markdown([outcome])
    (row,) = csv.DictReader(parallel_to_csv([outcome]).splitlines())
    assert (row["agreement"], row["agreement_low"], row["alike"]) == ("", "", "1.000000")


def test_pairs_of_one_language_and_hostile_names(tmp_path):
    text = read_parallel(write(tmp_path / "de-de.tsv", "Bern `` ```\tBern | ruft\n"), split_sentences)
    outcome = probe_parallel("a|b<i>", Dictionary({"ruft": "ORG"}), text, lambda _: None)
    header = parallel_to_markdown([outcome]).splitlines()[2]
    assert "| de (left) | de (right) |" in header
    assert "a\\|b&#60;i&#62;" in parallel_to_markdown([outcome])
    assert parallel_examples([outcome]).count("```") == 2
    assert TAGS.types == ("LOC", "ORG", "PER")
    assert text.rows[0][WORDS][0] == "Bern"
