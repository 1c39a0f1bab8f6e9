"""Sentences written in another way, which says the same: case, spelling, marks, typing errors.

Pure functions: words and IOB2 tags -> `Changed`, which says where each new word comes from. Legal tags stay legal.
Chance comes from `rng.random()` alone, which Python promises to give the same numbers in every version.
"""

import random
import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})
APOSTROPHE = re.compile(r"(?<=\w)['’]")  # noqa: RUF001
QUOTE = re.compile(r"''|``|[\"„“”«»]")
CLOSING = frozenset(". , ; : ! ? ) ] … ...".split())
OPENING = frozenset("( [ „".split())
SHORTEST_TYPO = 4  # letters: a shorter word may become another one


class Changed(NamedTuple):
    """A changed sentence. origins: where each word stood in the sentence before, -1 for a word that is new."""

    words: list[str]
    tags: list[str]
    origins: list[int]


def as_it_is(words: Sequence[str], tags: Sequence[str]) -> Changed:
    """No change."""
    return Changed(list(words), list(tags), list(range(len(words))))


def spelled(words: Sequence[str], tags: Sequence[str], spell: Callable[[str], str]) -> Changed:
    """Every word spelled in another way; one that would be blank stays."""
    return Changed([new if (new := spell(word)).strip() else word for word in words], *as_it_is(words, tags)[1:])


def capitalized(word: str) -> str:
    """The first character in upper case, the others as they are."""
    return word[:1].upper() + word[1:]


def lower_entities(words: Sequence[str], tags: Sequence[str]) -> Changed:
    """The words of entities in lower case."""
    new_words = [word.lower() if tag[2:] else word for word, tag in zip(words, tags, strict=True)]
    return Changed(new_words, *as_it_is(words, tags)[1:])


def swiss(word: str) -> str:
    """ß as ss, as it is written in Switzerland."""
    return word.replace("ß", "ss").replace("ẞ", "SS")


def without_umlauts(word: str) -> str:
    """ä, ö and ü as ae, oe and ue, as they are typed on a keyboard without them."""
    return word.translate(UMLAUTS)


def without_accents(word: str) -> str:
    """Letters without their accents, umlauts and cedillas."""
    parts = unicodedata.normalize("NFD", word)
    return unicodedata.normalize("NFC", "".join(c for c in parts if unicodedata.category(c) != "Mn"))


def other_apostrophes(word: str) -> str:
    """Apostrophes behind a letter: straight ones curly, and curly ones straight."""
    return APOSTROPHE.sub(lambda match: "’" if match[0] == "'" else "'", word)  # noqa: RUF001


def other_quotes(words: Sequence[str], tags: Sequence[str]) -> Changed:
    """«» as straight quotation marks; all others, also '' and ``, as «»: the first opens, the second closes.

    At the end of a sentence none opens: the first of the two may be missing.
    """
    count = 0
    last = len(words) - 1

    def other(place: int, match: re.Match[str]) -> str:
        nonlocal count
        if match[0] in "«»":
            return '"'
        count += 1
        is_at_end = 0 < place == last and match.end() == len(words[place])
        return "»" if count % 2 == 0 or is_at_end else "«"

    new_words = [QUOTE.sub(partial(other, place), word) for place, word in enumerate(words)]
    return Changed(new_words, *as_it_is(words, tags)[1:])


def no_full_stop(words: Sequence[str], tags: Sequence[str]) -> Changed:
    """Without the full stop at the end, where it is a word outside of entities, and not the only one."""
    has_one = len(words) > 1 and (words[-1], tags[-1]) == (".", "O")
    end = len(words) - has_one
    return as_it_is(words[:end], tags[:end])


def glued(words: Sequence[str], tags: Sequence[str]) -> Changed:
    """Marks as people write them: a closing one is part of the word before it, an opening one of the word behind it.

    The tag is that of the word. A mark that begins an entity stays by itself, as does one that would glue two.
    """
    changed = Changed([], [], [])
    opening = ""
    for place, (word, tag) in enumerate(zip(words, tags, strict=True)):
        begins = tag.startswith("B-")
        if word in CLOSING and not begins and not opening and changed.words and changed.words[-1] not in OPENING:
            changed.words[-1] += word
            continue
        next_word, next_tag = (words[place + 1], tags[place + 1]) if place + 1 < len(words) else ("", "")
        is_last = not next_word or next_word in OPENING | CLOSING
        if word in OPENING and not begins and not opening and not is_last and (tag == "O" or next_tag == tag):
            opening = word
            continue
        changed.words.append(opening + word)
        changed.tags.append(tag)
        changed.origins.append(place)
        opening = ""
    return changed


def typo(words: Sequence[str], tags: Sequence[str], rng: random.Random, *, inside: bool) -> Changed:
    """A typing error in a word of four letters or more: two neighbours swapped, or one left out; never the first.

    inside: in an entity, else outside; a sentence without such a word stays as it is.
    """
    places = [
        place
        for place, (word, tag) in enumerate(zip(words, tags, strict=True))
        if bool(tag[2:]) == inside and word.isalpha() and len(word) >= SHORTEST_TYPO
    ]
    changed = as_it_is(words, tags)
    if places:
        place = places[int(rng.random() * len(places))]
        changed.words[place] = mistyped(words[place], rng)
    return changed


def mistyped(word: str, rng: random.Random) -> str:
    """Two neighbouring letters swapped, or one left out, each as likely. word: of three letters or more."""
    swaps = [i for i in range(1, len(word) - 1) if word[i] != word[i + 1]]
    if swaps and rng.random() < 0.5:
        i = swaps[int(rng.random() * len(swaps))]
        return word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    i = 1 + int(rng.random() * (len(word) - 1))
    return word[:i] + word[i + 1 :]
