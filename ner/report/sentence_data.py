"""The table of token losses -> what the page's browser of sentences reads: columns of numbers, and what they index."""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ner.analysis import token_losses
from ner.analysis.entity_errors import CORRECT, KINDS, match, owner
from ner.errors import InputError
from ner.report.flip_data import FlipTable, pack_flips
from ner.tags import TagSet, entities, first_words, is_among
from ner.utils import offsets_of

SCHEMA = pa.schema([(f.name, pa.string() if pa.types.is_dictionary(f.type) else f.type) for f in token_losses.SCHEMA])
NUMBERS = ("loss", "p_gold", "p_predicted", "entropy")  # null where a word has no sub-token
PLACE = ("run", "language", "split")

# Bits of the column `marks`, for what is drawn around a word.
GOLD_BEGINS, GOLD_ENDS, PREDICTED_BEGINS, PREDICTED_ENDS, GOLD_FOUND, PREDICTED_RIGHT = (1 << bit for bit in range(6))

SEPARATOR = "\x1f"  # between the sub-tokens of a word
ALIGNMENT = 8  # bytes; a typed array begins at a multiple of the size of its numbers

LabelErrorScores = Mapping[tuple[str, str, str, int], float]


class Sentences(NamedTuple):
    """A table of token losses in the order of its sentences.

    words: the table [words]; start: int64 [sentences + 1]; number: int64 [sentences], as in the data; names: run,
    language and split -> their values in order of appearance; codes: int64 [3, sentences], into these.
    """

    words: Any
    start: np.ndarray
    number: np.ndarray
    names: dict[str, list[str]]
    codes: np.ndarray
    tags: TagSet


def read(table: Any, place: str = "table") -> Sentences:
    """Sentences of a pyarrow table, or of a Parquet file, with the columns of SCHEMA; rows in any order.

    Runs, languages and splits keep the order in which they appear; sentences and words go by number.
    Raises InputError that says what is wrong with the table. place: names it there, where it is no file.
    """
    if isinstance(table, str | Path):
        place, table = str(table), token_losses.read(table)
    if lacking := [name for name in SCHEMA.names if name not in table.column_names]:
        raise InputError(f"{place}: no columns {', '.join(lacking)}; write it with evaluate.py --token-losses")
    if not len(table):
        raise InputError(f"{place}: no rows; a page needs at least one word")
    try:
        table = table.select(SCHEMA.names).cast(SCHEMA)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(
            f"{place}: columns of other types than those of evaluate.py --token-losses: {error}"
        ) from error
    if empty := [name for name in SCHEMA.names if name not in NUMBERS and table[name].null_count]:
        raise InputError(f"{place}: nulls in {', '.join(empty)}; only {', '.join(NUMBERS)} may be null")
    names, keys = {}, []
    for name in PLACE:
        encoded = table[name].combine_chunks().dictionary_encode()
        names[name] = encoded.dictionary.to_pylist()
        keys.append(encoded.indices.to_numpy().astype(np.int64))
    keys += [table["sentence"].to_numpy(), table["word"].to_numpy()]
    order = np.lexsort(keys[::-1])
    if (np.diff(order) != 1).any():
        table = table.take(order)
        keys = [key[order] for key in keys]
    begins = np.ones(len(table), dtype=bool)
    begins[1:] = np.logical_or.reduce([np.diff(key) != 0 for key in keys[:-1]])
    twice = np.flatnonzero(~begins[1:] & (np.diff(keys[-1]) == 0))
    if len(twice):
        row = table.slice(int(twice[0]), 1).to_pylist()[0]
        where = ", ".join(f"{name} {row[name]}" for name in (*PLACE, "sentence", "word"))
        raise InputError(f"{place}: {len(twice):,} words stand there twice, first {where}; write the table anew")
    try:
        tags = TagSet.collect({name for column in ("gold", "predicted") for name in table[column].unique().to_pylist()})
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    first = np.flatnonzero(begins)
    codes = np.stack([key[first] for key in keys[: len(PLACE)]])
    return Sentences(table, np.append(first, len(table)), keys[-2][first], names, codes, tags)


