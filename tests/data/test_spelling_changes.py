"""Sentences written in another way: what changes, and that words, tags and origins always belong together."""

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ner.data.mention_changes import alone, exchanged, frequent_context, nonsense_names, nonsense_word, other_names
from ner.data.spelling_changes import (
    Changed,
    as_it_is,
    capitalized,
    glued,
    lower_entities,
    mistyped,
    no_full_stop,
    other_apostrophes,
    other_quotes,
    spelled,
    swiss,
    typo,
    without_accents,
    without_umlauts,
)
from tests.data.test_perturbation import SEEDS, TYPES, WORDS, entities_of

MARKS = st.sampled_from([".", ",", "(", ")", "„", "!", "''", '"', "«", "..."])


@st.composite
def sentences(draw: Any) -> tuple[list[str], list[str]]:
    """Words, many of them marks, and legal IOB2 tags; a mark may begin an entity, or be all of it."""
    words, tags = [], []
    for type_ in draw(st.lists(st.sampled_from(["O", *TYPES]), min_size=1, max_size=6)):
        size = 1 if type_ == "O" else draw(st.integers(1, 3))
        words += draw(st.lists(st.one_of(WORDS, MARKS), min_size=size, max_size=size))
        tags += ["O"] if type_ == "O" else [f"B-{type_}", *[f"I-{type_}"] * (size - 1)]
    return words, tags


POOL = {"LOC": [["New", "York"], ["Bern"]]}
CHANGES: dict[str, Callable[[Sequence[str], Sequence[str], random.Random], Changed]] = {
    "lower": lambda words, tags, _: spelled(words, tags, str.lower),
    "accents": lambda words, tags, _: spelled(words, tags, without_accents),
    "lower-entities": lambda words, tags, _: lower_entities(words, tags),
    "quotes": lambda words, tags, _: other_quotes(words, tags),
    "no-full-stop": lambda words, tags, _: no_full_stop(words, tags),
    "glued": lambda words, tags, _: glued(words, tags),
    "typos-inside": partial(typo, inside=True),
    "typos-outside": partial(typo, inside=False),
    "names": lambda words, tags, rng: other_names(words, tags, rng, POOL),
    "nonsense": nonsense_names,
    "context": lambda words, tags, rng: frequent_context(words, tags, rng, ["der", "und"]),
}


@pytest.mark.parametrize("name", CHANGES)
@given(sentence=sentences(), seed=SEEDS)
def test_tags_stay_legal_and_words_keep_their_order(name, sentence, seed):
    words, tags = list(sentence[0]), list(sentence[1])
    changed = CHANGES[name](words, tags, random.Random(seed))
    assert (words, tags) == sentence  # what was given is as it was
    assert changed == CHANGES[name](words, tags, random.Random(seed))
    assert 0 < len(changed.words) == len(changed.tags) == len(changed.origins)
    assert changed.origins == sorted(changed.origins)
    assert set(changed.origins) <= set(range(len(words)))
    assert all(word.strip() for word in changed.words)
    assert entities_of(changed.tags) == entities_of(changed.tags, "default")  # nothing begins with I-
    assert [type_ for *_, type_ in entities_of(changed.tags)] == [type_ for *_, type_ in entities_of(tags)]


@given(sentences())
def test_glued_words_have_all_characters(sentence):
    """Whatever is glued, nothing is lost."""
    assert "".join(glued(*sentence).words) == "".join(sentence[0])


@given(sentences())
def test_each_entity_alone_has_its_words_and_tags(sentence):
    words, tags = sentence
    found = list(alone(words, tags))
    for changed in found:
        assert [words[i] for i in changed.origins] == changed.words
        assert [tags[i] for i in changed.origins] == changed.tags
    spans = [(start, end) for start, end, _ in entities_of(tags)]
    assert [(c.origins[0], c.origins[-1] + 1) for c in found] == (spans or [(0, len(words))])


def test_marks_are_glued_as_people_write_them():
    words = "Anna ( 1961 ) , genannt „ Anni “ , wohnt in Bern .".split()
    tags = ["B-PER", *["O"] * 11, "B-LOC", "O"]
    changed = glued(words, tags)
    assert changed.words == ["Anna", "(1961),", "genannt", "„Anni", "“,", "wohnt", "in", "Bern."]
    assert changed.tags == ["B-PER", "O", "O", "O", "O", "O", "O", "B-LOC"]
    assert changed.origins == [0, 2, 5, 7, 8, 10, 11, 12]


def test_marks_inside_of_an_entity_and_at_its_start():
    words = "Oise ( Oise ) ( Bern".split()
    tags = ["B-LOC", "I-LOC", "I-LOC", "I-LOC", "B-ORG", "I-ORG"]
    changed = glued(words, tags)
    assert changed.words == ["Oise", "(Oise)", "(", "Bern"]  # a mark that begins an entity stays by itself
    assert changed.tags == ["B-LOC", "I-LOC", "B-ORG", "I-ORG"]
    assert glued(["(", ")", "."], ["O"] * 3).words == ["(", ")."]


