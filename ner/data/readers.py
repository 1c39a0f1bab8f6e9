"""A file -> rows: JSON Lines, annotated text, CoNLL-style columns and Parquet, each also gzipped.

A reader yields `Row`s and, for rows that can not be read, `Fault`s; it raises InputError when the file as a whole is
not what its name says. Nothing is held but the row at hand. (`datasets` reads columns too, but pads short lines.)
"""

import contextlib
import gzip
import io
import json
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datasets import Features

from ner.data import annotated_text
from ner.data.arrow_store import ROW, TAGS, WORDS, Row
from ner.data.faults import Fault
from ner.errors import InputError, listed, shorten, single_line
from ner.tags import is_prefixed

COLUMN_FILES = (".conll", ".conllu", ".tsv", ".txt", ".bio")
SUFFIXES = (".jsonl", *COLUMN_FILES, ".parquet")
HOPELESS = 10  # this many bad lines before the first good one: it is another kind of file
ROWS_PER_BATCH = 10_000  # of Parquet
PROBE = 2_000  # lines that tell which columns a file has
# What no corpus has, and a small file may: compressed, it says in some bytes what fills the memory when it is read.
LONGEST_LINE = 1 << 24  # characters of a line of text or JSON: some books
LONGEST_WORD = 10_000  # characters of a word
LONGEST_WORD_LINE = 100_000  # characters of a line of a column file: a word, and what is said of it
MOST_WORDS = 100_000  # of a sentence
MOST_VALUES = 1_000_000  # in a line of JSON: brackets and commas. Python takes some 60 bytes for each
MOST_FROM_A_BYTE = 100  # words or rows of a Parquet file for each of its bytes, beyond ANYHOW; text takes a byte a word
ANYHOW = 10_000_000
MOST_UNPACKED = 200  # bytes from a byte of a gzipped Parquet file, beyond ANYHOW_UNPACKED
ANYHOW_UNPACKED = 1 << 28


def suffix_of(file: Path) -> str:
    """.jsonl of x.jsonl and x.jsonl.gz; empty where no reader fits."""
    name = file.name.lower().removesuffix(".gz")
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")


def read(file: Path, columns: dict[str, str] | None = None) -> Iterator[Row | Fault | pa.Table]:
    """The rows of a file, by its suffix.

    columns: {"word": ..., "tag": ...}, numbers from 0 in column files, names elsewhere; None: `tokens` and `ner_tags`,
    and in column files as `guess_columns` has it. Raises InputError for a file that can not be read to its end.
    """
    with whole(file):
        if suffix_of(file) == ".parquet":
            yield from read_parquet(file, columns or {})
        else:
            is_json = suffix_of(file) == ".jsonl"
            text = lines(file, LONGEST_LINE if is_json else LONGEST_WORD_LINE)
            for row in (read_json_lines if is_json else read_columns)(file, text, columns or {}):
                yield row if isinstance(row, Fault) else within_bounds(row, str(file))


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
    except pa.ArrowException as error:
        raise InputError(f"not a sound .parquet file: {single_line(error)[:200]}") from error
    except OSError as error:
        # Parquet's own errors are without a number
        raise InputError(error.strerror or f"not a sound {suffix_of(file)} file: {single_line(error)[:200]}") from error


