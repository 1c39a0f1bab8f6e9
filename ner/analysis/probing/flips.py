"""Entities found before a change, and what became of them: kept, lost, retyped, re-bounded; and new ones."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from ner.analysis.entity_errors import KINDS, Matches, match_entities
from ner.analysis.probing.changed_sets import ChangedSet
from ner.evaluation.comparison import LabelPair, spread
from ner.tags import entities, first_words

FLIPS = ("kept", "lost", "retyped", "re-bounded", "new")
# What KINDS are, if the entities before stand for gold. Another type with other boundaries is another type.
FLIP_OF_KIND = dict(zip(KINDS, ("kept", "lost", "new", "retyped", "re-bounded", "retyped"), strict=True))
WORDS_AROUND = 8  # of an entity in an example
NAMES = pa.dictionary(pa.int32(), pa.string())
# before, after: the words of the entity, null for a side that has none. sentence: as in `Flip`.
ENTITY_COLUMNS = pa.schema(
    [
        ("sentence", pa.int64()),
        ("flip", NAMES),
        ("before", pa.string()),
        ("before_type", NAMES),
        ("after", pa.string()),
        ("after_type", NAMES),
    ]
)


@dataclass(frozen=True)
class Flip:
    """An entity that is not what it was. before, after: words around it, with what is predicted in square brackets.

    sentence: number in the split of the sentence before (of the first, where several became one).
    """

    kind: str
    sentence: int
    before: str
    after: str


@dataclass(frozen=True)
class Flips:
    """counts: how many of each of FLIPS, in the sentences that were changed; gone: entities whose words were left out.

    examples: some of each but `kept`, evenly spread; entities: all of them, with ENTITY_COLUMNS.
    """

    counts: dict[str, int]
    gone: int
    examples: tuple[Flip, ...]
    entities: pa.Table = field(default_factory=ENTITY_COLUMNS.empty_table, compare=False, repr=False)

    @property
    def num_before(self) -> int:
        """Entities found before whose words are still there."""
        return sum(count for kind, count in self.counts.items() if kind != "new")


def flips(
    changed: ChangedSet, before: LabelPair, after: LabelPair, words: Sequence[str], new_words: Sequence[str]
) -> Flips:
    """Matches predicted entities before and after. before: of all sentences of the split; after: of the changed ones.

    words, new_words: of all sentences before, and of the changed ones.
    """
    sides = [
        np.stack(entities(pair.predicted, first_words(pair.word_offsets), pair.tags), axis=1)
        for pair in (before, after)
    ]
    sentence = np.searchsorted(before.word_offsets, sides[0][:, 0], side="right") - 1
    sides[0] = sides[0][changed.is_changed[sentence]]
    moved, is_there = images(sides[0], changed.origins, after.word_offsets, len(before.predicted))
    matches = match_entities(moved[is_there], sides[1], len(changed.origins), len(before.tags.types))
    entity_of = np.full(len(changed.origins) + 1, -1)  # by its first new word; the last is that of no entity
    entity_of[moved[is_there][:, 0]] = np.flatnonzero(is_there)
    kinds = np.array([FLIP_OF_KIND[kind] for kind in KINDS])[matches.kind]
    counts = {flip: int((kinds == flip).sum()) for flip in FLIPS}
    examples = [
        example(flip, number, matches, changed, (before, after), (words, new_words), sides)
        for flip in FLIPS[1:]
        for number in spread(np.flatnonzero(kinds == flip)).tolist()
    ]
    old = np.vstack([sides[0], [-1, -1, -1]])[entity_of[matches.gold_start]]
    of_entities = entity_table(kinds, old, matches, changed, (before, after), (words, new_words))
    return Flips(counts, int((~is_there).sum()), tuple(examples), of_entities)


def entity_table(
    kinds: np.ndarray,
    old: np.ndarray,
    matches: Matches,
    changed: ChangedSet,
    pairs: tuple[LabelPair, LabelPair],
    words: tuple[Sequence[str], Sequence[str]],
) -> pa.Table:
    """The entities that are not what they were, with ENTITY_COLUMNS.

    kinds: str [matches], of FLIPS; old: int64 [matches, 3], the entity before, -1 of a new one.
    """
    types = [*pairs[0].tags.types, None]
    rows = []
    for i in np.flatnonzero(kinds != "kept").tolist():
        start, end = int(matches.predicted_start[i]), int(matches.predicted_end[i])
        is_new, is_lost = matches.gold_start[i] < 0, start < 0
        old_start, old_end, _ = old[i].tolist()
        first = old_words(changed, start, end, pairs[1].word_offsets)[0] if is_new else old_start
        rows.append(
            {
                "sentence": int(np.searchsorted(pairs[0].word_offsets, first, side="right")) - 1,
                "flip": str(kinds[i]),
                "before": None if is_new else " ".join(words[0][old_start:old_end]),
                "before_type": types[matches.gold_type[i]],
                "after": None if is_lost else " ".join(words[1][start:end]),
                "after_type": types[matches.predicted_type[i]],
            }
        )
    return pa.Table.from_pylist(rows, schema=ENTITY_COLUMNS)


def old_words(changed: ChangedSet, start: int, end: int, offsets: np.ndarray) -> np.ndarray:
    """The old words, at least one, of new words from start up to end: where all are new, of their sentence the first.

    offsets: int64 [new sentences + 1].
    """
    known = changed.origins[start:end]
    if (known >= 0).any():
        return known[known >= 0]
    row = int(np.searchsorted(offsets, start, side="right")) - 1
    of_row = changed.origins[offsets[row] : offsets[row + 1]]
    return of_row[of_row >= 0][:1]


def images(
    found: np.ndarray, origins: np.ndarray, offsets: np.ndarray, num_words: int
) -> tuple[np.ndarray, np.ndarray]:
    """Where entities stand behind a change: int64 [entities, 3], and bool [entities], whether they still stand there.

    found: int64 [entities, 3], start, end and type; origins: of `ChangedSet`; offsets: int64 [new sentences + 1]. An
    entity whose words are in two sentences now is not there any more.
    """
    owner = np.full(num_words + 1, -1)  # the last is where new words come from
    for number, (start, end, _) in enumerate(found.tolist()):
        owner[start:end] = number
    places = np.flatnonzero(owner[origins] >= 0)
    of_place = owner[origins][places]
    first = np.full(len(found), len(origins))
    last = np.full(len(found), -1)
    np.minimum.at(first, of_place, places)
    np.maximum.at(last, of_place, places)
    sentence = [np.searchsorted(offsets, side, side="right") for side in (first, last)]
    return np.stack([first, last + 1, found[:, 2]], axis=1), (last >= 0) & (sentence[0] == sentence[1])


def example(
    flip: str,
    number: int,
    matches: Matches,
    changed: ChangedSet,
    pairs: tuple[LabelPair, LabelPair],
    words: tuple[Sequence[str], Sequence[str]],
    sides: Sequence[np.ndarray],
) -> Flip:
    """A pair, or an entity without a partner, before and after; sides: all entities before and after."""
    is_new = matches.gold_start[number] < 0
    span = (
        (matches.predicted_start[number], matches.predicted_end[number])
        if is_new
        else (matches.gold_start[number], matches.gold_end[number])
    )
    row = int(np.searchsorted(pairs[1].word_offsets, span[0], side="right")) - 1
    known = old_words(changed, int(span[0]), int(span[1]), pairs[1].word_offsets)
    sentence = int(np.searchsorted(pairs[0].word_offsets, known[0], side="right")) - 1
    texts = [
        marked(of_side, side, int(start), int(end), pair.word_offsets[i : i + 2], pair.tags.types)
        for of_side, side, (start, end), pair, i in (
            (words[0], sides[0], (known[0], known[-1] + 1), pairs[0], sentence),
            (words[1], sides[1], span, pairs[1], row),
        )
    ]
    return Flip(flip, sentence, *texts)


def marked(
    words: Sequence[str], found: np.ndarray, start: int, end: int, limits: np.ndarray, types: Sequence[str]
) -> str:
    """Words from start up to end and some around, within a sentence; entities like `[Bern LOC]`.

    found: int64 [entities, 3]; limits: first word of the sentence, and the one behind its last.
    """
    low, high = max(start - WORDS_AROUND, int(limits[0])), min(end + WORDS_AROUND, int(limits[1]))
    near = found[(found[:, 1] > low) & (found[:, 0] < high)]
    opens = {max(int(entity[0]), low): "[" for entity in near}
    closes = {min(int(entity[1]), high) - 1: f" {types[entity[2]]}]" for entity in near}
    text = " ".join(f"{opens.get(i, '')}{words[i]}{closes.get(i, '')}" for i in range(low, high))
    return f"{'... ' if low > limits[0] else ''}{text}{' ...' if high < limits[1] else ''}"
