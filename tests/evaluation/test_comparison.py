import json
from dataclasses import asdict

import numpy as np
import pytest

from ner.evaluation.bootstrap import compare
from ner.evaluation.comparison import EXAMPLES, GROUPS, LabelPair, comparison, to_markdown
from ner.tags import SCORINGS, TagSet

TAGS = TagSet(("O", "B-PER", "I-PER", "B-LOC", "I-LOC"))
OTHER = TagSet(("B-LOC", "I-LOC", "B-PER", "O", "B-ORG"))


def tagged(gold, predicted, tags=TAGS):
    """Sentences of tag names, one string each."""

    def ids(sentences):
        return np.array([tags.ids[name] for text in sentences for name in text.split()], np.int64)

    lengths = [len(text.split()) for text in gold]
    return LabelPair(ids(gold), ids(predicted), np.concatenate([[0], np.cumsum(lengths)]), tags)


WORDS = [["Anna", "sah", "Bern"], ["Bern", "|", "<b>"], ["Genf", "und", "Chur"]]
GOLD = ["B-PER O B-LOC", "B-LOC O O", "B-LOC O B-LOC"]
A = ["B-PER O O", "B-LOC O B-LOC", "O O O"]
B = ["B-PER O B-LOC", "B-PER O B-LOC", "O O O"]


@pytest.fixture(scope="module")
def compared():
    pairs = {"de": (tagged(GOLD, A), tagged(GOLD, B, OTHER)), "fr": (tagged(GOLD[:1], A[:1]), tagged(GOLD[:1], B[:1]))}
    return comparison(("run a", "run b"), "test", pairs, {"de": WORDS, "fr": WORDS[:1]}, "default")


def test_every_gold_entity_is_in_one_group(compared):
    """The runs name the same tags in another order."""
    assert compared.found["de"] == {
        "LOC": {"only A": 1, "only B": 1, "both": 0, "neither": 2},
        "PER": {"only A": 0, "only B": 0, "both": 1, "neither": 0},
    }
    assert compared.found["all"]["LOC"] == {"only A": 1, "only B": 2, "both": 0, "neither": 2}


def test_entities_that_are_not_gold(compared):
    assert compared.spurious["de"] == {
        "LOC": {"only A": 0, "only B": 0, "both": 1},
        "PER": {"only A": 0, "only B": 1, "both": 0},
    }


def test_examples_show_the_sentence_and_what_both_say(compared):
    (only_a,) = [e for e in compared.examples["only A"] if e.language == "de"]
    assert (only_a.sentence, only_a.type, only_a.text) == (1, "LOC", "[Bern] | <b>")
    assert (only_a.first, only_a.second) == ("Bern LOC", "Bern PER")
    assert [e.text for e in compared.examples["neither"]] == ["[Genf] und Chur", "Genf und [Chur]"]
    assert [(e.first, e.second) for e in compared.examples["neither"]] == [("", ""), ("", "")]


def test_the_paired_test_is_that_of_the_sentences(compared):
    pair = (tagged(GOLD, A), tagged(GOLD, B))
    one, two = (part.counts()[0].sum(axis=1) for part in pair)
    assert one.tolist() == [[1, 1, 2], [1, 2, 1], [0, 0, 2]]
    assert compared.test["de"] == compare(one, two)
    assert compared.f1["de"] == (pytest.approx(4 / 8), pytest.approx(4 / 9))
    assert set(compared.test) == {"de", "fr", "all"}


def test_text_and_json_hold_the_same(compared):
    text = to_markdown(compared)
    content = json.loads(json.dumps(asdict(compared)))
    assert content["found"]["de"]["LOC"]["neither"] == 2
    assert "A is run a, B is run b (default scoring)" in text
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    assert ["de", "all types", "1", "1", "1", "2"] in rows
    assert ["all", "LOC", "1", "2", "0", "2"] in rows
    (difference,) = [row[3] for row in rows if row[:2] == ["de", "0.500"]]
    assert difference == f"{content['test']['de']['f1']:+.3f}" == "-0.056"
    for group in GROUPS:
        assert f"Found by {group}\n" in text
    assert "de 1 LOC: [Bern] | <b>\n    A: Bern LOC  B: Bern PER" in text


def test_examples_are_few_and_from_everywhere():
    gold = ["B-LOC O"] * 100
    words = [[f"Ort{i}", "liegt"] for i in range(100)]
    pair = (tagged(gold, gold), tagged(gold, ["O O"] * 100))
    examples = comparison(("a", "b"), "test", {"de": pair}, {"de": words}, "strict").examples
    assert [e.sentence for e in examples["only A"]] == [0, 24, 49, 74, 99]
    assert len(examples["only A"]) == EXAMPLES
    assert examples["only B"] == []


def test_strict_scoring_has_no_entity_without_its_beginning():
    gold, illegal = ["B-PER I-PER O"], ["I-PER I-PER O"]
    for scoring, found in zip(SCORINGS, ("both", "only A"), strict=True):
        pair = (tagged(gold, gold), tagged(gold, illegal))
        compared = comparison(("a", "b"), "test", {"de": pair}, {"de": WORDS[:1]}, scoring)
        assert compared.found["de"]["PER"][found] == 1
