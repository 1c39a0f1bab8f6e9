"""A file -> rows: JSON Lines and lists, annotated text, CoNLL-style columns, CSV and Parquet, each also gzipped.

A reader yields `Row`s and, for rows that cannot be read, `Fault`s; it raises InputError when the file as a whole is
not what its name says. Nothing is held but the row at hand. (`datasets` reads columns too, but pads short lines.)
"""

import contextlib
import gzip
import io
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TextIO

import pyarrow as pa
from datasets import Features

from ner.data.arrow_store import Row
from ner.data.faults import Fault
from ner.data.json_lists import elements
from ner.data.json_rows import read_json_lines
from ner.data.limits import LONGEST_LINE, LONGEST_WORD, LONGEST_WORD_LINE, MOST_WORDS, Unpacked
from ner.data.parquet import class_names, open_parquet, read_parquet
from ner.data.sentence_tables import is_sentence_table, read_sentence_table
from ner.errors import InputError, shorten, single_line
from ner.tags import is_prefixed

COLUMN_FILES = (".conll", ".conllu", ".tsv", ".txt", ".bio")
SUFFIXES = (".jsonl", ".json", *COLUMN_FILES, ".csv", ".parquet")
PROBE = 2_000  # lines that tell which columns a file has
CHARACTERS_PER_CHUNK = 1 << 16  # of a JSON list


def suffix_of(file: Path) -> str:
    """.jsonl of x.jsonl and x.jsonl.gz; empty where no reader fits."""
    name = file.name.lower().removesuffix(".gz")
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")


def read(file: Path, columns: dict[str, str] | None = None) -> Iterator[Row | Fault | pa.Table]:
    """The rows of a file, by its suffix.

    columns: {"word": ..., "tag": ...}, numbers from 0 in column files, names elsewhere; None: `tokens` and `ner_tags`,
    and in column files as `guess_columns` has it. Raises InputError for a file that cannot be read to its end.
    """
    with whole(file):
        if suffix_of(file) == ".parquet":
            yield from read_parquet(file, columns or {})
        else:
            for row in read_text(file, columns or {}):
                yield row if isinstance(row, Fault) else within_bounds(row, str(file))


def read_text(file: Path, columns: dict[str, str]) -> Iterator[Row | Fault]:
    """The rows of a text file, by its suffix; a .tsv may have a word or a sentence a line, which its header tells."""
    suffix = suffix_of(file)
    if suffix in (".jsonl", ".json"):
        return read_json_lines(file, lines(file) if suffix == ".jsonl" else json_texts(file), columns)
    if suffix == ".csv" or (suffix == ".tsv" and is_sentence_table(first_line(file), columns)):
        return read_sentence_table(file, suffix, lines(file), columns)
    return read_columns(file, lines(file, LONGEST_WORD_LINE), columns)


def first_line(file: Path) -> str:
    """The first line of a column file. Raises as `lines` does."""
    with contextlib.closing(lines(file, LONGEST_WORD_LINE)) as text:
        return next(text, "")


def within_bounds(row: Row, place: str) -> Row | Fault:
    """The row, unless its words are too many or too long."""
    reason = ""
    if len(row.words) > MOST_WORDS:
        reason = f"{len(row.words):,} words, where {MOST_WORDS:,} are the most of a sentence"
    elif long := next((i for i, word in enumerate(row.words, start=1) if len(word) > LONGEST_WORD), None):
        word = row.words[long - 1]
        reason = f"word {long} has {len(word):,} characters, where {LONGEST_WORD:,} are the most: {shorten(word[:60])}"
    return Fault(place, reason, row.number) if reason else row