@pytest.mark.parametrize(
    ("spell", "before", "after"),
    [
        (capitalized, "straße l'an USA", "Straße L'an USA"),
        (swiss, "Straße GROẞ", "Strasse GROSS"),
        (without_umlauts, "Zürich Öl Bär", "Zuerich Oel Baer"),
        (without_accents, "Genève Zürich garçon Straße \u0301", "Geneve Zurich garcon Straße \u0301"),
        (other_apostrophes, "l'an d’or '' 'n", "l’an d'or '' 'n"),  # noqa: RUF001
    ],
)
def test_another_spelling(spell, before, after):
    words = before.split()
    assert spelled(words, ["O"] * len(words), spell).words == after.split()


def test_quotation_marks_open_and_close():
    before = "'' Bern '' und „Genf“ ; “ Zug ” « Chur »"
    after = '« Bern » und «Genf» ; « Zug » " Chur "'
    words = before.split()
    assert other_quotes(words, ["O"] * len(words)).words == after.split()
    assert other_quotes(["Bern", "''"], ["B-LOC", "O"]).words == ["Bern", "»"]  # none opens at the end
    assert other_quotes(["in", "''Bern"], ["O", "B-LOC"]).words == ["in", "«Bern"]


def test_only_a_full_stop_at_the_end_outside_of_entities_goes():
    assert no_full_stop(["Bern", "."], ["B-LOC", "O"]) == (["Bern"], ["B-LOC"], [0])
    for words, tags in ((["Bern", "."], ["B-ORG", "I-ORG"]), (["."], ["O"]), (["St.", "Gallen"], ["B-LOC", "I-LOC"])):
        assert no_full_stop(words, tags) == as_it_is(words, tags)


@given(st.text("abcdefgh", min_size=4, max_size=9), SEEDS)
def test_a_typing_error_leaves_the_first_letter(word, seed):
    wrong = mistyped(word, random.Random(seed))
    assert wrong != word
    assert wrong[0] == word[0]
    assert sorted(wrong) == sorted(word) or len(wrong) == len(word) - 1


def test_a_typing_error_is_where_it_should_be():
    words, tags = ["Anna", "Kel-ler", "wohnt", "in", "Bern"], ["B-PER", "I-PER", "O", "O", "B-LOC"]
    for seed in range(20):
        inside, outside = (typo(words, tags, random.Random(seed), inside=side) for side in (True, False))
        assert next(w for w, v in zip(inside.words, words, strict=True) if w != v)[:1] in "AB"
        assert [w != v for w, v in zip(outside.words, words, strict=True)] == [False, False, True, False, False]
    assert typo(["in", "Bern"], ["O", "B-LOC"], random.Random(0), inside=False).words == ["in", "Bern"]


def test_a_longer_and_a_shorter_name_come_from_the_whole_mention():
    words, tags = ["In", "Bad", "Ragaz", "und", "Bern"], ["O", "B-LOC", "I-LOC", "O", "B-LOC"]
    names = {("Bad", "Ragaz"): ["Zug"], ("Bern",): ["La", "Chaux", "de", "Fonds"]}
    changed = exchanged(words, tags, lambda _, mention: names[tuple(mention)])
    assert changed.words == ["In", "Zug", "und", "La", "Chaux", "de", "Fonds"]
    assert changed.tags == ["O", "B-LOC", "O", "B-LOC", "I-LOC", "I-LOC", "I-LOC"]
    assert changed.origins == [0, 1, 3, 4, 4, 4, 4]


def test_a_name_is_exchanged_for_another_one():
    """Never for itself, and not at all where the pool has none of its type."""
    words, tags = ["Bern", "Anna"], ["B-LOC", "B-PER"]
    for seed in range(10):
        assert other_names(words, tags, random.Random(seed), POOL).words == ["New", "York", "Anna"]


def test_nonsense_has_the_case_of_the_mention():
    words = ["Bern", "anna", "UNO", "X", "1999"]
    changed = nonsense_names(words, ["B-LOC", "B-PER", "B-ORG", "B-ORG", "O"], random.Random(1))
    assert [word.istitle() for word in changed.words[:2]] == [True, False]
    assert changed.words[2].isupper()
    assert changed.words[3].istitle()
    assert changed.words[4] == "1999"
    assert not set(changed.words[:4]) & set(words)
    found = [nonsense_word(random.Random(seed)) for seed in range(200)]
    assert all(4 <= len(word) <= 12 and word.isalpha() for word in found)
    assert len(set(found)) > 180


def test_the_context_is_exchanged_and_nothing_else():
    words, tags = ["Heute", "wohnt", "Anna", "in", "(", "1999", ")"], ["O", "O", "B-PER", "O", "O", "O", "O"]
    changed = frequent_context(words, tags, random.Random(0), ["und"])
    assert changed.words == ["Und", "und", "Anna", "und", "(", "1999", ")"]
    assert changed.tags == tags
    assert frequent_context(words, tags, random.Random(0), []).words == words
