"""What a CRF reads of a sentence: for each word the word itself, its affixes, its shape, and the same of its neighbours.

Which of these there are was chosen on PAN-X validation sentences (docs/baselines.md).
"""

from collections.abc import Sequence
from itertools import groupby

LONGEST_AFFIX = 4  # characters
EDGE = ""  # what stands where a neighbour is missing; no word is empty
# The first that holds names a character in a shape; what is none of these stands for itself.
CLASSES = (("X", str.isupper), ("x", str.islower), ("0", str.isdecimal), ("c", str.isalpha))


def shape(word: str) -> str:
    """Capitals as X, small letters as x, other letters as c, digits as 0: `Bern-2024` -> `Xxxx-0000`."""
    return "".join(next((name for name, holds in CLASSES if holds(letter)), letter) for letter in word)


def short(pattern: str) -> str:
    """A shape with each run of equal characters as one: `Xxxx-0000` -> `Xx-0`."""
    return "".join(letter for letter, _ in groupby(pattern))


def features(words: Sequence[str]) -> list[list[str]]:
    """The features of each word of a sentence: `name=value`, of those that hold."""
    lower = [word.lower() for word in words]
    long_shapes = [shape(word) for word in words]
    shapes = [short(pattern) for pattern in long_shapes]
    is_title = all(word[0].isupper() for word in words if word[0].isalpha())  # as names that stand alone are
    found = []
    for place, word in enumerate(lower):
        own = [
            "bias",
            f"word={word}",
            f"long shape={long_shapes[place]}",
            f"shape={shapes[place]}",
            f"title={is_title}",
        ]
        for size in range(1, min(LONGEST_AFFIX, len(word)) + 1):
            own += [f"prefix={word[:size]}", f"suffix={word[-size:]}"]
        for distance in (-2, -1, 1, 2):
            neighbour = place + distance
            if 0 <= neighbour < len(words):
                own += [f"{distance} word={lower[neighbour]}", f"{distance} shape={shapes[neighbour]}"]
            else:
                own.append(f"{distance} edge")
        before = shapes[place - 1] if place else EDGE
        after = shapes[place + 1] if place + 1 < len(words) else EDGE
        own += [f"shapes before={before} {shapes[place]}", f"shapes after={shapes[place]} {after}"]
        found.append(own)
    return found
