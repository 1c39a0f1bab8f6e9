"""Annotated sentences: a name or path -> checked words and IOB2 tags of each language and split.

Whatever they are read from (`ner.data.discovery`, `ner.data.readers`), they end in the same form: `tokens`, a list of
str, and `ner_tags`, a list of ClassLabel. All files are read and checked before anything else happens; what is wrong
comes in one report.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import reduce
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import yaml
from datasets import DatasetDict, concatenate_datasets

from ner.data import faults
from ner.data.arrow_store import TAGS, Rows
from ner.data.conversion import Converted, convert
from ner.data.corrections import correct
from ner.data.discovery import Place, find
from ner.data.faults import Fault
from ner.data.folds import FOLD, leave_out
from ner.data.notes import overlap_notes, scheme_notes, skip_notes, undecided_notes
from ner.data.parts import Parts, parse_columns, read_all
from ner.data.sampling import hold_out, parse_sample, resolve_sample, take_share
from ner.data.tag_schemes import (
    ParsedLabels,
    SchemeStats,
    check_mapped,
    collected_tags,
    declared_tags,
    mapped_types,
    parse_map,
)
from ner.errors import InputError, listed
from ner.tags import OUTSIDE, TagSet


@dataclass(frozen=True)
class Source:
    """Where sentences come from and how they are read: what the data flags of the scripts say, under their names.

    Attributes:
        data: A Hub name, a folder in Hub layout or of `{lang}/{split}.jsonl`, a path that holds both, or a file.
        data_config: Config of a language in Hub layout, `PAN-X.{lang}` for example. `auto` finds it.
        sample: Shares of splits to keep: `("de=0.5", ...)`, `("swiss",)`, `("all",)`; auto: swiss for PAN-X, else all.
        tags: Names of tag ids in their order, for data that does not name them.
        columns: Columns of words and tags, as in `word=1,tag=2`. `auto` finds them.
        map_tags: Entity types to read as others, or as O: `MISC=O,GPE=LOC`.
        validation_fraction: Share of train to validate on, where there is no validation split.
        on_bad_row: `stop` reports all bad rows as one error; `skip` leaves them out.
        corrections: A file of corrected sentences, as of `ner.data.corrections`.
        fold: `2/5` leaves the second of five parts of `train` out, which is then the split `fold`.
        by_file: Of a Hub data set, the files of a split are fetched alone, and not kept: for one whose training
            sentences stream.
    """

    data: str
    data_config: str = "auto"
    sample: tuple[str, ...] = ("auto",)
    tags: tuple[str, ...] | None = None
    columns: str = "auto"
    map_tags: str | None = None
    validation_fraction: float | None = None
    on_bad_row: Literal["stop", "skip"] = "stop"
    corrections: str | None = None
    fold: str | None = None
    by_file: bool = False

    @classmethod
    def of(cls, options: Any) -> "Source":
        """From an object with these attributes.

        Args:
            options: Options of a script, or any other object that has all attributes of a source; by_file is False
                where it is not there.
        """
        own = {item.name: getattr(options, item.name) for item in fields(cls) if item.name != "by_file"}
        return cls(**own, by_file=getattr(options, "by_file", False))


@dataclass(frozen=True)
class Corpus:
    """Checked sentences: `corpus["de"]["train"]` has `tokens`, a list of str, and `ner_tags`, a list of ClassLabel.

    Attributes:
        source: Where they come from, with `auto` of `sample` and `data_config` resolved.
        languages: Splits of each language, all with the same tags.
        tags: The IOB2 tags of all languages.
        notes: What was converted, repaired, left out, corrected, and stands in two splits; a line each.
        stats: Tag scheme and illegal tags of each (language, split) that was read.
        skipped: Files of the rows left out, with the reasons.
        types: Entity types of the data, before some are mapped.
    """

    source: Source
    languages: dict[str, DatasetDict]
    tags: TagSet
    notes: tuple[str, ...]
    stats: dict[tuple[str, str], SchemeStats]
    skipped: tuple[Path, ...]
    types: frozenset[str]

    def __getitem__(self, language: str) -> DatasetDict:
        """The splits of a language. Raises KeyError for one that is not here."""
        return self.languages[language]

    def sizes(self, used: Mapping[str, int]) -> str:
        """Training sentences of languages, and the share that was kept, for a message.

        Args:
            used: How many are trained on, of each language.

        Returns:
            One line, such as `de 12,580 (share 0.629), fr 100 of 4,580 (share 0.229)`.
        """
        shares = parse_sample(self.source.sample)
        whole = {name: len(self[name]["train"]) for name in used}
        share = {name: f" (share {shares[name]:g})" if name in shares else "" for name in used}
        few = {name: f"{size:,} of " if size < whole[name] else "" for name, size in used.items()}
        return ", ".join(f"{name} {few[name]}{whole[name]:,}{share[name]}" for name in used)


def load_corpus(
    source: Source,
    languages: Sequence[str] | None,
    splits: Sequence[str] | None,
    *,
    check_map: bool = True,
    repair: bool = True,
) -> Corpus:
    """Sentences in file order or as sampled, every row checked.

    Tags: the data's own ClassLabel, else `source.tags`, else collected from the train splits (from all, without one).

    Args:
        source: Where the sentences come from, and how they are read.
        languages: Languages to read, None for all. A single file holds one, which must be named.
        splits: Splits to read, None for all.
        check_map: Whether a type of `source.map_tags` that the data lacks is an error.
        repair: Whether an I- that continues nothing becomes a B-, or stays.

    Returns:
        The corpus, its tags converted to IOB2.

    Raises:
        InputError: With all that is wrong: places (file or split), rows and values; and for a split that is empty.
    """
    mapping = parse_map(source.map_tags)
    asked = splits
    splits = splits and tuple(dict.fromkeys("train" if split == FOLD else split for split in splits))
    listing = find(source.data, languages, splits_of(source, splits), source.data_config)
    source = replace(
        source, sample=resolve_sample(source.sample, listing.pattern), data_config=listing.pattern or source.data_config
    )
    shares = parse_sample(source.sample)
    wanted = {language: splits or tuple(places) for language, places in listing.places.items()}
    to_read = {
        language: [
            "train" if split == "validation" and is_held_out(source, listing.places[language]) else split
            for split in own
        ]
        for language, own in wanted.items()
    }
    parts, problems = read_all(source.data, listing, to_read, parse_columns(source.columns), by_file=source.by_file)
    converted: dict[tuple[str, str], list[Converted]] = {}
    try:
        names, tags = corpus_tags(source, parts, mapping)
        types = frozenset(type_ for type_ in names.types if type_)
        if check_map:
            check_mapped(mapping, types)
    except InputError as error:
        problems.append(Fault(source.data, str(error)))
    else:
        for key, shards in parts.items():
            converted[key] = [convert(part.rows, part.names, names, mapping, tags, repair=repair) for part in shards]
    left_out: list[Rows | Converted] = [
        item for key in parts for item in (*(part.rows for part in parts[key]), *converted.get(key, ()))
    ]
    num_bad = sum(item.num_faults for item in left_out)
    if problems or (num_bad and source.on_bad_row == "stop"):
        found = chain.from_iterable(faults.read(item.faults) for item in left_out)
        raise InputError(faults.report(problems, found, num_bad if source.on_bad_row == "stop" else 0))

    corpus, wholes = {}, {}
    for language, wanted_splits in wanted.items():
        whole = {
            split: concatenate_datasets([shard.data for shard in shards])
            for (owner, split), shards in converted.items()
            if owner == language
        }
        if is_held_out(source, listing.places[language]) and "train" in whole:
            whole["train"], whole["validation"] = hold_out(whole["train"], source.validation_fraction or 0)
        kept = {split: whole[split] for split in wanted_splits}
        if language in shares:
            kept = {split: take_share(part, shares[language]) for split, part in kept.items()}
        corpus[language], wholes[language] = DatasetDict(kept), whole
    corrected: tuple[str, ...] = ()
    if source.corrections:
        corpus, corrected = correct(Path(source.corrections), wholes, corpus)
    for language, kept_of_it in corpus.items():
        corpus[language] = parts_of_it = leave_out(kept_of_it, asked, source.fold)
        if empty := [split for split, part in parts_of_it.items() if not len(part)]:
            left_out_of_it = [part for split in empty for part in parts.get((language, split), ())]
            why = "; ".join(["", *undecided_notes(left_out_of_it)])
            raise InputError(f"{source.data}, {language}: the split {', '.join(empty)} is empty{why}")
    stats = {key: reduce(SchemeStats.__add__, (shard.tally for shard in shards)) for key, shards in converted.items()}
    undecided = undecided_notes(list(chain.from_iterable(parts.values())))
    notes = (*scheme_notes(stats), *undecided, *skip_notes(parts, converted), *corrected, *overlap_notes(corpus))
    return Corpus(source, corpus, tags, notes, stats, tuple(item.faults for item in left_out if item.num_faults), types)


def corpus_tags(source: Source, parts: Parts, mapping: Mapping[str, str]) -> tuple[ParsedLabels, TagSet]:
    """All tag names of the corpus taken apart, and the IOB2 tags that they become. Raises InputError."""
    used_names: dict[tuple[str, str], list[tuple[str, ...]]] = {}
    declared: list[tuple[str, ...] | None] = []
    for key, shards in parts.items():
        for i, part in enumerate(shards):
            if part.rows.has_ids and not (part.names or source.tags):
                raise InputError(f"{TAGS} are ids without names; name them in order, as in `tags` O B-PER I-PER")
            if part.rows.has_ids and not part.names:
                shards[i] = part = replace(part, names=source.tags)
            declared.append(part.names or source.tags)
            used_names.setdefault(key, []).append(part.names or tuple(part.rows.tag_counts))
    names = ParsedLabels.of(chain(source.tags or (), *chain(*used_names.values())))
    if names.are_plain and None not in mapped_types(names, mapping):
        raise InputError(f"no tag {OUTSIDE} among {listed(names.names)}; is that the column of tags (`columns`)?")
    if declared and all(declared):
        return names, declared_tags(list(dict.fromkeys(chain(*(known or () for known in declared)))), mapping)
    telling = [used for (_, split), used in used_names.items() if split == "train"] or list(used_names.values())
    return names, collected_tags(names, chain(*chain(*telling)), mapping)


def splits_of(source: Source, splits: Sequence[str] | None) -> tuple[str, ...]:
    """The splits to look for where nothing says which there are: at an address, or in a single file."""
    if splits is None:
        return ("train",)
    if source.validation_fraction is None:
        return tuple(splits)
    if "{split}" not in source.data:  # a single file is what validation sentences are taken from
        return ("train",)
    return tuple(dict.fromkeys("train" if split == "validation" else split for split in splits))


def is_held_out(source: Source, places: Mapping[str, Place]) -> bool:
    """Whether the validation sentences of a language are taken from its training sentences."""
    return source.validation_fraction is not None and "validation" not in places and "train" in places


def write_skipped(corpora: Iterable[Corpus], file: Path) -> None:
    """Writes the rows that were left out, with their reasons, as JSON Lines; no file, and none left, without any."""
    file.unlink(missing_ok=True)
    if skipped := [path for corpus in corpora for path in corpus.skipped]:
        faults.write(file, chain.from_iterable(map(faults.read, skipped)))


def to_parquet(corpus: Corpus, folder: Path) -> None:
    """Writes a folder in Hub layout: a config for each language, its splits as Parquet, and a card that names them.

    Raises InputError if something is in the folder.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"`to_parquet` {folder}: something is there; name a new folder")
    configs = []
    for language, splits in corpus.languages.items():
        files = [{"split": split, "path": f"{language}/{split}-00000-of-00001.parquet"} for split in splits]
        configs.append({"config_name": language, "data_files": files})
        (folder / language).mkdir(parents=True)
        for part, file in zip(splits.values(), files, strict=True):
            part.to_parquet(folder / file["path"])
    card = yaml.safe_dump({"task_categories": ["token-classification"], "configs": configs}, sort_keys=False)
    (folder / "README.md").write_text(f"---\n{card}---\n", encoding="utf-8")
