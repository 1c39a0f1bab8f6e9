"""Entities that probes flipped -> columns of the page's browser of sentences, and the names that they index."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ner.utils import offsets_of

PLACE = ("run", "language", "split")
NOTHING = -1  # the type of an entity that was not there before, or is lost


class FlipTable(NamedTuple):
    """Entities that probes flipped. table: as `ner.analysis.probing.files` has it; probes, flips: names, in order."""

    table: pa.Table
    probes: Sequence[str]
    flips: Sequence[str]


def pack_flips(
    flips: FlipTable, names: Mapping[str, Sequence[str]], codes: np.ndarray, number: np.ndarray, types: Sequence[str]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and columns. Entities of sentences that are not in the browser are left out.

    names, codes, number: of the sentences, in the order of their places and numbers, as in `Sentences`; types: of the
    entities in the sentences, which come first.
    """
    table = flips.table
    sentence = rows_of_places(table, names, codes, number)
    table, sentence = table.filter(pa.array(sentence >= 0)), sentence[sentence >= 0]
    probe = indexes(table["probe"], flips.probes)
    order = np.lexsort([probe, sentence])
    table, sentence, probe = table.take(order), sentence[order], probe[order]
    sides = ("before", "after")
    texts = pa.concat_arrays([unique(table[side]) for side in sides]).unique()
    found = pa.concat_arrays([unique(table[f"{side}_type"]) for side in sides]).unique().to_pylist()
    all_types = [*types, *(type_ for type_ in found if type_ is not None and type_ not in types)]
    columns: dict[str, np.ndarray] = {
        "flip_start": offsets_of(np.bincount(sentence, minlength=len(number))).astype(np.uint32),
        "flip_probe": probe.astype(np.uint8),
        "flip_kind": indexes(table["flip"], flips.flips).astype(np.uint8),
    }
    for side in sides:
        columns[f"flip_{side}"] = np.maximum(indexes(table[side], texts), 0).astype(np.uint32)
        columns[f"flip_{side}_type"] = indexes(table[f"{side}_type"], all_types).astype(np.int16)
    header: dict[str, Any] = {
        "probes": list(flips.probes),
        "kinds": list(flips.flips),
        "texts": [text or "" for text in texts.to_pylist()],
        "types": all_types,
    }
    return header, columns


def rows_of_places(
    table: pa.Table, names: Mapping[str, Sequence[str]], codes: np.ndarray, number: np.ndarray
) -> np.ndarray:
    """int64 [entities]: the sentence of each in the browser, -1 for none."""
    row = table["sentence"].to_numpy().astype(np.int64)
    row = np.where((row >= 0) & (row <= number.max()), row, NOTHING)
    of_table = [*(indexes(table[name], names[name]) for name in PLACE), row]
    of_browser = [*codes, number]
    sizes = [int(max(side.max(initial=0) for side in pair)) + 2 for pair in zip(of_table, of_browser, strict=True)]
    wanted, there = (np.ravel_multi_index([part + 1 for part in side], sizes) for side in (of_table, of_browser))
    place = np.minimum(np.searchsorted(there, wanted), len(there) - 1)
    return np.where(there[place] == wanted, place, NOTHING)


def unique(column: pa.ChunkedArray) -> pa.Array:
    """The different values of a column of strings."""
    return pc.unique(column.cast(pa.string()))


def indexes(column: pa.ChunkedArray, names: Sequence[str] | pa.Array) -> np.ndarray:
    """int64 [rows]: the place of each value in the names, -1 for null and for what is not there."""
    values = names if isinstance(names, pa.Array) else pa.array(names, pa.string())
    found = pc.index_in(column.cast(pa.string()), value_set=values, skip_nulls=True).fill_null(NOTHING)
    return found.to_numpy().astype(np.int64)
