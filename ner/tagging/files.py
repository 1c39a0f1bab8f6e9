"""What the tagger reads and writes: files of texts, or of words, a row at a time.

.txt                         a text a line
.jsonl                       objects with `text`, or with `tokens`; other fields go along
.parquet                     the same as columns
.conll .conllu .tsv .bio     a word a line, blank lines between sentences; tags that stand there are not read
"""

import io
import json
import math
import sys
from collections.abc import Container, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from ner.data import faults, json_rows, readers
from ner.data.arrow_store import TAGS, WORDS, Row, not_unicode
from ner.data.faults import Fault
from ner.data.limits import LONGEST_WORD, LONGEST_WORD_LINE
from ner.data.parquet import is_list, open_parquet
from ner.errors import InputError, listed, shorten
from ner.files import written_aside
from ner.tagging.document import TaggedText

TEXT, ENTITIES, SCORES, PROBABILITIES = "text", "entities", "scores", "probabilities"
INPUTS = (".txt", ".jsonl", ".parquet", ".conll", ".conllu", ".tsv", ".bio")
OUTPUTS = (".jsonl", ".parquet", ".conll")
ROWS_PER_TABLE = 10_000  # bounds memory
ENTITY = pa.struct(
    [("type", pa.string()), (TEXT, pa.string()), ("start", pa.int64()), ("end", pa.int64()), ("score", pa.float64())]
)


class Text(NamedTuple):
    """A text, or the words of one. number: its line or row; row: what goes out with it."""

    number: int
    content: str | list[str]
    row: dict[str, Any]


def read(file: Path, column: str | None = None) -> Iterator[Text | Fault]:
    """The texts of a file, by its ending.

    column: the field of JSON Lines and Parquet with the text or the words; None: `text`, else `tokens`. Raises
    InputError for a file that cannot be read to its end.
    """
    suffix = readers.suffix_of(file)
    with readers.whole(file):
        if suffix == ".txt":
            yield from read_lines(str(file), readers.lines(file))
        elif suffix == ".parquet":
            yield from read_parquet(file, column)
        elif suffix == ".jsonl":
            yield from read_json_lines(file, column)
        else:
            yield from read_words(file)


def content_column(names: Container[str], column: str | None) -> str:
    """Which of these fields has the text or the words. column: the one that was named, None for the usual ones."""
    return column or (TEXT if TEXT in names else WORDS)


def read_lines(place: str, lines: Iterable[str]) -> Iterator[Text | Fault]:
    """A text a line. place: where they come from, for messages."""
    for number, line in enumerate(lines, start=1):
        text = line.rstrip("\n")
        yield checked(place, number, text, {TEXT: text})