@contextlib.contextmanager
def whole(file: Path) -> Iterator[None]:
    """Turns what goes wrong with a file that is read, by its suffix, into InputError."""
    try:
        yield
    except EOFError as error:
        raise InputError("the gzip data is cut off; fetch or write the file again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"not a sound gzip file: {error}") from error
    except pa.ArrowNotImplementedError as error:
        raise InputError(f"a .parquet file that Arrow cannot read: {single_line(error)[:200]}") from error
    except (pa.ArrowException, UnicodeDecodeError) as error:  # a name in it may be no text
        raise InputError(f"not a sound .parquet file: {single_line(error)[:200]}") from error
    except OSError as error:
        # Parquet's own errors are without a number
        raise InputError(error.strerror or f"not a sound {suffix_of(file)} file: {single_line(error)[:200]}") from error


def lines(file: Path, longest: int = LONGEST_LINE) -> Generator[str]:
    """The lines of a text file as of `opened`. longest: in characters. Raises InputError for a longer one, too."""
    with opened(file) as text:
        yield from bounded(text, longest)


def json_texts(file: Path) -> Iterator[str]:
    """The elements of a JSON list, as they are written; without the list's bracket, the lines of JSON Lines."""
    with opened(file) as text:
        chunks = iter(partial(text.read, CHARACTERS_PER_CHUNK), "")
        first = next((chunk for chunk in chunks if chunk.strip()), "").lstrip()
        if first.startswith("["):
            yield from elements(chain([first], chunks))
            return
    yield from lines(file)


@contextlib.contextmanager
def opened(file: Path) -> Iterator[TextIO]:
    """A text file with line ends as \\n; a byte order mark is dropped.

    Bytes that are no UTF-8 come as halves of surrogate pairs. Raises InputError for what is no text.
    """
    zipped = file.name.lower().endswith(".gz")
    with Unpacked(file) if zipped else file.open("rb") as data:
        start = data.read(4096) if zipped else data.peek(4096)[:4096]
        remedies = {"gzip": "its name should end in .gz", "Parquet": "its name should end in .parquet"}
        formats = {b"\x1f\x8b": "gzip", b"PAR1": "Parquet", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
        if found := next((name for magic, name in formats.items() if start.startswith(magic)), None):
            raise InputError(f"{found}, not text; {remedies.get(found, 'save it as UTF-8')}")
        if b"\0" in start:
            raise InputError(f"binary data, not text: a zero byte at {start.index(0)}")
        if not start.strip():
            raise InputError("empty" if not start else "nothing but white space")
        if zipped:
            data.seek(0)
        with io.TextIOWrapper(data, encoding="utf-8-sig", errors="surrogateescape") as text:
            yield text


def bounded(text: TextIO, longest: int = LONGEST_LINE) -> Iterator[str]:
    """The lines of a text. Raises InputError for one that is longer, in characters."""
    number = 0
    while line := text.readline(longest):
        number += 1
        if len(line) == longest:
            raise InputError(f"line {number} is longer than {longest:,} characters; not a file of rows")
        yield line


def begin(text: Iterator[str]) -> list[str]:
    """The first PROBE lines, and no more than a line may have of characters."""
    probe: list[str] = []
    size = 0
    for line in islice(text, PROBE):
        probe.append(line)
        size += len(line)
        if size > LONGEST_LINE:
            break
    return probe


def read_columns(file: Path, text: Iterable[str], columns: dict[str, str]) -> Iterator[Row | Fault]:
    """Sentences of a column file: a word a line, blank lines between sentences, tabs or blanks between columns.

    Lines of -DOCSTART- and comments are passed over. A row's number is that of its first line.
    """
    text = iter(text)
    probe = begin(text)
    separator, width, word, tag = guess_columns(probe, columns)
    known = {fields[tag] for _, sentence in sentences(probe, separator) for fields in sentence if len(fields) == width}

    def is_comment(fields: Sequence[str]) -> bool:  # unless it has a tag where tags stand: `# O`, `#Bern B-LOC`
        return len(fields) != width or not (fields[tag] in known or is_prefixed(fields[tag]))

    for number, sentence in sentences(chain(probe, text), separator, is_comment):
        if (bad := next((i for i, fields in enumerate(sentence) if len(fields) != width), None)) is not None:
            found = "column" if len(sentence[bad]) == 1 else "columns"
            reason = f"{len(sentence[bad])} {found}, not {width}: {shorten(separator.join(sentence[bad]))}"
            yield Fault(str(file), reason, number + bad, "\n".join(separator.join(fields) for fields in sentence))
        else:
            yield Row(number, [fields[word] for fields in sentence], [fields[tag] for fields in sentence])


def sentences(
    text: Iterable[str], separator: str, is_comment: Callable[[Sequence[str]], bool] = lambda _: True
) -> Iterator[tuple[int, list[list[str]]]]:
    """(number of its first line, columns of each line) of every sentence. is_comment: of lines that begin with #.

    Raises InputError for one that does not end.
    """
    sentence: list[list[str]] = []
    first = size = 0
    for number, line in enumerate(text, start=1):
        if line.isspace():
            if sentence:
                yield first, sentence
                sentence, size = [], 0
            continue
        fields = fields_of(line, separator)
        if line.startswith("-DOCSTART-") or (line[0] == "#" and is_comment(fields)):
            continue
        if not sentence:
            first = number
        sentence.append(fields)
        size += len(line)
        if len(sentence) > MOST_WORDS or size > LONGEST_LINE:
            raise InputError(
                f"line {first}: a sentence of more than {MOST_WORDS:,} words, or {LONGEST_LINE:,} characters; blank "
                "lines stand between sentences"
            )
    if sentence:
        yield first, sentence


def fields_of(line: str, separator: str) -> list[str]:
    """The columns of a line. Several blanks are one, but each tab is one; what is behind the last column is none."""
    fields = line.rstrip(" \t\n").split(separator)
    return [field for field in fields if field] if separator == " " and "" in fields else fields


def layout(probe: Sequence[str]) -> tuple[str, int, int]:
    """(separator, number of columns, column of words) of a file that begins with these lines.

    Tabs separate if the first line of a word has one. Words stand in the first column that does not just count the
    words of each sentence. Raises InputError where there is no word.
    """
    words = [line for line in probe if line.strip() and not line.startswith(("#", "-DOCSTART-"))]
    words = words or [line for line in probe if line.strip()]
    if not words:
        raise InputError(f"no word in its first {len(probe):,} lines")
    if words[0].lstrip().startswith(('{"', '[{"')):
        suffix = ".json" if words[0].lstrip().startswith("[") else ".jsonl"
        raise InputError(f"JSON, not columns; its name should end in {suffix}")
    separator = "\t" if "\t" in words[0].rstrip() else " "
    width = len(fields_of(words[0], separator))
    found = [[fields[0] for fields in sentence] for _, sentence in islice(sentences(probe, separator), 100)]
    counted = width > 2 and any(
        all(first == [str(i) for i in range(start, start + len(first))] for first in found) for start in (0, 1)
    )
    return separator, width, int(counted)


def guess_columns(probe: Sequence[str], columns: dict[str, str]) -> tuple[str, int, int, int]:
    """(separator, number of columns, column of words, column of tags) of a file that begins with these lines.

    Without `columns`, words stand where `layout` finds them, and tags in the last column. Raises InputError where there
    is no such column.
    """
    separator, width, word = layout(probe)
    if width < 2:
        shown = shorten(next(line for line in probe if line.strip()).strip())
        raise InputError(f"one column, {shown}, where words and tags are expected")
    chosen = {}
    for name, column in columns.items():
        if not column.isdecimal() or int(column) >= width:
            raise InputError(f"no column {name}={column}; columns are numbered from 0 to {width - 1}")
        chosen[name] = int(column)
    return separator, width, chosen.get("word", word), chosen.get("tag", width - 1)


def tag_names(file: Path, columns: dict[str, str]) -> tuple[str, ...] | None:
    """Names of the ids in a Parquet file that `datasets` wrote with a ClassLabel, else None.

    Raises InputError if what `datasets` wrote there is broken, and as `read` does for a file that cannot be read.
    """
    if suffix_of(file) != ".parquet":
        return None
    with whole(file), open_parquet(file) as parquet:
        try:
            features = Features.from_arrow_schema(parquet.schema_arrow)
        except (AttributeError, KeyError, TypeError, ValueError) as error:  # it takes JSON of any shape
            raise InputError(f"its features, as datasets wrote them, are broken: {single_line(error)}") from error
    return class_names(features, columns)
