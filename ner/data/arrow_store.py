"""Rows on disk: sentences stream into Arrow files, are checked on the way, and are read back without filling memory.

What a reader yields is a `Row` or a `Fault`, or a whole Arrow table; what comes of it is a folder of the cache with
rows.arrow (tokens, ner_tags, row), faults.jsonl and summary.json.

A folder of the cache has a manifest with the size and SHA-256 of its files, and is checked each time it is used: that
takes a twentieth of the time that it takes to read 20,000 sentences once.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from ner.data import faults
from ner.data.cache import cached
from ner.data.faults import Fault, Undecided
from ner.errors import InputError, listed, shorten
from ner.files import read_json
from ner.tags import TagSet
from ner.utils import tqdm

WORDS, TAGS, ROW = "tokens", "ner_tags", "row"
WORDS_PER_BATCH = 200_000  # bounds memory
CHARACTERS_PER_BATCH = 1 << 24  # as well: words may be long
MOST_TAGS = 25_000  # of a column: twice what the corpora with the finest types have


class Row(NamedTuple):
    """A sentence as it was read. number: its line or row; tags: all names, or all ids."""

    number: int
    words: list[str]
    tags: list[Any]


@dataclass(frozen=True)
class Rows:
    """Sentences in a folder of the cache: tokens, ner_tags (names or ids) and row, in file order.

    tag_counts: how often each tag stands there, ids as their digits; num_faults: rows that were left out;
    undecided: reason -> rows of annotation tools that are left out as nobody has accepted them.
    """

    folder: Path
    place: str
    has_ids: bool
    tag_counts: dict[str, int]
    num_faults: int
    undecided: dict[str, int]

    @property
    def faults(self) -> Path:
        """The file of the rows that were left out."""
        return self.folder / "faults.jsonl"

    def tables(self) -> Iterator[pa.Table]:
        """The sentences, a batch at a time. Not mapped into memory, where what was read would stay."""
        with (self.folder / "rows.arrow").open("rb") as file:
            for batch in pa.ipc.open_stream(file):
                yield pa.Table.from_batches([batch])


def store(key: object, place: str, read: Callable[[], Iterable[Row | Fault | pa.Table]]) -> Rows:
    """The rows that `read` yields, from the cache if it holds this key. Raises what `read` raises.

    place: where they come from, for messages.
    """

    def write(folder: Path) -> None:
        with tqdm(desc=f"read {place}", unit=" rows", delay=2, leave=False) as bar:
            write_rows(folder, place, read(), bar.update)

    return stored(cached((key, place), write, kind="rows as read", content=place), place)


def write_rows(
    folder: Path, place: str, items: Iterable[Row | Fault | pa.Table], progress: Callable[[int], object] | None = None
) -> None:
    """Writes what a reader yields into a folder; `progress` gets the number of rows. Raises what the reader raises."""
    with RowWriter(folder, place) as writer:
        for item in items:
            writer.add(item)
            if progress:
                progress(len(item) if isinstance(item, pa.Table) else 1)


def stored(folder: Path, place: str) -> Rows:
    """The rows that `write_rows` has written."""
    return Rows(folder, place, **read_json(folder / "summary.json"))


class RowWriter:
    """Writes rows.arrow, faults.jsonl and summary.json into a folder, a batch at a time."""

    def __init__(self, folder: Path, place: str) -> None:
        self.folder = folder
        self.place = place
        self.rows: list[Row] = []
        self.num_words = self.num_characters = self.num_faults = 0
        self.tag_counts: Counter[Any] = Counter()
        self.undecided: Counter[str] = Counter()
        self.arrow: pa.RecordBatchStreamWriter | None = None
        self.has_ids: bool | None = None

    def __enter__(self) -> "RowWriter":
        self.faults = (self.folder / "faults.jsonl").open("w", encoding="utf-8", errors="backslashreplace")
        return self

    def __exit__(self, *error: object) -> None:
        try:
            if error[0] is None:
                self.flush()
                self.has_ids = bool(self.has_ids)
                self.write_table(table_of([], self.has_ids))  # rows.arrow, if there is no row
                counts = {str(tag): count for tag, count in sorted(self.tag_counts.items())}
                summary = {"has_ids": self.has_ids, "tag_counts": counts, "num_faults": self.num_faults}
                summary["undecided"] = dict(sorted(self.undecided.items()))
                (self.folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
        finally:
            self.faults.close()
            if self.arrow:
                self.arrow.close()

    def add(self, item: Row | Fault | pa.Table) -> None:
        """A row, a fault in its place, or a table of tokens, ner_tags and row."""
        if isinstance(item, Undecided):
            self.undecided[item.reason] += 1
        elif isinstance(item, Fault):
            self.fault(item)
        elif isinstance(item, pa.Table):
            self.write_table(item)
        else:
            has_ids = bool(item.tags) and not isinstance(item.tags[0], str)
            if self.has_ids is None and item.tags:
                self.has_ids = has_ids
            if item.tags and has_ids != self.has_ids:
                kinds = ("ids", "names") if has_ids else ("names", "ids")
                reason = f"its tags are {kinds[0]}, {shorten(item.tags[0])}; those of the rows before are {kinds[1]}"
                self.fault(Fault(self.place, reason, item.number, item._asdict()))
                return
            self.rows.append(item)
            self.num_words += len(item.words)
            self.num_characters += sum(map(len, item.words))
            if self.num_words >= WORDS_PER_BATCH or self.num_characters >= CHARACTERS_PER_BATCH:
                self.flush()

    def fault(self, fault: Fault) -> None:
        """Writes a fault beside the rows."""
        self.num_faults += 1
        self.faults.write(faults.to_json(fault))

    def flush(self) -> None:
        """Writes the rows that wait."""
        rows, self.rows, self.num_words, self.num_characters = self.rows, [], 0, 0
        try:
            self.write_table(table_of(rows, bool(self.has_ids)))
        except UnicodeEncodeError:
            reasons = [not_unicode(row) for row in rows]
            for row, reason in zip(rows, reasons, strict=True):
                if reason:
                    self.fault(Fault(self.place, reason, row.number, row._asdict()))
            legal = [row for row, reason in zip(rows, reasons, strict=True) if not reason]
            self.write_table(table_of(legal, bool(self.has_ids)))

    def write_table(self, table: pa.Table) -> None:
        """Writes the rows of a table that pass the check, the others as faults."""
        reasons = wrong_rows(*(table[name].combine_chunks() for name in (WORDS, TAGS)))
        if reasons:
            bad = sorted(reasons)
            for row, values in zip(bad, table.take(pa.array(bad, pa.int64())).to_pylist(), strict=True):
                self.fault(Fault(self.place, reasons[row], values.pop(ROW), values))
            table = table.take(np.setdiff1d(np.arange(len(table)), bad))
        if len(table) == 0 and self.has_ids is None:  # what kind of tags there are shows later
            return
        counts = pc.value_counts(table[TAGS].combine_chunks().flatten())
        self.tag_counts.update({entry["values"]: entry["counts"] for entry in counts.to_pylist()})
        if len(self.tag_counts) > MOST_TAGS:
            some = listed(map(str, self.tag_counts), 3)
            raise InputError(f"more than {MOST_TAGS:,} different tags: {some}; not a column of tags")
        if self.arrow is None:
            self.has_ids = pa.types.is_integer(table.schema.field(TAGS).type.value_type)
            self.arrow = pa.ipc.new_stream(str(self.folder / "rows.arrow"), table.schema)
        self.arrow.write_table(table)


def table_of(rows: Sequence[Row], has_ids: bool) -> pa.Table:
    """A table of tokens, ner_tags and row. Raises UnicodeEncodeError for half a surrogate pair."""
    columns = {
        WORDS: pa.array([row.words for row in rows], pa.list_(pa.string())),
        TAGS: pa.array([row.tags for row in rows], pa.list_(pa.int64() if has_ids else pa.string())),
        ROW: pa.array([row.number for row in rows], pa.int64()),
    }
    return pa.table(columns)


def not_unicode(row: Row) -> str | None:
    """Why a row cannot be written as UTF-8. Bytes that were no UTF-8 when read are halves of surrogate pairs here."""
    for text in (*row.words, *(tag for tag in row.tags if isinstance(tag, str))):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            code = ord(text[error.start])
            what = f"byte 0x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"half a surrogate pair U+{code:04X}"
            return f"not UTF-8: {what} in {ascii(text)[:60]}"
    return None


def wrong_rows(words: pa.ListArray, tags: pa.ListArray) -> dict[int, str]:
    """Row -> what is wrong with it: null or empty lists, different lengths, words that are null or blank, null tags.

    words: list of str; tags: list of int or str.
    """
    reasons: dict[int, str] = {}
    num_words = pc.fill_null(pc.list_value_length(words), -1).to_numpy(zero_copy_only=False)
    num_tags = pc.fill_null(pc.list_value_length(tags), -1).to_numpy(zero_copy_only=False)
    for row in np.flatnonzero((num_words < 0) | (num_tags < 0)).tolist():
        reasons[row] = f"{WORDS if num_words[row] < 0 else TAGS} is null"
    for row in np.flatnonzero((num_words != num_tags) & (num_words >= 0) & (num_tags >= 0)).tolist():
        reasons[row] = f"{num_words[row]} tokens but {num_tags[row]} tags"
    for row in np.flatnonzero((num_words == 0) & (num_tags == 0)).tolist():
        reasons[row] = "an empty sentence"
    flat_words, flat_tags = words.flatten(), tags.flatten()
    blank = pc.fill_null(pc.equal(pc.binary_length(pc.utf8_trim_whitespace(flat_words)), 0), True)
    for row, position, element in first_of_each(blank, words):
        reasons.setdefault(row, f"token {position} is {shorten(flat_words[element].as_py())}, not a word")
    for row, position, _ in first_of_each(pc.is_null(flat_tags), tags):
        reasons.setdefault(row, f"tag {position} is null")
    return reasons


def first_of_each(marked: pa.BooleanArray, lists: pa.ListArray) -> Iterator[tuple[int, int, int]]:
    """(row, position in it from 1, element over all rows) of the first marked element of each row that has one."""
    elements = np.flatnonzero(marked.to_numpy(zero_copy_only=False))
    parents = pc.list_parent_indices(lists).to_numpy()
    rows, first = np.unique(parents[elements], return_index=True)
    for row, element in zip(rows.tolist(), elements[first].tolist(), strict=True):
        yield row, element - int(np.searchsorted(parents, row)) + 1, element


def tag_set(dataset: Dataset) -> TagSet:
    """The tags of a loaded dataset."""
    return TagSet(tuple(dataset.features[TAGS].feature.names))


def used_tags(dataset: Dataset) -> list[str]:
    """Names of the tags that the rows of a loaded dataset hold, in the order of their ids."""
    return [tag_set(dataset).names[i] for i in np.unique(flat_column(dataset, TAGS)[0])]


def flat_column(dataset: Dataset, column: str) -> tuple[np.ndarray, np.ndarray]:
    """A list column as (all elements, elements in each row: int64 [rows])."""
    table = dataset.with_format("arrow")[:][column].combine_chunks()
    flat = table.flatten()
    return flat.to_numpy(zero_copy_only=False), np.diff(table.offsets.to_numpy())


def batches(dataset: Dataset, size: int = 10_000) -> Iterator[pa.Table]:
    """The rows as Arrow tables of at most `size` rows."""
    yield from dataset.with_format("arrow").iter(size)


def lengths(rows: pa.Table) -> np.ndarray:
    """int64 [rows]: words of each."""
    return pc.list_value_length(rows[TAGS].combine_chunks()).to_numpy(zero_copy_only=False).astype(np.int64)


def content_hash(dataset: Dataset) -> str:
    """A hash of words and tag ids, whatever files or batches they come from."""
    content = hashlib.sha256()
    for rows in batches(dataset):
        content.update(np.ascontiguousarray(rows[TAGS].combine_chunks().flatten().to_numpy(zero_copy_only=False)).data)
    for rows in batches(dataset):
        words = rows[WORDS].combine_chunks().cast(pa.list_(pa.string()))
        content.update(np.diff(words.offsets.to_numpy()).data)
        flat = words.flatten()
        if len(flat):
            _, offsets, text = flat.buffers()
            ends = np.frombuffer(offsets, np.int32)[flat.offset : flat.offset + len(flat) + 1]
            content.update(np.diff(ends).data)
            content.update(memoryview(text)[ends[0] : ends[-1]])
    return content.hexdigest()
