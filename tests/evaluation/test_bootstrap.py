import numpy as np
import pytest

from ner.evaluation.bootstrap import RESAMPLES, compare, f1_interval, f1_of, interval, macro_f1_of, resampled, swap_test
from ner.evaluation.metrics import Counts


def corpus(rng, num_sentences, recall=0.85, spurious=0.2):
    """Counts of sentences whose entities are found independently; F1 of infinitely many is `true_f1`."""
    gold = rng.poisson(1.4, num_sentences)
    correct = rng.binomial(gold, recall)
    return np.stack([correct, correct + rng.poisson(spurious, num_sentences), gold], axis=1)


def true_f1(recall=0.85, spurious=0.2):
    return 2 * 1.4 * recall / (1.4 * recall + spurious + 1.4)


def test_f1_is_that_of_the_counts():
    assert f1_of(np.array([[3, 4, 6], [0, 0, 0], [0, 2, 0]])).tolist() == [0.6, 0.0, 0.0]


def test_resampled_sentences_are_those_of_a_plain_loop():
    counts = corpus(np.random.default_rng(0), 37)
    places = np.random.default_rng(5).integers(0, 37, (20, 37))
    expected = [f1_of(counts[row].sum(axis=0)) for row in places]
    np.testing.assert_allclose(resampled(counts, 20, seed=5), expected, rtol=1e-12)


def test_the_same_seed_gives_the_same_and_pieces_change_nothing(monkeypatch):
    counts = corpus(np.random.default_rng(1), 50)
    whole = resampled(counts)
    assert (whole == resampled(counts)).all()
    assert (whole != resampled(counts, seed=1)).any()
    monkeypatch.setattr("ner.evaluation.bootstrap.PLACES_AT_ONCE", 333)
    assert (whole == resampled(counts)).all()


def test_runs_are_paired_whether_resampled_together_or_apart():
    rng = np.random.default_rng(2)
    one, two = corpus(rng, 60), corpus(rng, 60)
    both = resampled(np.stack([one, two], axis=1))
    assert both.shape == (RESAMPLES, 2)
    assert (both[:, 0] == resampled(one)).all()
    assert (both[:, 1] == resampled(two)).all()


def test_intervals_hold_the_truth_as_often_as_they_say():
    """400 corpora of 300 sentences: 95% of the intervals, within what chance does to 400 of them."""
    rng = np.random.default_rng(3)
    limits = [f1_interval(corpus(rng, 300), 300, seed) for seed in range(400)]
    coverage = np.mean([one.low <= true_f1() <= one.high for one in limits])
    assert 0.91 <= coverage <= 0.98
    assert 0.01 < np.mean([one.high - one.low for one in limits]) < 0.08


def test_an_interval_may_be_open():
    samples = np.array([-np.inf] * 5 + [3.0] * 90 + [np.inf] * 5)
    assert interval(samples).low == -np.inf
    assert interval(samples).high == np.inf
    assert str(interval(np.full(10, 0.5))) == "[0.500, 0.500]"


def test_macro_f1_is_that_of_the_scores():
    """Of types that occur: the third does not, the fourth is predicted alone."""
    entities = np.array([[[3, 4, 5], [1, 2, 9], [0, 0, 0], [0, 1, 0]]] * 2)
    scores = Counts(("A", "B", "C", "D"), entities, 1, 1, 0.0, 1).scores()
    assert macro_f1_of(entities[0]) == pytest.approx(scores["macro"]["f1"])
    assert macro_f1_of(np.zeros((2, 4, 3))).tolist() == [0, 0]
    of_one_type = corpus(np.random.default_rng(0), 50)
    samples = resampled(of_one_type[:, None, None], score=macro_f1_of)  # [sentences, runs, types, 3]
    assert (samples[:, 0] == resampled(of_one_type)).all()


def test_the_paired_test_says_nothing_where_there_is_nothing():
    """p of runs that do not differ is uniform: as many below each level as the level says."""
    rng = np.random.default_rng(4)
    p = []
    for seed in range(500):
        one = corpus(rng, 120)
        correct = rng.binomial(one[:, 2], 0.85)
        two = np.stack([correct, correct + rng.poisson(0.2, 120), one[:, 2]], axis=1)
        p.append(swap_test(one, two, 300, seed))
    for level in (0.05, 0.25, 0.5, 0.75):
        assert np.mean(np.array(p) <= level) == pytest.approx(level, abs=0.06)


def test_the_paired_test_finds_a_difference():
    rng = np.random.default_rng(5)
    one = corpus(rng, 2000, recall=0.80)
    better = one.copy()
    found = rng.binomial(one[:, 2] - one[:, 0], 0.2)  # of what was missed
    better[:, 0] += found
    better[:, 1] += found
    difference = compare(one, better, swaps=1000)
    assert difference.p == 1 / 1001
    assert difference.f1 == pytest.approx(f1_of(better.sum(axis=0)) - f1_of(one.sum(axis=0)))
    assert 0 < difference.interval.low < difference.f1 < difference.interval.high
    # Paired: far narrower than the two intervals would let it be.
    assert difference.interval.high - difference.interval.low < 0.6 * (f1_interval(one).high - f1_interval(one).low)
    back = compare(better, one, swaps=1000)
    assert (back.f1, back.p) == (-difference.f1, difference.p)


def test_the_same_run_twice_is_no_difference():
    counts = corpus(np.random.default_rng(6), 100)
    same = compare(counts, counts)
    assert (same.f1, same.interval.low, same.interval.high, same.p) == (0, 0, 0, 1)


def test_no_sentences_and_no_entities():
    assert f1_interval(np.zeros((0, 3), np.int64)).high == 0
    nothing = np.zeros((5, 3), np.int64)
    assert compare(nothing, nothing, swaps=10).p == 1
