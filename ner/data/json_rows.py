"""Rows of JSON: words and tags (names or ids), or annotated text as in `ner.data.annotated_text`."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ner.data import annotated_text
from ner.data.arrow_store import TAGS, WORDS, Row
from ner.data.faults import HOPELESS, Fault, Undecided
from ner.data.limits import MOST_VALUES
from ner.errors import InputError, listed, shorten


def parse_json(line: str) -> Any:
    """What a line of JSON says. Raises ValueError and RecursionError; InputError, which is one, if it says too much."""
    num_values = sum(map(line.count, "[{,"))
    if num_values > MOST_VALUES:
        raise InputError(f"{num_values:,} brackets and commas, where {MOST_VALUES:,} are the most of a line")
    return json.loads(line)


def read_json_lines(file: Path, text: Iterable[str], columns: dict[str, str]) -> Iterator[Row | Fault]:
    """Rows of JSON Lines, or of the elements of a JSON list, and an `Undecided` for what nobody has accepted."""
    names = columns.get("word", WORDS), columns.get("tag", TAGS)
    num_good = num_bad = 0
    for number, line in enumerate(text, start=1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
            if reason := why_undecided(row, names[1]):
                num_good += 1
                yield Undecided(str(file), reason, number, row)
                continue
            words, tags = json_row(row, *names)
        except (ValueError, RecursionError) as error:
            if not num_good and not num_bad and line.lstrip().startswith("["):
                raise InputError("a JSON array, not JSON Lines; its name should end in .json") from error
            num_bad += 1
            if num_bad == HOPELESS and not num_good:
                raise InputError(f"none of its first {HOPELESS} lines is a row: {reason_of(error)}") from error
            yield Fault(str(file), reason_of(error), number, line.rstrip("\n"))
            continue
        num_good += 1
        yield Row(number, words, tags)


def why_undecided(row: Any, tag_column: str) -> str:
    """Why nobody has accepted a row of annotated text; empty for one that somebody has, and for words with tags."""
    return annotated_text.why_undecided(row) if isinstance(row, dict) and tag_column not in row else ""


def reason_of(error: Exception) -> str:
    """What is wrong with a line of JSON."""
    if isinstance(error, json.JSONDecodeError):
        if not error.doc[error.pos :].strip():
            return f"not JSON: the line breaks off at character {error.pos}"
        return f"not JSON: {error.msg} at character {error.pos + 1}, {shorten(error.doc[error.pos :].strip(), 40)}"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def json_row(row: Any, word_column: str, tag_column: str) -> tuple[list[str], list[Any]]:
    """Words and tags of a JSON object. Raises InputError for one that has none, or of another type."""
    if not isinstance(row, dict):
        raise InputError(f"{shorten(row)}, not a JSON object")
    if tag_column not in row and annotated_text.is_spans(row):
        return annotated_text.tagged_words(row)
    for column in (word_column, tag_column):
        if column not in row:
            raise InputError(f"no column {column}; the row has {listed(row)}")
        if not isinstance(row[column], list):
            raise InputError(f"{column} is {shorten(row[column])}, not a list")
    words, tags = row[word_column], row[tag_column]
    for position, word in enumerate(words, start=1):
        if not isinstance(word, str):
            raise InputError(f"token {position} is {shorten(word)}, not a word")
    are_names = bool(tags) and isinstance(tags[0], str)
    for position, tag in enumerate(tags, start=1):
        if type(tag) is not (str if are_names else int):
            raise InputError(f"tag {position} is {shorten(tag)}, not {'a name' if are_names else 'an id'}")
        if isinstance(tag, int) and not 0 <= tag < 2**31:
            raise InputError(f"tag {position} is {tag}, out of the range of ids")
    return words, tags
