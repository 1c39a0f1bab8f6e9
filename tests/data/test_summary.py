import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

from ner.data.arrow_store import tag_set
from ner.data.summary import (
    describe,
    entity_counts,
    example,
    frequent_entities,
    in_both,
    repeated,
    sentence_table,
    size_table,
    tag_table,
)
from ner.data.tag_schemes import SchemeStats
from ner.utils import DASH

NAMES = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]


def rows(*sentences: str) -> Dataset:
    """Sentences of words and tags, as in "Anna/B-PER lacht/O"."""
    pairs = [[pair.split("/") for pair in sentence.split()] for sentence in sentences]
    features = Features({"tokens": List(Value("string")), "ner_tags": List(ClassLabel(names=NAMES))})
    columns = {
        "tokens": [[word for word, _ in own] for own in pairs],
        "ner_tags": [[NAMES.index(tag) for _, tag in own] for own in pairs],
    }
    return Dataset.from_dict(columns, features)


def cells(table: str) -> list[list[str]]:
    """The cells of a Markdown table, its rule left out."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return [lines[0], *lines[2:]]


TRAIN = rows("Bern/B-LOC", "Bern/B-LOC", "Anna/B-PER Frei/I-PER wohnt/O in/O Bad/B-LOC Ragaz/I-LOC", "a/O b/O", "ab/O")
TEST = rows("Bern/O", "a/O b/O", "a/O b/O", "b/O a/O")


def test_counts():
    assert entity_counts(TRAIN) == {"LOC": 3, "PER": 1}
    assert frequent_entities(TRAIN, ["LOC", "PER"]) == {
        "LOC": [("Bern", 2), ("Bad Ragaz", 1)],
        "PER": [("Anna Frei", 1)],
    }
    assert frequent_entities(TRAIN.select([2, 0]), ["LOC"])["LOC"] == [("Bad Ragaz", 1), ("Bern", 1)]


def test_overlap_goes_by_words():
    assert in_both(TRAIN, TEST) == 3
    assert in_both(TEST, TRAIN) == 3  # Bern twice, and a b
    assert (repeated(TRAIN), repeated(TEST)) == (1, 1)


def test_example():
    assert example(TRAIN).splitlines()[0] == "Sentence 2"
    assert example(TEST).splitlines()[0] == "Sentence 0"
    assert example(rows("w/O " * 40)).splitlines()[-1].count("O") == 14


def test_description():
    text = describe(
        DatasetDict(train=TRAIN, test=TEST), {"train": SchemeStats(not_iob2=7, not_iob1=1), "test": SchemeStats()}
    )
    assert "| train |         5 |    11 |   3 |   1 |" in text
    assert "| test  |         4 |     7 |   0 |   0 |" in text
    assert "| train |         1 |          1 |          6 |          6 |       6 | IOB2       |            7 |" in text
    assert "| train | test   |         3 | 75.0% |" in text
    assert "| LOC  | Bern 2, Bad Ragaz 1 |" in text
    assert "| tag  | B-PER | I-PER | O     | O   | B-LOC | I-LOC |" in text


def test_languages_by_splits():
    german = DatasetDict(train=TRAIN, test=TEST)
    text = size_table({"de": german, "fr": DatasetDict(train=TRAIN.select([0, 1, 2]), dev=TEST.select([0]))})
    assert cells(text) == [
        ["sentences", "train", "test", "dev", "all splits"],
        ["de", "5 (62.5%)", "4 (100.0%)", DASH, "9 (69.2%)"],
        ["fr", "3 (37.5%)", DASH, "1 (100.0%)", "4 (30.8%)"],
        ["all", "8", "4", "1", "13"],
    ]


def test_ids_of_tags():
    assert cells(tag_table(tag_set(TRAIN))) == [["id", *"01234"], ["tag", *NAMES]]


def test_a_sentence_in_columns():
    assert cells(sentence_table(TRAIN, 2)) == [
        ["#", "word", "tag", "id"],
        ["0", "Anna", "B-PER", "3"],
        ["1", "Frei", "I-PER", "4"],
        ["2", "wohnt", "O", "0"],
        ["3", "in", "O", "0"],
        ["4", "Bad", "B-LOC", "1"],
        ["5", "Ragaz", "I-LOC", "2"],
    ]
    assert [line.count("|") for line in sentence_table(rows("a|b/O"), 0).splitlines()] == [5, 5, 6]  # escaped
    for number in (-1, 5):
        with pytest.raises(ValueError, match=rf"`sentence` {number}: the sentences have the numbers 0 to 4"):
            sentence_table(TRAIN, number)
