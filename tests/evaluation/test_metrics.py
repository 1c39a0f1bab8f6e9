"""Equal to seqeval on thousands of random tag sequences, illegal ones among them."""

import warnings

import numpy as np
import pytest
import seqeval.metrics
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2

from ner.errors import InputError
from ner.evaluation.metrics import Counts, classification_report, count, entity_counts, sentence_counts
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
            ("weighted avg", ours["weighted"]),
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
    assert scores["f1"] == scores["macro"]["f1"] == scores["weighted"]["f1"] == 0.0
    assert scores["accuracy"] == 1.0
    empty = count(none[:0], none[:0], np.zeros(0, bool), np.zeros(0), TAGS)
    assert isinstance(empty, Counts)
    assert empty.f1 == 0.0
    assert entity_counts(none, none, np.array([True, False, False]), TAGS).shape == (len(TAGS.types), 3)


WORDS = st.sampled_from(["O", *(prefix + type_ for type_ in ("PER", "LOC", "X-Y") for prefix in ("B-", "I-"))])
PAIRS = st.lists(st.lists(st.tuples(WORDS, WORDS), max_size=7), min_size=1, max_size=5)


@pytest.mark.parametrize("scoring", SCORINGS)
@given(pairs=PAIRS)
def test_the_report_is_seqevals(scoring, pairs):
    """Of any tags, legal or not: an I- that continues nothing or another type, types on one side alone, no entity."""
    gold, predicted = ([[words[side] for words in sentence] for sentence in pairs] for side in (0, 1))
    ours = classification_report(gold, predicted, scoring)
    options = {"mode": "strict", "scheme": IOB2} if scoring == "strict" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = seqeval.metrics.classification_report(gold, predicted, output_dict=True, **options)
    assert list(ours) == list(theirs)
    if len(ours) == 3:  # no entity: a mean of nothing
        assert np.isnan(theirs["macro avg"]["f1-score"])
        theirs["macro avg"] = theirs["micro avg"]
    for name, row in theirs.items():
        assert ours[name] == pytest.approx(row, abs=1e-12), name


def test_a_report_by_hand():
    """PER: 1 of 2 predicted, 1 gold. LOC: of 1 gold none is predicted as it is. The I-LOC is an entity by default."""
    gold = [["B-PER", "I-PER", "O", "B-LOC", "I-LOC"], ["O"]]
    predicted = [["B-PER", "I-PER", "O", "B-LOC", "O"], ["B-PER"]]
    right = {"precision": 0.5, "recall": 1.0, "f1-score": 2 / 3, "support": 1}
    wrong = {"precision": 0.0, "recall": 0.0, "f1-score": 0.0, "support": 1}
    assert classification_report(gold, predicted) == {
        "LOC": wrong,
        "PER": right,
        "micro avg": {"precision": 1 / 3, "recall": 0.5, "f1-score": 0.4, "support": 2},
        "macro avg": {"precision": 0.25, "recall": 0.5, "f1-score": pytest.approx(1 / 3), "support": 2},
        "weighted avg": {"precision": 0.25, "recall": 0.5, "f1-score": pytest.approx(1 / 3), "support": 2},
    }
    assert classification_report([["O", "I-LOC"]], [["O", "B-LOC"]])["LOC"]["f1-score"] == 1.0
    assert "precision" in classification_report([["O", "I-LOC"]], [["O", "B-LOC"]], "strict")["LOC"]
    assert classification_report([["O", "I-LOC"]], [["O", "B-LOC"]], "strict")["micro avg"]["support"] == 0


@pytest.mark.parametrize(
    ("gold", "predicted", "message"),
    [
        ([["O"], ["O"]], [["O"]], "`gold` has 2 sentences, `predicted` 1; give the same ones"),
        ([["O"], ["O", "O"]], [["O"], ["O"]], r"sentence 1 \(from 0\) has 2 tags in `gold`, 1 in `predicted`"),
        (["O", "B-PER"], [["O"], ["O"]], "`gold` has 'O' for a sentence; give a list of tags for each sentence"),
        ([["O"]], [[0]], "`predicted` has 0 for a tag; give names like B-PER, not ids"),
        ([["S-PER"]], [["O"]], "`gold`, `predicted`: not IOB2 tags .*'S-PER'"),
    ],
)
def test_what_a_report_can_not_be_made_of(gold, predicted, message):
    with pytest.raises(InputError, match=message):
        classification_report(gold, predicted)
