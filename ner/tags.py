"""The tag set: IOB2 names and their ids, where they come from, and which of them a model lacks."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from ner.errors import InputError, listed, shorten

Scoring = Literal["default", "strict"]
SCORINGS: tuple[Scoring, ...] = ("default", "strict")
Entities = tuple[np.ndarray, np.ndarray, np.ndarray]  # start, end (exclusive) and type of each, int64

OUTSIDE = "O"


@dataclass(frozen=True)
class TagSet:
    """IOB2 tag names in the order of their ids: `O`, and `B-` and `I-` of each entity type.

    `len(tags)` is the number of tags.

    Attributes:
        names: The tag names; the id of a tag is its index here.

    Raises:
        InputError: If a name is not IOB2, comes twice, or `O` is missing.
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if malformed := [name for name in self.names if not is_iob2(name)]:
            raise InputError(f"not IOB2 tags (O, B-TYPE, I-TYPE): {', '.join(map(repr, malformed))}")
        if len(set(self.names)) != len(self.names):
            raise InputError(f"a tag comes twice in {' '.join(self.names)}")
        if OUTSIDE not in self.names:
            raise InputError(f"no {OUTSIDE} in the tags {' '.join(self.names)}")

    @classmethod
    def collect(cls, names: Iterable[str]) -> "TagSet":
        """Tags that hold these names: O first, then B- and I- of each type, types in alphabetical order.

        The order depends on the set of types alone, not on the order of the data.

        Args:
            names: IOB2 tag names in any order, any number of times.

        Returns:
            The tag set, with both B- and I- of each type that is among the names.

        Raises:
            InputError: If a name is not IOB2.
        """
        names = set(names)
        if malformed := sorted(name for name in names if not is_iob2(name)):
            raise InputError(f"not IOB2 tags (O, B-TYPE, I-TYPE): {', '.join(map(repr, malformed))}")
        types = sorted({name[2:] for name in names - {OUTSIDE}})
        return cls((OUTSIDE, *(prefix + type_ for type_ in types for prefix in ("B-", "I-"))))

    @classmethod
    def of_model(cls, config: Any, name: str) -> "TagSet":
        """The tags that a token classifier stores in its config.

        Args:
            config: A transformers config, of which `id2label` is read.
            name: The name of the model, for messages.

        Returns:
            The tag set, in the order of the ids of the model.

        Raises:
            InputError: If the ids are not 0, 1, 2, ..., a label is no name or comes twice, a label is not IOB2, or `O`
                is missing.
        """
        names = labels_of(config, name)
        try:
            return cls(names)
        except InputError as error:
            raise InputError(f"{name} is not a tagger of IOB2 tags: {error}") from error

    def __len__(self) -> int:
        """The number of tags."""
        return len(self.names)

    @cached_property
    def ids(self) -> dict[str, int]:
        """Name -> id."""
        return {name: i for i, name in enumerate(self.names)}

    @cached_property
    def outside(self) -> int:
        """The id of O."""
        return self.names.index(OUTSIDE)

    @cached_property
    def types(self) -> tuple[str, ...]:
        """Entity types in the order of their first tag."""
        return tuple(dict.fromkeys(name[2:] for name in self.names if name != OUTSIDE))

    @cached_property
    def type_of(self) -> np.ndarray:
        """int64 [tags]: index into `types` of each tag, -1 for O."""
        return np.array([-1 if name == OUTSIDE else self.types.index(name[2:]) for name in self.names])

    @cached_property
    def begins(self) -> np.ndarray:
        """bool [tags]: true for B- tags."""
        return np.array([name.startswith("B-") for name in self.names])

    @cached_property
    def inside(self) -> np.ndarray:
        """int64 [tags]: the I- tag of the same type, or the tag itself where there is none."""
        return np.array([self.ids.get("I-" + name[2:], i) for i, name in enumerate(self.names)])

    def ids_of(self, other: "TagSet") -> np.ndarray:
        """int64 [tags of other]: their ids here, -1 for a tag that is not here.

        Args:
            other: Another tag set.

        Returns:
            An array to index with ids of `other`.
        """
        return np.array([self.ids.get(name, -1) for name in other.names])


def labels_of(config: Any, name: str) -> tuple[str, ...]:
    """The labels of a token classifier by id, from its config. Raises InputError if an id has none, or two have one."""
    labels = dict(config.id2label or {})
    where = f"{name}: id2label of its config.json"
    if sorted(labels, key=str) != sorted(range(len(labels)), key=str):
        raise InputError(f"{where} has the ids {listed(map(str, labels))}, not each from 0 on")
    names = tuple(labels[i] for i in range(len(labels)))
    if bad := [label for label in names if not isinstance(label, str) or not label.strip()]:
        raise InputError(f"{where} holds {shorten(bad[0])}, which is no name")
    if len(set(names)) < len(names):
        raise InputError(f"{where} names {shorten(next(n for n in names if names.count(n) > 1))} twice")
    return names


def is_prefixed(name: str) -> bool:
    """Whether this is a letter of a tag scheme (IOB, IOBES, BILOU), a hyphen and a type."""
    return name[:1] in tuple("BIESLU") and name[1:2] == "-" and len(name) > 2


def is_iob2(name: str) -> bool:
    """Whether this is O, or B- or I- and a type."""
    return name == OUTSIDE or (name[:2] in ("B-", "I-") and len(name) > 2)


def entities(tag_ids: np.ndarray, sentence_start: np.ndarray, tags: TagSet, scoring: Scoring = "default") -> Entities:
    """Entities of tagged words, as (start, end, type), int64 each; end is exclusive, type an index into tags.types.

    tag_ids: int64 [words]; sentence_start: bool [words]. default: conlleval's rules, an I- that continues nothing
    begins an entity; strict: IOB2, an entity begins with B-.
    """
    type_ = tags.type_of[tag_ids]
    previous = np.concatenate([[-1], type_[:-1]])[: len(type_)]
    previous[sentence_start] = -1
    starts = (type_ >= 0) & (tags.begins[tag_ids] | (type_ != previous))
    goes_on = (type_ >= 0) & ~starts
    start = np.flatnonzero(starts)
    stops = np.append(np.flatnonzero(~goes_on), len(type_))
    end = stops[np.searchsorted(stops, start, side="right")]
    if scoring == "strict":
        legal = tags.begins[tag_ids[start]]
        start, end = start[legal], end[legal]
    return start, end, type_[start]


def is_among(wanted: Entities, found: Entities, num_words: int) -> np.ndarray:
    """bool [wanted]: whether an entity with the same start, end and type is among the found ones."""
    start, end, type_ = found
    end_at = np.zeros(num_words, dtype=np.int64)  # 0: none of them starts here
    type_at = np.zeros(num_words, dtype=np.int64)
    end_at[start], type_at[start] = end, type_
    return (end_at[wanted[0]] == wanted[1]) & (type_at[wanted[0]] == wanted[2])


def first_words(word_offsets: np.ndarray) -> np.ndarray:
    """bool [words]: true where a sentence begins. word_offsets: int64 [sentences + 1]."""
    mask = np.zeros(word_offsets[-1] + 1, dtype=bool)
    mask[word_offsets] = True
    return mask[:-1]
