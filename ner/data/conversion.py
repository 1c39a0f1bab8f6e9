"""Rows as they were read -> datasets with IOB2 tags as ClassLabel. Rows whose tags cannot be used are left out."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import ClassLabel, Dataset, Features, Value
from datasets import List as ListOf

from ner.data import faults
from ner.data.arrow_store import ROW, TAGS, WORDS, Rows, lengths
from ner.data.cache import cached
from ner.data.faults import Fault
from ner.data.tag_schemes import ParsedLabels, SchemeConverter, SchemeStats
from ner.errors import shorten
from ner.files import read_json
from ner.tags import TagSet, first_words
from ner.utils import offsets_of, rows_of


@dataclass(frozen=True)
class Converted:
    """Sentences with IOB2 tags. tally: what scheme they were in; faults: file of the rows that were left out."""

    data: Dataset
    tally: SchemeStats
    faults: Path
    num_faults: int


def convert(
    rows: Rows,
    id_names: Sequence[str] | None,
    names: ParsedLabels,
    mapping: Mapping[str, str],
    tags: TagSet,
    *,
    repair: bool = True,
) -> Converted:
    """IOB2 tags of these rows, from the cache if it has them.

    id_names: what the rows' ids stand for; names: of the whole corpus, taken apart; repair: as of `SchemeConverter`.
    """
    key: tuple[object, ...] = (rows.folder.name, id_names, names.names, sorted(mapping.items()), tags.names)
    key = key if repair else (*key, "not repaired")

    def write(folder: Path) -> None:
        write_converted(folder, rows, id_names, names, mapping, tags, repair=repair)

    return converted(cached(key, write, kind="rows in IOB2", content=rows.place))


def write_converted(
    folder: Path,
    rows: Rows,
    id_names: Sequence[str] | None,
    names: ParsedLabels,
    mapping: Mapping[str, str],
    tags: TagSet,
    *,
    repair: bool = True,
) -> None:
    """Writes what `converted` reads into a folder. Arguments as of `convert`."""
    converter = SchemeConverter(names, mapping, tags, repair=repair)
    tally = SchemeStats()
    num_faults = 0
    features = Features({WORDS: ListOf(Value("string")), TAGS: ListOf(ClassLabel(names=list(tags.names)))})
    schema = features.arrow_schema
    with (
        pa.ipc.new_stream(str(folder / "rows.arrow"), schema) as arrow,
        (folder / "faults.jsonl").open("w", encoding="utf-8", errors="backslashreplace") as lines,
    ):
        for table in rows.tables():
            raw, ids, batch_tally = tags_of(table, id_names, names, converter)
            if (bad := np.unique(rows_of(lengths(table))[ids < 0])).size:
                for fault in tag_faults(table, bad, raw, ids, rows.place, id_names, names, tags):
                    lines.write(faults.to_json(fault))
                num_faults += len(bad)
                table = table.take(np.setdiff1d(np.arange(len(table)), bad))
                raw, ids, batch_tally = tags_of(table, id_names, names, converter)
            tally += batch_tally
            words = table[WORDS].combine_chunks()
            offsets = pa.array(offsets_of(lengths(table)), pa.int32())
            arrow.write_table(
                pa.table([words, pa.ListArray.from_arrays(offsets, pa.array(ids, pa.int64()))], schema=schema)
            )
    (folder / "summary.json").write_text(json.dumps({"tally": vars(tally), "num_faults": num_faults}), encoding="utf-8")


def converted(folder: Path) -> Converted:
    """The sentences that `write_converted` has written."""
    summary = read_json(folder / "summary.json")
    tally = SchemeStats(**{**summary["tally"], "prefixes": Counter(summary["tally"]["prefixes"])})
    return Converted(
        Dataset.from_file(str(folder / "rows.arrow")), tally, folder / "faults.jsonl", summary["num_faults"]
    )


def tags_of(
    table: pa.Table, id_names: Sequence[str] | None, names: ParsedLabels, converter: SchemeConverter
) -> tuple[np.ndarray, np.ndarray, SchemeStats]:
    """(index into the names, IOB2 id) of each word, -1 where there is none, and what was met."""
    flat = table[TAGS].combine_chunks().flatten()
    if id_names is None:
        raw = pc.index_in(flat, value_set=pa.array(names.names)).to_numpy(zero_copy_only=False)
    else:
        ids = flat.to_numpy(zero_copy_only=False)
        index = np.array([names.names.index(name) for name in id_names])
        raw = np.where((ids >= 0) & (ids < len(index)), index[np.clip(ids, 0, len(index) - 1)], -1)
    ids, tally = converter(np.maximum(raw, 0), first_words(offsets_of(lengths(table))))
    return raw, np.where(raw < 0, -1, ids), tally


def tag_faults(
    table: pa.Table,
    bad: np.ndarray,
    raw: np.ndarray,
    ids: np.ndarray,
    place: str,
    id_names: Sequence[str] | None,
    names: ParsedLabels,
    tags: TagSet,
) -> list[Fault]:
    """What is wrong with the tags of the rows `bad`: the first word of each that has no IOB2 tag."""
    first = offsets_of(lengths(table))
    found = []
    for row, values in zip(bad.tolist(), table.take(bad).to_pylist(), strict=True):
        word = int(np.flatnonzero(ids[first[row] : first[row + 1]] < 0)[0])
        tag = values[TAGS][word]
        index = int(raw[first[row] + word])
        name = names.names[index] if index >= 0 else None
        if name is None:
            what = f"the id {tag}; ids go from 0 to {len(id_names or ()) - 1}"
        elif name in names.malformed:
            what = f"the malformed tag {shorten(tag)}; tags are O, B-TYPE and I-TYPE, or those of another scheme"
        else:
            what = f"the unknown tag {shorten(tag)}; the tags are {' '.join(tags.names)}"
        reason = f"token {word + 1}, {shorten(values[WORDS][word])}, has {what}"
        found.append(Fault(place, reason, values.pop(ROW), values))
    return found
