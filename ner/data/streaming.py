"""Training sentences that are never on the disk as a whole: a shard of them after the other, over and over.

A shard is fetched whole into a folder of the cache, read, checked and converted as any other file, and deleted; the
next is made ready meanwhile. The order is a pure function of the seed and the names of the shards, so a position in it
is three numbers.
"""

import heapq
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
from datasets import Dataset, concatenate_datasets

from ner.data import arrow_store, faults, readers
from ner.data.cache import CacheError, for_a_while
from ner.data.conversion import converted, write_converted
from ner.data.corpus import Corpus, Source
from ner.data.discovery import Place, find
from ner.data.notes import undecided_notes
from ner.data.parts import Part, names_of_ids, parse_columns
from ner.data.remote import FetchError, fetch, is_address
from ner.data.tag_schemes import ParsedLabels, parse_map
from ner.errors import InputError, listed, single_line
from ner.files import file_errors, sha256
from ner.tags import TagSet

NOT_NOW = (FetchError, CacheError)  # of the network and the disk, whatever the rows are


@dataclass(frozen=True)
class Position:
    """Where a stream stands.

    number: of the pass over all shards; place: of the shard in the order of that pass; row: how many of its sentences
    are taken; digest: SHA-256 of its file, empty before it is fetched.
    """

    number: int = 0
    place: int = 0
    row: int = 0
    digest: str = ""


@dataclass(frozen=True)
class Shard:
    """A shard as sentences with IOB2 tags, on no disk any more but for what holds them. digest: of its file."""

    sentences: Dataset
    digest: str


@dataclass(frozen=True)
class ShardReader:
    """Makes a shard ready: fetched, read, checked, converted.

    place: with the shards, local files or addresses; source: how they are read; tags: of the corpus; tell: called with
    what is said of rows that are left out.
    """

    place: Place
    source: Source
    tags: TagSet
    tell: Callable[[str], None]

    @property
    def names(self) -> tuple[str, ...]:
        """The shards in their order."""
        return tuple(map(str, self.place.files)) or self.place.addresses

    def __call__(self, name: str) -> Shard:
        """One of them.

        Raises InputError that names its first bad rows, unless these are to be skipped; FetchError and CacheError for
        what is no fault of the rows, and may be otherwise a moment later, or for another process.
        """
        with for_a_while() as folder:
            file = fetch(name, folder) if is_address(name) else Path(name)
            columns = parse_columns(self.source.columns)
            try:
                digest = sha256(file)
            except OSError as error:  # of one process alone, where each has its own disks
                raise FetchError(f"{name}: {error.strerror or single_line(error)}") from error
            try:
                (folder / "rows").mkdir()
                items = readers.read(file, columns)
                arrow_store.write_rows(folder / "rows", name, faults.placed(items, name))
                names = names_of_ids(file, columns, self.place)
            except CacheError:
                raise
            except InputError as error:
                is_system = isinstance(error.__cause__, OSError) and error.__cause__.errno is not None
                raise (FetchError if is_system else InputError)(f"{name}: {error}") from error
            rows = arrow_store.stored(folder / "rows", name)
            for note in undecided_notes([Part(rows, names)]):
                self.tell(note)
            id_names = (names or self.source.tags) if rows.has_ids else None
            if rows.has_ids and not id_names:
                raise InputError(f"{name}: tags are ids without names; name them in order, as in `tags` O B-PER I-PER")
            parsed = ParsedLabels.of(id_names or rows.tag_counts)
            (folder / "converted").mkdir()
            write_converted(folder / "converted", rows, id_names, parsed, parse_map(self.source.map_tags), self.tags)
            found = converted(folder / "converted")
            if num_bad := rows.num_faults + found.num_faults:
                every = chain(faults.read(rows.faults), faults.read(found.faults))
                bad = heapq.nsmallest(faults.SHOWN, every, key=lambda fault: fault.row or 0)
                if self.source.on_bad_row == "stop":
                    raise InputError(faults.report([], bad, num_bad))
                self.tell(f"{num_bad:,} rows are left out; the first: {bad[0]}")
            return Shard(found.data, digest)


