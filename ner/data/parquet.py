"""Parquet files of sentences, also gzipped: read in parts of bounded memory, and checked."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datasets import Features

from ner.data.arrow_store import ROW, TAGS, WORDS
from ner.data.limits import ANYHOW, LONGEST_LINE, LONGEST_WORD, MOST_FROM_A_BYTE, MOST_WORDS, ROWS_PER_BATCH, Unpacked
from ner.errors import InputError, listed
from ner.files import NO_ROOM
from ner.utils import offsets_of


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
    types = [pa.list_(pa.int64() if is_list_of_ids(schema.field(name).type) else pa.string()) for name in names]
    first = 0
    for batch in batches:
        batch.validate(full=True)
        cast = [batch[name].cast(type_) for name, type_ in zip(names, types, strict=True)]
        yield pa.table([*cast, np.arange(first, first + len(batch))], [WORDS, TAGS, ROW])
        first += len(batch)


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

    def dictionary_batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Its rows as they are read. A row group has a dictionary of its own, and Arrow reads lists of one alone."""
        for group in range(self.file.num_row_groups):
            yield from self.file.iter_batches(ROWS_PER_BATCH, [group], list(columns))

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Its rows, in parts. Raises InputError for a row of too many words, or too long ones."""
        schema = pa.schema([self.schema_arrow.field(name) for name in columns])
        first = 0
        for batch in self.dictionary_batches(columns):
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
        return np.diff(offsets_of(inner)[offsets_of(counts)])
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
            try:
                with Unpacked(file) as packed:
                    shutil.copyfileobj(packed, source, 1 << 20)
            except OSError as error:
                if error.errno not in NO_ROOM:
                    raise
                remedy = "it is unpacked there, and the variable TMPDIR names another folder"
                raise InputError(f"{tempfile.gettempdir()}: {error.strerror}; {remedy}") from error
        parquet = Parquet(source, file.stat().st_size)
        stack.enter_context(parquet.file)
        yield parquet


def check_counts(metadata: pq.FileMetaData, size: int) -> None:
    """Raises InputError for a file that says too much in that many bytes: one word, some billions of times."""
    limit = ANYHOW + MOST_FROM_A_BYTE * size
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    counts = [sum(group.column(i).num_values for group in groups) for i in range(metadata.num_columns)]
    number = max(metadata.num_rows, *counts)
    if number > limit:
        raise InputError(f"{number:,} values in {size:,} bytes, where {limit:,} are the most; not a data file")


def word_and_tag(schema: pa.Schema, columns: dict[str, str]) -> tuple[str, str]:
    """Names of the columns of words and tags. Raises InputError for one that is missing or of another type."""
    names = columns.get("word", WORDS), columns.get("tag", TAGS)
    if missing := [name for name in names if name not in schema.names]:
        raise InputError(f"no column {', '.join(missing)}; it has {listed(schema.names)}")
    for name, what in zip(names, ("words", "tags"), strict=True):
        type_ = schema.field(name).type
        if not is_list_of_text(type_) and not (what == "tags" and is_list_of_ids(type_)):
            raise InputError(f"{name} is {type_}, not a list of {what}")
    return names


def is_list_of_text(type_: pa.DataType) -> bool:
    """Whether a column holds lists of strings."""
    return is_list(type_) and (pa.types.is_string(type_.value_type) or pa.types.is_large_string(type_.value_type))


def is_list_of_ids(type_: pa.DataType) -> bool:
    """Whether a column holds lists of integers."""
    return is_list(type_) and pa.types.is_integer(type_.value_type)


def is_list(type_: pa.DataType) -> bool:
    """Whether a column holds lists."""
    return pa.types.is_list(type_) or pa.types.is_large_list(type_)
