"""Views on a table of token losses: which tokens, words, tags, entities and sentences a tagger gets wrong.

Every view takes the table of token losses, in memory or as the path of its file, and pools what is in it; `select` cuts
it down. Losses are in nats and at a word's first sub-token; a word without a sub-token has none, and counts among tags
and entities alone, where it is predicted O.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ner.analysis.entity_errors import KINDS, Matches, match
from ner.analysis.token_losses import Table, codes, losses, read, sentence_offsets
from ner.errors import InputError, shorten
from ner.tags import TagSet
from ner.utils import rows_of

By: TypeAlias = Literal["total", "mean"]
Order: TypeAlias = Literal["sum", "mean"]
PLACE = ["run", "language", "split", "sentence"]
LENGTHS = (1, 6, 11, 21, 41, 81)  # words where a bin of sentence lengths begins
LOSS_EDGES = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)  # nats where a bin of losses begins


def grouped(name: str, groups: np.ndarray, names: pa.Array, loss: np.ndarray) -> pa.Table:
    """name, count int64, mean float64, sum float64 of the losses of each group, the highest sum first.

    groups: index into names [words]; loss: float32 [words], nan where there is none.
    """
    scored = ~np.isnan(loss)
    count = np.bincount(groups[scored], minlength=len(names))
    total = np.bincount(groups[scored], weights=loss[scored], minlength=len(names))
    order = np.argsort(-total, kind="stable")
    order = order[count[order] > 0]
    count, total = count[order], total[order]
    return pa.table({name: names.take(pa.array(order)), "count": count, "mean": total / count, "sum": total})


def ordered(table: pa.Table, by: Order | None, *, ascending: bool = False, min_count: int = 1) -> pa.Table:
    """The groups of a view like `by_token` in another order; those that are equal stay as they stand.

    The lowest means of frequent groups are shortcuts: what the tagger is surest of.

    Args:
        table: count, sum and mean of each group.
        by: Sum or mean of the losses; None: as the groups stand.
        ascending: The lowest first.
        min_count: Groups of fewer words are left out.

    Returns:
        The same columns.
    """
    table = table.filter(pc.greater_equal(table["count"], min_count))
    if by is None:
        return table
    values = table[by].to_numpy()
    return table.take(pa.array(np.argsort(values if ascending else -values, kind="stable")))


def by_token(source: Table) -> pa.Table:
    """token, count, mean, sum: losses of the words that begin with each sub-token, which is where they are scored."""
    table = read(source, ["sub_tokens", "loss"])
    table = table.filter(pc.greater(pc.list_value_length(table["sub_tokens"]), 0))
    return grouped("token", *codes(pc.list_element(table["sub_tokens"], 0)), losses(table))


def by_word(source: Table) -> pa.Table:
    """word, count, mean, sum: losses of each word."""
    table = read(source, ["text", "loss"])
    return grouped("word", *codes(table["text"]), losses(table))


def by_tag(source: Table) -> pa.Table:
    """tag, count, mean, sum: losses of the words of each gold tag."""
    table = read(source, ["gold", "loss"])
    return grouped("tag", *codes(table["gold"]), losses(table))


def by_language(source: Table) -> pa.Table:
    """language, count, mean, sum: losses of the words of each language."""
    table = read(source, ["language", "loss"])
    return grouped("language", *codes(table["language"]), losses(table))


def by_length(source: Table, starts: Sequence[int] = LENGTHS) -> pa.Table:
    """length, count, mean, sum: losses of words by how many words their sentence has, short sentences first.

    starts: the lengths where the bins begin, rising; the last one has no end.
    """
    table = read(source, ["word", "loss"])
    lengths = np.diff(sentence_offsets(table))
    names = bin_names(starts)
    found = grouped("length", np.repeat(bins(lengths, starts), lengths), pa.array(names), losses(table))
    return found.take(np.argsort([names.index(name) for name in found["length"].to_pylist()]))


def bins(values: np.ndarray, starts: Sequence[float]) -> np.ndarray:
    """int64 [values]: the bin of each. starts: where bins begin, the last one without an end."""
    return np.searchsorted(np.asarray(starts, values.dtype), values, side="right") - 1


def bin_names(starts: Sequence[int]) -> list[str]:
    """1-5, 6, 7+ of the starts 1, 6, 7. Raises InputError unless they rise from 1 on."""
    if list(starts[:1]) != [1] or sorted(set(starts)) != list(starts):
        raise InputError(f"`starts` is {shorten(starts)}; give lengths that rise, the first one 1")
    inner = [f"{start}-{end - 1}" if end - start > 1 else str(start) for start, end in pairwise(starts)]
    return [*inner, f"{starts[-1]}+"]


@dataclass(frozen=True)
class LossHistogram:
    """How many words of each gold tag have which loss.

    Attributes:
        tags: In the order of `TagSet`.
        edges: Where bins begin, in nats; the last one has no end.
        counts: int64 [tags, bins].
    """

    tags: tuple[str, ...]
    edges: tuple[float, ...]
    counts: np.ndarray


def loss_histogram(source: Table, edges: Sequence[float] = LOSS_EDGES) -> LossHistogram:
    """Losses of the words of each gold tag, counted in bins; a word without a loss is in none.

    edges: nats where bins begin, rising from 0 on. Raises InputError for others.
    """
    if list(edges[:1]) != [0] or sorted(set(edges)) != list(edges):
        raise InputError(f"`edges` is {shorten(edges)}; give losses that rise, the first one 0")
    table = read(source, ["gold", "predicted", "loss"])
    tags, gold, _ = tag_ids(table)
    loss = losses(table)
    scored = ~np.isnan(loss)
    places = gold[scored] * len(edges) + np.maximum(bins(loss[scored], edges), 0)  # a rounded 0 may be below 0
    counts = np.bincount(places, minlength=len(tags) * len(edges)).reshape(len(tags), len(edges))
    return LossHistogram(tags.names, tuple(edges), counts)


@dataclass(frozen=True)
class Confusion:
    """How often what is gold (rows) is predicted as what (columns). counts: int64 [rows, columns]."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: np.ndarray

    @property
    def shares(self) -> np.ndarray:
        """float64 [rows, columns]: each row divided by its sum; 0 in a row without cases."""
        return self.counts / np.maximum(self.counts.sum(axis=1, keepdims=True), 1)


