"""What a CRF reads of a sentence, for each word: the word, its affixes, its shape, and the same of its neighbours.

Which of these there are was chosen on PAN-X validation sentences (docs/baselines.md).
"""

from collections.abc import Sequence
from itertools import groupby

LONGEST_AFFIX = 4  # characters
AFFIX_OF_NEIGHBOUR = 3
# The first that holds names a character in a shape; what is none of these stands for itself.
CLASSES = (("X", str.isupper), ("x", str.islower), ("0", str.isdecimal), ("c", str.isalpha))


def shape(word: str) -> str:
    """Capitals as X, small letters as x, other letters as c, digits as 0, repeats once: `Bern-2024` -> `Xx-0`."""
    classes = (next((name for name, holds in CLASSES if holds(letter)), letter) for letter in word)
    return "".join(letter for letter, _ in groupby(classes))


def features(words: Sequence[str]) -> list[list[str]]:
    """The features of each word of a sentence: `name=value`, of those that hold."""
    lower = [word.lower() for word in words]
    shapes = ["", *map(shape, words), ""]  # "" beyond the ends: no word has it
    # PAN-X has many titles and list items: how a sentence begins and ends tells of each of its words.
    of_sentence = ["bias", f"first={lower[0]}", f"last={lower[-1]}"]
    found = []
    for place, word in enumerate(lower):
        before, center, after = shapes[place : place + 3]
        these = [*of_sentence, f"word={word}", f"shape={center}"]
        for size in range(1, min(LONGEST_AFFIX, len(word)) + 1):
            these += [f"prefix={word[:size]}", f"suffix={word[-size:]}"]
        for distance in (-2, -1, 1, 2):
            if not 0 <= place + distance < len(words):
                these.append(f"{distance} edge")
                continue
            other = lower[place + distance]
            these += [f"{distance} word={other}", f"{distance} shape={shapes[place + distance + 1]}"]
            if abs(distance) == 1:
                these.append(f"{distance} prefix={other[:AFFIX_OF_NEIGHBOUR]}")
                these.append(f"{distance} suffix={other[-AFFIX_OF_NEIGHBOUR:]}")
        these += [f"shapes={before} {center} *", f"shapes=* {center} {after}", f"shapes={before} {center} {after}"]
        found.append(these)
    return found
