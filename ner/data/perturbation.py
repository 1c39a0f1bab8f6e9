"""Sentences changed on purpose, and their tags with them: other mentions, another case, an aside in brackets.

Pure functions: words and IOB2 tags -> words and tags, new lists. Chance comes from `rng.random()` alone, which Python
promises to give the same numbers in every version. Where words are added, the others may be anything, such as their
positions: so one learns which are new.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

Word = TypeVar("Word")
Sentence = tuple[list[str], list[str]]  # words and tags, as many of one as of the other
Mention = Sequence[str]  # the words of an entity


def spans(tags: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """(start, end, type) of each entity, and of each word outside, whose type is "", from left to right.

    tags: IOB2. As conlleval has it, an I- that continues nothing begins an entity.
    """
    start = 0
    while start < len(tags):
        type_ = tags[start][2:]
        end = start + 1
        while type_ and end < len(tags) and tags[end] == f"I-{type_}":
            end += 1
        yield start, end, type_
        start = end


def replace_mentions(
    words: Sequence[Word], tags: Sequence[str], rng: random.Random, pool: Mapping[str, Sequence[Mention]]
) -> tuple[list[Word | str], list[str]]:
    """Each entity becomes one that is drawn from those of its type; one whose type the pool lacks stays.

    Mention replacement: Dai and Adel, An Analysis of Simple Data Augmentation for Named Entity Recognition, COLING 2020
    (arXiv 2010.11683). What is drawn may be the mention that stood there.

    pool: type -> mentions to draw from, none of them empty.
    """
    new_words: list[Word | str] = []
    new_tags: list[str] = []
    for start, end, type_ in spans(tags):
        mention: Sequence[Word | str] = words[start:end]
        mentions = pool.get(type_)
        if type_ and mentions:
            mention = mentions[int(rng.random() * len(mentions))]
        new_words += mention
        new_tags += [tags[start], *[f"I-{type_}"] * (len(mention) - 1)]
    return new_words, new_tags


def lower_case(words: Sequence[str], tags: Sequence[str]) -> Sentence:
    """Every word in lower case, by rules of Unicode that know no language: I becomes i in Turkish, too."""
    return [word.lower() for word in words], list(tags)


def upper_case(words: Sequence[str], tags: Sequence[str]) -> Sentence:
    """Every word in upper case, as `lower_case`. A word may get longer: ß is SS."""
    return [word.upper() for word in words], list(tags)


def add_aside(
    words: Sequence[Word], tags: Sequence[str], rng: random.Random, outside: Sequence[str]
) -> tuple[list[Word | str], list[str]]:
    """An aside in brackets, outside of every entity: `Anna Keller ( 1987 ) wohnt in Bern`.

    It stands behind an entity 7 times of 10 where there is one, else behind any word outside. Of 10 asides 3 are a
    number (1 to 99, or a year), the others up to 4 neighbours among the words `outside`, if there are any.
    """
    ends = [(end, bool(type_)) for _, end, type_ in spans(tags)]
    behind_entities = [end for end, is_entity in ends if is_entity]
    places = behind_entities if behind_entities and rng.random() < 0.7 else [end for end, _ in ends]
    place = places[int(rng.random() * len(places))]
    if outside and rng.random() >= 0.3:
        start, length = int(rng.random() * len(outside)), 1 + int(rng.random() * 4)
        aside = list(outside[start : start + length])
    else:
        aside = [str(1 + int(rng.random() * 99) if rng.random() < 0.5 else 1850 + int(rng.random() * 170))]
    added = ["(", *aside, ")"]
    return [*words[:place], *added, *words[place:]], [*tags[:place], *["O"] * len(added), *tags[place:]]
