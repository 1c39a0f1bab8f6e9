"""Sentences whose mentions are exchanged, or whose context is: what a tagger goes by, form or context.

Pure functions, as of `ner.data.spelling_changes`.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence

from ner.data.perturbation import Mention, spans
from ner.data.spelling_changes import Changed, as_it_is, capitalized

ONSETS = "b d f g k l m n p r s t v z br dr gr kl kr pl pr st tr".split()
VOWELS = "a e i o u".split()
ENDS = ["", "", "l", "n", "r", "s", "t"]  # of a syllable: two of seven have none


def exchanged(
    words: Sequence[str], tags: Sequence[str], choose: Callable[[str, Sequence[str]], Mention | None]
) -> Changed:
    """Each entity becomes what is chosen by its type and its words; where that is None, it stays.

    The new words come from the old ones in their order; those that are more than the old ones, from the last of them.
    """
    changed = Changed([], [], [])
    for start, end, type_ in spans(tags):
        mention = (choose(type_, words[start:end]) if type_ else None) or words[start:end]
        changed.words.extend(mention)
        changed.tags.extend([tags[start], *[f"I-{type_}"] * (len(mention) - 1)])
        changed.origins.extend(min(start + i, end - 1) for i in range(len(mention)))
    return changed


def other_names(
    words: Sequence[str], tags: Sequence[str], rng: random.Random, pool: Mapping[str, Sequence[Mention]]
) -> Changed:
    """Each entity becomes another one of its type; it stays where there is none. pool: type -> different mentions."""

    def choose(type_: str, mention: Sequence[str]) -> Mention | None:
        mentions = pool.get(type_, ())
        if not mentions:
            return None
        number = int(rng.random() * len(mentions))
        return mentions[number] if list(mentions[number]) != list(mention) else mentions[(number + 1) % len(mentions)]

    return exchanged(words, tags, choose)


def nonsense_names(words: Sequence[str], tags: Sequence[str], rng: random.Random) -> Changed:
    """Each entity becomes a word that means nothing, in its case: lower, UPPER, or Capitalized."""

    def choose(_: str, mention: Sequence[str]) -> Mention:
        word, text = nonsense_word(rng), "".join(mention)
        if text.isupper() and len(text) > 1:
            return [word.upper()]
        return [word] if mention[0][:1].islower() else [capitalized(word)]

    return exchanged(words, tags, choose)


def nonsense_word(rng: random.Random) -> str:
    """Two or three syllables that can be pronounced, in lower case."""
    kinds = [ONSETS, VOWELS, ENDS] * (2 + int(rng.random() * 2))
    return "".join(kind[int(rng.random() * len(kind))] for kind in kinds)


def frequent_context(words: Sequence[str], tags: Sequence[str], rng: random.Random, frequent: Sequence[str]) -> Changed:
    """Each word of letters outside of entities becomes one of the frequent ones; the first word keeps its capital."""
    changed = as_it_is(words, tags)
    for place, (word, tag) in enumerate(zip(words, tags, strict=True)):
        if frequent and word.isalpha() and not tag[2:]:
            new = frequent[int(rng.random() * len(frequent))]
            changed.words[place] = capitalized(new) if place == 0 and word[0].isupper() else new
    return changed


def alone(words: Sequence[str], tags: Sequence[str]) -> Iterator[Changed]:
    """Each entity as a sentence; a sentence without any as it is."""
    entities = [(start, end) for start, end, type_ in spans(tags) if type_]
    for start, end in entities or [(0, len(words))]:
        yield Changed(list(words[start:end]), list(tags[start:end]), list(range(start, end)))
