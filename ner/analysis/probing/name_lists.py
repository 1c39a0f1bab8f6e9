"""Lists of names that a user gives: each name alone, and in sentences in the place of another one."""

import csv
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from datasets import Dataset

from ner.data.arrow_store import TAGS, WORDS, tag_set
from ner.data.corpus import Corpus
from ner.data.perturbation import Mention, spans
from ner.data.words import split_edges
from ner.errors import InputError, shorten, single_line
from ner.modeling.baselines import sentences

CARRIERS = 3  # sentences for each name


@dataclass(frozen=True)
class NameList:
    """Names of one type from a file, each as words."""

    type: str
    file: str
    names: tuple[tuple[str, ...], ...]


def read_names(text: str) -> NameList:
    """`ORG=universities.csv:1`: the second column, or `:name`, that which is headed so. Raises InputError.

    A column that is a number counts from 0, and every row is a name; without one it is 0, as of a list with a name a
    line. Names come once, in the order of the file; their words are split as those of PAN-X.
    """
    type_, equals, place = text.partition("=")
    path, colon, column = place.rpartition(":")
    if not colon or Path(place).is_file():
        path, column = place, "0"
    if not (type_ and equals and path and column):
        raise InputError(f"`names` {shorten(text)}: give TYPE=FILE:COLUMN, like ORG=universities.csv:1")
    table, number = read_table(path), int(column) if column.isdecimal() else 0
    if not column.isdecimal():
        if column not in table[0]:
            raise InputError(f"`names` {path}: no column {shorten(column)} in its first line, {shorten(table[0])}")
        number, table = table[0].index(column), table[1:]
    texts = [row[number].strip() for row in table if len(row) > number]
    names = dict.fromkeys(tuple(text[start:end] for start, end in split_edges(text)) for text in texts)
    if not any(names):
        raise InputError(f"`names` {path}: no name in column {shorten(column)}; columns count from 0")
    return NameList(type_, path, tuple(name for name in names if name))


def read_table(path: str) -> list[list[str]]:
    """The rows of a CSV file, at least one. Raises InputError."""
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as lines:
            table = list(csv.reader(lines))
    except OSError as error:
        raise InputError(f"`names` {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"`names` {path}: not a CSV file in UTF-8: {single_line(error)}") from error
    if not table:
        raise InputError(f"`names` {path}: empty")
    return table


@dataclass(frozen=True)
class NamedSentences:
    """Sentences that hold names of a list.

    rows: the sentences; name, start: int64 [rows], the number of the name in its list, and its first word in the row.
    """

    rows: Dataset
    name: np.ndarray
    start: np.ndarray


def names_alone(names: NameList, like: Dataset) -> NamedSentences:
    """Each name as a sentence. like: sentences of the corpus, whose tags these get."""
    return named(like, [(i, [], name, [], names.type) for i, name in enumerate(names.names)])


def names_in_carriers(names: NameList, rows: Dataset, seed: str) -> NamedSentences:
    """Each name in the place of a mention, in CARRIERS sentences that are drawn.

    A carrier has exactly one mention of the type, and a word of letters outside of entities. None, if there is none.
    """
    tag_names = tag_set(rows).names
    carriers = []
    for words, ids in sentences(rows):
        tags = [tag_names[i] for i in ids]
        places = [(start, end) for start, end, type_ in spans(tags) if type_ == names.type]
        has_context = any(word.isalpha() and not tag[2:] for word, tag in zip(words, tags, strict=True))
        if len(places) == 1 and has_context:
            carriers.append((words, tags, *places[0]))
    rng = random.Random(f"{seed} {names.type}")
    made: list[Carried] = []
    for i, name in enumerate(names.names if carriers else ()):
        for _ in range(CARRIERS):
            words, tags, start, end = carriers[int(rng.random() * len(carriers))]
            front = list(zip(words[:start], tags[:start], strict=True))
            made.append((i, front, name, list(zip(words[end:], tags[end:], strict=True)), names.type))
    return named(rows, made)


Carried = tuple[int, list[tuple[str, str]], Mention, list[tuple[str, str]], str]


def named(like: Dataset, made: Sequence[Carried]) -> NamedSentences:
    """The sentences of these parts: number of the name, words and tags in front of it, name, those behind it, type."""
    ids = tag_set(like).names.index
    words = [[w for w, _ in front] + list(name) + [w for w, _ in back] for _, front, name, back, _ in made]
    tags = [
        [*(tag for _, tag in front), f"B-{type_}", *[f"I-{type_}"] * (len(name) - 1), *(tag for _, tag in back)]
        for _, front, name, back, type_ in made
    ]
    data = {WORDS: words, TAGS: [[ids(tag) for tag in of_row] for of_row in tags]}
    return NamedSentences(
        Dataset.from_dict(data, features=like.features),
        np.array([part[0] for part in made], np.int64),
        np.array([len(part[1]) for part in made], np.int64),
    )


def check_names(names: Sequence[NameList], corpus: Corpus) -> None:
    """Raises InputError for a type that the data has not."""
    tags = corpus.tags.names
    for of_list in names:
        needed = [f"B-{of_list.type}"] + [f"I-{of_list.type}"] * any(len(name) > 1 for name in of_list.names)
        if lacking := [tag for tag in needed if tag not in tags]:
            raise InputError(
                f"`names` {of_list.type}: {corpus.source.data} has no tag {lacking[0]}, but {' '.join(tags)}"
            )


def name_sets(
    names: Sequence[NameList], tested: Mapping[str, Dataset], seed: int
) -> Iterator[tuple[NameList, str, NamedSentences]]:
    """Each list alone, and in the carriers of each language that has some: list, place, sentences."""
    for of_list in names:
        yield of_list, "alone", names_alone(of_list, next(iter(tested.values())))
        for language, rows in tested.items():
            made = names_in_carriers(of_list, rows, f"{seed} {language}")
            if len(made.rows):
                yield of_list, language, made
