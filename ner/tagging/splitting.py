"""Texts as they come -> sentences and words, a part at a time."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ner.data.words import SPLITTERS, join
from ner.errors import shorten
from ner.tagging.document import Offsets
from ner.tagging.sentences import sentence_starts

CHARACTERS_PER_CHUNK = 100_000  # read at once: enough for full batches, few enough to bound memory


class Segmented(NamedTuple):
    """A text with its words, and the numbers of those that begin a sentence."""

    text: str
    words: Offsets
    starts: list[int]


def segmented(text: str | Sequence[str], splitter: str) -> Segmented:
    """The text in sentences and words; a list of words is one sentence. splitter: as of `ner.data.words`."""
    if not isinstance(text, str):
        joined, words = join(text)
        return Segmented(joined, words, [0] if words else [])
    words = SPLITTERS[splitter](text)
    whole = [0] if words else []
    return Segmented(text, words, whole if splitter == "spaces" else sentence_starts(text, words))


def chunks(texts: Iterable[str | Sequence[str]]) -> Iterator[list[str | Sequence[str]]]:
    """The texts in lists of about CHARACTERS_PER_CHUNK. Raises TypeError for what is neither a text nor words."""
    chunk: list[str | Sequence[str]] = []
    size = 0
    for text in texts:
        words = [text] if isinstance(text, str) else text
        if not isinstance(words, Sequence) or not all(isinstance(word, str) for word in words):
            raise TypeError(f"{shorten(text)} is neither a text nor a list of words")
        chunk.append(text)
        size += 1 + sum(map(len, words))
        if size >= CHARACTERS_PER_CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
