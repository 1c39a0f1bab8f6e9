"""Sentences changed on purpose, and their tags with them: other mentions, another case.

Pure functions: words and IOB2 tags -> words and tags, new lists. Chance comes from `rng.random()` alone, which Python
promises to give the same numbers in every version.
"""

import random
from collections.abc import Iterator, Mapping, Sequence

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
    words: Sequence[str], tags: Sequence[str], rng: random.Random, pool: Mapping[str, Sequence[Mention]]
) -> Sentence:
    """Each entity becomes one that is drawn from those of its type; one whose type the pool lacks stays.

    Mention replacement: Dai and Adel, An Analysis of Simple Data Augmentation for Named Entity Recognition, COLING 2020
    (arXiv 2010.11683). What is drawn may be the mention that stood there.

    pool: type -> mentions to draw from, none of them empty.
    """
    new_words: list[str] = []
    new_tags: list[str] = []
    for start, end, type_ in spans(tags):
        mention, mentions = words[start:end], pool.get(type_)
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
