"""Annotated sentences: a name or path -> a dataset of words and tags for each language and split.

Every door ends in the same form, `tokens: list of str` and `ner_tags: list of ClassLabel`, checked row by row before
anybody trains on it. Doors: a Hub name or a local folder in Hub layout, and JSON Lines.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from datasets import (
    ClassLabel,
    Dataset,
    DatasetDict,
    Features,
    Value,
    concatenate_datasets,
    get_dataset_config_names,
    load_dataset,
)
from datasets import List as ListOf

from ner.tags import TagSet

WORDS, TAGS = "tokens", "ner_tags"
SWISS = {"de": 0.629, "fr": 0.229, "it": 0.084, "en": 0.059}


def load_corpus(
    data: str,
    languages: Sequence[str],
    splits: Sequence[str],
    *,
    config: str = "PAN-X.{lang}",
    sample: Sequence[str] = ("auto",),
    names: Sequence[str] | None = None,
) -> dict[str, DatasetDict]:
    """Language -> its splits, in file order or as sampled; every row checked, all with the same tag set.

    data: Hub name, local folder in Hub layout, or JSON Lines (a folder of {lang}/{split}.jsonl, or a path that holds
    {lang} and {split}). config: config of a language in Hub layout. sample: see `parse_sample`.
    names: tag names of ids that the data does not name.
    Tags: the data's own ClassLabel, else `names`, else collected from the train splits (from all, without a train).
    Raises ValueError naming the file or split, the row and the value; and for a split that is empty.
    """
    shares = parse_sample(sample, config, data)
    raw = {language: load_raw(data, language, splits, config) for language in languages}
    declared = [declared_names(part.rows) or names or () for parts in raw.values() for part in parts.values()]
    try:
        if all(declared):
            tags = TagSet(tuple(dict.fromkeys(chain.from_iterable(declared))))
        else:
            telling = ["train"] if "train" in splits else splits
            tags = TagSet.collect(name for parts in raw.values() for s in telling for name in used_names(parts[s].rows))
    except ValueError as error:
        raise ValueError(f"{data}: {error}") from error
    corpus = {}
    for language, parts in raw.items():
        checked = {split: with_tags(part, tags, names) for split, part in parts.items()}
        if language in shares:
            checked = {split: take_share(rows, shares[language]) for split, rows in checked.items()}
        if empty := [split for split, rows in checked.items() if not len(rows)]:
            raise ValueError(f"{data}, {language}: the split {', '.join(empty)} is empty")
        corpus[language] = DatasetDict(checked)
    return corpus


def join_languages(parts: Sequence[Dataset], max_sentences: int | None = None) -> Dataset:
    """Training sentences of several languages in one order, shuffle(seed=42), cut to the first max_sentences."""
    joined = concatenate_datasets(list(parts)).shuffle(seed=42)
    return joined.select(range(min(max_sentences or len(joined), len(joined))))


def take_share(dataset: Dataset, share: float) -> Dataset:
    """The first int(share * rows) rows after shuffle(seed=0), as the published Swiss corpus is cut."""
    return dataset.shuffle(seed=0).select(range(int(share * dataset.num_rows)))


def resolve_sample(sample: Sequence[str], config: str, data: str) -> tuple[str, ...]:
    """What `("auto",)` means for this data: `("swiss",)` for PAN-X, else `("all",)`. Anything else is itself."""
    if tuple(sample) == ("auto",):
        return ("swiss",) if config.startswith("PAN-X.") and not is_json_lines(data) else ("all",)
    return tuple(sample)


def parse_sample(sample: Sequence[str], config: str, data: str) -> dict[str, float]:
    """`("swiss",)`, `("all",)`, `("auto",)` or `("de=0.5", ...)` -> language -> share. Raises ValueError."""
    sample = resolve_sample(sample, config, data)
    if tuple(sample) == ("swiss",):
        return SWISS
    if tuple(sample) == ("all",):
        return {}
    shares = {}
    for item in sample:
        language, _, share = item.partition("=")
        try:
            shares[language] = float(share)
        except ValueError:
            shares[language] = -1.0
        if not 0 < shares[language] <= 1:
            raise ValueError(f"--sample {item}: give auto, swiss, all, or shares above 0 and up to 1 like de=0.5")
    return shares


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


@dataclass(frozen=True)
class Part:
    """Rows of one language and split as they were read, and where row 0 stands: `where` + (first_row + row)."""

    rows: Dataset
    where: str
    first_row: int


def load_raw(data: str, language: str, splits: Sequence[str], config: str) -> dict[str, Part]:
    """Split -> rows, through the door that fits. More doors come here."""
    if is_json_lines(data):
        files = {split: json_lines_file(data, language, split) for split in splits}
        return {split: Part(read_json_lines(file), f"{file}:", 1) for split, file in files.items()}
    return load_hub_layout(data, language, splits, config)


def is_json_lines(data: str) -> bool:
    """Whether data is JSON Lines: a path with {split} in it, or a folder of */*.jsonl without a Hub card."""
    folder, card = Path(data), Path(data) / "README.md"
    has_card = card.is_file() and "configs:" in card.read_text(encoding="utf-8", errors="replace")
    return "{split}" in data or (not has_card and folder.is_dir() and any(folder.glob("*/*.jsonl")))


