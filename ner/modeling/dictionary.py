"""The dictionary of training mentions: what was an entity in training is one of the same type everywhere."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ner.errors import InputError, shorten
from ner.tags import TagSet, entities

Mention = tuple[str, ...]  # the words of an entity


@dataclass(frozen=True)
class MentionDictionary:
    """Tags the mentions that it knows, from left to right, the longest that begins at a word; all else is O.

    types: of each mention.
    """

    types: dict[Mention, str]
    tags: TagSet

    @classmethod
    def collect(cls, sentences: Iterable[tuple[Sequence[str], np.ndarray]], tags: TagSet) -> "MentionDictionary":
        """The mentions of sentences (words, tag ids int64 [words]), each with the type that it has most often there.

        Of types that are equally frequent, the first in the alphabet.
        """
        seen: defaultdict[Mention, Counter[str]] = defaultdict(Counter)
        for words, ids in sentences:
            for start, end, kind in zip(*entities(ids, np.arange(len(ids)) == 0, tags), strict=True):
                seen[tuple(words[start:end])][tags.types[kind]] += 1
        types = {mention: min(counts, key=lambda kind: (-counts[kind], kind)) for mention, counts in seen.items()}
        return cls(types, tags)

    @classmethod
    def from_plain(cls, content: Iterable[object], tags: TagSet) -> "MentionDictionary":
        """From what `plain` returned. Raises InputError for anything else, and for a type that is not in `tags`."""
        types: dict[Mention, str] = {}
        for item in content:
            if not (isinstance(item, list) and len(item) > 1 and all(isinstance(part, str) for part in item)):
                raise InputError(f"{shorten(item)} is no mention, which is a type and its words")
            kind, *words = item
            if lacking := {f"B-{kind}", *[f"I-{kind}"] * (len(words) > 1)} - set(tags.names):
                raise InputError(f"the mention {shorten(' '.join(words))} needs the tag {shorten(min(lacking))}")
            types[tuple(words)] = kind
        return cls(types, tags)

    def plain(self) -> list[list[str]]:
        """What JSON takes of it: type and words of each mention, in the order of the words."""
        return [[self.types[mention], *mention] for mention in sorted(self.types)]

    @cached_property
    def longest(self) -> dict[str, int]:
        """First word -> words of the longest mention that begins with it."""
        found: dict[str, int] = {}
        for mention in self.types:
            found[mention[0]] = max(found.get(mention[0], 0), len(mention))
        return found

    def tag(self, words: Sequence[str]) -> tuple[np.ndarray, None]:
        """The tag of each word of a sentence, int64 [words]; it knows no probabilities."""
        ids = np.full(len(words), self.tags.outside)
        place = 0
        while place < len(words):
            longest = min(self.longest.get(words[place], 0), len(words) - place)
            size = next((n for n in range(longest, 0, -1) if tuple(words[place : place + n]) in self.types), 0)
            if size:
                begin = self.tags.ids[f"B-{self.types[tuple(words[place : place + size])]}"]
                ids[place] = begin
                ids[place + 1 : place + size] = self.tags.inside[begin]
            place += size or 1
        return ids, None
