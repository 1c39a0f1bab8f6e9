"""A JSON list -> the text of each element: what annotation tools export as a whole, in a single line or in many."""

import re
from collections.abc import Iterator

from ner.data.limits import LONGEST_LINE
from ner.errors import InputError

MARKS = re.compile(r'[][{},"]')
MARKS_IN_STRING = re.compile(r'["\\]')


def elements(chunks: Iterator[str]) -> Iterator[str]:
    """The elements of a list as they are written, one after the other: no more than one of them is held.

    chunks: the text in pieces, cut anywhere; it begins with the bracket. Elements may be broken by themselves: only
    brackets, commas and strings are looked at.

    Raises InputError for an element of LONGEST_LINE characters or more, an empty one, and a list that does not end,
    or ends before the text does.
    """
    pieces: list[str] = []
    size = depth = skip = number = 0
    in_string = False
    for chunk in chunks:
        start, place = 0, skip
        while match := (MARKS_IN_STRING if in_string else MARKS).search(chunk, place):
            mark, place = match[0], match.end()
            if mark == "\\":
                place += 1  # the next character, if only in the next chunk, is one of the string
            elif mark == '"':
                in_string = not in_string
            elif mark in "[{":
                start = place if depth == 0 else start
                depth += 1
            elif mark in "]}":
                depth -= 1
                if depth == 0 and mark == "}":
                    raise InputError(f"the JSON list has a }} behind element {number + 1} that closes nothing")
            if not in_string and (depth == 0 or (depth == 1 and mark == ",")):
                element = "".join([*pieces, chunk[start : match.start()]])
                pieces, size, start = [], 0, place
                is_last = depth == 0
                if element.strip():
                    number += 1
                    yield element
                elif number or not is_last:
                    raise InputError(f"an empty element behind element {number} of the JSON list")
                if is_last:
                    check_end(chunk[place:])
                    for more in chunks:
                        check_end(more)
                    return
        skip = max(0, place - len(chunk))
        pieces.append(chunk[start:])
        size += len(chunk) - start
        if size >= LONGEST_LINE:
            raise InputError(f"element {number + 1} of the JSON list is longer than {LONGEST_LINE:,} characters")
    raise InputError(f"the JSON list breaks off in element {number + 1}")


def check_end(rest: str) -> None:
    """Raises InputError if there is more than white space."""
    if rest.strip():
        raise InputError("something stands behind the JSON list; JSON Lines need a name that ends in .jsonl")
