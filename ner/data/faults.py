"""What is wrong with data: where it stands and why; many of them in one report."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SHOWN = 20
# What a terminal obeys instead of showing it: control characters but for tab and line feed, marks that turn the
# direction of writing, and halves of surrogate pairs, which it can not show.
OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class InputError(ValueError):
    """What a user gave can not be used: options, files, data, names. Its message says what, where, and the remedy.

    The command line shows the message alone and ends with status 2; any other exception is a bug, with its traceback.
    """


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    place: the file, or the split of a Hub dataset; row: its line (files of text) or row (Parquet and Hub, from 0),
    None where the whole place is at fault; value: the row, as far as it could be read.
    """

    place: str
    reason: str
    row: int | None = None
    value: Any = None

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}" if self.row is None else f"{self.place}:{self.row}: {self.reason}"


def report(
    files: Iterable[Fault], rows: Iterable[Fault], num_rows: int, remedy: str = "fix the row, or pass --on-bad-row skip"
) -> str:
    """The first of them a line each, files before rows, and how many more there are; then what helps.

    rows: read only as far as they are shown; num_rows: how many there are; remedy: for rows.
    """
    shown = [str(fault) for fault in files]
    total = len(shown) + num_rows
    shown = shown[:SHOWN]
    remedy = remedy if num_rows else ""
    for fault in rows:
        if len(shown) == SHOWN:
            break
        shown.append(str(fault))
    if total == 1:
        return "; ".join(filter(None, [shown[0], remedy]))
    more = [f"  and {total - len(shown):,} more"] if total > len(shown) else []
    last = [remedy.replace("the row", "the rows")] if remedy else []
    return "\n".join([f"{total:,} faults in the data", *(f"  {line}" for line in shown), *more, *last])


def write(file: Path, faults: Iterable[Fault]) -> None:
    """Writes faults as JSON Lines: place, reason, row, value."""
    with file.open("w", encoding="utf-8", errors="backslashreplace") as lines:
        lines.writelines(map(to_json, faults))


def to_json(fault: Fault) -> str:
    """A line of JSON. It may hold halves of surrogate pairs: write it with errors="backslashreplace"."""
    return json.dumps(vars(fault), ensure_ascii=False, default=str) + "\n"


def read(file: Path) -> Iterator[Fault]:
    """Faults of a file that `write` wrote."""
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            yield Fault(**json.loads(line))


def shorten(text: object, at_most: int = 60) -> str:
    """A value as it is shown in a message: its repr, cut."""
    whole = repr(text)
    return whole if len(whole) <= at_most else f"{whole[: at_most - 4]} ..."


def listed(names: Iterable[str], at_most: int = 12) -> str:
    """Names in one line; long lists are cut and counted."""
    names = list(map(printable, names))
    return ", ".join(names[:at_most]) + (f" and {len(names) - at_most} more" if len(names) > at_most else "")


def one_line(error: BaseException) -> str:
    """The message of a library's error without line breaks and what else does not print."""
    return printable(" ".join(str(error).split()))


def printable(text: str) -> str:
    """The text with control characters and the like as escapes."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def harmless(text: str) -> str:
    """The text with what a terminal would obey as escapes; lines stay lines."""
    return OBEYED.sub(lambda match: ascii(match[0])[1:-1], text)
