"""Files: written whole or not at all, synced, hashed; and what the system says of one, as a message that names it."""

import contextlib
import errno
import hashlib
import json
import math
import os
import platform
import select
import stat
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import yaml
from filelock import FileLock, SoftFileLock, Timeout

from ner.errors import InputError, printable, shorten, single_line

YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Far above what a file of options has, and above the largest data cards of the Hub: a config for each of 300 languages.
LONGEST_YAML = 2**22  # characters
MOST_YAML_VALUES = 200_000  # with all aliases written out. PyYAML takes about 1 kB for each
DEEPEST_YAML = 50  # lists in lists; PyYAML recurses
LONGEST_YAML_NUMBER = 1000  # characters; Python does not print one of more than 4,300 digits
# What PyYAML raises for values that it cannot make: !!timestamp 2000-13-01, !!int without a digit, and the like.
YAML_ERRORS = (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, OverflowError)

LOCK = ".lock"  # of a run, in its folder
MANIFEST = "manifest.json"


class HeldError(InputError):
    """Another program writes there."""


NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # on a disk


@contextlib.contextmanager
def file_errors(file: str | Path) -> Iterator[None]:
    """Turns what the system says of a file or folder into an InputError that names it."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{error.filename or file}: {error.strerror or single_line(error)}") from error


@contextlib.contextmanager
def written_aside(file: Path) -> Iterator[Path]:
    """A path beside the file to write to; at the end it is synced and takes the file's name, which the folder keeps.

    Half of it is never seen under that name, and what fails leaves nothing beside it. Raises OSError.
    """
    aside = file.with_name(f".{file.name}.new")
    try:
        yield aside
        sync(aside)
        aside.replace(file)
        sync(file.parent)
    finally:
        aside.unlink(missing_ok=True)


def write_atomic(file: Path, text: str) -> None:
    """Writes a file that a reader never sees half of, and that is on the disk afterwards. Raises OSError."""
    with written_aside(file) as aside:
        aside.write_text(text, encoding="utf-8")


def write_json(file: Path, content: Any) -> None:
    """Writes a JSON file as `write_atomic` does."""
    write_atomic(file, to_json(content))


def read_json(file: Path) -> Any:
    """The content of a JSON file. Raises OSError, and ValueError for what is no JSON."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def to_json(content: Any) -> str:
    """JSON as our files have it."""
    return json.dumps(legal(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def to_json_line(content: Any) -> str:
    """JSON on one line, which ends it."""
    return json.dumps(legal(content), ensure_ascii=False, allow_nan=False) + "\n"


def legal(content: Any) -> Any:
    """The content with None for the numbers that JSON lacks: infinities, and what is no number."""
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, dict):
        return {key: legal(value) for key, value in content.items()}
    return [legal(value) for value in content] if isinstance(content, list | tuple) else content


def sha256(file: Path) -> str:
    """Of the file's content."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Waits until a file or folder is on the disk. Windows opens no folders, and syncs them by itself."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)  # there, what is only read has no sync
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_manifest(folder: Path, facts: dict[str, Any] | None = None) -> list[str]:
    """Writes the manifest of a folder: facts, and size and SHA-256 of each file. Returns the names of the files.

    All of them become as readable as the manifest is by the umask: safetensors writes for the user alone.
    """
    files = {file.name: {"size": file.stat().st_size, "sha256": sha256(file)} for file in sorted(folder.iterdir())}
    (folder / MANIFEST).write_text(json.dumps({**(facts or {}), "files": files}, indent=2) + "\n", encoding="utf-8")
    mode = stat.S_IMODE((folder / MANIFEST).stat().st_mode)
    for name in files:
        with contextlib.suppress(PermissionError):  # a file system that has no modes
            (folder / name).chmod(mode)
    return list(files)


def verify(folder: Path) -> dict[str, Any]:
    """The manifest of a checkpoint whose files are all there as they were written. Raises InputError if one is not.

    Raises OSError where that cannot be told: a disk or network that fails now may have the checkpoint again later.
    """
    try:
        manifest = dict(read_json(folder / MANIFEST))
        files = [(str(name), int(entry["size"]), str(entry["sha256"])) for name, entry in manifest["files"].items()]
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{folder}: no {MANIFEST} to read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:  # JSON of any shape, or none
        raise InputError(f"{folder}: its {MANIFEST} is broken") from error
    if not files:
        raise InputError(f"{folder}: its {MANIFEST} lists no files")
    for name, size, expected in files:
        if name != Path(name).name or name in ("", "..") or set(name) & set("\\\0"):
            raise InputError(f"{folder}: its {MANIFEST} names {shorten(name)}, which is no file of that folder")
        file = folder / name
        try:
            there = file.stat()
        except FileNotFoundError as error:
            raise InputError(f"{folder}: {name} is missing") from error
        if not stat.S_ISREG(there.st_mode):  # to read a pipe is to wait for ever
            raise InputError(f"{folder}: {name} is no file")
        if there.st_size != size:
            raise InputError(f"{folder}: {name} has {there.st_size:,} bytes instead of {size:,}")
        if sha256(file) != expected:
            raise InputError(f"{folder}: {name} is not what was written, by its SHA-256")
    return manifest


def is_sound(folder: Path) -> bool:
    """Whether a checkpoint is there as it was written. Raises OSError where that cannot be told."""
    try:
        verify(folder)
    except InputError:
        return False
    return True


@contextlib.contextmanager
def locked(file: Path, what: str) -> Iterator[None]:
    """Holds the lock of that file, which says who holds it, and is removed at the end. Never waits.

    what: it keeps others from. Raises HeldError if another program has it, OSError where there can be no such file.
    The lock is the system's (flock): what a killed program leaves of the file locks nothing. Where the file system has
    none, that there is a file is the lock, and filelock writes into it who holds it. What a killed program leaves there
    is taken over if the program ran on this machine and the file system can exchange two names. Else it stays until
    somebody deletes it, as the message says.
    """
    lock = FileLock(file)
    try:
        try:
            lock.acquire(blocking=False)
        except Timeout:
            if not isinstance(lock, SoftFileLock):
                raise
            lock.acquire(blocking=False)  # older ones of filelock delete what is left, and take it when they try again
    except Timeout as error:
        remedy = "wait for its end, or name another `output`"
        if isinstance(lock, SoftFileLock):
            remedy += f"; if it was killed, delete {file}"
        raise HeldError(f"{what}: {holder_of(file)} is writing there; {remedy}") from error
    is_soft = isinstance(lock, SoftFileLock)  # what it has become in `acquire`
    try:
        now = datetime.now().astimezone().isoformat(" ", "seconds")
        if not is_soft:
            file.write_text(f"process {os.getpid()} on {platform.node()} (since {now})\n", encoding="utf-8")
        yield
    finally:
        if not is_soft:
            with contextlib.suppress(OSError):  # where an open file cannot be removed, it stays
                file.unlink()
        lock.release()  # a soft one removes its file


def holder_of(file: Path) -> str:
    """Who holds a lock, as we or filelock (process, machine and more, a line each) wrote it into the file."""
    lines: list[str] = []
    with contextlib.suppress(OSError):
        lines = file.read_text(encoding="utf-8", errors="replace")[:200].strip().splitlines()
    holder = f"process {lines[0]} on {lines[1]}" if len(lines) > 1 else "".join(lines)
    return printable(holder) or "another program"


def distinct(names: Iterable[str]) -> tuple[str, ...]:
    """The names in order, each file or folder once, however it is named: no `runs/de/` behind `runs/de`.

    What is not there, as a name of the Hub, is what it is called.
    """
    found: dict[Path | str, str] = {}
    for name in names:
        place: Path | str = name
        with contextlib.suppress(OSError, ValueError, RuntimeError):  # also links in a circle, names that are too long
            place = Path(name).resolve(strict=True)
        found.setdefault(place, name)
    return tuple(found.values())


def parse_yaml(text: str, place: str) -> Any:
    """What the YAML says, in plain types. Raises InputError that names the place for what is none, or too much."""
    if len(text) > LONGEST_YAML:
        raise InputError(f"{place}: {len(text):,} characters of YAML, where {LONGEST_YAML:,} are the most that is read")
    too_many = InputError(f"{place}: YAML of more than {MOST_YAML_VALUES:,} values, its aliases written out")
    num_values = depth = 0
    try:
        for event in yaml.parse(text, YAML_LOADER):
            num_values += isinstance(event, yaml.NodeEvent)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST_YAML:
                raise InputError(
                    f"{place}: YAML that is nested too deeply, {DEEPEST_YAML} levels are the most that is read"
                )
            if num_values > MOST_YAML_VALUES:
                raise too_many
        loader = YAML_LOADER(text)
        node = loader.get_single_node()
        if node is None:
            return None
        if count_values(node, {}) > MOST_YAML_VALUES:
            raise too_many
        return loader.construct_document(node)
    except InputError:
        raise
    except YAML_ERRORS as error:
        raise InputError(f"{place}: not YAML: {single_line(error)}") from error


def count_values(node: yaml.Node, known: dict[int, float]) -> float:
    """How many values a node stands for, aliases written out; infinite for one that holds itself.

    Raises ValueError for a number that is too long.
    """
    if node.tag == "tag:yaml.org,2002:int" and len(node.value) > LONGEST_YAML_NUMBER:
        raise ValueError(f"a number of {len(node.value):,} digits is too large")
    if id(node) not in known:
        known[id(node)] = float("inf")  # while its parts are counted
        inner = node.value if isinstance(node, yaml.CollectionNode) else []
        parts = [part for item in inner for part in (item if isinstance(item, tuple) else (item,))]
        known[id(node)] = 1 + sum(count_values(part, known) for part in parts)
    return known[id(node)]


def is_unread(stream: IO[Any]) -> bool:
    """Whether this is a pipe, or a socket, whose reader has gone."""
    if not hasattr(select, "poll"):  # as in Windows, where nothing tells
        return True
    poll = select.poll()
    try:
        poll.register(stream, 0)  # errors are always reported
    except (OSError, ValueError):  # no file, or a closed one
        return False
    return bool(poll.poll(0))
