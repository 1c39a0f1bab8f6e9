"""Temperatures, calibration errors and scores, on numbers worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ner.evaluation.calibration import (
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
    found = ScoredEntities(score, is_right, np.zeros(2000, np.int64), np.zeros(0, np.int64))
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
    found = ScoredEntities(score, np.array(is_right), np.zeros(3, np.int64), np.zeros(0, np.int64))
    slope, intercept = fit_scores(found)
    calibrated = Calibration(slope=slope, intercept=intercept).scores(score)
    assert calibrated.dtype == np.float32
    assert (np.diff(calibrated) <= 0).all()
    assert ((calibrated > 0) & (calibrated < 1)).all()


def test_the_expected_calibration_error():
    confidence = np.array([0.05, 0.1, 0.55, 0.58, 1.0])
    found = reliability(confidence, np.array([False, True, True, False, True]), bins=2)
    assert found.count.tolist() == [2, 3]
    np.testing.assert_allclose(found.confidence, [0.075, 0.71])
    np.testing.assert_allclose(found.accuracy, [0.5, 2 / 3])
    assert found.error == pytest.approx((2 * 0.425 + 3 * (0.71 - 2 / 3)) / 5)
    assert reliability(np.zeros(0), np.zeros(0, dtype=bool)).error == 0


ENTITIES = ScoredEntities(
    score=np.array([0.9, 0.5, 0.8, 0.8, 0.3]),
    is_right=np.array([True, False, True, False, True]),
    type_=np.array([0, 0, 1, 1, 1]),
    gold_type=np.array([0, 1, 1, 2]),
)


def test_the_lowest_score_of_a_precision():
    assert score_for(ENTITIES, 1.0) == 0.9
    assert score_for(ENTITIES, 2 / 3) == 0.8  # both of 0.8: two of three
    assert score_for(ENTITIES, 0.6) == 0.3  # all of them: three of five, though it was two of four before
    wrong = ScoredEntities(np.array([0.9]), np.array([False]), np.array([0]), np.array([0]))
    assert score_for(wrong, 0.5) is None
    nothing = ScoredEntities(np.zeros(0), np.zeros(0, dtype=bool), np.zeros(0, np.int64), np.array([0]))
    assert score_for(nothing, 0.5) is None


def test_precision_and_recall_of_what_is_sure_enough():
    assert precision_recall(ENTITIES, 0.0) == (3 / 5, 3 / 4)
    assert precision_recall(ENTITIES, 0.8) == (2 / 3, 2 / 4)
    assert precision_recall(ENTITIES, 0.8, 1) == (1 / 2, 1 / 2)
    precision, recall = precision_recall(ENTITIES, 0.95)
    assert math.isnan(precision)
    assert recall == 0
    precision, recall = precision_recall(ENTITIES, 0.0, 2)  # of this type nothing is predicted
    assert math.isnan(precision)
    assert recall == 0


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
    assert assessed.whole["all"] == (1.0, 1 / 3)
    assert assessed.kept["LOC"] == (1.0, 1.0)
    sharp, flat = (each.confidence.sum() for each in assessed.entities)
    assert sharp == pytest.approx(0.6)
    assert flat == pytest.approx(0.6**0.5 / (0.6**0.5 + 0.4**0.5))
    assert assess(said, TAGS, flatter, None).kept["LOC"][1] == 0