def read_stdin() -> Iterator[Text | Fault]:
    """The lines of standard input, as those of a file: UTF-8 whatever the terminal's language, line ends as \\n."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8-sig", errors="surrogateescape", newline=None)
    return read_lines("standard input", readers.bounded(sys.stdin))


def read_json_lines(file: Path, column: str | None) -> Iterator[Text | Fault]:
    """Texts of JSON Lines."""
    for number, line in enumerate(readers.lines(file), start=1):
        if not line.strip():
            continue
        try:
            row = json_rows.parse_json(line)
        except (ValueError, RecursionError) as error:
            yield Fault(str(file), json_rows.reason_of(error), number, line.rstrip("\n"))
            continue
        if isinstance(row, dict):
            yield checked(str(file), number, row.get(content_column(row, column)), row)
        else:
            yield Fault(str(file), f"{shorten(row)}, not a JSON object", number, row)


def read_parquet(file: Path, column: str | None) -> Iterator[Text | Fault]:
    """Texts of a Parquet file. Raises InputError where the column is not there."""
    with open_parquet(file) as parquet:
        names = parquet.schema_arrow.names
        column = content_column(names, column)
        if column not in names:
            raise InputError(f"no column {column}; it has {listed(names)}")
        columns = [field.name for field in carried(parquet.schema_arrow)]
        if column not in columns:
            raise InputError(f"{column} is {parquet.schema_arrow.field(column).type}, neither text nor lists of words")
        number = 0
        for batch in parquet.batches(columns):
            for row in batch.to_pylist():
                yield checked(str(file), number, row[column], row)
                number += 1


def read_words(file: Path) -> Iterator[Text | Fault]:
    """Sentences of a column file, of a single column too."""
    probe = readers.begin(readers.lines(file, LONGEST_WORD_LINE))
    separator, width, word = readers.layout(probe)
    if width > 1:
        for item in readers.read(file):
            assert not isinstance(item, pa.Table)
            yield item if isinstance(item, Fault) else checked(str(file), item.number, item.words, {WORDS: item.words})
        return
    text = readers.lines(file, LONGEST_WORD_LINE)
    for number, sentence in readers.sentences(text, separator, lambda fields: len(fields) > 1):
        words = [fields[word] for fields in sentence]
        yield checked(str(file), number, words, {WORDS: words})


def checked(place: str, number: int, content: Any, row: dict[str, Any]) -> Text | Fault:
    """A text, or what is wrong with it."""
    is_words = isinstance(content, list)
    if not isinstance(content, str) and not (is_words and all(isinstance(word, str) for word in content)):
        reason = (
            "no text and no words" if content is None else f"{shorten(content)}, neither a text nor a list of words"
        )
        return Fault(place, f"{reason}; it has {listed(map(str, row))}", number, row)
    if fault := not_unicode(Row(number, content if is_words else [content], [])):
        return Fault(place, fault, number, row)
    if is_words and (long := next((word for word in content if len(word) > LONGEST_WORD), None)):
        reason = f"a word of {len(long):,} characters, where {LONGEST_WORD:,} are the most: {shorten(long[:60])}"
        return Fault(place, reason, number, row)
    if is_words and any(not word or set(word) & set("\t\r\n") for word in content):
        return Fault(place, f"a word of {shorten(content)} is empty, or holds a tab or a line break", number, row)
    return Text(number, content, row)


def check_input(file: Path) -> None:
    """Raises InputError for a name that is not read, and where no file is."""
    if readers.suffix_of(file) not in INPUTS:
        raise InputError(f"{file}: its name should end in {' '.join(INPUTS)}, or one of these and .gz")
    if not file.is_file():
        raise InputError(f"{file}: no such file")


def count(file: Path, column: str | None = None) -> int:
    """How many rows the file has, all of them checked. Raises InputError with what is wrong, by file and line."""
    check_input(file)
    found: list[Fault] = []
    total = num_words = num_faults = 0
    places: set[str] = set()
    try:
        for item in read(file, column):
            total += 1
            if isinstance(item, Fault):
                num_faults += 1
                if len(found) < faults.SHOWN:
                    found.append(item)
            else:
                num_words += isinstance(item.content, list)
                places.add(content_column(item.row, column))
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
    if num_faults:
        raise InputError(faults.report([], found, num_faults, remedy="fix the row"))
    if num_words not in (0, total):
        raise InputError(f"{file}: {num_words:,} of {total:,} rows are words and the others texts; name the `column`")
    if len(places) > 1:
        named = " in some rows and in ".join(sorted(places))
        raise InputError(f"{file}: what is to be tagged stands in {named} in others; name it alike in all rows")
    return total


def sound(item: Text | Fault) -> Text:
    """The text. Raises InputError with the fault."""
    if isinstance(item, Fault):
        raise InputError(faults.report([], [item], 1, remedy="fix the row"))
    return item


def row_of(text: Text, tagged: TaggedText, as_words: bool) -> dict[str, Any]:
    """What goes out: the row with the entities of its text, or the tags of its words; as_words: those of a text too.

    Where the probabilities of all labels are kept, a text has its words with them beside its entities.
    """
    row = {} if as_words else text.row
    is_text = isinstance(text.content, str) and not as_words
    if is_text:
        row = row | {ENTITIES: [entity.fields() for entity in tagged.entities]}
    return row if is_text and not tagged.labels else row | words_of(tagged, with_words=is_text or as_words)


def words_of(tagged: TaggedText, *, with_words: bool) -> dict[str, Any]:
    """Tags and scores of the words, the probabilities of all labels if they are kept, and the words if asked for."""
    scores = [None if math.isnan(score) else round(score, 4) for score in tagged.scores.tolist()]
    words = {WORDS: [tagged.text[start:end] for start, end in tagged.words]} if with_words else {}
    kept = {PROBABILITIES: list(map(tagged.probabilities_of, range(len(tagged.words))))} if tagged.labels else {}
    return words | {TAGS: tagged.tags, SCORES: scores} | kept


def write(rows: Iterable[dict[str, Any]], file: Path, source: Path | None, column: str | None = None) -> None:
    """Writes what `row_of` made, by the file's ending: aside, and renamed at the end.

    source: the file that was tagged; of a Parquet file the other columns go along. column: as of `read`. Raises
    OSError.
    """
    with written_aside(file) as aside:
        if file.suffix == ".parquet":
            write_parquet(iter(rows), aside, source, column)
        else:
            line = to_columns if file.suffix == ".conll" else to_json
            # Half a surrogate pair, in a field that goes along, becomes JSON's escape of it again.
            with aside.open("w", encoding="utf-8", errors="backslashreplace") as lines:
                lines.writelines(map(line, rows))


def to_json(row: dict[str, Any]) -> str:
    """A row as a line."""
    return json.dumps(row, ensure_ascii=False) + "\n"


def to_columns(row: dict[str, Any]) -> str:
    """A row as lines of word and tag. One without words is a comment, so that none is lost."""
    pairs = zip(row[WORDS], row[TAGS], strict=True)
    return "".join(f"{word}\t{tag}\n" for word, tag in pairs) + ("\n" if row[WORDS] else "# no words\n\n")


def write_parquet(rows: Iterator[dict[str, Any]], file: Path, source: Path | None, column: str | None) -> None:
    """Rows as a Parquet file: the text or words, what was found, and of a Parquet file what goes along."""
    first = next(rows, None)
    schema = schema_of(first, source, column)
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        rows = chain([first] if first else [], rows)
        while batch := list(islice(rows, ROWS_PER_TABLE)):
            writer.write_table(pa.Table.from_pylist(batch, schema))


def schema_of(first: dict[str, Any] | None, source: Path | None, column: str | None) -> pa.Schema:
    """The columns of a Parquet file, in the order of the first row. first: None where there is no row.

    The types of what goes along are those that it has in the source, and of other files only the text or the words do.
    """
    types: dict[str, pa.DataType] = {}
    if source and readers.suffix_of(source) == ".parquet":
        with open_parquet(source) as parquet:
            types = {field.name: field.type for field in carried(parquet.schema_arrow)}
    names: dict[str, Any] = types or first or {TEXT: ""}
    content = column if column in names else content_column(names, None)  # lines and columns have no such name
    if not types:
        types = {content: pa.list_(pa.string()) if isinstance(names[content], list) else pa.string()}
    if is_list(types[content]):
        types |= {TAGS: pa.list_(pa.string()), SCORES: pa.list_(pa.float64())}
    else:
        types |= {ENTITIES: pa.list_(ENTITY)}
    return pa.schema([(name, types[name]) for name in first or types if name in types])


def carried(schema: pa.Schema) -> list[pa.Field]:
    """The columns that go along: numbers, texts, truth values, and lists of them."""

    def is_plain(type_: pa.DataType) -> bool:
        if is_list(type_):
            return is_plain(type_.value_type)
        tests = (
            pa.types.is_integer,
            pa.types.is_floating,
            pa.types.is_boolean,
            pa.types.is_string,
            pa.types.is_large_string,
        )
        return any(test(type_) for test in tests)

    return [field for field in schema if is_plain(field.type)]
