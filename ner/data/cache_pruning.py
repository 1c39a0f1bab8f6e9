"""What is in the cache of data, and what is deleted of it: folders that we made and no running program uses.

What else `datasets` keeps there is never touched, and links are not followed. A folder is renamed before it is
deleted, so that nobody finds half of it.
"""

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ner.data.cache_locks import unused
from ner.errors import InputError, shorten
from ner.files import LOCK, MANIFEST, HeldError, locked, read_json

FOLDER = re.compile("ner-[0-9a-f]{24}")
UNFINISHED, DELETED = "ner-unfinished-", "ner-deleted-"  # what is written, and what is deleted
REMNANT = "half-written, half-deleted"
HOUR = 3600  # seconds: by then the folder of a program that lives is locked
DAY = 24 * HOUR
LONGEST_MANIFEST = 1 << 20  # bytes; ours have a thousand
SIZE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,3})?) ?([KMGT])(I?)B?", re.IGNORECASE)


@dataclass(frozen=True)
class Entry:
    """A folder of the cache.

    kind, content: what it holds, "" where it does not say; size: bytes of its files; last_used: seconds since 1970,
    when a program last began to use it that may write there.
    """

    folder: Path
    kind: str
    content: str
    size: int
    last_used: float


@dataclass
class Pruned:
    """What was to be deleted: what was, what programs use, and what could not be, with the reason."""

    deleted: list[Entry] = field(default_factory=list)
    in_use: list[Entry] = field(default_factory=list)
    failed: list[tuple[Entry, OSError]] = field(default_factory=list)


def contents(cache: Path) -> list[Entry]:
    """The folders of the cache that we made, the least recently used first. Raises OSError."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for folder in cache.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another process has deleted it
                if entry := entry_of(folder):
                    found.append(entry)
    return sorted(found, key=lambda entry: (entry.last_used, entry.folder))


def entry_of(folder: Path) -> Entry | None:
    """What a folder holds; None for what we did not make. Raises OSError."""
    is_remnant = folder.name.startswith((UNFINISHED, DELETED))
    state = folder.lstat()
    if not stat.S_ISDIR(state.st_mode) or not (is_remnant or FOLDER.fullmatch(folder.name)):
        return None
    if is_remnant:
        return Entry(folder, REMNANT, "", size_of(folder), state.st_mtime)
    try:
        manifest = (folder / MANIFEST).lstat()
    except FileNotFoundError:
        return None
    except PermissionError:
        return Entry(folder, "not readable", "", 0, state.st_mtime)
    if not stat.S_ISREG(manifest.st_mode):
        return None
    facts: dict[str, object] = {}
    with contextlib.suppress(PermissionError, ValueError, TypeError):  # JSON of any shape, or none
        facts = dict(read_json(folder / MANIFEST)) if manifest.st_size <= LONGEST_MANIFEST else {}
    kind, content = (str(facts.get(name, "")) for name in ("kind", "content"))
    return Entry(folder, kind, content, size_of(folder), state.st_mtime)


def size_of(folder: Path) -> int:
    """Bytes of all files in it."""
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                size += Path(place, name).lstat().st_size
    return size


def prune(cache: Path, *, unused_for: float | None = None, limit: int | None = None, dry_run: bool = False) -> Pruned:
    """Deletes folders of the cache that no running program uses, the least recently used first.

    Args:
        cache: The folder of the cache.
        unused_for: Seconds: those that were not used for longer.
        limit: Bytes: as many as it takes to have no more. With neither of the two, all; with both, what either wants.
        dry_run: Delete nothing.

    Returns:
        What was deleted, or would be, and what was not. A folder that cannot be deleted keeps no other from it.

    Raises:
        OSError: If the cache cannot be read.
    """
    pruned = Pruned()
    entries = contents(cache)
    now, size = time.time(), sum(entry.size for entry in entries)
    for entry in entries:
        is_old = unused_for is not None and now - entry.last_used > unused_for
        is_too_much = limit is not None and size > limit
        if not (is_old or is_too_much or (unused_for is None and limit is None)):
            continue
        try:
            if delete(entry.folder, dry_run=dry_run):
                pruned.deleted.append(entry)
                size -= entry.size
            else:
                pruned.in_use.append(entry)
        except OSError as error:
            pruned.failed.append((entry, error))
    return pruned


def is_used(entry: Entry) -> bool | None:
    """Whether a running program uses a folder; None where that cannot be told."""
    try:
        return not delete(entry.folder, dry_run=True)
    except OSError:
        return None


def delete(folder: Path, *, dry_run: bool = False) -> bool:
    """Deletes a folder of the cache; False where a running program uses it. Raises OSError."""
    aside = folder.with_name(DELETED + secrets.token_hex(8))
    try:
        with is_left(folder) if folder.name.startswith((UNFINISHED, DELETED)) else unused(folder) as is_free:
            if not is_free:
                return False
            for place in (folder.parent, folder):  # a folder whose files stay is not renamed
                place.lstat()  # one that is not there is not one that may not be deleted
                if not os.access(place, os.W_OK | os.X_OK):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))
            if dry_run:
                return True
            folder.rename(aside)
        shutil.rmtree(aside)
    except FileNotFoundError:  # another process deletes it, too
        shutil.rmtree(aside, ignore_errors=True)
    return True


@contextlib.contextmanager
def is_left(remnant: Path) -> Iterator[bool]:
    """Whether no program that lives writes this folder, on any machine: it would hold its lock. Raises OSError."""
    state = remnant.stat()
    is_free = remnant.name.startswith(DELETED)
    if not is_free and time.time() - state.st_mtime > HOUR:
        with contextlib.suppress(HeldError), locked(remnant / LOCK, str(remnant)):
            is_free = True
        os.utime(remnant, ns=(state.st_atime_ns, state.st_mtime_ns))  # which the lock has changed
    yield is_free


def sweep(cache: Path) -> None:
    """Deletes what killed programs left half-written, or half-deleted."""
    for remnant in (*cache.glob(f"{UNFINISHED}*"), *cache.glob(f"{DELETED}*")):
        with contextlib.suppress(OSError):
            if not remnant.is_symlink():
                delete(remnant)


def parse_size(text: str, name: str) -> int:
    """`20GB` -> 20,000,000,000 bytes; `20GiB` has powers of 1024. Raises InputError, with this name of the option."""
    if not (match := SIZE.fullmatch(text.strip())):
        raise InputError(f"{name} {shorten(text)}: give a size with its unit, such as 500MB, 20GB or 20GiB")
    number, unit, binary = match.groups()
    return int(float(number) * (1024 if binary else 1000) ** ("KMGT".index(unit.upper()) + 1))
