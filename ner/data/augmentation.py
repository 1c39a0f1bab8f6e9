"""Copies of training sentences, changed on purpose, to train on beside them.

A copy is made of sentences that are trained on, and of nothing else: mentions come from the same language of the slice.
The copies are written to the cache of data, a batch at a time, and are found there by what they depend on.
"""

import hashlib
import json
import random
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, Features, Value, concatenate_datasets

from ner.config.augmentation import Augmentation
from ner.data.arrow_store import ROW, TAGS, WORDS, batches, content_hash, lengths, tag_set
from ner.data.cache import cached
from ner.data.perturbation import Sentence, add_aside, lower_case, replace_mentions, upper_case
from ner.files import read_json
from ner.tags import entities, first_words
from ner.utils import offsets_of, ranges, rows_of, tqdm

VERSION = 3  # of the copies: raise it when they change
ROWS_PER_BATCH = 1000  # bounds memory: each may be copied a hundred times
SOURCE = "source"  # a column: where in its sentence each word of a copy stands, -1 for one that is new
CASES = {"lower": lower_case, "upper": upper_case}


@dataclass(frozen=True)
class Augmented:
    """Annotated sentences, and behind them their copies.

    languages: int64 [sentences], of each of them, as a number; num_annotated: how many are no copies; counts: copies
    with other mentions, in lower and in upper case, with an aside, and those that would have been the same and were not
    made; origins: of each copy, the row of its sentence and the `SOURCE` of its words.
    """

    sentences: Dataset
    languages: np.ndarray
    num_annotated: int
    counts: dict[str, int]
    origins: Dataset

    @property
    def note(self) -> str:
        """What was made, in a line."""
        count = self.counts
        return (
            f"augmentation: {self.num_annotated:,} sentences, +{count['mentions']:,} with other mentions, "
            f"+{count['lower'] + count['upper']:,} with changed case ({count['lower']:,} lower, "
            f"{count['upper']:,} upper), +{count['asides']:,} with an aside"
        ) + (f"; {n:,} copies would have been the same and are left out" if (n := count["unchanged"]) else "")


def augment(sentences: Dataset, languages: np.ndarray, items: Sequence[str], seed: int) -> Augmented:
    """Training sentences and their copies, the same wherever they are made.

    languages: int [sentences], as of `join_languages`; items: what `Augmentation.parse` reads. The copies of one
    kind depend on the seed and the sentences, and not on what else is asked for. Raises InputError.
    """
    wanted = Augmentation.parse(items)

    def write(folder: Path) -> None:
        counts = write_copies(sentences, languages, wanted, seed, folder / "rows.arrow")
        (folder / "summary.json").write_text(json.dumps(counts), encoding="utf-8")

    content = (content_hash(sentences), hashlib.sha256(languages.tobytes()).hexdigest(), tag_set(sentences).names)
    key = ("copies", VERSION, content, wanted.items, seed, unicodedata.unidata_version)
    folder = cached(key, write, kind="augmented copies", content=f"{' '.join(items)}, of {len(sentences):,} sentences")
    copies = Dataset.from_file(str(folder / "rows.arrow"))
    return Augmented(
        sentences=concatenate_datasets([sentences, copies.remove_columns([ROW, SOURCE])]),
        languages=np.concatenate([languages, languages[numbers(copies)]]),
        num_annotated=len(sentences),
        counts=read_json(folder / "summary.json"),
        origins=copies.select_columns([ROW, SOURCE]),
    )


def numbers(dataset: Dataset) -> np.ndarray:
    """int64 [rows]: the column of numbers."""
    return dataset.with_format("arrow").select_columns(ROW)[:][ROW].to_numpy()


