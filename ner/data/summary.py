"""What is in a corpus: sizes, tags, entities, lengths, schemes, overlap of its splits, and sentences, as Markdown."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement

import numpy as np
import pyarrow.compute as pc
from datasets import Dataset, DatasetDict

from ner.data.arrow_store import TAGS, WORDS, batches, flat_column, lengths, tag_set
from ner.data.tag_schemes import SchemeStats
from ner.errors import InputError, shorten
from ner.tags import TagSet, entities, first_words
from ner.utils import DASH, offsets_of, table

PERCENTILES = (5, 50, 95, 99, 100)
MOST_FREQUENT = 5


def describe(splits: DatasetDict, tallies: Mapping[str, SchemeStats]) -> str:
    """The tables of one language. tallies: what each split was converted from."""
    types = list(dict.fromkeys(type_ for part in splits.values() for type_ in tag_set(part).types))
    sizes, forms = [], []
    for split, part in splits.items():
        words = flat_column(part, TAGS)[1]
        counts = entity_counts(part)
        sizes.append([split, len(part), int(words.sum()), *(counts[type_] for type_ in types)])
        lengths = np.percentile(words, PERCENTILES, method="nearest").tolist()
        tally = tallies.get(split)
        scheme = [tally.scheme, tally.repaired] if tally else ["", ""]
        forms.append([split, *lengths, *scheme])
    names = [f"words: {p}%" if p < 100 else "longest" for p in PERCENTILES]
    overlaps = []
    for first, second in combinations_with_replacement(splits, 2):
        both = repeated(splits[first]) if first == second else in_both(splits[first], splits[second])
        overlaps.append([first, second, both, f"{both / max(len(splits[second]), 1):.1%}"])
    frequent = [
        [type_, ", ".join(f"{shorten_text(text)} {n:,}" for text, n in top)]
        for type_, top in frequent_entities(next(iter(splits.values())), types).items()
    ]
    return "\n\n".join(
        [
            table(["split", "sentences", "words", *types], sizes),
            table(["split", *names, "tag scheme", "illegal tags"], forms),
            "Sentences of the second split that stand in the first too (of a split with itself: repeated)\n\n"
            + table(["first", "second", "sentences", "share"], overlaps),
            f"Most frequent entities, {next(iter(splits))}\n\n" + table(["type", "entities"], frequent),
            example(next(iter(splits.values()))),
        ]
    )


def size_table(languages: Mapping[str, Mapping[str, Dataset]]) -> str:
    """Languages by splits: sentences, and their share of all sentences in the same column, as Markdown.

    Args:
        languages: Splits of each language, as `Corpus.languages`.

    Returns:
        A line for each language, with a column for each split and one for all splits together; the last line has the
        sums. A language without a split has a dash there.
    """
    splits = list(dict.fromkeys(split for parts in languages.values() for split in parts))
    sizes = {
        language: {split: len(parts[split]) for split in splits if split in parts}
        for language, parts in languages.items()
    }
    sums = [sum(row.get(split, 0) for row in sizes.values()) for split in splits]
    lines = []
    for language, row in sizes.items():
        numbers = [*(row.get(split) for split in splits), sum(row.values())]
        shares = [
            DASH if n is None else f"{n:,} ({n / max(whole, 1):.1%})"
            for n, whole in zip(numbers, [*sums, sum(sums)], strict=True)
        ]
        lines.append([language, *shares])
    lines.append(["all", *(f"{n:,}" for n in [*sums, sum(sums)])])
    return table(["sentences", *splits, "all splits"], lines, right=[False, *(True for _ in [*splits, "all"])])


def tag_table(tags: TagSet) -> str:
    """The ids of tags and their names, as Markdown: a column for each tag.

    Args:
        tags: The tags of a corpus or a model.

    Returns:
        A table of two lines.
    """
    return table(["id", *map(str, range(len(tags)))], [["tag", *tags.names]])


def sentence_at(part: Dataset, number: int) -> Dataset:
    """The sentence of that number by itself.

    Args:
        part: Sentences of one language and split.
        number: Which of them, from 0, in the order of the file or of `sample`.

    Returns:
        A dataset of one row.

    Raises:
        InputError: For a number that no sentence has.
    """
    if not 0 <= number < len(part):
        raise InputError(f"`sentence` {number}: the sentences have the numbers 0 to {len(part) - 1}")
    return part.select([number])


def sentence_table(part: Dataset, number: int) -> str:
    """A sentence as aligned columns: number of the word from 0, word, tag, id of the tag; as Markdown.

    Args:
        part: Sentences of one language and split.
        number: Which of them, from 0.

    Returns:
        A table with a line for each word.

    Raises:
        InputError: For a number that no sentence has.
    """
    row = sentence_at(part, number)[0]
    names = tag_set(part).names
    words = zip(row[WORDS], row[TAGS], strict=True)
    return table(["#", "word", "tag", "id"], [[i, word, names[tag], tag] for i, (word, tag) in enumerate(words)])


def entity_counts(part: Dataset) -> Counter[str]:
    """Entities of each type: IOB2 has one B- for each."""
    names = tag_set(part).names
    counts = np.bincount(flat_column(part, TAGS)[0], minlength=len(names))
    return Counter({name[2:]: int(n) for name, n in zip(names, counts, strict=True) if name.startswith("B-")})


def frequent_entities(part: Dataset, types: Sequence[str]) -> dict[str, list[tuple[str, int]]]:
    """The most frequent entities of each type, with how often they stand there."""
    tags = tag_set(part)
    counts: dict[str, Counter[str]] = {type_: Counter() for type_ in tags.types}
    for rows in batches(part):
        words = rows[WORDS].combine_chunks().flatten().to_pylist()
        start = first_words(offsets_of(lengths(rows)))
        for first, end, type_ in zip(
            *entities(rows[TAGS].combine_chunks().flatten().to_numpy(), start, tags), strict=True
        ):
            counts[tags.types[type_]][" ".join(words[first:end])] += 1
    return {type_: counts[type_].most_common(MOST_FREQUENT) for type_ in types}


def shorten_text(text: str) -> str:
    """An entity's text, cut where it is long."""
    return text if len(text) <= 40 else shorten(text, 40)


def hashes(part: Dataset) -> np.ndarray:
    """int64 [rows]: a hash of each sentence's words, equal within a process."""
    of_rows = [
        np.fromiter(map(hash, pc.binary_join(rows[WORDS].combine_chunks(), "\x1f").to_pylist()), np.int64, len(rows))
        for rows in batches(part)
    ]
    return np.concatenate([np.empty(0, np.int64), *of_rows])


def in_both(first: Dataset, second: Dataset) -> int:
    """Sentences of the second whose words stand in the first too."""
    return int(np.isin(hashes(second), hashes(first)).sum())


def repeated(part: Dataset) -> int:
    """Sentences that stand in it before."""
    return len(part) - len(np.unique(hashes(part)))


def example(part: Dataset, longest: int = 14) -> str:
    """The first sentence with an entity that fits, as a table of words and tags."""
    names = tag_set(part).names
    chosen = 0
    for row, tags in enumerate(part.select(range(min(len(part), 200)))[TAGS][:]):
        if 3 <= len(tags) <= longest and any(names[tag].startswith("B-") for tag in tags):
            chosen = row
            break
    row = part[chosen]
    words = row[WORDS][:longest]
    tags = [names[tag] for tag in row[TAGS][:longest]]
    return f"Sentence {chosen}\n\n" + table(["word", *words], [["tag", *tags]])