def json_lines_file(data: str, language: str, split: str) -> Path:
    """The file of one language and split. Raises ValueError that names what is there instead."""
    pattern = data if "{split}" in data else str(Path(data) / "{lang}" / "{split}.jsonl")
    file = Path(pattern.replace("{lang}", language).replace("{split}", split))
    if file.exists():
        return file
    languages = sorted({path.parent.name for path in Path(data).glob("*/*.jsonl")})
    if languages and language not in languages:
        raise ValueError(f"{data}: no language {language}; it has {', '.join(languages)}")
    there = ", ".join(sorted(path.name for path in file.parent.glob("*.jsonl")))
    raise ValueError(f"{file}: no such file for split {split}" + (f"; the folder has {there}" if there else ""))


def read_json_lines(file: Path) -> Dataset:
    """Rows of a JSON Lines file: `tokens`, and `ner_tags` as names or as ids. Raises ValueError at a bad row."""
    words: list[list[str]] = []
    tags: list[list[Any]] = []
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{file}:{number}: not a JSON object: {error.msg}") from error
            for column, kind in ((WORDS, str), (TAGS, str | int)):
                if not isinstance(row, dict) or column not in row:
                    there = ", ".join(row) if isinstance(row, dict) else f"a {type(row).__name__}"
                    raise ValueError(f"{file}:{number}: no column {column}; the row has {there}")
                if not isinstance(row[column], list) or not all(isinstance(item, kind) for item in row[column]):
                    raise ValueError(
                        f"{file}:{number}: {column} is not a list of {'words' if column == WORDS else 'tags'}"
                    )
            words.append(row[WORDS])
            tags.append(row[TAGS])
    kinds = {type(tag) for row in tags for tag in row}
    if len(kinds) > 1:
        raise ValueError(f"{file}: {TAGS} must be all names or all ids, but it has both")
    tag_type = Value("int64" if kinds == {int} else "string")
    return Dataset.from_dict(
        {WORDS: words, TAGS: tags}, Features({WORDS: ListOf(Value("string")), TAGS: ListOf(tag_type)})
    )


