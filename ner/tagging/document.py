"""What a tagger says of a text: its words with their tags, and its entities."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import numpy as np

from ner.errors import InputError

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

    def fields(self) -> dict[str, str | int | float]:
        """As it is written in JSON.

        Returns:
            Name -> value, in this order; the score has four decimals.
        """
        return self._asdict() | {"score": round(self.score, 4)}


@dataclass(frozen=True)
class TaggedText:
    """A text and what the model says of it.

    Attributes:
        text: The text; of a list of words, the words joined by blanks.
        words: First character and the one behind the last of each word.
        tags: IOB2 names, one for each word.
        scores: float32 [words], probability of the predicted tag, nan for a word without a sub-token, which is O.
        entities: The entities, in the order of the text.
        labels: The model's own labels, of any tag scheme, where their probabilities were asked for; else empty.
        probabilities: float32 [words, labels], sums to 1 in a row; nan for a word without a sub-token.
    """

    text: str
    words: Offsets
    tags: list[str]
    scores: np.ndarray
    entities: list[Entity]
    labels: tuple[str, ...] = ()
    probabilities: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    def probabilities_of(self, word: int) -> dict[str, float] | None:
        """The probability of every label at a word.

        Args:
            word: Number of the word, from 0.

        Returns:
            Label -> probability, in the order of the model's labels; None for a word without a sub-token.

        Raises:
            InputError: If the tagger keeps no probabilities.
        """
        if not self.labels:
            raise InputError("this tagger keeps no probabilities; make it with `probabilities=True`")
        row = self.probabilities[word]
        return None if np.isnan(row).any() else dict(zip(self.labels, row.tolist(), strict=True))


Tag: TypeAlias = Callable[[Iterable[str | Sequence[str]]], Iterator[TaggedText]]  # `Tagger.tag`
