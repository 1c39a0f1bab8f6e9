"""Equal to seqeval on thousands of random tag sequences, illegal ones among them."""

import warnings

import numpy as np
import pytest
import seqeval.metrics
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2

from ner.evaluation.metrics import Counts, count, entity_counts, sentence_counts
from ner.tags import SCORINGS, TagSet, entities, first_words, is_among
from ner.utils import offsets_of

TAGS = TagSet(("B-PER", "I-PER", "O", "B-ORG", "I-ORG", "I-LOC", "B-LOC", "B-X-Y", "I-X-Y"))


def random_corpus(rng, num_sentences, share_of_noise):
    """Gold and predicted tag ids: random, or gold with noise; lengths from 1; O as often as in real text."""
    lengths = rng.integers(1, 12, num_sentences)
    weights = np.where(np.arange(len(TAGS)) == TAGS.outside, 6.0, 1.0)
    gold = rng.choice(len(TAGS), lengths.sum(), p=weights / weights.sum())
    noise = rng.choice(len(TAGS), lengths.sum())
    predicted = np.where(rng.random(lengths.sum()) < share_of_noise, noise, gold)
    return gold, predicted, lengths


def names(ids, lengths):
    return [[TAGS.names[i] for i in part] for part in np.split(ids, np.cumsum(lengths)[:-1])]


def starts(lengths):
    return first_words(offsets_of(lengths))


@pytest.mark.parametrize("seed", range(30))
def test_scores_equal_seqeval(seed):
    rng = np.random.default_rng(seed)
    gold, predicted, lengths = random_corpus(rng, int(rng.integers(1, 300)), rng.choice([0.0, 0.05, 0.3, 1.0]))
    counts = count(gold, predicted, starts(lengths), np.zeros(len(gold)), TAGS)
    true, guessed = names(gold, lengths), names(predicted, lengths)
    for scoring in SCORINGS:
        options = {"mode": "strict", "scheme": IOB2} if scoring == "strict" else {}
        ours = counts.scores(scoring)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            report = seqeval.metrics.classification_report(true, guessed, output_dict=True, zero_division=0, **options)
        for theirs, mine in (
            ("micro avg", ours),
            ("macro avg", ours["macro"]),
            *((k, v) for k, v in ours["per_type"].items()),
        ):
            for key, name in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
                assert mine[key] == pytest.approx(report[theirs][name], abs=1e-12), (scoring, theirs, key)
        assert {k for k in report if "avg" not in k} == set(ours["per_type"])
        assert all(report[kind]["support"] == row["support"] for kind, row in ours["per_type"].items())
    assert counts.scores()["accuracy"] == pytest.approx(seqeval.metrics.accuracy_score(true, guessed))


def test_entities_equal_seqeval_one_by_one():
    rng = np.random.default_rng(1)
    for _ in range(3000):
        ids = rng.integers(0, len(TAGS), rng.integers(1, 9))
        first = np.arange(len(ids)) == 0
        ours = {(TAGS.types[k], int(s), int(e) - 1) for s, e, k in zip(*entities(ids, first, TAGS), strict=True)}
        assert ours == set(get_entities([TAGS.names[i] for i in ids])), [TAGS.names[i] for i in ids]


def test_an_entity_ends_with_its_sentence():
    ids = np.array([TAGS.ids[name] for name in ("B-PER", "I-PER", "I-PER", "O")])
    first = np.array([True, False, True, False])
    assert [part.tolist() for part in entities(ids, first, TAGS)] == [[0, 2], [2, 3], [0, 0]]
    assert [part.tolist() for part in entities(ids, first, TAGS, "strict")] == [[0], [2], [0]]


def test_counts_add_up():
    rng = np.random.default_rng(5)
    gold, predicted, lengths = random_corpus(rng, 40, 0.3)
    loss = rng.random(len(gold))
    loss[::7] = np.nan  # words without a sub-token
    whole = count(gold, predicted, starts(lengths), loss, TAGS)
    cut = lengths[:13].sum()
    parts = [count(gold[p], predicted[p], starts(lengths)[p], loss[p], TAGS) for p in (slice(cut), slice(cut, None))]
    both = parts[0] + parts[1]
    assert (both.entities == whole.entities).all()
    assert both.scores()["loss"] == pytest.approx(np.nanmean(loss))
    assert both.words == whole.words == len(gold)


@pytest.mark.parametrize("scoring", SCORINGS)
def test_counts_of_sentences_are_those_of_each_alone(scoring):
    rng = np.random.default_rng(6)
    gold, predicted, lengths = random_corpus(rng, 200, 0.3)
    lengths[[3, 50]] = 0  # sentences without words
    offsets = offsets_of(lengths)
    gold, predicted = gold[: offsets[-1]], predicted[: offsets[-1]]
    counts = sentence_counts(gold, predicted, offsets, TAGS, scoring)
    for row, start, end in zip(counts, offsets[:-1], offsets[1:], strict=True):
        first = np.arange(end - start) == 0
        alone = entity_counts(gold[start:end], predicted[start:end], first, TAGS, scoring)
        assert (row == alone).all()
    assert counts.shape == (200, len(TAGS.types), 3)
    assert counts[[3, 50]].sum() == 0
    whole = entity_counts(gold, predicted, first_words(offsets), TAGS, scoring)
    assert (counts.sum(axis=0) == whole).all()
    assert counts[:, :, 0].sum() > 50


def test_an_entity_is_found_with_its_start_end_and_type():
    gold = (np.array([0, 3, 6]), np.array([2, 4, 8]), np.array([0, 1, 2]))
    found = (np.array([0, 3, 6]), np.array([2, 5, 8]), np.array([0, 1, 1]))
    assert is_among(gold, found, 9).tolist() == [True, False, False]


def test_nothing_to_find():
    none = np.full(3, TAGS.outside)
    scores = count(none, none, np.array([True, False, False]), np.zeros(3), TAGS).scores()
    assert scores["f1"] == scores["macro"]["f1"] == 0.0
    assert scores["accuracy"] == 1.0
    empty = count(none[:0], none[:0], np.zeros(0, bool), np.zeros(0), TAGS)
    assert isinstance(empty, Counts)
    assert empty.f1 == 0.0
    assert entity_counts(none, none, np.array([True, False, False]), TAGS).shape == (len(TAGS.types), 3)