def load_hub_layout(data: str, language: str, splits: Sequence[str], pattern: str) -> dict[str, Part]:
    """Splits of one language of a Hub dataset, or of a local folder in the same layout. Raises ValueError."""
    config = pattern.replace("{lang}", language)
    try:
        loaded = load_dataset(data, config, cache_dir=cache_of(Path(data)) if Path(data).is_dir() else None)
    except (OSError, RuntimeError, ValueError) as error:  # what datasets raises for names, files and network
        message = " ".join(str(error).split())
        if "BuilderConfig" in message:
            before, _, after = pattern.partition("{lang}")
            configs = get_dataset_config_names(data)
            languages = [
                c[len(before) : len(c) - len(after)] for c in configs if c.startswith(before) and c.endswith(after)
            ]
            there = (
                f"languages {shorten(languages)}"
                if languages and "{lang}" in pattern
                else f"configs {shorten(configs)}"
            )
            message = f"no language {language} (config {config}); it has the {there}"
        raise ValueError(f"{data}: {message}") from error
    parts = {}
    for split in splits:
        if split not in loaded:
            raise ValueError(f"{data} {config}: no split {split}; it has {', '.join(loaded)}")
        columns = loaded[split].column_names
        if missing := [column for column in (WORDS, TAGS) if column not in columns]:
            raise ValueError(f"{data} {config} {split}: no column {', '.join(missing)}; it has {', '.join(columns)}")
        parts[split] = Part(loaded[split].select_columns([WORDS, TAGS]), f"{data} {config} {split}, row ", 0)
    return parts


def cache_of(folder: Path) -> str:
    """Where `datasets` caches a local folder, by its path and the size and time of its files.

    By itself it goes by the folder's name and card alone, and gives the rows of another folder of that name, or of
    files that have changed since.
    """
    files = sorted(path for path in folder.resolve().rglob("*") if path.is_file())
    state = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return str(
        Path(datasets.config.HF_DATASETS_CACHE) / f"local-{hashlib.sha256(repr(state).encode()).hexdigest()[:16]}"
    )


def declared_names(dataset: Dataset) -> list[str] | None:
    """Names of a ClassLabel column, None for bare names or ids."""
    return getattr(dataset.features[TAGS].feature, "names", None)


def used_names(dataset: Dataset) -> list[str]:
    """Distinct tag names of a column. Raises ValueError for ids, which need names."""
    if declared := declared_names(dataset):
        return declared
    if dataset.features[TAGS].feature.dtype != "string":
        raise ValueError(f"{TAGS} are ids without names; name them in order, as in --tags O B-PER I-PER")
    return np.unique(flat_column(dataset, TAGS)[0].astype(str)).tolist()


def with_tags(part: Part, tags: TagSet, names: Sequence[str] | None) -> Dataset:
    """The rows with ner_tags as ClassLabel of these tags. Raises ValueError for unequal lengths and unknown tags.

    names: what ids without names stand for.
    """
    values, num_tags = flat_column(part.rows, TAGS)
    _, num_words = flat_column(part.rows, WORDS)
    if len(unequal := np.flatnonzero(num_words != num_tags)):
        row = int(unequal[0])
        raise ValueError(
            f"{part.where}{part.first_row + row}: {num_words[row]} tokens but {num_tags[row]} tags; fix the row"
        )
    declared = declared_names(part.rows) or names
    if declared and part.rows.features[TAGS].feature.dtype != "string":
        own = np.array([tags.ids[name] for name in declared], dtype=np.int64)
        known = (values >= 0) & (values < len(own))
        ids = np.where(known, own[np.where(known, values, 0)], -1)
    else:
        distinct, inverse = np.unique(values.astype(str), return_inverse=True)
        ids = np.array([tags.ids.get(name, -1) for name in distinct], dtype=np.int64)[inverse]
    if len(unknown := np.flatnonzero(ids < 0)):
        row = int(np.searchsorted(np.cumsum(num_tags), unknown[0], side="right"))
        place = f"{part.where}{part.first_row + row}"
        raise ValueError(f"{place}: unknown tag {values[unknown[0]]}; the tags are {' '.join(tags.names)}")
    if declared_names(part.rows) == list(tags.names):
        return part.rows
    rows = np.split(ids, np.cumsum(num_tags)[:-1]) if len(part.rows) else []
    features = Features({WORDS: ListOf(Value("string")), TAGS: ListOf(ClassLabel(names=list(tags.names)))})
    return Dataset.from_dict({WORDS: part.rows[WORDS][:], TAGS: rows}, features)


def shorten(names: Sequence[str], at_most: int = 12) -> str:
    """The names in one line; long lists are cut and counted."""
    return ", ".join(names[:at_most]) + (f" and {len(names) - at_most} more" if len(names) > at_most else "")
