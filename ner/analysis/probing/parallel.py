"""Parallel text: how far a run finds the same entities, by type and number, on both sides. Needs no gold tags."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ner.analysis.probing.flips import marked
from ner.analysis.probing.parallel_text import ParallelText
from ner.analysis.probing.probing import tested
from ner.data.arrow_store import WORDS, flat_column
from ner.evaluation.bootstrap import Interval, f1_of, interval, resampled
from ner.evaluation.comparison import LabelPair
from ner.evaluation.tested import Predictor, Progress
from ner.tags import entities, first_words

ALL_TYPES = "all types"
EXAMPLES = 10  # pairs that differ most


@dataclass(frozen=True)
class Agreement:
    """Entities of a type, or of all types, on both sides.

    left, right: how many were found; matched: of these, the smaller number of each pair and type, added up; agreement:
    2 matched / (left + right), None where nothing was found; difference: (right - left) / pairs; alike: share of the
    pairs with as many on both sides, of each type; intervals: 95%, by bootstrap over the pairs.
    """

    type: str
    left: int
    right: int
    matched: int
    agreement: float | None
    agreement_interval: Interval | None
    difference: float
    difference_interval: Interval
    alike: float
    alike_interval: Interval


@dataclass(frozen=True)
class PairExample:
    """A pair that differs. line: of the file; differing: entities without a partner; left, right: the words of both.

    What was found stands in square brackets with its type.
    """

    line: int
    differing: int
    left: str
    right: str


@dataclass(frozen=True)
class ParallelOutcome:
    """What a run finds in a parallel text. types: those that it finds there, and all together, which is the last."""

    run: str
    file: str
    languages: tuple[str, str]
    pairs: int
    types: tuple[Agreement, ...]
    examples: tuple[PairExample, ...]


def probe_parallel(run: str, predictor: Predictor, text: ParallelText, progress: Progress) -> ParallelOutcome:
    """Tags all sentences, and compares the sides. All processes must call it."""
    pair = tested(predictor, text.rows, progress)
    found = np.stack(entities(pair.predicted, first_words(pair.word_offsets), pair.tags), axis=1)
    sides = counted(found, pair.word_offsets, text.side, len(text.lines), len(pair.tags.types))
    return ParallelOutcome(
        run=run,
        file=text.file,
        languages=text.languages,
        pairs=len(text.lines),
        types=tuple(agreements(sides, pair.tags.types)),
        examples=tuple(examples(sides, found, pair, text)),
    )


def counted(
    found: np.ndarray, word_offsets: np.ndarray, side: np.ndarray, num_pairs: int, num_types: int
) -> np.ndarray:
    """int64 [pairs, 2, types]: entities of each type on the left and on the right.

    found: int64 [entities, 3], start, end and type; word_offsets: int64 [sentences + 1]; side: of `ParallelText`.
    """
    sentence = np.searchsorted(word_offsets, found[:, 0], side="right") - 1
    counts = np.zeros((2 * num_pairs, num_types), np.int64)
    np.add.at(counts, (side[sentence], found[:, 2]), 1)
    return counts.reshape(num_pairs, 2, num_types)


def agreements(sides: np.ndarray, types: Sequence[str]) -> Iterator[Agreement]:
    """Of each type that there is on a side, and of all. sides: int64 [pairs, 2, types], of at least one pair."""
    left, right = sides[:, 0], sides[:, 1]
    counts = np.stack([np.minimum(left, right), left, right], axis=-1)
    counts = np.concatenate([counts, counts.sum(axis=1, keepdims=True)], axis=1)  # [pairs, types + 1, 3]
    is_alike = left == right
    is_alike = np.concatenate([is_alike, is_alike.all(axis=1, keepdims=True)], axis=1)
    alike = np.stack([is_alike, np.ones_like(is_alike), np.ones_like(is_alike)], axis=-1).astype(np.int64)

    def differences(of_pairs: np.ndarray) -> np.ndarray:
        return (of_pairs[..., 2] - of_pairs[..., 1]) / len(sides)

    total = counts.sum(axis=0)
    drawn = resampled(np.stack([counts, alike], axis=1))  # [resamples, 2, types + 1]
    drawn_difference = resampled(counts, score=differences)
    for number, type_ in enumerate([*types, ALL_TYPES]):
        matched, on_left, on_right = total[number].tolist()
        is_found = on_left + on_right > 0
        if not is_found and type_ != ALL_TYPES:
            continue
        yield Agreement(
            type=type_,
            left=on_left,
            right=on_right,
            matched=matched,
            agreement=float(f1_of(total[number])) if is_found else None,
            agreement_interval=interval(drawn[:, 0, number]) if is_found else None,
            difference=float(differences(total[number])),
            difference_interval=interval(drawn_difference[:, number]),
            alike=float(is_alike[:, number].mean()),
            alike_interval=interval(drawn[:, 1, number]),
        )


def examples(sides: np.ndarray, found: np.ndarray, pair: LabelPair, text: ParallelText) -> Iterator[PairExample]:
    """The pairs that differ most, of equal ones the first."""
    differing = np.abs(sides[:, 0] - sides[:, 1]).sum(axis=1)
    words = flat_column(text.rows, WORDS)[0].tolist()
    rows = np.searchsorted(text.side, np.arange(2 * len(sides) + 1))  # where each side begins
    limits = pair.word_offsets[rows]
    for number in np.argsort(-differing, kind="stable")[:EXAMPLES].tolist():
        if not differing[number]:
            return
        left, right = (
            marked(words, found, int(start), int(end), np.array([start, end]), pair.tags.types)
            for start, end in (limits[2 * number : 2 * number + 2], limits[2 * number + 1 : 2 * number + 3])
        )
        yield PairExample(text.lines[number], int(differing[number]), left, right)
