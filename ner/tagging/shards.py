"""Many files, tagged into a folder: a shard each, whole or not there, shared among processes.

Beside an output shard, hidden, are its lock, the journal of one that is unfinished, and the record of what made a
finished one. A shard is written by one process alone, so no process waits for another until all are done.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ner.data import readers
from ner.data.faults import Fault
from ner.errors import InputError
from ner.files import file_errors, locked, read_json, sha256, sync, write_json
from ner.tagging import files
from ner.tagging.blocks import pass_over, tag_blocks
from ner.tagging.document import Tag
from ner.tagging.journal import Journal, differing

INPUT, ROWS, SIZE = "input", "rows", "bytes"  # of a record, beside what made the shard


class OtherTaggerError(InputError):
    """What is there was made with another model, or other options."""


@dataclass(frozen=True)
class Shard:
    """A file to tag, and the file that is made of it."""

    source: Path
    output: Path

    def beside(self, ending: str) -> Path:
        """A hidden file of this shard."""
        return self.output.with_name(f".{self.output.name}{ending}")

    @property
    def journal(self) -> Journal:
        """The rows of the unfinished shard."""
        return Journal(self.beside(".unfinished"))

    @property
    def record(self) -> Path:
        """The file that says what made the finished shard."""
        return self.beside(".done")

    def made_by(self) -> dict[str, Any] | None:
        """What made the finished shard; None where that is not known. Raises OSError."""
        try:
            found = read_json(self.record)
        except (FileNotFoundError, ValueError):
            return None
        has_numbers = isinstance(found, dict) and all(type(found.get(name)) is int for name in (ROWS, SIZE))
        return found if has_numbers else None


@dataclass(frozen=True)
class Job:
    """What is to be done with all shards.

    settings: what the rows depend on, beside the input; column: of JSON Lines and Parquet with the text, None for the
    usual ones; overwrite: what something else made is made again.
    """

    tag: Tag
    settings: dict[str, Any]
    column: str | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class Checked:
    """What was found of a shard before anything is tagged.

    rows: how many it has; digest: SHA-256 of its input; problem: why it cannot be tagged, else empty; is_others: it
    was made with another model, or other options.
    """

    rows: int = 0
    digest: str = ""
    is_done: bool = False
    problem: str = ""
    is_others: bool = False


def find_shards(inputs: Sequence[Path], folder: Path, ending: str) -> tuple[list[Shard], list[Path]]:
    """A shard for each input file, in order, and what of input folders is no input.

    inputs: files, and folders, of which the files that can be read are taken but not those in folders below, nor
    hidden ones; ending: of the output shards. Raises InputError for a file that cannot be read by its name, an empty
    folder, and an output that has two inputs or is one.
    """
    sources: list[Path] = []
    others: list[Path] = []
    for place in inputs:
        if not place.is_dir():
            files.check_input(place)
            sources.append(place)
            continue
        if folder.resolve() == place.resolve():
            raise InputError(f"`output` {folder}: is the folder of the input; name another, or its own would be tagged")
        with file_errors(place):
            seen = [file for file in sorted(place.iterdir()) if not file.name.startswith((".", "_"))]
        wanted = [file for file in seen if file.is_file() and readers.suffix_of(file) in files.INPUTS]
        if not wanted:
            raise InputError(f"{place}: no file that ends in {' '.join(files.INPUTS)}, or one of these and .gz")
        sources += wanted
        others += sorted(set(seen) - set(wanted))
    taken: dict[Path, Path] = {}
    inputs_there = {file.resolve() for file in sources}
    for source in dict.fromkeys(sources):
        output = folder / f"{stem_of(source)}{ending}"
        if output in taken:
            raise InputError(f"{taken[output]} and {source} would both become {output}; tag them into two folders")
        if output.resolve() in inputs_there:
            raise InputError(f"`output` {output}: is one of the inputs; name another folder")
        taken[output] = source
    return [Shard(source, output) for output, source in taken.items()], others


def stem_of(file: Path) -> str:
    """The name without its ending, and without .gz."""
    name = file.name[:-3] if file.name.lower().endswith(".gz") else file.name
    return name[: -len(readers.suffix_of(file))]


def finished_rows(shard: Shard, made_by: dict[str, Any], overwrite: bool) -> int | None:
    """How many rows the finished shard has; None where it is to be tagged.

    Raises OtherTaggerError and InputError for what something else made, unless it is to be overwritten.
    """
    unfinished = shard.journal.file
    if unfinished.exists():
        header = shard.journal.header()
        if header is not None and not overwrite:
            check_same(unfinished, header, made_by)
        return None
    if not shard.output.exists():
        return None
    try:
        record = shard.made_by()
        if record is None:
            raise InputError(f"{shard.output}: is there, and nothing says what made it; `overwrite` replaces it")
        check_same(shard.output, record, made_by)
        if (size := shard.output.stat().st_size) != record[SIZE]:
            raise InputError(
                f"{shard.output}: has {size:,} bytes instead of {record[SIZE]:,}; `overwrite` tags its rows again"
            )
    except InputError:
        if overwrite:
            return None
        raise
    return int(record[ROWS])


def check_same(file: Path, found: dict[str, Any], made_by: dict[str, Any]) -> None:
    """Raises OtherTaggerError, or InputError where it is the input alone, if something else made the file."""
    if other := differing(made_by, found):
        message = f"{file}: was made with another {other}; `overwrite` tags its rows again"
        raise InputError(message) if other == INPUT else OtherTaggerError(message)


def check(shard: Shard, job: Job) -> Checked:
    """Looks at a shard, and reads all its rows if it is to be tagged."""
    try:
        with file_errors(shard.source):
            digest = sha256(shard.source)
            rows = finished_rows(shard, job.settings | {INPUT: digest}, job.overwrite)
            if rows is not None:
                return Checked(rows, digest, is_done=True)
            return Checked(files.count(shard.source, job.column), digest)
    except InputError as error:
        return Checked(problem=str(error), is_others=isinstance(error, OtherTaggerError))


def divided(sizes: Sequence[int], num_processes: int) -> list[list[int]]:
    """Who tags which: a list for each process of the places of its shards, in order.

    sizes: of shards, in rows. The largest is dealt first, each to the process that has the fewest rows.
    """
    dealt: list[list[int]] = [[] for _ in range(num_processes)]
    loads = [0] * num_processes
    for place in sorted(range(len(sizes)), key=lambda place: -sizes[place]):
        process = loads.index(min(loads))
        dealt[process].append(place)
        loads[process] += sizes[place] + 1  # the 1 deals shards without rows, too
    return [sorted(places) for places in dealt]


def tag_shard(shard: Shard, digest: str, job: Job, tell: Callable[[int, int], None]) -> None:
    """Tags what is left of a shard, and writes it.

    digest: of the input, as it was checked; tell: called with the rows and words of each block that is in the journal.
    Raises HeldError if another program writes this shard, InputError for an input that has changed, OSError.
    """
    made_by = job.settings | {INPUT: digest}
    with contextlib.ExitStack() as stack:
        with file_errors(shard.output):
            stack.enter_context(locked(shard.beside(".lock"), str(shard.output)))
            if finished_rows(shard, made_by, job.overwrite) is not None:  # by another program, just now
                return
            rows = begin(shard, made_by, job)
        for num_rows, num_words in tag_blocks(rows, shard.journal, job.tag, as_words=shard.output.suffix == ".conll"):
            tell(num_rows, num_words)
        if sha256(shard.source) != digest:
            raise InputError(f"{shard.source}: has changed while it was tagged; `overwrite` tags its rows again")
        files.write(shard.journal.rows(), shard.output, shard.source, job.column)
        # Killed from here on, the next start finds the whole journal, and writes the same once more.
        total = sum(1 for _ in shard.journal.lines())
        write_json(shard.record, made_by | {ROWS: total, SIZE: shard.output.stat().st_size})
        shard.journal.file.unlink()
        sync(shard.output.parent)


def begin(shard: Shard, made_by: dict[str, Any], job: Job) -> Iterator[files.Text | Fault]:
    """Opens the journal. Returns the rows that it lacks. Raises InputError for a journal of something else."""
    num_done = shard.journal.go_on(made_by, job.overwrite)
    rows = files.read(shard.source, job.column)
    num_same, rows = pass_over(rows, shard.journal, num_done, overwrite=job.overwrite)
    if num_same < num_done:
        shard.journal.cut(num_same)
    return rows
