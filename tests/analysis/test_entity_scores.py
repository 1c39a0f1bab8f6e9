"""Scores by type and by length, of tables that are small enough to be counted by hand."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from ner.analysis.entity_scores import scores_by_entity_length, scores_by_sentence_length, type_scores
from ner.analysis.token_losses import select
from ner.analysis.views import entity_kinds
from ner.errors import InputError
from tests.analysis.test_views import rows_of, words_table

COLUMNS = ["gold", "predicted", "correct", "precision", "recall", "f1"]
# LOC of three words is right; PER of two words is cut to one; the last PER is spurious
LONG = ("de", "a b c d e f g", "B-LOC I-LOC I-LOC O B-PER I-PER O", "B-LOC I-LOC I-LOC O B-PER O B-PER", [1.0] * 7)


def test_types_by_hand():
    """Anna is right; of LOC there are Bern (taken for ORG), Basel and "-" (missed), and a spurious Bern."""
    found = type_scores(words_table())
    assert found.column_names == ["type", *COLUMNS]
    assert rows_of(found) == [
        ("LOC", 3, 1, 0, 0.0, 0.0, 0.0),
        ("ORG", 1, 2, 0, 0.0, 0.0, 0.0),
        ("PER", 1, 2, 1, 0.5, 1.0, pytest.approx(2 / 3)),
    ]
    french = select(words_table(), language="fr")
    assert rows_of(type_scores(french)) == [("LOC", 1, 0, 0, 0.0, 0.0, 0.0), ("PER", 0, 1, 0, 0.0, 0.0, 0.0)]


def test_lengths_of_sentences_by_hand():
    table = words_table()
    assert scores_by_sentence_length(table).column_names == ["length", "sentences", *COLUMNS]
    assert rows_of(scores_by_sentence_length(table)) == [("1-5", 4, 5, 5, 1, 0.2, 0.2, 0.2)]
    assert rows_of(scores_by_sentence_length(table, (1, 2, 4, 5, 9))) == [
        ("1", 1, 1, 0, 0, 0.0, 0.0, 0.0),
        ("2-3", 1, 0, 1, 0, 0.0, 0.0, 0.0),
        ("4", 1, 2, 2, 1, 0.5, 0.5, 0.5),
        ("5-8", 1, 2, 2, 0, 0.0, 0.0, 0.0),
    ]
    two = words_table([LONG, *[("de", "a", "O", "O", [0.0])] * 2])
    assert rows_of(scores_by_sentence_length(two)) == [
        ("1-5", 2, 0, 0, 0, 0.0, 0.0, 0.0),  # without an entity
        ("6-10", 1, 2, 3, 1, pytest.approx(1 / 3), 0.5, 0.4),
    ]


def test_lengths_of_entities_by_hand():
    found = scores_by_entity_length(words_table())
    assert found.column_names == ["length", *COLUMNS]
    assert rows_of(found) == [("1", 4, 5, 1, 0.2, 0.25, pytest.approx(2 / 9)), ("2", 1, 0, 0, 0.0, 0.0, 0.0)]
    table = words_table([LONG])
    assert rows_of(scores_by_entity_length(table)) == [
        ("1", 0, 2, 0, 0.0, 0.0, 0.0),
        ("2", 1, 0, 0, 0.0, 0.0, 0.0),
        ("3", 1, 1, 1, 1.0, 1.0, 1.0),
    ]
    assert rows_of(scores_by_entity_length(table, (1, 2))) == [
        ("1", 0, 2, 0, 0.0, 0.0, 0.0),
        ("2+", 2, 1, 1, 1.0, 0.5, pytest.approx(2 / 3)),
    ]


@pytest.mark.parametrize("starts", [(), (2, 3), (1, 3, 3), (1, 4, 2)])
@pytest.mark.parametrize("view", [scores_by_sentence_length, scores_by_entity_length])
def test_starts_of_bins_rise_from_1(view, starts):
    with pytest.raises(InputError, match=r"`starts` is .*; give lengths that rise, the first one 1"):
        view(words_table(), starts)


def test_of_nothing_there_is_nothing():
    empty = words_table().slice(0, 0)
    assert len(type_scores(empty)) == len(scores_by_sentence_length(empty)) == len(scores_by_entity_length(empty)) == 0


TAGS = st.sampled_from(["O", "B-LOC", "I-LOC", "B-PER", "I-PER"])


@given(st.lists(st.lists(st.tuples(TAGS, TAGS), min_size=1, max_size=8), min_size=1, max_size=5))
def test_the_same_as_seqeval_counts(pairs):
    """Gold, predicted and correct entities by their lengths; sums over all views are those of the kinds of errors."""
    sentences = [[" ".join(side) for side in zip(*pair, strict=True)] for pair in pairs]
    table = words_table(
        [("de", "w " * len(pair), *tags, [1.0] * len(pair)) for pair, tags in zip(pairs, sentences, strict=True)]
    )
    expected: dict[str, Counter] = {name: Counter() for name in COLUMNS[:3]}
    for gold, predicted in sentences:
        ours, theirs = (set(get_entities(tags.split())) for tags in (gold, predicted))
        for name, found in zip(COLUMNS[:3], (ours, theirs, ours & theirs), strict=True):
            expected[name].update(end - start + 1 for _, start, end in found)
    by_length = scores_by_entity_length(table, range(1, 9)).to_pydict()
    for name, counts in expected.items():
        assert {
            int(length.rstrip("+")): n for length, n in zip(by_length["length"], by_length[name], strict=True) if n
        } == counts
        sums = {sum(view(table)[name].to_pylist()) for view in (type_scores, scores_by_sentence_length)}
        assert sums == {counts.total()}
    kinds = dict(zip(*entity_kinds(table).select(["kind", "count"]).to_pydict().values(), strict=True))
    assert kinds["correct"] == expected["correct"].total()
