"""Where the sentences of a text begin. Taggers are trained on sentences, and read many at once much worse.

Careful on purpose: a sentence that is missed costs context, one that is invented may cut an entity. So `St. Gallen`,
`J. S. Bach`, `am 1. Mai` and `Ludwig XIV. von Frankreich` stay together.
"""

import re
from collections.abc import Sequence

END = re.compile(r"[.!?…。！？؟۔।]+[\"'»«”’“)\]]*")  # noqa: RUF001
SURE_END = re.compile(r"[!?…。！？؟۔।]")  # noqa: RUF001
BLANK_LINE = re.compile(r"\n\s*\n")
ORDINAL_OR_INITIAL = re.compile(r"\d+|[IVXLC]+|\w|.*\..*")


def sentence_starts(text: str, words: Sequence[tuple[int, int]]) -> list[int]:
    """The words that begin a sentence, 0 among them; none of a text without words.

    words: first character and the one behind the last of each, marks by themselves (`ner.spans.split_edges`). A
    sentence ends at a blank line; and at . ! ? and the like where white space and no lower case letter follow, unless
    the word before a full stop is a number, an initial, or may be an abbreviation of a name (short, and capitalised).
    """
    starts = [0] if words else []
    for i in range(1, len(words)):
        (begin, end), (following, next_end) = words[i - 1], words[i]
        gap = text[end:following]
        if BLANK_LINE.search(gap):
            starts.append(i)
        elif END.fullmatch(text, begin, end) and not text[following:next_end][:1].islower():
            mark = text[begin:end]
            is_wide = not mark.isascii()  # Chinese and Japanese leave no white space
            before = text[slice(*words[i - 2])] if i > 1 and words[i - 2][1] == begin else ""
            if (gap or is_wide) and (SURE_END.match(mark) or not may_go_on(before)):
                starts.append(i)
    return starts


def may_go_on(word: str) -> bool:
    """Whether a full stop behind this word may be part of it."""
    return bool(ORDINAL_OR_INITIAL.fullmatch(word)) or (len(word) <= 3 and word[:1].isupper())