def entity_marks(gold: np.ndarray, predicted: np.ndarray, begins: np.ndarray, tags: TagSet) -> np.ndarray:
    """uint8 [words]: where entities begin and end, and which are found and right.

    gold, predicted: int64 [words], ids of tags; begins: bool [words].
    """
    marks = np.zeros(len(gold), dtype=np.uint8)
    gold_entities, predicted_entities = (entities(ids, begins, tags) for ids in (gold, predicted))
    sides = [
        (gold_entities, predicted_entities, GOLD_BEGINS, GOLD_ENDS, GOLD_FOUND),
        (predicted_entities, gold_entities, PREDICTED_BEGINS, PREDICTED_ENDS, PREDICTED_RIGHT),
    ]
    for side, other, begin_bit, end_bit, same_bit in sides:
        marks[side[0]] |= begin_bit
        marks[side[1] - 1] |= end_bit
        of_word = owner(np.stack(side, axis=1), len(gold))
        same = np.append(is_among(side, other, len(gold)), False)  # the last: words outside, whose index is -1
        marks |= np.where(same[of_word], same_bit, 0).astype(np.uint8)
    return marks


def pack(
    sentences: Sentences,
    label_errors: LabelErrorScores | None = None,
    max_sentences: int | None = None,
    flips: FlipTable | None = None,
) -> bytes:
    """The sentences, compressed, as the page reads them.

    label_errors: score of each sentence (run, language, split, number) whose gold may be wrong; None hides what
    concerns them. max_sentences: keeps those of the greatest total loss; flips: entities that probes flipped, None
    hides what concerns them. Raises InputError if no label_error is in the table.
    """
    words, start, number, names, codes, tags = sentences
    totals = sentence_losses(sentences)
    score = label_error_scores(sentences, label_errors)
    if max_sentences is not None and len(number) > max_sentences:
        kept = np.zeros(len(number), dtype=bool)
        kept[np.argsort(-totals["total"], kind="stable")[:max_sentences]] = True
        words = words.filter(pa.array(np.repeat(kept, np.diff(start))))
        start = offsets_of(np.diff(start)[kept])
        number, score, codes = number[kept], score[kept], codes[:, kept]
        totals = {name: column[kept] for name, column in totals.items()}
    gold, predicted = (tag_ids(words[name], tags) for name in ("gold", "predicted"))
    begins = first_words(start)
    found = match(gold, predicted, begins, tags)
    wrong = found.kind != CORRECT
    error_kind, in_gold = found.kind[wrong] - 1, found.gold_start[wrong] >= 0  # the first kind is none of an error
    of_error = (
        np.searchsorted(start, np.where(in_gold, found.gold_start[wrong], found.predicted_start[wrong]), "right") - 1
    )
    types = [np.where(t == len(tags.types), -1, t)[wrong] for t in (found.gold_type, found.predicted_type)]
    kinds = np.zeros(len(number), dtype=np.uint8)
    np.bitwise_or.at(kinds, of_error, (1 << error_kind).astype(np.uint8))
    form, texts, sub_tokens = word_forms(words)
    tag_type = np.min_scalar_type(len(tags))
    columns = {
        **{name: codes[i].astype(np.uint16) for i, name in enumerate(PLACE)},
        "number": number.astype(np.float64),
        "start": start.astype(np.uint32),
        **{name: column.astype(np.float32) for name, column in totals.items()},
        **({} if label_errors is None else {"label_error": score.astype(np.float32)}),
        "kinds": kinds,
        "error_sentence": of_error.astype(np.uint32),
        "error_kind": error_kind.astype(np.uint8),
        "error_gold": types[0].astype(np.int16),
        "error_predicted": types[1].astype(np.int16),
        "form": form.astype(np.uint32),
        "gold": gold.astype(tag_type),
        "predicted": predicted.astype(tag_type),
        "marks": entity_marks(gold, predicted, begins, tags),
        # Four decimals are what is shown; the digits after them are most of what would be stored.
        **{name: words[name].to_numpy().round(4).astype(np.float32) for name in NUMBERS},
    }
    header = {
        **names,
        "kinds": KINDS[1:],
        "tags": tags.names,
        "types": tags.types,
        "type_of": tags.type_of.tolist(),
        "texts": texts,
        "sub_tokens": sub_tokens,
    }
    if flips:
        header["flips"], of_flips = pack_flips(flips, names, codes, number, tags.types)
        columns |= of_flips
    return gzip.compress(to_bytes(header, columns), compresslevel=6, mtime=0)


