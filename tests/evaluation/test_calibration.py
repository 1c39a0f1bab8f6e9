"""Temperatures, calibration errors and scores, on numbers worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ner.evaluation.bootstrap import Interval
from ner.evaluation.calibration import (
    FLATTEST,
    ScoredEntities,
    WordProbabilities,
    assess,
    fit_scores,
    fit_temperature,
    joined,
    precision_recall,
    reliability,
    scaled,
    score_for,
)
from ner.modeling.calibration import Calibration
from tests.conftest import TAGS


def test_the_temperature_of_a_tagger_that_is_right_less_often_than_it_says():
    """Three of four right at a probability of 0.9: the best is 0.75, so the odds of 9 must become 3."""
    p = np.array([[0.9, 0.1]] * 4)
    temperature = fit_temperature(p, np.array([0, 0, 0, 1]))
    assert temperature == pytest.approx(math.log(9) / math.log(3))
    np.testing.assert_allclose(scaled(p, temperature), [[0.75, 0.25]] * 4)
    assert fit_temperature(p, np.array([0, 0, 0, 0])) == pytest.approx(0.05)  # always right: as sure as may be
    assert fit_temperature(p, np.array([1, 1, 1, 1])) == pytest.approx(20)


@given(st.floats(0.3, 4), st.integers(0, 10_000))
def test_a_temperature_is_found_again(temperature, seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(4000, 5)) * 3
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    gold = (rng.random((4000, 1)) > p.cumsum(axis=1)).sum(axis=1).clip(max=4)  # drawn from what it says
    sharpened = scaled(p, temperature)
    assert fit_temperature(sharpened, gold) == pytest.approx(1 / temperature, rel=0.15)
    assert (sharpened.argmax(axis=1) == p.argmax(axis=1)).all()
    np.testing.assert_allclose(scaled(sharpened, 1 / temperature), p, atol=1e-9)


def test_a_probability_of_zero_is_no_end():
    p = np.array([[1.0, 0.0], [1.0, 0.0]], dtype=np.float32)
    assert fit_temperature(p, np.array([0, 1])) == pytest.approx(20)
    assert np.isfinite(scaled(p, 20)).all()


def test_scores_become_how_often_they_are_right():
    """Half of those with 0.5 are right, nine of ten with 0.6: log-odds of 0 and log(1.5) become 0 and about log(9)."""
    score = np.repeat([0.5, 0.6], 1000)
    is_right = np.concatenate([np.arange(1000) % 2 == 0, np.arange(1000) % 10 > 0])
    found = in_one_sentence(score, is_right)
    slope, intercept = fit_scores(found)
    assert slope == pytest.approx(math.log(9) / math.log(1.5), rel=0.01)
    assert intercept == pytest.approx(0, abs=0.01)
    calibrated = Calibration(slope=slope, intercept=intercept).scores(score)
    np.testing.assert_allclose(calibrated[[0, -1]], [0.5, 0.9], atol=0.002)
    assert Calibration().scores(score) is score


@pytest.mark.parametrize("is_right", [[True, True, True], [False, False, False], [False, False, True]])
def test_a_map_of_scores_keeps_their_order(is_right):
    """Where all are right, and where the highest scores are wrong."""
    score = np.array([1.0, 0.9, 0.0], dtype=np.float32)
    found = in_one_sentence(score, np.array(is_right))
    slope, intercept = fit_scores(found)
    calibrated = Calibration(slope=slope, intercept=intercept).scores(score)
    assert calibrated.dtype == np.float32
    assert (np.diff(calibrated) <= 0).all()
    assert ((calibrated > 0) & (calibrated < 1)).all()


def test_where_the_surest_are_wrong_more_often_scores_are_the_share_that_is_right():
    """The slope would be below 0; the intercept of such a line says nothing about one that is nearly flat."""
    score = np.repeat([0.999, 0.9], 30)
    is_right = np.concatenate([np.arange(30) < 18, np.arange(30) < 27])
    slope, intercept = fit_scores(in_one_sentence(score, is_right))
    assert slope == FLATTEST
    assert Calibration(slope=slope, intercept=intercept).scores(score) == pytest.approx(0.75, abs=0.02)


def test_the_expected_calibration_error():
    confidence = np.array([0.05, 0.1, 0.55, 0.58, 1.0])
    found = reliability(confidence, np.array([False, True, True, False, True]), bins=2)
    assert found.count.tolist() == [2, 3]
    np.testing.assert_allclose(found.confidence, [0.075, 0.71])
    np.testing.assert_allclose(found.accuracy, [0.5, 2 / 3])
    assert found.error == pytest.approx((2 * 0.425 + 3 * (0.71 - 2 / 3)) / 5)
    assert reliability(np.zeros(0), np.zeros(0, dtype=bool)).error == 0


TYPES = ("PER", "ORG", "LOC")
ENTITIES = ScoredEntities(  # of four sentences; the last has none
    score=np.array([0.9, 0.5, 0.8, 0.8, 0.3]),
    is_right=np.array([True, False, True, False, True]),
    type_=np.array([0, 0, 1, 1, 1]),
    sentence=np.array([0, 0, 0, 1, 2]),
    gold_type=np.array([0, 1, 1, 2]),
    gold_sentence=np.array([0, 0, 2, 1]),
    num_sentences=4,
)


def in_one_sentence(score: np.ndarray, is_right: np.ndarray) -> ScoredEntities:
    """Entities of one type, none of them gold."""
    zeros, none = np.zeros(len(score), np.int64), np.zeros(0, np.int64)
    return ScoredEntities(score, is_right, zeros, zeros, none, none, 1)


def ends(interval: Interval | None) -> tuple[float, float]:
    assert interval
    return interval.low, interval.high


def test_the_lowest_score_of_a_precision():
    assert score_for(ENTITIES, 1.0) == 0.9
    assert score_for(ENTITIES, 2 / 3) == 0.8  # both of 0.8: two of three
    assert score_for(ENTITIES, 0.6) == 0.3  # all of them: three of five, though it was two of four before
    assert score_for(in_one_sentence(np.array([0.9]), np.array([False])), 0.5) is None
    assert score_for(in_one_sentence(np.zeros(0), np.zeros(0, dtype=bool)), 0.5) is None


def test_precision_and_recall_of_what_is_sure_enough():
    def values(min_score: float, type_: str = "all") -> tuple[float, float]:
        found = precision_recall(ENTITIES, min_score, TYPES)[type_]
        return found.precision, found.recall

    assert list(precision_recall(ENTITIES, 0.8, TYPES)) == ["all", *TYPES]
    assert values(0.0) == (3 / 5, 3 / 4)
    assert values(0.8) == (2 / 3, 2 / 4)
    assert values(0.8, "ORG") == (1 / 2, 1 / 2)
    for precision, recall in (values(0.95), values(0.0, "LOC")):  # nothing is sure enough, nothing is predicted
        assert math.isnan(precision)
        assert recall == 0


def test_intervals_of_precision_and_recall_are_over_sentences():
    """99 sentences with an entity that is found, and one with a hundred that are not."""
    counts = np.array([1] * 99 + [100])
    sentence = np.repeat(np.arange(100), counts)
    is_right, type_ = sentence < 99, np.zeros(counts.sum(), np.int64)
    many = ScoredEntities(np.full(len(sentence), 0.9), is_right, type_, sentence, type_, sentence, 100)
    found = precision_recall(many, 0.5, ("PER",))["PER"]
    assert found.precision == pytest.approx(99 / 199)
    assert found.precision_interval == found.recall_interval
    low, high = ends(found.precision_interval)
    assert high == 1.0  # more than a third of the resamples lack that sentence
    assert low < 0.3  # some have it three times


@pytest.mark.parametrize("sentences", [50, 5_000])
def test_of_single_entities_the_interval_is_that_of_a_share(sentences):
    place = np.arange(sentences)
    half = ScoredEntities(np.full(sentences, 0.9), place % 2 == 0, place * 0, place, place * 0, place, sentences)
    low, high = ends(precision_recall(half, 0.5, ("PER",))["all"].precision_interval)
    assert high - low == pytest.approx(2 * 1.96 * (0.25 / sentences) ** 0.5, rel=0.15)


def test_where_nothing_is_known_there_is_no_interval():
    found = precision_recall(ENTITIES, 0.95, TYPES)["all"]
    assert found.precision_interval is None  # nothing is predicted
    assert found.recall_interval == Interval(0, 0)
    lonely = precision_recall(ENTITIES, 0.9, TYPES)["PER"]  # in one sentence of four: some resamples lack it
    assert lonely.precision_interval == lonely.recall_interval == Interval(1, 1)
    missing = precision_recall(in_one_sentence(np.array([0.9]), np.array([False])), 0.5, ("PER",))["PER"]
    assert math.isnan(missing.recall)
    assert missing.recall_interval is None


def test_words_and_entities_of_a_tagger():
    """Bern ist alt . / Anna: B-LOC found with 0.6, Anna has no sub-token and is O."""
    p = np.full((4, 7), 0.0)
    p[0, [1, 0]] = 0.6, 0.4
    p[1, [0, 3]] = 0.9, 0.1
    p[2, [0, 5]] = 0.8, 0.2
    p[3] = np.nan
    said = WordProbabilities(p, np.array([1, 0, 5, 5]), np.array([True, False, False, True]))
    assert said.words().count.sum() == 3
    found = said.entities(TAGS)
    assert (found.score.tolist(), found.is_right.tolist(), found.gold_type.tolist()) == ([0.6], [True], [0, 2, 2])
    both = joined([said, said])
    assert both.entities(TAGS).score.tolist() == [0.6, 0.6]
    flatter = Calibration(temperature=2.0)
    assessed = assess(said, TAGS, flatter, 0.5)
    assert (assessed.whole["all"].precision, assessed.whole["all"].recall) == (1.0, 1 / 3)
    assert (assessed.kept["LOC"].precision, assessed.kept["LOC"].recall) == (1.0, 1.0)
    sharp, flat = (each.confidence.sum() for each in assessed.entities)
    assert sharp == pytest.approx(0.6)
    assert flat == pytest.approx(0.6**0.5 / (0.6**0.5 + 0.4**0.5))
    assert assess(said, TAGS, flatter, None).kept["LOC"].recall == 0
