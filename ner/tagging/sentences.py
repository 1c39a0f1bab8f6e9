"""Where the sentences of a text begin. Taggers are trained on sentences, and read many at once much worse.

Careful on purpose: a sentence that is missed costs context, one that is invented may cut an entity. So `St. Gallen`,
`J. S. Bach`, `am 1. Mai` and `Ludwig XIV. von Frankreich` stay together.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

CLOSING = re.compile(r"[\"'»”’“)\]]+")  # noqa: RUF001
END = re.compile(rf"[.!?…。！？؟۔।]+({CLOSING.pattern})?")  # noqa: RUF001
SURE_END = re.compile(r"[!?…。！？؟۔।]")  # noqa: RUF001
BLANK_LINE = re.compile(r"\n\s*\n")
ORDINAL_OR_INITIAL = re.compile(r"\d+|[IVXLC]+|\w|.*\..*")


def sentence_starts(text: str, words: Sequence[tuple[int, int]]) -> list[int]:
    """The words that begin a sentence, 0 among them; none of a text without words.

    words: first character and the one behind the last of each, marks by themselves (`split_edges`). A sentence ends at
    a blank line; and at . ! ? and the like where white space and no lower case letter follow, unless the word before a
    full stop is a number, an initial, or may be an abbreviation of a name (short, and capitalised).
    """
    starts = [0] if words else []
    last = 0  # the last word that is more than closing marks
    for i, (before, word) in enumerate(pairwise(words), start=1):
        gap = text[before[1] : word[0]]
        if BLANK_LINE.search(gap):
            starts.append(i)
        elif CLOSING.fullmatch(text, *word) and (not gap or text[word[1] : word[1] + 1].isspace()):
            continue
        elif END.fullmatch(text, *words[last]) and not text[word[0]].islower():
            mark = text[slice(*words[last])]
            is_behind = last and words[last - 1][1] == words[last][0]
            can_end = SURE_END.match(mark) or not may_go_on(text[slice(*words[last - 1])] if is_behind else "")
            if can_end and (gap or not mark.isascii()):  # Chinese and Japanese leave no white space
                starts.append(i)
        last = i
    return starts


def may_go_on(word: str) -> bool:
    """Whether a full stop behind this word may be part of it."""
    return bool(ORDINAL_OR_INITIAL.fullmatch(word)) or (len(word) <= 3 and word[:1].isupper())
