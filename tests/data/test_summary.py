from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

from ner.data.summary import describe, entity_counts, example, frequent_entities, in_both, repeated
from ner.data.tag_schemes import SchemeStats

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
