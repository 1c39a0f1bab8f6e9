"""Tables that read as text and as Markdown."""

from collections.abc import Sequence
from typing import Any


def table(header: Sequence[str], lines: Sequence[Sequence[Any]]) -> str:
    """A Markdown table, padded so that it reads as text too; numbers to the right."""
    cells = [
        [f"{cell:,}" if isinstance(cell, int) else str(cell).replace("|", "\\|") for cell in line] for line in lines
    ]
    right = [all(isinstance(line[i], int) for line in lines) and bool(lines) for i in range(len(header))]
    widths = [max(3, *(len(line[i]) for line in [list(header), *cells])) for i in range(len(header))]

    def one(line: Sequence[str]) -> str:
        padded = (c.rjust(w) if r else c.ljust(w) for c, w, r in zip(line, widths, right, strict=True))
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "|".join("-" * (w + 1) + ":" if r else "-" * (w + 2) for w, r in zip(widths, right, strict=True)) + "|"
    return "\n".join([one(header), rule, *map(one, cells)])