def lines(file: Path, longest: int = LONGEST_LINE) -> Iterator[str]:
    """The lines of a text file, with their ends as \\n; a byte order mark is dropped. longest: in characters.

    Bytes that are no UTF-8 come as halves of surrogate pairs. Raises InputError for what is no text.
    """
    zipped = file.name.lower().endswith(".gz")
    with gzip.open(file) if zipped else file.open("rb") as data:
        start = data.read(4096) if zipped else data.peek(4096)[:4096]
        kinds = {b"\x1f\x8b": "gzip", b"PAR1": "Parquet", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
        if kind := next((kind for magic, kind in kinds.items() if start.startswith(magic)), None):
            remedy = "save it as UTF-8" if kind == "UTF-16" else f"its name should end in .{kind.lower()[:7]}"
            raise InputError(f"{kind}, not text; {remedy.replace('.gzip', '.gz')}")
        if b"\0" in start:
            raise InputError(f"binary data, not text: a zero byte at {start.index(0)}")
        if not start.strip():
            raise InputError("empty" if not start else "nothing but white space")
        if zipped:
            data.seek(0)
        with io.TextIOWrapper(data, encoding="utf-8-sig", errors="surrogateescape") as text:
            yield from bounded(text, longest)


def bounded(text: TextIO, longest: int = LONGEST_LINE) -> Iterator[str]:
    """The lines of a text. Raises InputError for one that is longer, in characters."""
    number = 0
    while line := text.readline(longest):
        number += 1
        if len(line) == longest:
            raise InputError(f"line {number} is longer than {longest:,} characters; not a file of rows")
        yield line


def parse_json(line: str) -> Any:
    """What a line of JSON says. Raises ValueError and RecursionError; InputError, which is one, if it says too much."""
    num_values = sum(map(line.count, "[{,"))
    if num_values > MOST_VALUES:
        raise InputError(f"{num_values:,} brackets and commas, where {MOST_VALUES:,} are the most of a line")
    return json.loads(line)


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


def read_json_lines(file: Path, text: Iterable[str], columns: dict[str, str]) -> Iterator[Row | Fault]:
    """Rows of JSON Lines: words and tags (names or ids), or annotated text as in `ner.data.annotated_text`."""
    names = columns.get("word", WORDS), columns.get("tag", TAGS)
    num_good = num_bad = 0
    for number, line in enumerate(text, start=1):
        if not line.strip():
            continue
        try:
            words, tags = json_row(parse_json(line), *names)
        except (ValueError, RecursionError) as error:
            if not num_good and not num_bad and line.lstrip().startswith("["):
                raise InputError("a JSON array, not JSON Lines: give every row a line (jq -c '.[]')") from error
            num_bad += 1
            if num_bad == HOPELESS and not num_good:
                raise InputError(f"none of its first {HOPELESS} lines is a row: {reason_of(error)}") from error
            yield Fault(str(file), reason_of(error), number, line.rstrip("\n"))
            continue
        num_good += 1
        yield Row(number, words, tags)


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
        raise InputError("JSON, not columns; its name should end in .jsonl")
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
    for kind, column in columns.items():
        if not column.isdecimal() or int(column) >= width:
            raise InputError(f"no column {kind}={column}; columns are numbered from 0 to {width - 1}")
        chosen[kind] = int(column)
    return separator, width, chosen.get("word", word), chosen.get("tag", width - 1)


def read_parquet(file: Path, columns: dict[str, str]) -> Iterator[pa.Table]:
    """Tables of a Parquet file with the columns tokens, ner_tags and row. Raises as `read` does."""
    with open_parquet(file) as parquet:
        names = word_and_tag(parquet.schema_arrow, columns)
        yield from as_rows(parquet.batches(names), parquet.schema_arrow, columns)


def as_rows(
    batches: Iterable[pa.RecordBatch | pa.Table], schema: pa.Schema, columns: dict[str, str]
) -> Iterator[pa.Table]:
    """Tables with the columns tokens, ner_tags and row (from 0), of batches with this schema.

    Raises InputError for columns that are missing or of another type, and Arrow's own for text that is no UTF-8.
    """
    names = word_and_tag(schema, columns)
    kinds = [pa.list_(pa.int64() if is_list_of_ids(schema.field(name).type) else pa.string()) for name in names]
    first = 0
    for batch in batches:
        batch.validate(full=True)
        cast = [batch[name].cast(kind) for name, kind in zip(names, kinds, strict=True)]
        yield pa.table([*cast, np.arange(first, first + len(batch))], [WORDS, TAGS, ROW])
        first += len(batch)


def tag_names(file: Path, columns: dict[str, str]) -> tuple[str, ...] | None:
    """Names of the ids in a Parquet file that `datasets` wrote with a ClassLabel, else None.

    Raises InputError if what `datasets` wrote there is broken.
    """
    if suffix_of(file) != ".parquet":
        return None
    with open_parquet(file) as parquet:
        try:
            features = Features.from_arrow_schema(parquet.schema_arrow)
        except (AttributeError, KeyError, TypeError, ValueError) as error:  # it takes JSON of any shape
            raise InputError(f"its features, as datasets wrote them, are broken: {single_line(error)}") from error
    return class_names(features, columns)


def class_names(features: Features | None, columns: dict[str, str]) -> tuple[str, ...] | None:
    """Names of the tag column's ClassLabel, None if it is something else."""
    names = getattr(getattr((features or {}).get(columns.get("tag", TAGS)), "feature", None), "names", None)
    return tuple(names) if names else None


class Parquet:
    """An open Parquet file that takes no more memory than its rows may. size: of the file, in bytes.

    Its texts are read as a dictionary and numbers: a file of 1 kB can hold one text of 20 MB a thousand times.
    """

    def __init__(self, source: Any, size: int) -> None:
        metadata = pq.read_metadata(source)
        self.schema_arrow = pq.read_schema(source)
        check_counts(metadata, size)
        leaves = [metadata.schema.column(i) for i in range(metadata.num_columns)]
        texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
        self.file = pq.ParquetFile(source, read_dictionary=texts)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Its rows, in parts. Raises InputError for a row of too many words, or too long ones."""
        schema = pa.schema([self.schema_arrow.field(name) for name in columns])
        first = 0
        for batch in self.file.iter_batches(ROWS_PER_BATCH, columns=list(columns)):
            batch.validate(full=True)
            sizes = np.zeros(len(batch), np.int64)
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                sizes += num_bytes(column, name, first)
            if sizes.max(initial=0) > 4 * LONGEST_LINE:
                raise InputError(
                    f"row {first + int(sizes.argmax())} has {sizes.max():,} bytes of text; not a data file"
                )
            # Parts of about as much as the largest row may be.
            part = np.cumsum(sizes) // (4 * LONGEST_LINE)
            starts = np.flatnonzero(np.diff(part, prepend=-1))
            for start, end in pairwise([*starts.tolist(), len(batch)]):
                parts = [batch[name].slice(start, end - start).cast(schema.field(name).type) for name in columns]
                yield pa.RecordBatch.from_arrays(parts, schema=schema)
            first += len(batch)


def num_bytes(column: pa.Array, name: str, first: int) -> np.ndarray:
    """int64 [rows]: bytes of text in each row. Raises InputError for a row of too many words, or one that is too long.

    column: texts as a dictionary, or lists of them, or anything else, which has none; first: number of its first row.
    """
    if is_list(column.type):
        counts = np.nan_to_num(pc.list_value_length(column).to_numpy(zero_copy_only=False)).astype(np.int64)
        if counts.max(initial=0) > MOST_WORDS:
            row = first + int(counts.argmax())
            raise InputError(f"row {row}: {name} has {counts.max():,} values, where {MOST_WORDS:,} are the most")
        inner = num_bytes(column.flatten(), name, first)
        if pa.types.is_dictionary(column.type.value_type) and inner.max(initial=0) > 4 * LONGEST_WORD:
            row = first + int(np.searchsorted(np.cumsum(counts), inner.argmax(), side="right"))
            raise InputError(f"row {row}: a word of {inner.max():,} bytes, where {LONGEST_WORD:,} are the most")
        ends = np.cumsum(counts)
        sums = np.concatenate([[0], np.cumsum(inner)])
        return sums[ends] - sums[ends - counts]
    if not pa.types.is_dictionary(column.type):
        return np.zeros(len(column), np.int64)
    lengths = pc.fill_null(pc.binary_length(column.dictionary), 0)
    sizes = np.append(lengths.to_numpy(zero_copy_only=False), 0).astype(np.int64)
    return sizes[pc.fill_null(column.indices, len(sizes) - 1).to_numpy(zero_copy_only=False)]


@contextlib.contextmanager
def open_parquet(file: Path) -> Iterator[Parquet]:
    """An open Parquet file; of a gzipped one, its content in a temporary file: it is read from its end."""
    with contextlib.ExitStack() as stack:
        source: Any = file
        if file.name.lower().endswith(".gz"):
            source = stack.enter_context(tempfile.TemporaryFile())
            size = file.stat().st_size
            with gzip.open(file) as packed:
                while part := packed.read(1 << 20):
                    source.write(part)
                    if source.tell() > ANYHOW_UNPACKED + MOST_UNPACKED * size:
                        raise InputError(f"{size:,} bytes that unpack to more than {source.tell():,}; not a data file")
        parquet = Parquet(source, file.stat().st_size)
        stack.enter_context(parquet.file)
        yield parquet


def check_counts(metadata: pq.FileMetaData, size: int) -> None:
    """Raises InputError for a file that says too much in that many bytes: one word, some billions of times."""
    most = ANYHOW + MOST_FROM_A_BYTE * size
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    counts = [sum(group.column(i).num_values for group in groups) for i in range(metadata.num_columns)]
    number = max(metadata.num_rows, *counts)
    if number > most:
        raise InputError(f"{number:,} values in {size:,} bytes, where {most:,} are the most; not a data file")


def word_and_tag(schema: pa.Schema, columns: dict[str, str]) -> tuple[str, str]:
    """Names of the columns of words and tags. Raises InputError for one that is missing or of another type."""
    names = columns.get("word", WORDS), columns.get("tag", TAGS)
    if missing := [name for name in names if name not in schema.names]:
        raise InputError(f"no column {', '.join(missing)}; it has {listed(schema.names)}")
    for name, what in zip(names, ("words", "tags"), strict=True):
        kind = schema.field(name).type
        if not is_list_of_text(kind) and not (what == "tags" and is_list_of_ids(kind)):
            raise InputError(f"{name} is {kind}, not a list of {what}")
    return names


def is_list_of_text(kind: pa.DataType) -> bool:
    """Whether a column holds lists of strings."""
    return is_list(kind) and (pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type))


def is_list_of_ids(kind: pa.DataType) -> bool:
    """Whether a column holds lists of integers."""
    return is_list(kind) and pa.types.is_integer(kind.value_type)


def is_list(kind: pa.DataType) -> bool:
    """Whether a column holds lists."""
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)
