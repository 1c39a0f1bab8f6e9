"""A sentence a row: CSV and TSV files with a header, and columns of words and tags with blanks between them.

Quotes are those of Python's csv: around a field that holds a comma, a line break or a quote, and doubled within.
"""

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ner.data.arrow_store import TAGS, WORDS, Row
from ner.data.faults import HOPELESS, Fault
from ner.data.limits import LONGEST_LINE, MOST_VALUES
from ner.errors import InputError, listed, shorten

SEPARATORS = {".csv": ",", ".tsv": "\t"}
MOST_SHOWN = 50  # columns in a message
GAP = re.compile("[ \t\r\n]+")


def is_sentence_table(first_line: str, columns: dict[str, str]) -> bool:
    """Whether the file that begins with this line is a .tsv of this form, and not one of a word a line."""
    try:
        header = next(csv.reader([first_line], delimiter=SEPARATORS[".tsv"]), [])
    except csv.Error:
        return False
    return {columns.get("word", WORDS), columns.get("tag", TAGS)} <= {name.strip() for name in header}


def read_sentence_table(file: Path, suffix: str, text: Iterable[str], columns: dict[str, str]) -> Iterator[Row | Fault]:
    """Rows of a table; the number of a row is that of its first line.

    Raises InputError for a file without these columns, where quotes do not end, and for a row that is too long.
    """
    separator = SEPARATORS[suffix]
    rows = records(text, separator)
    header = [name.strip() for name in next(rows, (1, [""]))[1]]
    word, tag = (place(header, columns.get(key, usual)) for key, usual in (("word", WORDS), ("tag", TAGS)))
    num_good = num_bad = 0
    for number, fields in rows:
        reason = wrong_width(fields, len(header), separator) or written_list(fields[tag])
        if not reason:
            num_good += 1
            yield Row(number, parts_of(fields[word]), parts_of(fields[tag]))
            continue
        num_bad += 1
        if num_bad == HOPELESS and not num_good:
            raise InputError(f"none of its first {HOPELESS} rows can be read; line {number}: {reason}")
        yield Fault(str(file), reason, number, fields)


def parts_of(field: str) -> list[str]:
    """The words, or tags, of a field."""
    return [part for part in GAP.split(field) if part]


def records(text: Iterable[str], separator: str) -> Iterator[tuple[int, list[str]]]:
    """(number of its first line, fields) of each record that is no blank line. Raises InputError as above."""
    number, blank, size, num_fields = 1, 0, 0, 0

    def counted() -> Iterator[str]:
        nonlocal size, num_fields
        for line in text:
            size, num_fields = size + len(line), num_fields + line.count(separator)
            if size > LONGEST_LINE or num_fields > MOST_VALUES:
                raise InputError(
                    f"line {number}: a row of more than {LONGEST_LINE:,} characters, or {MOST_VALUES:,} columns; a "
                    "quote may not be closed"
                )
            yield line

    reader = csv.reader(counted(), delimiter=separator, skipinitialspace=True, strict=True)
    try:
        for fields in reader:
            is_blank = not any(field.strip() for field in fields)
            if not is_blank and blank:
                raise InputError(
                    f"line {blank}: a blank line between rows; its header says a sentence a row: take that line away "
                    "if it has a word a line"
                )
            if not is_blank:
                yield number, fields
            elif separator != ",":  # blank lines in CSV are Excel's, or those of a program that wrote \r\r\n
                blank = number
            number, size, num_fields = reader.line_num + 1, 0, 0
    except csv.Error as error:
        raise InputError(
            f"line {number}: {error}; a field with quotes, separators or line breaks stands in double quotes, and "
            "quotes in it are doubled"
        ) from error


def place(header: list[str], name: str) -> int:
    """The place of a column. Raises InputError for one that is not there once."""
    if header.count(name) == 1:
        return header.index(name)
    if name in header:
        raise InputError(f"its header has the column {name} {header.count(name)} times")
    hint = "; separate its columns by commas" if len(header) == 1 and {";", "\t"} & set(header[0]) else ""
    there = listed(map(shorten, header[:MOST_SHOWN]))
    raise InputError(
        f"no column {name} in its header (the first line), which has {there}; name the columns: `columns` "
        f"word=NAME,tag=NAME{hint}"
    )


def wrong_width(fields: list[str], width: int, separator: str) -> str:
    """What is wrong with a record, empty if nothing is. width: columns of the header."""
    if len(fields) != width:
        found = "column" if len(fields) == 1 else "columns"
        hint = "; a field that holds a comma needs quotes" if len(fields) > width and separator == "," else ""
        return f"{len(fields)} {found}, not {width}: {shorten(separator.join(fields))}{hint}"
    return ""


def written_list(cell: str) -> str:
    """What is wrong with a field that holds a list as Python writes it (pandas does); empty if it holds none."""
    return f"{shorten(cell)} is a list as Python writes it; join it with blanks" if cell.startswith("['") else ""
