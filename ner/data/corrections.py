"""Corrected sentences: a file of reviewed rows that is laid over a corpus, as long as it fits the data.

A row is a JSON object, one a line, of a sentence whose tags a person has looked at:

    language, split   where it stands
    key               `sentence_key` of its words and tags before the review: what it is found by
    ner_tags          the tags that are right, IOB2 names
    tokens            its words; other ones replace them
    drop              true leaves the sentence out
    text, ...         instead of ner_tags: annotated text as in `ner.data.annotated_text`, with the words in between
                      single spaces; language, split and key then may stand in `meta`, `metadata` or `data`

All else in a row is for people. Rows that a person left as they were change nothing. Also a JSON list of such objects,
which is what some tools export.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from datasets import Dataset, DatasetDict, concatenate_datasets

from ner.data import annotated_text, faults, json_rows, readers
from ner.data.arrow_store import TAGS, WORDS, batches, tag_set
from ner.data.faults import Fault
from ner.data.words import join
from ner.errors import InputError, listed, shorten
from ner.tags import OUTSIDE

REMEDY = "mend the row, or write the file again with `ner label-errors`"


class Place(NamedTuple):
    """Where a sentence stands, and what it was before the review."""

    language: str
    split: str
    key: str


@dataclass(frozen=True)
class Correction:
    """A reviewed sentence. number: of its line, or of its place in a list, from 1; row: as it was read."""

    number: int
    place: Place
    row: dict[str, Any]

    def of(self, words: Sequence[str], tags: Sequence[str]) -> tuple[list[str], list[str]] | None:
        """The words and tags that are right, None to leave the sentence out. Raises InputError.

        words, tags: the sentence as it is.
        """
        drop = self.row.get("drop", False)
        if not isinstance(drop, bool):
            raise InputError(f"drop is {shorten(drop)}, not true or false")
        if drop:
            return None
        if TAGS in self.row:
            return json_rows.json_row({WORDS: list(words), **self.row}, WORDS, TAGS)
        if annotated_text.is_passed_over(self.row):
            return list(words), list(tags)
        if not annotated_text.is_spans(self.row):
            raise InputError(f"neither {TAGS}, nor a text with spans, nor drop; the row has {listed(self.row)}")
        text, (joined, offsets) = annotated_text.text_of(self.row), join(words)
        if text != joined:
            raise InputError(f"its text is {shorten(text)}, and not the words of the sentence, {shorten(joined)}")
        return list(words), annotated_text.tags_of(text, offsets, annotated_text.spans_of(self.row, text))


def sentence_key(words: Sequence[str], tags: Sequence[str]) -> str:
    """32 hexadecimal digits that stand for these words with these tags (names)."""
    text = json.dumps([list(words), list(tags)], ensure_ascii=True, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=16).hexdigest()


def read_corrections(file: Path) -> list[Correction]:
    """The rows of a file, by line. Raises InputError with all that is wrong, and for two rows of one sentence."""
    found: list[Correction] = []
    wrong: list[Fault] = []
    first: dict[Place, int] = {}
    for number, row in numbered_rows(file):
        try:
            place = place_of(row)
        except InputError as error:
            wrong.append(Fault(str(file), str(error), number))
            continue
        if place in first:
            wrong.append(Fault(str(file), f"the same sentence as row {first[place]}; keep one of them", number))
        first.setdefault(place, number)
        found.append(Correction(number, place, row))
    if wrong:
        raise InputError(faults.report([], wrong, len(wrong), REMEDY))
    return found


def numbered_rows(file: Path) -> Iterator[tuple[int, Any]]:
    """What each line of JSON Lines, or each element of a JSON list, holds. Raises InputError for anything else."""
    if not file.exists():
        raise InputError(f"`corrections` {file}: no such file; `ner label-errors --output` writes one")
    try:
        with readers.whole(file):
            lines = list(readers.lines(file))
    except InputError as error:
        raise InputError(f"`corrections` {file}: {error}") from error
    number = 0
    try:
        if lines[0].lstrip().startswith("["):
            whole = json_rows.parse_json("".join(lines))
            yield from enumerate(whole, start=1)
            return
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield number, json_rows.parse_json(line)
    except (ValueError, RecursionError) as error:
        place = f"{file}:{number}" if number else str(file)
        raise InputError(f"{place}: {json_rows.reason_of(error)}") from error


def place_of(row: Any) -> Place:
    """Where the sentence of a row stands. Raises InputError for a row that does not say it."""
    if not isinstance(row, dict):
        raise InputError(f"{shorten(row)}, not a JSON object")
    inside = [row, *(row[name] for name in annotated_text.INSIDE if isinstance(row.get(name), dict))]
    values = []
    for name in Place._fields:
        value = next((part[name] for part in inside if name in part), None)
        if not isinstance(value, str):
            raise InputError(f"{name} is {shorten(value)}, not a text" if value is not None else f"no {name}")
        values.append(value)
    return Place(*values)


def correct(
    file: Path, whole: Mapping[str, Mapping[str, Dataset]], kept: Mapping[str, DatasetDict]
) -> tuple[dict[str, DatasetDict], tuple[str, ...]]:
    """Languages and splits with the corrections of a file, and what was changed, a line for each split.

    A sentence that stands in a split several times with the same tags is corrected each time. What comes of a sentence
    that `kept` does not have is checked, too.

    Args:
        file: The corrections. Rows of languages and splits that are not there are counted.
        whole: Language -> split -> all of its sentences: each correction must fit one of them.
        kept: The sentences that are used, of the same languages and splits.

    Raises:
        InputError: With all rows that fit no sentence, or whose tags make no sense.
    """
    by_split: dict[tuple[str, str], dict[str, Correction]] = {}
    for correction in read_corrections(file):
        by_split.setdefault(correction.place[:2], {})[correction.place.key] = correction
    corrected, notes, wrong = {language: dict(splits) for language, splits in kept.items()}, [], []
    for (language, split), corrections in by_split.items():
        name = f"corrections of {language} {split}"
        if split not in kept.get(language, ()):
            notes.append(f"{name}: {len(corrections):,} rows are not used; the split was not asked for")
            continue
        all_of_them = whole[language][split]
        rights, found_wrong = right_ones(all_of_them, corrections, str(file))
        wrong += found_wrong
        why = f"{language} {split} has no sentence with its key: the data was changed, or is read with other options"
        lacking = [correction for key, correction in corrections.items() if key not in rights]
        wrong += [Fault(str(file), why, correction.number) for correction in lacking]
        corrected[language][split], counts = replace_rows(kept[language][split], rights)
        changed, dropped, same = (f"{counts[how]:,}" for how in ("changed", "dropped", "same"))
        notes.append(f"{name}: {changed} sentences changed, {dropped} dropped, {same} as they were")
    if wrong:
        raise InputError(faults.report([], sorted(wrong, key=lambda fault: fault.row or 0), len(wrong), REMEDY))
    return {language: DatasetDict(splits) for language, splits in corrected.items()}, tuple(notes)


def keyed(part: Dataset) -> Iterator[tuple[str, list[str], list[str]]]:
    """Key, words and tags of each sentence."""
    names = tag_set(part).names
    for rows in batches(part):
        for words, tag_ids in zip(rows[WORDS].to_pylist(), rows[TAGS].to_pylist(), strict=True):
            tags = [names[i] for i in tag_ids]
            yield sentence_key(words, tags), words, tags


def right_ones(
    part: Dataset, corrections: Mapping[str, Correction], file: str
) -> tuple[dict[str, tuple[list[str], list[str]] | None], list[Fault]]:
    """Key -> right words and tags of the sentences that are found, and what is wrong with the others."""
    tags = tag_set(part).names
    found: dict[str, tuple[list[str], list[str]] | None] = {}
    wrong: list[Fault] = []
    for key, words, names in keyed(part):
        if key in corrections and key not in found:
            correction = corrections[key]
            try:
                right = correction.of(words, names)
                if right != (words, names):
                    check(right, tags)
            except InputError as error:
                wrong.append(Fault(file, str(error), correction.number))
                right = None
            found[key] = right
    return found, wrong


def check(sentence: tuple[Sequence[str], Sequence[str]] | None, known: Sequence[str]) -> None:
    """Raises InputError for tags that are not these, or not legal IOB2, and for another number of them than words."""
    words, tags = sentence or ((), ())
    if sentence and (not words or len(words) != len(tags)):
        raise InputError(f"{len(words)} words and {len(tags)} tags; give one tag for each word, or drop: true")
    before = OUTSIDE
    for position, (word, tag) in enumerate(zip(words, tags, strict=True), start=1):
        where = f"token {position}, {shorten(word)}"
        if tag not in known:
            raise InputError(f"{where}, has the unknown tag {shorten(tag)}; the tags are {' '.join(known)}")
        if tag.startswith("I-") and before[2:] != tag[2:]:
            raise InputError(f"{where}, has {tag} behind {before}; an entity begins with B-{tag[2:]}")
        before = tag


def replace_rows(
    part: Dataset, rights: Mapping[str, tuple[list[str], list[str]] | None]
) -> tuple[Dataset, Counter[str]]:
    """The sentences in order, those with one of these keys replaced, or left out where there is None."""
    ids = {name: i for i, name in enumerate(tag_set(part).names)}
    order = np.arange(len(part))
    changed: dict[str, list[Any]] = {WORDS: [], TAGS: []}
    counts: Counter[str] = Counter()
    for row, (key, words, tags) in enumerate(keyed(part)):
        if key not in rights:
            continue
        right = rights[key]
        if right is None:
            counts["dropped"] += 1
            order[row] = -1
        elif right == (words, tags):
            counts["same"] += 1
        else:
            counts["changed"] += 1
            order[row] = len(part) + len(changed[WORDS])
            changed[WORDS].append(right[0])
            changed[TAGS].append([ids[tag] for tag in right[1]])
    if not (counts["changed"] or counts["dropped"]):
        return part, counts
    both = concatenate_datasets([part, Dataset.from_dict(changed, features=part.features)])
    return both.select(order[order >= 0], keep_in_memory=True), counts
