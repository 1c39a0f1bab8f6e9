"""The sections on errors, of tables of token losses written by hand."""

import pyarrow as pa

from ner.report.elements import Place, Table
from ner.report.error_sections import error_sections, places
from ner.report.sentence_data import read
from tests.evaluation.test_matrix import result
from tests.report.losses import losses

GERMAN = ["Bern/B-LOC/B-LOC/0.1 und/O/O/0.1", "Anna/B-PER/B-ORG/2 Frei/I-PER/I-ORG/1"]
WORDS = pa.concat_tables(
    [
        losses(*GERMAN),
        losses("Sion/B-LOC/O/3", language="fr"),
        losses("Bern/B-LOC/B-LOC/0.1", run="runs/all"),
        losses("Bern/B-LOC/B-LOC/0.1", run="runs/all", split="validation"),
    ]
)


def table_of(sections, heading: str, place: Place, number: int = 0) -> Table:
    content = next(section for section in sections if section.heading == heading).views[place]
    return [part for part in content if isinstance(part, Table)][number]


def test_places_are_runs_and_splits_with_all_their_languages_and_with_each():
    found = {place: words["text"].to_pylist() for place, words in places(read(WORDS))}
    assert found == {
        Place("runs/de", "test"): ["Bern", "und", "Anna", "Frei", "Sion"],
        Place("runs/de", "test", "de"): ["Bern", "und", "Anna", "Frei"],
        Place("runs/de", "test", "fr"): ["Sion"],
        Place("runs/all", "test", "de"): ["Bern"],
        Place("runs/all", "validation", "de"): ["Bern"],
    }


def test_runs_are_not_pooled():
    sections = error_sections(read(WORDS))
    assert [section.heading for section in sections[:3]] == ["Confusion", "By entity type", "Kinds of errors"]
    confusion = table_of(sections, "Confusion", Place("runs/de", "test"))
    assert confusion.header == ["gold", "LOC", "ORG", "PER", "missed"]
    assert confusion.rows == [
        ("LOC", 0.5, 0.0, 0.0, 0.5),
        ("ORG", 0.0, 0.0, 0.0, 0.0),
        ("PER", 0.0, 1.0, 0.0, 0.0),
        ("spurious", 0.0, 0.0, 0.0, 0.0),
    ]
    other = table_of(sections, "Confusion", Place("runs/all", "test", "de"))
    assert other.rows == [("LOC", 1.0, 0.0), ("spurious", 0.0, 0.0)]
    kinds = table_of(sections, "Kinds of errors", Place("runs/de", "test"))
    assert [row[:2] for row in kinds.rows] == [
        ("correct", 1),
        ("missed", 1),
        ("spurious", 0),
        ("wrong type", 1),
        ("boundary error", 0),
        ("both wrong", 0),
    ]


def test_scores_by_type_are_those_of_the_results_where_they_are_known():
    place = Place("runs/de", "test", "de")
    of_words = table_of(error_sections(read(WORDS)), "By entity type", place)
    assert [row[:4] for row in of_words.rows] == [("LOC", 1, 1, 1), ("ORG", 0, 1, 0), ("PER", 1, 0, 0)]
    results = [result("runs/de", ("de",), language, f1) for language, f1 in (("de", 0.5), ("fr", 0.25))]
    sections = error_sections(read(WORDS), results)
    known = table_of(sections, "By entity type", place)
    assert [row[0] for row in known.rows][-3:] == ["all (micro)", "all (macro)", "all (weighted)"]
    both = table_of(sections, "By entity type", Place("runs/de", "test"))
    assert both.header == ["F1", "de", "fr"]
    assert [row for row in both.rows if row[0] == "all (micro)"] == [["all (micro)", 0.5, 0.25]]


def test_losses_are_those_of_the_place():
    sections = error_sections(read(WORDS))
    by_tag = table_of(sections, "Loss by gold tag", Place("runs/de", "test", "fr"))
    assert by_tag.rows == [("B-LOC", 1, 3.0, 3.0)]
    by_language = table_of(sections, "Loss by gold tag", Place("runs/de", "test"), 2)
    assert [row[0] for row in by_language.rows] == ["de", "fr"]  # 3.2 and 3.0 in all
    first, dearest, surest = (
        table_of(sections, "Loss by sub-token", Place("runs/de", "test"), number) for number in range(3)
    )
    assert [row[0] for row in first.rows] == ["Sio", "Ann", "Fre", "Ber", "und"]
    assert (dearest.rows, surest.rows) == ([], [])  # nothing occurs ten times


def test_a_run_without_losses_has_none_of_their_tables():
    sections = error_sections(read(losses("Bern/B-LOC/B-LOC/- ist/O/O/-", run="other.jsonl")))
    place = Place("other.jsonl", "test", "de")
    content = {section.heading: section.views[place] for section in sections}
    assert content["Loss by gold tag"] == content["Loss by sub-token"] == ["Of this run no losses are known."]
    assert table_of(sections, "Kinds of errors", place).rows[0][:2] == ("correct", 1)
