"""Errors that name what is wrong and the remedy, and text that is safe to print in them."""

import re
from collections.abc import Iterable

# What a terminal obeys instead of showing it: control characters but for tab and line feed, marks that turn the
# direction of writing, and halves of surrogate pairs, which it cannot show.
OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class InputError(ValueError):
    """What a user gave cannot be used: options, files, data, names. Its message says what, where, and the remedy.

    The command line shows the message alone and ends with status 2; any other exception is a bug, with its traceback.
    """


def shorten(text: object, at_most: int = 60) -> str:
    """A value as it is shown in a message: its repr, cut."""
    whole = repr(text)
    return whole if len(whole) <= at_most else f"{whole[: at_most - 4]} ..."


def listed(names: Iterable[str], at_most: int = 12) -> str:
    """Names in one line; long lists are cut and counted."""
    names = list(map(printable, names))
    return ", ".join(names[:at_most]) + (f" and {len(names) - at_most} more" if len(names) > at_most else "")


def single_line(error: BaseException) -> str:
    """The message of a library's error without line breaks and what else does not print."""
    return printable(" ".join(str(error).split()))


def printable(text: str) -> str:
    """The text with control characters and the like as escapes."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def harmless(text: str) -> str:
    """The text with what a terminal would obey as escapes; lines stay lines."""
    return OBEYED.sub(lambda match: ascii(match[0])[1:-1], text)
