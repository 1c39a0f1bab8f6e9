"""The sentences of a split, changed: which are, and where each of their words was before."""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from datasets import Dataset

from ner.data.arrow_store import TAGS, WORDS, flat_column, tag_set
from ner.data.perturbation import spans
from ner.data.spelling_changes import Changed
from ner.modeling.baselines import sentences
from ner.utils import offsets_of

SAMPLES = 3  # changed sentences that are shown
Change = Callable[[Sequence[str], Sequence[str], random.Random], Iterable[Changed]]


@dataclass(frozen=True)
class ChangedSet:
    """What a probe makes of the sentences of one language and split. Those that it leaves as they are, are not in it.

    rows: the changed sentences; origins: int64 [their words], the word before, counted over all sentences of the split,
    -1 for a new one; group: int64 [sentences of the split]: sentences of a group are changed together, groups never
    fall; group_of_row: int64 [rows], likewise.
    """

    rows: Dataset
    origins: np.ndarray
    group: np.ndarray
    group_of_row: np.ndarray

    @property
    def is_changed(self) -> np.ndarray:
        """bool [sentences of the split]."""
        return np.isin(self.group, self.group_of_row)

    @property
    def num_groups(self) -> int:
        """How many there are."""
        return int(self.group[-1]) + 1 if len(self.group) else 0

    @property
    def row_offsets(self) -> np.ndarray:
        """int64 [rows + 1]: where each row begins among the words of all."""
        return offsets_of(flat_column(self.rows, TAGS)[1] if len(self.rows) else [])


def change_sentences(rows: Dataset, change: Change, rng: random.Random, group_size: int = 1) -> ChangedSet:
    """The sentences that a change makes of each, or of `group_size` neighbours joined as one sentence.

    What comes out as it was is left out. Raises AssertionError for a change that does not say where words come from.
    """
    names = tag_set(rows).names
    ids = {name: i for i, name in enumerate(names)}
    group = np.arange(len(rows)) // group_size
    new_words: list[list[str]] = []
    new_tags: list[list[int]] = []
    origins: list[int] = []
    group_of_row: list[int] = []
    before = [(words, [names[i] for i in tags]) for words, tags in sentences(rows)]
    start = 0
    for number in range(int(group[-1]) + 1 if len(rows) else 0):
        members = before[number * group_size : (number + 1) * group_size]
        words = [word for of_member, _ in members for word in of_member]
        tags = [tag for _, of_member in members for tag in of_member]
        after = list(change(words, tags, rng))
        if [(new.words, new.tags) for new in after] != members:
            check_alignment(after, len(words))
            new_words += [new.words for new in after]
            new_tags += [[ids[tag] for tag in new.tags] for new in after]
            origins += [place + start if place >= 0 else -1 for new in after for place in new.origins]
            group_of_row += [number] * len(after)
        start += len(words)
    changed = Dataset.from_dict({WORDS: new_words, TAGS: new_tags}, features=rows.features)
    return ChangedSet(changed, np.array(origins, np.int64), group, np.array(group_of_row, np.int64))


def check_alignment(changed: Sequence[Changed], num_words: int) -> None:
    """Words keep their order, and none comes from elsewhere; sentences have a tag for each word, and an old word."""
    origins = [place for new in changed for place in new.origins if place >= 0]
    assert origins == sorted(origins)
    assert all(place < num_words for place in origins)
    assert all(0 < len(new.words) == len(new.tags) == len(new.origins) for new in changed)
    assert all(max(new.origins) >= 0 for new in changed)


def sums(values: np.ndarray, group: np.ndarray, num_groups: int) -> np.ndarray:
    """int64 [groups, ...]: the sum over the rows of each group. values: int64 [rows, ...]; group: int64 [rows]."""
    total = np.zeros((num_groups, *values.shape[1:]), dtype=np.int64)
    np.add.at(total, group, values)
    return total


def samples(rows: Dataset, changed: ChangedSet, count: int = SAMPLES) -> list[tuple[str, str]]:
    """Some changed sentences, evenly spread: as they were and as they are, gold entities like `[Bern LOC]`."""
    groups = np.unique(changed.group_of_row)
    shown = groups[np.unique(np.linspace(0, len(groups) - 1, min(count, len(groups))).astype(np.int64))]
    return [
        (
            " | ".join(with_entities(rows.select(np.flatnonzero(changed.group == group)))),
            " | ".join(with_entities(changed.rows.select(np.flatnonzero(changed.group_of_row == group)))),
        )
        for group in shown.tolist()
    ]


def with_entities(rows: Dataset) -> list[str]:
    """Each sentence with its gold entities in square brackets."""
    names = tag_set(rows).names
    return [
        " ".join(
            f"[{' '.join(words[start:end])} {type_}]" if type_ else words[start]
            for start, end, type_ in spans([names[i] for i in tags])
        )
        for words, tags in sentences(rows)
    ]
