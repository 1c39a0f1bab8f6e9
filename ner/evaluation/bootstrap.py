"""How far F1 may be chance: 95% intervals by bootstrap over sentences, and a paired test of two runs.

Both work on entity counts of sentences, int64 [sentences, 3] (correct, predicted, gold), of `sentence_counts`, all
types together; F1 is micro F1 of their sum. There are intervals of macro F1, too. What they measure is the choice of
test sentences. How much another seed or another choice of training sentences moves a run, only further runs can tell.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

RESAMPLES = 1_000
SWAPS = 10_000  # of the paired test: its smallest p is 1 / (SWAPS + 1)
LEVEL = 0.95
PLACES_AT_ONCE = 4_000_000  # resamples x sentences held in memory: 32 MB of places


@dataclass(frozen=True)
class Interval:
    """The middle 95% of the resamples."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"[{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Difference:
    """F1 of the second run minus F1 of the first, on the same sentences; p: two-sided."""

    f1: float
    interval: Interval
    p: float


def f1_of(counts: np.ndarray) -> np.ndarray:
    """Micro F1 of counts [..., 3] (correct, predicted, gold): float64 [...], 0 where there are no entities."""
    correct, predicted, gold = np.moveaxis(counts, -1, 0)
    return 2 * correct / np.maximum(predicted + gold, 1)


def macro_f1_of(counts: np.ndarray) -> np.ndarray:
    """Mean F1 of the types that occur, of counts [..., types, 3]: float64 [...]; 0 where none does."""
    return f1_of(counts).sum(axis=-1) / np.maximum(counts.any(axis=-1).sum(axis=-1), 1)


def resampled(
    counts: np.ndarray, resamples: int = RESAMPLES, seed: int = 0, score: Callable[[np.ndarray], np.ndarray] = f1_of
) -> np.ndarray:
    """F1, or another score, of sentences drawn with replacement, as many as there are: float64 [resamples, ...].

    counts: int64 [sentences, ..., 3]; score: `macro_f1_of` for counts of types, [sentences, ..., types, 3]. The
    sentences drawn depend on their number and the seed alone, so results of several calls on the same sentences are
    paired.
    """
    num_sentences = len(counts)
    if not num_sentences:
        return score(np.zeros((resamples, *counts.shape[1:])))
    flat = counts.reshape(num_sentences, -1).astype(np.float32)  # sums below 2**24 are exact
    sums = np.empty((resamples, flat.shape[1]))
    rng = np.random.default_rng(seed)
    at_once = max(1, PLACES_AT_ONCE // num_sentences)
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        drawn = rng.integers(0, num_sentences, (rows, num_sentences)) + num_sentences * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * num_sentences).reshape(rows, num_sentences)
        sums[start : start + rows] = times.astype(np.float32) @ flat
    return score(sums.reshape(resamples, *counts.shape[1:]))


def interval(samples: np.ndarray) -> Interval:
    """The 95% percentile interval of resampled values, float64 [resamples]; infinite ones are allowed."""
    tail = (1 - LEVEL) / 2
    # No interpolation between neighbours: one of them may be infinite.
    low, high = np.quantile(samples, [tail, 1 - tail], method="inverted_cdf")
    return Interval(float(low), float(high))


def f1_interval(counts: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """The 95% interval of F1. counts: int64 [sentences, 3]."""
    return interval(resampled(counts, resamples, seed))


def compare(first: np.ndarray, second: np.ndarray, resamples: int = RESAMPLES, swaps: int = SWAPS) -> Difference:
    """The difference of two runs on the same sentences: interval by paired bootstrap, p by approximate randomisation.

    first, second: int64 [sentences, 3], row i of both about the same sentence. p: share of the swaps (the two runs
    exchanged in each sentence with probability 1/2) that differ at least as much as the runs do, these included.
    """
    assert first.shape == second.shape
    samples = resampled(np.stack([first, second], axis=1), resamples)
    difference = float(f1_of(second.sum(axis=0)) - f1_of(first.sum(axis=0)))
    return Difference(difference, interval(samples[:, 1] - samples[:, 0]), swap_test(first, second, swaps))


def swap_test(first: np.ndarray, second: np.ndarray, swaps: int = SWAPS, seed: int = 0) -> float:
    """Two-sided p of the hypothesis that the two runs are exchangeable in every sentence. Arguments as in `compare`."""
    differ = (first != second).any(axis=1)  # a swap of equal counts changes nothing
    change = (second - first)[differ].astype(np.float32)
    first_sum, second_sum = first.sum(axis=0), second.sum(axis=0)
    observed = abs(f1_of(second_sum) - f1_of(first_sum))
    rng = np.random.default_rng(seed)
    as_extreme = 0
    at_once = max(1, PLACES_AT_ONCE // max(len(change), 1))
    for start in range(0, swaps, at_once):
        rows = min(at_once, swaps - start)
        moved = rng.integers(0, 2, (rows, len(change)), dtype=np.int8).astype(np.float32) @ change
        # Integers below 2**24 are exact in float32; the tolerance is for the two divisions.
        as_extreme += int((np.abs(f1_of(second_sum - moved) - f1_of(first_sum + moved)) >= observed - 1e-12).sum())
    return (as_extreme + 1) / (swaps + 1)