def tag_confusion(source: Table) -> Confusion:
    """Gold against predicted tag of every word."""
    table = read(source, ["gold", "predicted"])
    tags, gold, predicted = tag_ids(table)
    size = len(tags)
    counts = np.bincount(gold * size + predicted, minlength=size * size).reshape(size, size)
    return Confusion(tags.names, tags.names, counts)


def type_confusion(source: Table) -> Confusion:
    """Gold against predicted type of matched entities (`ner.analysis.entity_errors`), whatever their boundaries.

    The last column counts gold entities that are missed, the last row predicted ones that are spurious.
    """
    types, matches = entity_matches(source)
    size = len(types) + 1
    counts = np.bincount(matches.gold_type * size + matches.predicted_type, minlength=size * size)
    return Confusion((*types, "spurious"), (*types, "missed"), counts.reshape(size, size))


def entity_kinds(source: Table) -> pa.Table:
    """kind, count, and a column for each type: how many entities are correct, and which errors the others are.

    missed: matches no predicted entity; spurious: no gold one; wrong type, boundary error, both wrong: of a matched
    pair. The type is that of the gold entity, of a spurious one the predicted. int64; a row for each kind.
    """
    types, matches = entity_matches(source)
    entity_type = np.where(matches.gold_type == len(types), matches.predicted_type, matches.gold_type)
    counts = np.bincount(matches.kind * len(types) + entity_type, minlength=len(KINDS) * len(types))
    counts = counts.reshape(len(KINDS), len(types))
    return pa.table(
        {"kind": KINDS, "count": counts.sum(axis=1), **{name: counts[:, i] for i, name in enumerate(types)}}
    )


def entity_errors(source: Table) -> pa.Table:
    """Every entity, or pair of a gold and a predicted one that match, in order: what the counts above are made of.

    run, language, split, sentence; kind, gold_type, predicted_type: string, null where there is none; gold_start,
    gold_end, predicted_start, predicted_end: int64, words of the sentence, end exclusive, null likewise.
    """
    table = read(source, [*PLACE, "word", "gold", "predicted"])
    types, matches = entity_matches(table)
    first = np.where(matches.gold_start >= 0, matches.gold_start, matches.predicted_start)
    word = table["word"].to_numpy().astype(np.int64)
    begin = first - word[first]  # the first word of its sentence
    names = pa.array([*types, None], pa.string())
    places = table.select(PLACE).take(pa.array(first))
    columns = {"kind": pa.array(KINDS).take(pa.array(matches.kind))}
    for side in ("gold", "predicted"):
        columns[f"{side}_type"] = names.take(pa.array(getattr(matches, f"{side}_type")))
    for side in ("gold", "predicted"):
        for edge in ("start", "end"):
            at = getattr(matches, f"{side}_{edge}")
            columns[f"{side}_{edge}"] = pa.array(at - begin, mask=at < 0)
    return pa.table({**dict(zip(places.column_names, places.columns, strict=True)), **columns})


