"""Sentences changed on purpose: whatever is changed, words and tags still belong together."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ner.data.perturbation import add_aside, lower_case, replace_mentions, upper_case
from ner.tags import TagSet, entities

TYPES = ("LOC", "PER")
TAGS = TagSet.collect(f"B-{type_}" for type_ in TYPES)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6).filter(lambda word: word.strip())
SEEDS = st.integers(0, 2**31 - 1)
POOLS = st.dictionaries(
    st.sampled_from(TYPES), st.lists(st.lists(WORDS, min_size=1, max_size=4), min_size=1, max_size=4)
)


@st.composite
def sentences(draw: Any) -> tuple[list[str], list[str]]:
    """Words, and legal IOB2 tags of entities that may stand side by side."""
    words, tags = [], []
    for type_ in draw(st.lists(st.sampled_from(["O", *TYPES]), min_size=1, max_size=6)):
        size = 1 if type_ == "O" else draw(st.integers(1, 3))
        words += draw(st.lists(WORDS, min_size=size, max_size=size))
        tags += ["O"] if type_ == "O" else [f"B-{type_}", *[f"I-{type_}"] * (size - 1)]
    return words, tags


def entities_of(tags: Sequence[str], scoring: Any = "strict") -> list[tuple[int, int, str]]:
    ids = np.array([TAGS.ids[tag] for tag in tags])
    found = zip(*entities(ids, np.arange(len(ids)) == 0, TAGS, scoring), strict=True)
    return [(int(start), int(end), TAGS.types[type_]) for start, end, type_ in found]


@given(sentences(), POOLS, SEEDS)
def test_other_mentions_keep_number_types_and_order_of_the_entities(sentence, pool, seed):
    words, tags = replace_mentions(sentence[0], sentence[1], random.Random(seed), pool)
    assert len(words) == len(tags)
    assert entities_of(tags) == entities_of(tags, "default")  # a legal sequence: nothing begins with I-
    before, after = entities_of(sentence[1]), entities_of(tags)
    assert [type_ for _, _, type_ in after] == [type_ for _, _, type_ in before]
    for (start, end, type_), (new_start, new_end, _) in zip(before, after, strict=True):
        mention = words[new_start:new_end]
        assert mention in pool[type_] if type_ in pool else mention == sentence[0][start:end]
    outside = [[word for word, tag in zip(*pair, strict=True) if tag == "O"] for pair in (sentence, (words, tags))]
    assert outside[0] == outside[1]


@given(sentences(), POOLS, SEEDS)
def test_the_same_seed_changes_the_same(sentence, pool, seed):
    words, tags = list(sentence[0]), list(sentence[1])
    first, again = (replace_mentions(words, tags, random.Random(seed), pool) for _ in range(2))
    assert first == again
    assert (words, tags) == sentence  # what was given is as it was


@given(sentences())
def test_another_case_keeps_words_and_tags_in_their_places(sentence):
    words, tags = sentence
    lower, upper = lower_case(words, tags), upper_case(words, tags)
    assert lower == ([word.lower() for word in words], tags)
    assert upper == ([word.upper() for word in words], tags)
    assert all(word.strip() for word in (*lower[0], *upper[0]))


def test_letters_whose_case_changes_their_number():
    assert upper_case(["Groß", "ﬁn"], ["O", "O"])[0] == ["GROSS", "FIN"]
    assert lower_case(["İstanbul", "ΟΔΟΣ"], ["B-LOC", "O"]) == (["i̇stanbul", "οδος"], ["B-LOC", "O"])


def test_a_sentence_of_a_corpus_that_is_not_repaired():
    """An I- that continues nothing begins an entity, as conlleval reads it, and still does."""
    pool = {"LOC": [["New", "York"]]}
    words, tags = replace_mentions(["Bern", "x", "Genf"], ["I-LOC", "O", "B-LOC"], random.Random(0), pool)
    assert words == ["New", "York", "x", "New", "York"]
    assert tags == ["I-LOC", "I-LOC", "O", "B-LOC", "I-LOC"]


@given(sentences(), st.lists(WORDS, max_size=5), SEEDS)
def test_an_aside_stands_outside_of_entities(sentence, outside, seed):
    words, tags = add_aside(sentence[0], sentence[1], random.Random(seed), outside)
    assert add_aside(sentence[0], sentence[1], random.Random(seed), outside) == (words, tags)
    size = len(words) - len(sentence[0])
    assert len(tags) == len(words)
    assert 3 <= size <= 6
    places = [i for i in range(len(words)) if [*words[:i], *words[i + size :]] == sentence[0] and words[i] == "("]
    place = next(i for i in places if words[i + size - 1] == ")" and set(tags[i : i + size]) == {"O"})
    aside = words[place + 1 : place + size - 1]
    assert aside[0].isdecimal() or " ".join(aside) in " ".join(outside)

    def mentions(words: Sequence[str], tags: Sequence[str]) -> list[tuple[str, list[str]]]:
        return [(type_, list(words[start:end])) for start, end, type_ in entities_of(tags)]

    assert mentions(words, tags) == mentions(*sentence)
