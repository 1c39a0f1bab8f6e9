"""Rows in the order they are made, in a file that a killed program goes on with: a line each, whole or not there."""

import json
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ner.errors import InputError, shorten
from ner.tagging.files import to_json


@dataclass(frozen=True)
class Journal:
    """A file of rows, each with a check sum of what it was made of. Its first line says what made them."""

    file: Path

    def open(self, made_by: dict[str, Any], again: bool) -> int:
        """Begins the file, or cuts off what a killed program left of a row. Returns how many whole rows there are.

        made_by: what rows depend on. again: begins it anew. Raises InputError if something else made the rows, or a
        line is damaged.
        """
        if again or not self.file.exists():
            self.file.write_text(to_json(made_by), encoding="utf-8")
            return 0
        size = num_rows = 0
        with self.file.open("rb") as lines:
            for number, line in enumerate(lines):
                if not line.endswith(b"\n"):
                    break
                if number == 0:
                    self.check(line, made_by)
                elif not is_row(line):
                    raise InputError(
                        f"{self.file}:{number + 1}: damaged, {shorten(line)}; `overwrite` tags all rows again"
                    )
                size += len(line)
                num_rows = number
        with self.file.open("r+b") as whole:
            whole.truncate(size)
        if size == 0:
            return self.open(made_by, again=True)
        return num_rows

    def go_on(self, made_by: dict[str, Any], overwrite: bool) -> int:
        """As `open`, but for rows of something else and damaged lines: with overwrite, the file is begun anew."""
        try:
            return self.open(made_by, again=False)
        except InputError:
            if not overwrite:
                raise
            return self.open(made_by, again=True)

    def cut(self, num_rows: int) -> None:
        """Keeps so many rows, and no more."""
        with self.file.open("r+b") as lines:
            for _ in range(1 + num_rows):
                lines.readline()
            lines.truncate()

    def header(self) -> dict[str, Any] | None:
        """What the first line says that made the rows. None where there is no such line."""
        try:
            with self.file.open("rb") as lines:
                return as_object(next(lines, b""))
        except FileNotFoundError:  # it is finished just now
            return None

    def check(self, line: bytes, made_by: dict[str, Any]) -> None:
        """Raises InputError if the file's first line says that something else made the rows."""
        header = as_object(line)
        if header is None:
            raise InputError(f"{self.file}: not a file of unfinished rows; `overwrite` begins it again")
        if other := differing(made_by, header):
            raise InputError(f"{self.file}: begun with another {other}; `overwrite` begins it again")

    def append(self, rows: Iterable[tuple[int, str]]) -> None:
        """Adds rows: the check sum of what each was made of, and its line of JSON."""
        with self.file.open("a", encoding="utf-8", errors="backslashreplace") as lines:
            lines.writelines(f"{check:08x} {line}" for check, line in rows)

    def checks(self) -> Iterator[int]:
        """The check sums of the rows."""
        for line in self.lines():
            yield int(line[:8], 16)

    def rows(self) -> Iterator[dict[str, Any]]:
        """The rows."""
        for line in self.lines():
            yield json.loads(line[9:])

    def lines(self) -> Iterator[str]:
        """The lines behind the first."""
        with self.file.open(encoding="utf-8") as lines:
            next(lines)
            yield from lines


def differing(made_by: dict[str, Any], found: dict[str, Any]) -> str:
    """What is not as found, to be said behind `another`; empty if nothing is."""
    names = [name for name in made_by if made_by[name] != found.get(name)]
    # The hash of a tagger stands for both.
    return ", another ".join("model, or other options" if name == "model" else name for name in names)


def is_row(line: bytes) -> bool:
    """Whether a line is a check sum and a row, as they were written."""
    return re.match(rb"[0-9a-f]{8} ", line) is not None and as_object(line[9:]) is not None


def as_object(line: bytes) -> dict[str, Any] | None:
    """The object of JSON in a line, None without one."""
    try:
        content = json.loads(line.decode())  # bytes would be taken for UTF-16 where some of them are zero
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def check_sum(row: dict[str, Any]) -> int:
    """Of a row of the input, with all that goes along: 32 bits."""
    return zlib.crc32(repr(row).encode(errors="backslashreplace"))
