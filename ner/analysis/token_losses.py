"""The table of token losses: a row for every word of every evaluated sentence, as Parquet.

    run, language, split   string
    sentence               int64, row of the sentence in the evaluated split, from 0
    word                   int32, place in the sentence, from 0
    text                   string, the word
    sub_tokens             list of string, its sub-tokens; empty for a word without any; of a baseline the word itself
    gold, predicted        string, names of tags; predicted is O for a word without a sub-token
    loss                   float32, cross-entropy at the word's first sub-token, of a CRF with its marginal
                           probabilities; null without a sub-token, and of a dictionary, as in what follows
    p_gold, p_predicted    float32, probability of the gold and of the predicted tag
    entropy                float32, of the distribution over tags, in nats

Rows are ordered by run, split and language as they were evaluated, then by sentence and word; the mean of the losses
is the evaluation loss. `ner.analysis.views` and `ner.analysis.label_errors` read it.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datasets import Dataset

from ner.data.arrow_store import WORDS, batches
from ner.errors import InputError, listed, single_line
from ner.files import file_errors, written_aside
from ner.tags import TagSet
from ner.utils import ranges, rows_of

if TYPE_CHECKING:  # who only reads such a table need not wait for torch
    from ner.evaluation.tested import Tested

Table: TypeAlias = pa.Table | str | Path  # in memory, or its file
FILE_NAME = "token_losses.parquet"
SENTENCES_PER_TABLE = 4000  # one row group: bounds memory
NAMES = pa.dictionary(pa.int32(), pa.string())
# Names that repeat are dictionaries in memory; in the file, without Arrow's own schema, they are plain strings to all
# readers, and encoded as dictionaries all the same.
SCHEMA = pa.schema(
    [
        ("run", NAMES),
        ("language", NAMES),
        ("split", NAMES),
        ("sentence", pa.int64()),
        ("word", pa.int32()),
        ("text", pa.string()),
        ("sub_tokens", pa.list_(pa.string())),
        ("gold", NAMES),
        ("predicted", NAMES),
        ("loss", pa.float32()),
        ("p_gold", pa.float32()),
        ("p_predicted", pa.float32()),
        ("entropy", pa.float32()),
    ]
)


class Place(NamedTuple):
    """What sentences were evaluated with which run."""

    run: str
    language: str
    split: str


@contextlib.contextmanager
def open_file(file: Path) -> Iterator[pq.ParquetWriter]:
    """A writer of such tables. The file is written aside, and is there once all of it is. Raises OSError."""
    with (
        written_aside(file) as aside,
        pq.ParquetWriter(aside, SCHEMA, compression="zstd", store_schema=False) as writer,
    ):
        yield writer


def tables(place: Place, rows: Dataset, tested: "Tested", tags: TagSet) -> Iterator[pa.Table]:
    """The words of evaluated sentences, SENTENCES_PER_TABLE at a time. tested: these rows; tags: of the model."""
    predictions, offsets = tested.predictions, tested.word_offsets
    numbers = (predictions.losses, predictions.p_gold, predictions.p_predicted, predictions.entropy)
    first = 0
    for batch in batches(rows, SENTENCES_PER_TABLE):
        words = batch[WORDS].combine_chunks().flatten().cast(pa.string())
        num_words = np.diff(offsets[first : first + len(batch) + 1])
        span = slice(offsets[first], offsets[first] + len(words))
        whole = pa.ListArray.from_arrays(pa.array(np.arange(len(words) + 1, dtype=np.int32)), words)
        columns = [
            *(repeated(name, len(words)) for name in place),
            pa.array(first + rows_of(num_words)),
            pa.array(ranges(0, num_words).astype(np.int32)),
            words,
            tested.sub_tokens(span.start, span.stop) if tested.sub_tokens else whole,
            *(names(values[span], tags) for values in (tested.gold, predictions.tags)),
            *(pa.array(values[span], pa.float32(), mask=np.isnan(values[span])) for values in numbers),
        ]
        yield pa.Table.from_arrays(columns, schema=SCHEMA)
        first += len(batch)


def names(tag_ids: np.ndarray, tags: TagSet) -> pa.DictionaryArray:
    """The names of tags, each stored once."""
    return pa.DictionaryArray.from_arrays(pa.array(tag_ids.astype(np.int32)), pa.array(tags.names))


def repeated(name: str, times: int) -> pa.DictionaryArray:
    """One name, so many times."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(times, np.int32)), pa.array([name]))


def read(source: Table, columns: Sequence[str] | None = None) -> pa.Table:
    """These columns (None: all) of a table or file, one chunk each, names that repeat as dictionaries.

    Raises InputError for a file that is no table of token losses, or cannot be read.
    """
    wanted = SCHEMA.names if columns is None else list(columns)
    if isinstance(source, pa.Table):
        return source.select(wanted).unify_dictionaries().combine_chunks()
    if not Path(source).exists():
        raise InputError(f"{source}: no such file; evaluate.py --token-losses writes one")
    try:
        with file_errors(source):
            schema = pq.read_schema(source)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError(f"{source}: not Parquet; evaluate.py --token-losses writes such tables") from error
    if lacking := [name for name in SCHEMA.names if name not in schema.names]:
        raise InputError(f"{source}: no column {', '.join(lacking)}; evaluate.py --token-losses writes such tables")
    names = [name for name in wanted if pa.types.is_dictionary(SCHEMA.field(name).type)]
    try:
        # A folder `run=1` above the file is no column.
        table = pq.read_table(source, columns=wanted, read_dictionary=names, partitioning=None)
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{source}: damaged: {single_line(error)[:200]}") from error
    return table.unify_dictionaries().combine_chunks()


def select(source: Table, *, run: str | None = None, language: str | None = None, split: str | None = None) -> pa.Table:
    """The rows of a run, a language, a split. Raises InputError for one that is not there, with those that are."""
    table = read(source)
    for name, value in (("run", run), ("language", language), ("split", split)):
        if value is None:
            continue
        there = pc.unique(table[name]).to_pylist()
        if value not in there:
            raise InputError(f"no {name} {value}; there is {listed(there)}")
        table = table.filter(pc.equal(table[name].cast(pa.string()), value))
    return table


def codes(column: pa.ChunkedArray) -> tuple[np.ndarray, pa.Array]:
    """A column of strings as (int32 [rows], index of each into the second; str [names])."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    whole = column.unify_dictionaries().combine_chunks()
    return whole.indices.to_numpy(), whole.dictionary


def sentence_offsets(table: pa.Table) -> np.ndarray:
    """int64 [sentences + 1]: the rows of each sentence."""
    return np.append(np.flatnonzero(table["word"].to_numpy() == 0), len(table))


def losses(table: pa.Table) -> np.ndarray:
    """float32 [words], nan for a word without a sub-token."""
    return table["loss"].to_numpy()
