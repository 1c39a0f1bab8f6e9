"""Folders of the cache of data: written once, whole or not at all, and checked by SHA-256 when they are used."""

import atexit
import contextlib
import hashlib
import logging
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import datasets

from ner.data.cache_locks import hold
from ner.data.cache_pruning import UNFINISHED, parse_size, prune, sweep
from ner.errors import InputError, single_line
from ner.files import LOCK, is_sound, locked, write_manifest

LAYOUT = 4  # of the cached folders: raise it when what is written changes
LIMIT = "NER_CACHE_LIMIT"  # a variable: the size that the cache is cut to when a folder is made, such as 20GB

logger = logging.getLogger(__name__)


class CacheError(InputError):
    """The cache cannot be read or written, whatever the data is."""


def cached(key: object, write: Callable[[Path], None], *, kind: str, content: str = "") -> Path:
    """The folder of the datasets cache for this key, whole. `write` fills it if it is not there, or is damaged.

    It is written aside and renamed; of several processes that do so at once the first wins. It is not pruned before
    this process ends, and its time is that of its last use. kind, content: what it holds, for `ner cache`. Raises
    CacheError where the cache cannot be read or written, and what `write` raises, but for OSError.
    """
    folder = folder_of(key)
    cache = folder.parent
    limit = cache_limit()
    with cache_errors(cache, folder):
        cache.mkdir(parents=True, exist_ok=True)
        hold(folder)
        if not is_sound(folder):
            sweep(cache)
            make(folder, write, {"kind": kind, "content": content})
            if limit is not None:
                keep_limit(cache, limit)
        with contextlib.suppress(OSError):  # of another user, or on a file system that is only read
            os.utime(folder)
    return folder


@contextlib.contextmanager
def cache_errors(cache: Path, folder: Path) -> Iterator[None]:
    """Turns what the system says of the cache, or of this folder in it, into CacheError, with the remedy."""
    try:
        yield
    except BrokenPipeError:  # of what is said meanwhile
        raise
    except OSError as error:
        place = folder if Path(error.filename or cache).is_relative_to(folder) else cache
        reason = error.strerror or single_line(error)
        raise CacheError(
            f"{place}: {reason}; that is the cache of data, and the variable HF_DATASETS_CACHE names another"
        ) from error


def is_cached(key: object) -> bool:
    """Whether the cache has the folder for this key, whole; then it keeps it until this process ends."""
    hold(folder_of(key))
    return is_sound(folder_of(key))


def cache_folder() -> Path:
    """Where the cache is."""
    return Path(datasets.config.HF_DATASETS_CACHE)


def cache_limit() -> int | None:
    """Bytes that the cache may have; None for any number. Raises CacheError."""
    text = os.environ.get(LIMIT)
    try:
        return parse_size(text, LIMIT) if text else None
    except InputError as error:
        raise CacheError(str(error)) from error


def keep_limit(cache: Path, limit: int) -> None:
    """Deletes the folders that were least recently used, and logs which cannot be deleted. Raises OSError."""
    pruned = prune(cache, limit=limit)
    if pruned.deleted:
        size = sum(entry.size for entry in pruned.deleted)
        logger.info("%s: %d folders, %.1f MB, were deleted for %s", cache, len(pruned.deleted), size / 1e6, LIMIT)
    if pruned.failed:
        entry, error = pruned.failed[0]
        reason = f"{error.filename or entry.folder}: {error.strerror or single_line(error)}"
        logger.warning("%s: %d folders could not be deleted for %s: %s", cache, len(pruned.failed), LIMIT, reason)


def folder_of(key: object) -> Path:
    """Where the cache keeps what has this key."""
    digest = hashlib.sha256(repr((LAYOUT, key)).encode(errors="backslashreplace")).hexdigest()
    return cache_folder() / f"ner-{digest[:24]}"


def make(folder: Path, write: Callable[[Path], None], facts: dict[str, str]) -> None:
    """Makes a folder of the cache, in place of one that is damaged. facts: for its manifest."""
    with unfinished_in(folder.parent) as unfinished:
        made = unfinished / "made"
        made.mkdir()
        write(made)
        seal(made, facts)
        if not is_sound(folder):
            with contextlib.suppress(FileNotFoundError):  # it is not there, or another process was faster
                folder.rename(unfinished / "damaged")
        try:
            made.rename(folder)
        except OSError:
            if not is_sound(folder):  # else another process was faster
                raise


@contextlib.contextmanager
def unfinished_in(cache: Path) -> Iterator[Path]:
    """A folder in the cache that is gone at the end, and swept by others if this program is killed. Raises OSError."""
    unfinished = cache / f"{UNFINISHED}{secrets.token_hex(8)}"
    unfinished.mkdir()  # not by tempfile, which lets nobody else in
    own = os.getpid()

    def remove() -> None:
        if os.getpid() == own:  # and no fork of it
            shutil.rmtree(unfinished, ignore_errors=True)

    atexit.register(remove)  # what a thread is at work on when the program ends
    try:
        with locked(unfinished / LOCK, str(unfinished)):
            yield unfinished
    finally:
        remove()
        atexit.unregister(remove)


@contextlib.contextmanager
def for_a_while() -> Iterator[Path]:
    """A folder in the cache of data for what is not kept. Raises CacheError where the cache cannot be written."""
    cache = cache_folder()
    with cache_errors(cache, cache):
        cache.mkdir(parents=True, exist_ok=True)
        sweep(cache)
        with unfinished_in(cache) as folder:
            yield folder


def seal(folder: Path, facts: dict[str, str]) -> None:
    """Writes the manifest of a folder, with these facts. Not synced: what a power cut takes does not check out."""
    write_manifest(folder, facts)
