"""What a tagger says of a text: its words with their tags, and its entities."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

Offsets = list[tuple[int, int]]  # first character and the one behind the last, of each word


class Entity(NamedTuple):
    """A named entity: whole words.

    Attributes:
        type: Its type, `PER` for example.
        text: The characters from start up to end.
        start: Its first character, counted from 0 in the text that was tagged.
        end: The character behind its last.
        score: A probability, from 0 to 1: the mean over its words, or the lowest of them.
    """

    type: str
    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True)
class TaggedText:
    """A text and what the model says of it.

    Attributes:
        text: The text; of a list of words, the words joined by blanks.
        words: First character and the one behind the last of each word.
        tags: IOB2 names, one for each word.
        scores: float32 [words], probability of the predicted tag, nan for a word without a sub-token, which is O.
        entities: The entities, in the order of the text.
    """

    text: str
    words: Offsets
    tags: list[str]
    scores: np.ndarray
    entities: list[Entity]


Tag: TypeAlias = Callable[[Iterable[str | Sequence[str]]], Iterator[TaggedText]]  # `Tagger.tag`
