"""The linear probe on made-up vectors where the answer is known, and the control task."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score  # type: ignore[import-untyped]  # what seqeval brings

from ner.analysis.encoder.linear_probe import ProbeScore, control_labels, fit, macro_f1, number_of


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_separable_labels_are_read_without_an_error(rng):
    """Three classes, each around a corner of its own; the dimensions have sizes that standardising must undo."""
    labels = np.arange(300) % 3
    size = np.array([1e-2, 1e3, 1.0, 1e-4], dtype=np.float32)
    corners = np.array([[5, 0, 0, 0], [0, 5, 0, 0], [0, 0, 0, 5]])
    vectors = ((corners[labels] + rng.normal(size=(300, 4)) * 0.3) * size + 7).astype(np.float32)
    (probe,) = fit(vectors[:200], [labels[:200]], 3)
    assert (probe.predict(vectors[200:]) == labels[200:]).all()


def test_random_labels_are_not_found_in_other_words(rng):
    vectors = rng.normal(size=(1500, 8)).astype(np.float32)
    labels = rng.integers(0, 4, 1500)
    (probe,) = fit(vectors[:500], [labels[:500]], 4)
    assert abs((probe.predict(vectors[500:]) == labels[500:]).mean() - 1 / 4) < 0.05


def test_it_is_the_minimum_of_the_penalised_loss(rng):
    """The gradient by hand: X'(p - y) / n + l2 W is 0 there."""
    vectors = rng.normal(size=(60, 3)).astype(np.float32)
    labels = rng.integers(0, 3, 60)
    (probe, other) = fit(vectors, [labels, labels[::-1].copy()], 3, l2=0.1)
    (alone,) = fit(vectors, [labels[::-1].copy()], 3, l2=0.1)
    np.testing.assert_allclose(other.weight, alone.weight, atol=5e-3)
    x = (vectors - vectors.mean(axis=0)) / vectors.std(axis=0)
    scores = x @ probe.weight.numpy() + probe.bias.numpy()
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    wrong = p - np.eye(3)[labels]
    assert np.abs(x.T @ wrong / 60 + 0.1 * probe.weight.numpy()).max() < 1e-3
    assert np.abs(wrong.mean(axis=0)).max() < 1e-3


def test_the_same_input_gives_the_same_probe_and_a_still_dimension_does_no_harm(rng):
    vectors = rng.normal(size=(40, 3)).astype(np.float32)
    vectors[:, 1] = 4
    labels = np.arange(40) % 2
    (first,), (second,) = fit(vectors, [labels], 2), fit(vectors, [labels], 2)
    assert first.weight.equal(second.weight)
    assert first.weight.isfinite().all()
    (lonely,) = fit(vectors[:1], [np.array([1])], 2)
    assert lonely.predict(vectors[:3]).tolist() == [1, 1, 1]


@given(st.lists(st.text(max_size=4), min_size=1, max_size=30), st.integers(0, 5))
def test_control_labels_depend_on_the_word_type_alone(words, seed):
    shares = np.array([0.5, 0.3, 0.2])
    found = control_labels(words, shares, seed)
    assert found.tolist() == [control_labels([word], shares, seed)[0] for word in words]
    assert found.tolist() == [int(np.searchsorted([0.5, 0.8], number_of(f"{seed} {w}"), "right")) for w in words]


def test_control_labels_are_as_frequent_as_the_true_ones():
    words = [str(i) for i in range(4000)]
    found = control_labels(words, np.array([30.0, 0.0, 10.0]), 42)
    assert np.abs(np.bincount(found, minlength=3) / 4000 - [0.75, 0, 0.25]).max() < 0.02
    assert (found != control_labels(words, np.array([30.0, 0.0, 10.0]), 43)).any()


def test_selectivity_is_accuracy_beyond_the_control_task():
    score = ProbeScore(accuracy=0.9, macro_f1=0.8, control_accuracy=0.6, majority=0.5, seen=0.4, num_words=10)
    assert score.selectivity == pytest.approx(0.3)
    assert replace(score, control_accuracy=0.9).selectivity == 0


def test_macro_f1_by_hand_and_as_scikit_learn():
    gold, predicted = np.array([0, 0, 1, 1, 3]), np.array([0, 1, 1, 2, 3])
    assert macro_f1(gold, predicted) == pytest.approx((2 / 3 + 1 / 2 + 0 + 1) / 4)  # 2 is predicted, and never right
    assert macro_f1(gold, predicted) == pytest.approx(f1_score(gold, predicted, average="macro", zero_division=0))
