"""Texts in two languages that say the same, from a file of two columns: a pair a line, in sentences and words."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from datasets import Dataset

from ner.data import faults, readers
from ner.data.arrow_store import Row, not_unicode
from ner.data.discovery import LANGUAGE, stem_of
from ner.data.faults import Fault
from ner.data.sentence_tables import SEPARATORS, records
from ner.errors import InputError, shorten
from ner.inputs.inspection import untagged_rows

SEPARATOR_NAMES = {"\t": "a tab", ",": "a comma"}
NAMED = re.compile(r"(?:.*[._-])?([a-z]{2,3})-([a-z]{2,3})")
Split = Callable[[str], Iterable[list[str]]]  # a text -> its sentences, each as words


@dataclass(frozen=True)
class ParallelText:
    """Pairs of texts, the left one in one language, the right one in the other.

    file: its name; languages: of the left and the right side; lines: of the file, one for each pair; rows: the
    sentences of all sides, their tags all O; side: int64 [rows], never falls: twice the number of the pair (from 0) for
    a sentence on the left, and one more on the right.
    """

    file: str
    languages: tuple[str, str]
    lines: tuple[int, ...]
    rows: Dataset
    side: np.ndarray


def read_parallel(name: str, split: Split) -> ParallelText:
    """The pairs of a file. Raises InputError with all lines that are none.

    `.tsv` has a tab between the texts, and quotes are part of them; `.csv` has a comma, and quotes as of Python's csv;
    `.gz` may stand behind. The languages stand in its first line, two codes in small letters, or at the end of its
    name, as in `news.de-fr.tsv`. Blank lines are passed over.
    """
    file = Path(name)
    separator = SEPARATORS.get(readers.suffix_of(file))
    if not separator:
        raise InputError(f"`parallel` {name}: its name should end in .tsv (tabs) or .csv (commas), or one and .gz")
    if not file.is_file():
        raise InputError(f"`parallel` {name}: no such file")
    try:
        with readers.whole(file):
            pairs = list(pair_rows(file, separator))
    except InputError as error:
        raise InputError(f"`parallel` {name}: {error}") from error
    found = [Fault(name, reason, line) for line, fields in pairs if (reason := wrong(fields, separator))]
    if found:
        remedy = f"fix the row: two texts in UTF-8, {SEPARATOR_NAMES[separator]} between them"
        raise InputError(f"`parallel` {faults.report([], found, len(found), remedy)}")
    if languages := codes_of(pairs[0][1]) if pairs else None:
        del pairs[0]
    elif match := NAMED.fullmatch(stem_of(file).lower()):
        languages = match[1], match[2]
    else:
        raise InputError(
            f"`parallel` {name}: of which languages is it? name it like de-fr.tsv, or begin it with a line of two "
            f"codes, de and fr, {SEPARATOR_NAMES[separator]} between them"
        )
    if not pairs:
        raise InputError(f"`parallel` {name}: it has no texts")
    sentences = [list(split(text)) for _, texts in pairs for text in texts]
    side = np.repeat(np.arange(len(sentences)), list(map(len, sentences)))
    rows = untagged_rows([words for of_side in sentences for words in of_side])
    return ParallelText(name, languages, tuple(line for line, _ in pairs), rows, side)


def pair_rows(file: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    """(number, fields) of each line, or of each record of a .csv. Raises as `readers.lines` and `records` do."""
    if separator == ",":
        yield from records(readers.lines(file), separator)
        return
    for number, line in enumerate(readers.lines(file), start=1):
        if line.strip():
            yield number, line.rstrip("\n").split(separator)


def wrong(fields: list[str], separator: str) -> str | None:
    """Why the fields of a line are not two texts; None if they are."""
    if fault := not_unicode(Row(0, fields, [])):
        return fault
    if len(fields) != 2:
        return f"{len(fields)} {'column' if len(fields) == 1 else 'columns'}, not 2: {shorten(separator.join(fields))}"
    if not all(field.strip() for field in fields):
        which = "left" if fields[1].strip() else "right"
        return f"the {which} text is empty: {shorten(separator.join(fields))}"
    return None


def codes_of(fields: list[str]) -> tuple[str, str] | None:
    """The languages of a first line that has two codes; None for texts."""
    left, right = (field.strip() for field in fields)
    return (left, right) if LANGUAGE.fullmatch(left) and LANGUAGE.fullmatch(right) else None