def sentence_losses(sentences: Sentences) -> dict[str, np.ndarray]:
    """float64 [sentences]: total, mean and max of the losses of their words; without any, 0, nan and nan."""
    loss = sentences.words["loss"].to_numpy().astype(np.float64)
    first = sentences.start[:-1]
    scored = np.add.reduceat((~np.isnan(loss)).astype(np.int64), first)
    total = np.add.reduceat(np.where(np.isnan(loss), 0, loss), first)
    mean = np.divide(total, scored, out=np.full(len(total), np.nan), where=scored > 0)
    return {"total": total, "mean": mean, "max": np.fmax.reduceat(loss, first)}


def label_error_scores(sentences: Sentences, label_errors: LabelErrorScores | None) -> np.ndarray:
    """float64 [sentences]: their scores, nan for those without one."""
    number = sentences.number.tolist()
    if not label_errors:
        return np.full(len(number), np.nan)
    columns = [[sentences.names[name][code] for code in sentences.codes[i]] for i, name in enumerate(PLACE)]
    score = np.array([label_errors.get(key, np.nan) for key in zip(*columns, number, strict=True)])
    if np.isnan(score).all():
        raise InputError(
            f"none of the {len(label_errors):,} label_errors is a sentence of the table, as {next(iter(label_errors))}"
        )
    return score


def tag_ids(column: Any, tags: TagSet) -> np.ndarray:
    """int64 [words]: ids of tag names."""
    return pc.index_in(column, value_set=pa.array(tags.names)).to_numpy().astype(np.int64)


def word_forms(words: Any) -> tuple[np.ndarray, list[str], list[str]]:
    """What is different among the words: int64 [words] into forms, and the text and the joined sub-tokens of each."""
    text = words["text"].combine_chunks().dictionary_encode()
    joined = pc.binary_join(words["sub_tokens"].combine_chunks(), SEPARATOR)
    pieces = joined.fill_null("").dictionary_encode()  # null where a sub-token is null
    pairs = text.indices.to_numpy().astype(np.int64) * len(pieces.dictionary) + pieces.indices.to_numpy()
    forms, form = np.unique(pairs, return_inverse=True)
    of_text, of_pieces = np.divmod(forms, len(pieces.dictionary))
    return form, text.dictionary.take(of_text).to_pylist(), pieces.dictionary.take(of_pieces).to_pylist()


def to_bytes(header: dict[str, Any], columns: Mapping[str, np.ndarray]) -> bytes:
    """Length of the header as uint32, the header as JSON, the columns; little-endian, each at a multiple of ALIGNMENT.

    The header gains `columns`: name -> type, offset in bytes from the header's end, and length.
    """
    body, places = bytearray(), {}
    for name, column in columns.items():
        places[name] = [column.dtype.name, len(body), len(column)]
        data = column.astype(column.dtype.newbyteorder("<")).tobytes()
        body += data + bytes(-len(data) % ALIGNMENT)
    text = json.dumps({**header, "columns": places}, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 4) % ALIGNMENT)
    return len(text).to_bytes(4, "little") + text + bytes(body)