def write_copies(
    sentences: Dataset, languages: np.ndarray, wanted: Augmentation, seed: int, file: Path
) -> dict[str, int]:
    """Writes the copies: words, tags, and the row and `SOURCE` of each. Returns how many there are of each kind."""
    counts = dict.fromkeys(("mentions", *CASES, "asides", "unchanged"), 0)
    names = tag_set(sentences).names
    ids = {name: i for i, name in enumerate(names)}
    # Each kind has its own numbers: what is drawn for one does not change with the other.
    of_mentions, of_case, of_asides = (random.Random(f"{seed} {kind}") for kind in ("mentions", "case", "asides"))
    pools = mention_pools(sentences, languages) if wanted.mentions else {}
    has_case = draw_rows(of_case, len(sentences), wanted.case)
    has_aside = draw_rows(of_asides, len(sentences), wanted.asides)
    outside = outside_words(sentences, languages) if wanted.asides else {}

    def copies(words: list[str], tags: list[str], language: int) -> Iterator[tuple[str, Sentence, list[int]]]:
        places = range(len(words))

        def copy(mixed: list[int | str], tags: list[str]) -> tuple[Sentence, list[int]]:
            """mixed: positions of words, and new words."""
            new_words = [words[word] if isinstance(word, int) else word for word in mixed]
            return (new_words, tags), [word if isinstance(word, int) else -1 for word in mixed]

        if any(tag[2:] for tag in tags):
            for _ in range(wanted.mentions):
                yield "mentions", *copy(*replace_mentions(places, tags, of_mentions, pools[language]))
        if next(has_aside):
            yield "asides", *copy(*add_aside(places, tags, of_asides, outside[language]))
        if next(has_case):
            kind = "lower" if of_case.random() < 0.5 else "upper"
            yield kind, CASES[kind](words, tags), list(places)

    schema = Features({**sentences.features, ROW: Value("int64"), SOURCE: [Value("int32")]}).arrow_schema
    row = 0
    with (
        pa.ipc.new_stream(str(file), schema) as arrow,
        tqdm(desc="augment", unit=" sentences", total=len(sentences), delay=2, leave=False) as bar,
    ):
        for rows in batches(sentences, ROWS_PER_BATCH):
            made: dict[str, list[Any]] = {name: [] for name in schema.names}
            for words, tag_ids in zip(rows[WORDS].to_pylist(), rows[TAGS].to_pylist(), strict=True):
                tags = [names[i] for i in tag_ids]
                for kind, copy, source in copies(words, tags, int(languages[row])):
                    is_new = copy != (words, tags)
                    counts[kind if is_new else "unchanged"] += 1
                    if is_new:
                        made[WORDS].append(copy[0])
                        made[TAGS].append([ids[tag] for tag in copy[1]])
                        made[ROW].append(row)
                        made[SOURCE].append(source)
                row += 1
            arrow.write_table(pa.table(made, schema=schema))
            bar.update(len(rows))
    return counts


def draw_rows(rng: random.Random, num_rows: int, share: float) -> Iterator[bool]:
    """For each row, whether it is among the round(share * num_rows) that are drawn, each as likely as any other.

    Selection sampling: Knuth, The Art of Computer Programming 2, 3.4.2, algorithm S.
    """
    missing = round(share * num_rows)
    for left in range(num_rows, 0, -1):
        is_drawn = left * rng.random() < missing
        missing -= is_drawn
        yield is_drawn


@dataclass(frozen=True)
class Mentions(Sequence[Sequence[str]]):
    """Words of mentions, in Arrow: a million take some ten megabytes, which Python's strings take ten times."""

    words: pa.ListArray

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, number: int) -> list[str]:  # type: ignore[override]  # no slices
        return self.words[number].as_py()


def mention_pools(sentences: Dataset, languages: np.ndarray) -> dict[int, dict[str, Mentions]]:
    """Language -> type -> the mentions of these sentences, as often as they stand there."""
    tags = tag_set(sentences)
    words, of_language, of_type = [], [], []
    row = 0
    for rows in batches(sentences):
        sizes = lengths(rows)
        tag_ids = rows[TAGS].combine_chunks().flatten().to_numpy()
        start, end, type_ = entities(tag_ids, first_words(offsets_of(sizes)), tags)
        flat = rows[WORDS].combine_chunks().flatten().take(pa.array(ranges(start, end - start)))
        words.append(pa.ListArray.from_arrays(pa.array(offsets_of(end - start), pa.int32()), flat))
        of_language.append(languages[row + rows_of(sizes)[start]])
        of_type.append(type_)
        row += len(rows)
    every, language, kind = pa.concat_arrays(words), np.concatenate(of_language), np.concatenate(of_type)
    return {
        number: {
            name: Mentions(every.take(pa.array(chosen)))
            for i, name in enumerate(tags.types)
            if len(chosen := np.flatnonzero((language == number) & (kind == i)))
        }
        for number in np.unique(languages).tolist()
    }


@dataclass(frozen=True)
class Words(Sequence[str]):
    """Words, in Arrow. A slice is a list of them."""

    words: pa.StringArray

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, place: Any) -> Any:
        return self.words[place].to_pylist() if isinstance(place, slice) else self.words[place].as_py()


def outside_words(sentences: Dataset, languages: np.ndarray) -> dict[int, Words]:
    """Language -> the words of letters and digits that are in no entity, in order."""
    outside = tag_set(sentences).outside
    words, of_language = [], []
    row = 0
    for rows in batches(sentences):
        sizes = lengths(rows)
        flat = rows[WORDS].combine_chunks().flatten()
        is_outside = rows[TAGS].combine_chunks().flatten().to_numpy() == outside
        chosen = is_outside & pc.utf8_is_alnum(flat).to_numpy(zero_copy_only=False)
        words.append(flat.filter(pa.array(chosen)))
        of_language.append(languages[row + rows_of(sizes)[chosen]])
        row += len(rows)
    every, language = pa.concat_arrays(words), np.concatenate(of_language)
    return {
        number: Words(every.take(pa.array(np.flatnonzero(language == number))))
        for number in np.unique(languages).tolist()
    }
