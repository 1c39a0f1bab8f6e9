"""Gold and predicted entities matched one to one, and what is wrong with each pair."""

from dataclasses import dataclass

import numpy as np

from ner.tags import TagSet, entities
from ner.utils import ranges, rows_of

KINDS = ("correct", "missed", "spurious", "wrong type", "boundary error", "both wrong")
CORRECT, MISSED, SPURIOUS, WRONG_TYPE, WRONG_BOUNDARY, BOTH_WRONG = range(len(KINDS))


@dataclass(frozen=True)
class Matches:
    """Pairs of a gold and a predicted entity, and entities without a partner, in the order of the words.

    kind: int64 [matches], index into KINDS; gold_type, predicted_type: int64, index into the types, their number where
    there is no entity; the others: int64, words over all sentences, end exclusive, -1 where there is no entity.
    """

    kind: np.ndarray
    gold_type: np.ndarray
    gold_start: np.ndarray
    gold_end: np.ndarray
    predicted_type: np.ndarray
    predicted_start: np.ndarray
    predicted_end: np.ndarray


def match(gold: np.ndarray, predicted: np.ndarray, sentence_start: np.ndarray, tags: TagSet) -> Matches:
    """The entities of tagged words, by conlleval's rules, each in at most one pair.

    Entities that share a word are paired: those of the same type first, then those that share more words, then the
    earlier. Arguments as in `ner.tags.entities`.
    """
    gold_sides, predicted_sides = (
        np.stack(entities(ids, sentence_start, tags), axis=1).astype(np.int64) for ids in (gold, predicted)
    )
    return match_entities(gold_sides, predicted_sides, len(gold), len(tags.types))


def match_entities(gold_sides: np.ndarray, predicted_sides: np.ndarray, num_words: int, num_types: int) -> Matches:
    """`match` of entities: int64 [entities, 3], start, end (exclusive) and type of each; those of a side are apart."""
    ours, theirs = pairs(gold_sides, predicted_sides, num_words)
    missed = np.setdiff1d(np.arange(len(gold_sides)), ours)
    spurious = np.setdiff1d(np.arange(len(predicted_sides)), theirs)
    nothing = np.array([-1, -1, num_types])  # indexed by -1
    of_gold = np.vstack([gold_sides, nothing])[np.concatenate([ours, missed, np.full(len(spurious), -1)])]
    of_predicted = np.vstack([predicted_sides, nothing])[np.concatenate([theirs, np.full(len(missed), -1), spurious])]
    same_span = (of_gold[:, :2] == of_predicted[:, :2]).all(axis=1)
    same_type = of_gold[:, 2] == of_predicted[:, 2]
    kind = np.where(
        same_span, np.where(same_type, CORRECT, WRONG_TYPE), np.where(same_type, WRONG_BOUNDARY, BOTH_WRONG)
    )
    kind[of_gold[:, 0] < 0] = SPURIOUS
    kind[of_predicted[:, 0] < 0] = MISSED
    order = np.argsort(np.where(of_gold[:, 0] < 0, of_predicted[:, 0], of_gold[:, 0]), kind="stable")
    start, end, type_ = of_gold[order].T
    other_start, other_end, other_type = of_predicted[order].T
    return Matches(kind[order], type_, start, end, other_type, other_start, other_end)


def pairs(gold: np.ndarray, predicted: np.ndarray, num_words: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the gold and of the predicted entities that are paired. gold, predicted: [entities, 3]."""
    ours, theirs = owner(gold, num_words), owner(predicted, num_words)
    both = (ours >= 0) & (theirs >= 0)
    overlaps, shared = np.unique(ours[both] * len(predicted) + theirs[both], return_counts=True)
    left = np.stack(np.divmod(overlaps, max(len(predicted), 1)), axis=1)
    other_type = gold[left[:, 0], 2] != predicted[left[:, 1], 2]
    left = left[np.lexsort((left[:, 1], left[:, 0], -shared, other_type))]  # the best first
    chosen = np.empty((0, 2), dtype=np.int64)
    while len(left):  # pairs that are the best of both their entities, until nothing overlaps that is not paired
        best = np.zeros((2, len(left)), dtype=bool)
        for side in (0, 1):
            best[side, np.unique(left[:, side], return_index=True)[1]] = True
        taken = left[best.all(axis=0)]
        chosen = np.concatenate([chosen, taken])
        left = left[~(np.isin(left[:, 0], taken[:, 0]) | np.isin(left[:, 1], taken[:, 1]))]
    return chosen[:, 0], chosen[:, 1]


def owner(spans: np.ndarray, num_words: int) -> np.ndarray:
    """int64 [words]: the number of the entity that each word is part of, -1 for none. spans: [entities, 3]."""
    lengths = spans[:, 1] - spans[:, 0]
    found = np.full(num_words, -1)
    found[ranges(spans[:, 0], lengths)] = rows_of(lengths)
    return found