class SentenceStream:
    """The sentences of one language, shard after shard, each pass in another order of the shards."""

    def __init__(self, reader: ShardReader, seed: int, language: int) -> None:
        """language: its number, which makes the order another one than that of other languages."""
        self.reader, self.seed, self.language = reader, seed, language
        self.position = Position()
        self.rest: Dataset | None = None  # of the shard at the position
        self.ahead: tuple[str, Future[Shard]] | None = None

    def take(self, size: int) -> Dataset:
        """So many sentences from where the stream stands. Raises InputError."""
        parts: list[Dataset] = []
        missing, first = size, self.position.number
        while missing:
            if self.rest is None:
                self.rest = self.open()
            start, end = self.position.row, min(self.position.row + missing, len(self.rest))
            if end > start:
                parts.append(self.rest.select(range(start, end)))
                missing -= end - start
            if end < len(self.rest):
                self.position = replace(self.position, row=end)
                continue
            self.rest, self.position = None, self.behind(self.position)
            if not parts and self.position.number > first + 1:
                raise InputError(f"{listed(self.reader.names, 2)}: no sentence in any of these")
        return concatenate_datasets(parts)

    def check(self) -> None:
        """Makes the shard at the position ready. Raises InputError for what is wrong with it."""
        self.ahead = self.start(self.name_of(self.position.number, self.position.place))
        self.ahead[1].result()

    def open(self) -> Dataset:
        """The sentences of the shard at the position; the shard behind it is made ready from now on."""
        at = self.position
        name = self.name_of(at.number, at.place)
        shard = self.ready(name).result()
        if at.digest not in ("", shard.digest):
            raise InputError(
                f"{name}: is another file than when this run took {at.row:,} sentences of it; bring that one back, or "
                "begin a new run"
            )
        self.position = replace(at, digest=shard.digest)
        following = self.behind(at)
        self.ahead = self.start(self.name_of(following.number, following.place))
        return shard.sentences

    def ready(self, name: str) -> Future[Shard]:
        """A shard that is being made ready, or begins to be: once more, where it could not be fetched long ago."""
        (known, shard), self.ahead = self.ahead or self.start(name), None
        is_stale = shard.done() and isinstance(shard.exception(), NOT_NOW)
        return self.start(name)[1] if known != name or is_stale else shard

    def start(self, name: str) -> tuple[str, Future[Shard]]:
        """Makes a shard ready in a thread, which no end of the program waits for."""
        shard: Future[Shard] = Future()

        def make() -> None:
            try:
                shard.set_result(self.reader(name))
            except BaseException as error:  # whoever asks for the shard gets it
                shard.set_exception(error)

        threading.Thread(target=make, daemon=True, name=name).start()
        return name, shard

    def behind(self, at: Position) -> Position:
        """The beginning of the shard behind that of a position."""
        is_last = at.place + 1 == len(self.reader.names)
        return Position(at.number + 1, 0) if is_last else Position(at.number, at.place + 1)

    def name_of(self, number: int, place: int) -> str:
        """The shard at that place of the order of that pass."""
        order = np.random.default_rng([self.seed, self.language, number]).permutation(len(self.reader.names))
        return self.reader.names[order[place]]


def check_splits(source: Source, languages: Sequence[str]) -> None:
    """Raises InputError for what is one split by itself: asked for either, it would be trained and validated on."""
    with file_errors(source.data):
        is_one = is_address(source.data) or Path(source.data).is_file()
    if is_one:
        for language, places in find(source.data, languages, ("train", "validation")).places.items():
            if "validation" not in places:
                remedy = "train=ADDRESS,validation=FILE" if is_address(source.data) else "a path with {split} in it"
                raise InputError(
                    f"{source.data}, {language}: no split validation, and a stream takes none from train; name both: "
                    f"`data` {remedy}"
                )


def open_streams(
    corpus: Corpus, languages: Sequence[str], seed: int, tell: Callable[[str], None]
) -> dict[str, SentenceStream]:
    """The training sentences of languages, from where the corpus has its validation sentences, with its tags.

    tell: as of `ShardReader`. Raises InputError for a language whose training sentences are no files.
    """
    source = corpus.source
    listing = find(source.data, languages, ("train",), source.data_config)
    streams = {}
    for number, language in enumerate(languages):
        place = listing.places.get(language, {}).get("train", Place())
        reader = ShardReader(place, source, corpus.tags, tell)
        if not reader.names:
            reason = listing.missing.get(
                language, "no file of its split train is named, and a stream is read from files"
            )
            raise InputError(f"{source.data}, {language}: {reason}")
        streams[language] = SentenceStream(reader, seed, number)
    return streams