def entity_matches(source: Table) -> tuple[tuple[str, ...], Matches]:
    """Entity types of gold and predicted tags, and the entities of all words, matched."""
    table = read(source, ["word", "gold", "predicted"])
    tags, gold, predicted = tag_ids(table)
    return tags.types, match(gold, predicted, table["word"].to_numpy() == 0, tags)


def tag_ids(table: pa.Table) -> tuple[TagSet, np.ndarray, np.ndarray]:
    """The tags that stand in the table, and the ids of gold and predicted ones: int64 [words] each."""
    (gold, gold_names), (predicted, predicted_names) = (codes(table[name]) for name in ("gold", "predicted"))
    names = [gold_names.to_pylist(), predicted_names.to_pylist()]
    tags = TagSet.collect({"O"}.union(*names))
    first, second = (np.array([tags.ids[name] for name in of_side], dtype=np.int64) for of_side in names)
    return tags, first[gold], second[predicted]


def sentence_table(source: Table) -> pa.Table:
    """A row for each sentence, in order.

    run, language, split, sentence; total, mean: float64, of its losses, mean nan if no word has one; words, gold,
    predicted: list of string; losses: list of float32, null for a word without a sub-token; sub_tokens: of each word a
    list of string.
    """
    table = read(source, [*PLACE, "word", "text", "sub_tokens", "gold", "predicted", "loss"])
    offsets = sentence_offsets(table)
    sentence = rows_of(np.diff(offsets))
    loss = losses(table)
    total = np.bincount(sentence, weights=np.nan_to_num(loss), minlength=len(offsets) - 1)
    count = np.bincount(sentence, weights=~np.isnan(loss), minlength=len(offsets) - 1)
    places = table.select(PLACE).take(pa.array(offsets[:-1]))
    columns = dict(zip(PLACE, places.columns, strict=True))
    columns["total"], columns["mean"] = pa.array(total), pa.array(np.where(count, total / np.maximum(count, 1), np.nan))
    renamed = {"text": "words", "loss": "losses"}
    for source_name in ("text", "gold", "predicted", "loss", "sub_tokens"):
        name, values = renamed.get(source_name, source_name), table[source_name].combine_chunks()
        values = values.cast(pa.string()) if pa.types.is_dictionary(values.type) else values
        columns[name] = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)
    return pa.table(columns)


def sentences(source: Table, by: By = "total", top: int | None = None, *, ascending: bool = False) -> pa.Table:
    """`sentence_table` by total or by mean loss, highest or lowest first, those without any loss last.

    top: so many of them.
    """
    found = sentence_table(source)
    values = found[by].to_numpy()
    order = np.lexsort((values if ascending else -values, np.isnan(found["mean"].to_numpy())))
    return found.take(pa.array(order[:top]))


def containing(
    source: Table, text: str, by: By = "total", top: int | None = None, *, ascending: bool = False
) -> pa.Table:
    """`sentences` that hold this word, or a word of which this is a sub-token."""
    table = read(source)
    lists = table["sub_tokens"].combine_chunks()
    held = pc.equal(table["text"], text).to_numpy()
    pieces = pc.equal(lists.flatten(), text).to_numpy(zero_copy_only=False)
    held = held.copy()
    held[pc.list_parent_indices(lists).to_numpy()[pieces]] = True
    offsets = sentence_offsets(table)
    sentence = rows_of(np.diff(offsets))
    of_sentence = np.bincount(sentence, weights=held, minlength=len(offsets) - 1) > 0
    return sentences(table.filter(pa.array(of_sentence[sentence])), by, top, ascending=ascending)


VIEWS = {"token": by_token, "word": by_word, "tag": by_tag, "language": by_language, "length": by_length}
