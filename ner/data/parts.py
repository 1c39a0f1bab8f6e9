"""The rows of each language and split as they were read: from local files, from addresses, from the Hub."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
from datasets import load_dataset

from ner.data import arrow_store, faults, readers
from ner.data.arrow_store import Rows
from ner.data.cache import CacheError, for_a_while
from ner.data.discovery import Listing, Place
from ner.data.faults import Fault
from ner.data.parquet import as_rows, class_names, word_and_tag
from ner.data.remote import fetch
from ner.errors import InputError, listed, single_line
from ner.files import sha256


@dataclass(frozen=True)
class Part:
    """Rows of one file, or of one split on the Hub, as they were read. names: of their tag ids."""

    rows: Rows
    names: tuple[str, ...] | None


Parts = dict[tuple[str, str], list[Part]]  # of each language and split


def read_all(
    data: str, listing: Listing, wanted: Mapping[str, Sequence[str]], columns: dict[str, str], *, by_file: bool = False
) -> tuple[Parts, list[Fault]]:
    """The rows of these languages and splits, and which of them could not be read at all.

    data: for messages; by_file: of a Hub data set, the files of these splits are fetched alone, and not kept.
    """
    problems = [Fault(data, reason) for reason in listing.missing.values()]
    parts: Parts = {}
    for language, splits in wanted.items():
        places = listing.places[language]
        config = listing.configs.get(language)
        for split in dict.fromkeys(splits):
            if split not in places:
                hint = "; `validation_fraction` 0.1 takes one from train" if split == "validation" else ""
                there = listed(places) if places else "none"
                problems.append(Fault(f"{data}, {language}", f"no split {split}; it has {there}{hint}"))
                continue
            shards = parts.setdefault((language, split), [])
            place = places[split]
            reads: dict[str, Callable[[], Part]] = {
                str(file): partial(read_file, file, columns, place) for file in place.files
            }
            if config is None or by_file:
                reads |= {address: partial(read_address, address, columns, place) for address in place.addresses}
            if not reads and config is not None:
                reads = {f"{data} {config} {split}": partial(read_hub, data, config, split, columns)}
            for name, read in reads.items():
                try:
                    shards.append(read())
                except CacheError:
                    raise
                except InputError as error:
                    problems.append(Fault(name, str(error)))
    return parts, problems


def read_file(file: Path, columns: dict[str, str], place: Place) -> Part:
    """The rows of a local file. Raises InputError for one that cannot be read to its end."""
    try:
        key = (state_of(file), sorted(columns.items()))
    except OSError as error:
        raise InputError(error.strerror) from error
    stored = arrow_store.store(key, str(file), lambda: readers.read(file, columns))
    names = names_of_ids(file, columns, place)
    return Part(stored, names if stored.has_ids else None)


def read_address(address: str, columns: dict[str, str], place: Place) -> Part:
    """The rows of a file at an address, which is fetched, and not kept. Raises InputError as `read_file` does."""
    with for_a_while() as folder:
        file = fetch(address, folder)
        key = ("fetched", sha256(file), sorted(columns.items()))
        stored = arrow_store.store(key, address, lambda: faults.placed(readers.read(file, columns), address))
        names = names_of_ids(file, columns, place)
    return Part(stored, names if stored.has_ids else None)


def names_of_ids(file: Path, columns: dict[str, str], place: Place) -> tuple[str, ...] | None:
    """What the ids in a file stand for, by itself or by the card of its data set; None where neither says so."""
    return readers.tag_names(file, columns) or class_names(place.features, columns)


def state_of(file: Path) -> tuple[str | int, ...]:
    """What differs once a file is changed or replaced, even by one of equal size and time of change. Raises OSError."""
    state = file.stat()
    return str(file.resolve()), state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino


def read_hub(data: str, config: str, split: str, columns: dict[str, str]) -> Part:
    """The rows of a split on the Hub. Raises InputError for columns that are missing or of another type."""
    try:
        loaded = load_dataset(data, config, split=split)
    except (OSError, RuntimeError, ValueError) as error:  # what datasets raises for names, files and network
        raise InputError(single_line(error)) from error
    schema = loaded.features.arrow_schema
    names = word_and_tag(schema, columns)

    def tables() -> Iterator[pa.Table]:
        return as_rows(arrow_store.batches(loaded.select_columns(list(names))), schema, columns)

    files = [state_of(Path(file["filename"])) for file in loaded.cache_files]
    stored = arrow_store.store((files, sorted(columns.items())), f"{data} {config} {split}", tables)
    return Part(stored, class_names(loaded.features, columns) if stored.has_ids else None)


def parse_columns(text: str) -> dict[str, str]:
    """`auto` -> {}, `word=1,tag=2` -> {"word": "1", "tag": "2"}. Raises InputError on anything else."""
    pairs = [] if text == "auto" else [item.strip().partition("=") for item in text.split(",")]
    if bad := [key + equals + value for key, equals, value in pairs if key not in ("word", "tag") or not value]:
        raise InputError(f"`columns` {bad[0]}: give word=1,tag=2 (numbers from 0, names in JSON Lines, CSV, Parquet)")
    return {key: value for key, _, value in pairs}
