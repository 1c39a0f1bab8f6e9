"""What is wrong with data: where it stands and why; many of them in one report."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

Item = TypeVar("Item")
SHOWN = 20
HOPELESS = 10  # this many bad lines before the first good one: it is another kind of file


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


@dataclass(frozen=True)
class Undecided(Fault):
    """A row of an annotation tool that no person has accepted: left out and counted, and no fault of the data."""


def placed(items: Iterable[Item], place: str) -> Iterator[Item]:
    """What a reader yields, with the place of its faults: where the file that it reads comes from."""
    for item in items:
        yield replace(item, place=place) if isinstance(item, Fault) else item


def report(
    files: Iterable[Fault], rows: Iterable[Fault], num_rows: int, remedy: str = "fix the row, or pass `on_bad_row` skip"
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
