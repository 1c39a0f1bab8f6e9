"""Tables that read as text and as Markdown."""

import re
from collections.abc import Sequence
from typing import Any

from ner.data.faults import harmless

MEANT = re.compile(r"[\[\]`<>&]")  # what of a text Markdown takes for a link, an image, code or HTML


def one_line(text: str) -> str:
    """The text without what breaks a line, or a terminal obeys."""
    return harmless(text).replace("\n", "\\n").replace("\t", "\\t")


def cell(value: Any) -> str:
    """A cell of a table, which stays one: backslashes before a | are doubled, or it would not be escaped."""
    if isinstance(value, int):
        return f"{value:,}"
    return re.sub(r"(\\*)\|", r"\1\1\\|", one_line(str(value)))


def quoted(text: str) -> str:
    """Text of others in a page that is shown as Markdown: on one line, and with no links, images or HTML of its own."""
    return MEANT.sub(lambda match: f"&#{ord(match[0])};", one_line(text))


def table(header: Sequence[str], lines: Sequence[Sequence[Any]]) -> str:
    """A Markdown table, padded so that it reads as text too; numbers to the right."""
    head, *cells = [[cell(one) for one in line] for line in (header, *lines)]
    right = [all(isinstance(line[i], int) for line in lines) and bool(lines) for i in range(len(header))]
    widths = [max(3, *(len(line[i]) for line in (head, *cells))) for i in range(len(header))]

    def one(line: Sequence[str]) -> str:
        padded = (c.rjust(w) if r else c.ljust(w) for c, w, r in zip(line, widths, right, strict=True))
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "|".join("-" * (w + 1) + ":" if r else "-" * (w + 2) for w, r in zip(widths, right, strict=True)) + "|"
    return "\n".join([one(head), rule, *map(one, cells)])
