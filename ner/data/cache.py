"""Folders of the cache of data: written once, whole or not at all, and checked by SHA-256 when they are used."""

import contextlib
import hashlib
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import datasets

from ner.errors import InputError, single_line
from ner.files import LOCK, file_errors, is_sound, locked, write_manifest

LAYOUT = 4  # of the cached folders: raise it when what is written changes
UNFINISHED = "ner-unfinished-"
HOUR = 3600  # seconds: by then the folder of a program that lives is locked


class CacheError(InputError):
    """The cache can not be read or written, whatever the data is."""


def cached(key: object, write: Callable[[Path], None]) -> Path:
    """The folder of the datasets cache for this key, whole. `write` fills it if it is not there, or is damaged.

    It is written aside and renamed; of several processes that do so at once the first wins. Raises CacheError where
    the cache can not be read or written, and what `write` raises, but for OSError.
    """
    folder = folder_of(key)
    cache = folder.parent
    try:
        if not is_sound(folder):
            cache.mkdir(parents=True, exist_ok=True)
            sweep(cache)
            make(folder, write)
    except OSError as error:
        place = folder if Path(error.filename or cache).is_relative_to(folder) else cache
        reason = error.strerror or single_line(error)
        raise CacheError(
            f"{place}: {reason}; that is the cache of data, and the variable HF_DATASETS_CACHE names another"
        ) from error
    return folder


def is_cached(key: object) -> bool:
    """Whether the cache has the folder for this key, whole."""
    return is_sound(folder_of(key))


def folder_of(key: object) -> Path:
    """Where the cache keeps what has this key."""
    digest = hashlib.sha256(repr((LAYOUT, key)).encode(errors="backslashreplace")).hexdigest()
    return Path(datasets.config.HF_DATASETS_CACHE) / f"ner-{digest[:24]}"


def make(folder: Path, write: Callable[[Path], None]) -> None:
    """Makes a folder of the cache, in place of one that is damaged."""
    with unfinished_in(folder.parent) as unfinished:
        made = unfinished / "made"
        made.mkdir()
        write(made)
        seal(made)
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
    try:
        with locked(unfinished / LOCK, str(unfinished)):
            yield unfinished
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@contextlib.contextmanager
def for_a_while() -> Iterator[Path]:
    """A folder in the cache of data for what is not kept. Raises InputError where the cache can not be written."""
    cache = Path(datasets.config.HF_DATASETS_CACHE)
    with file_errors(cache):
        cache.mkdir(parents=True, exist_ok=True)
        sweep(cache)
    with unfinished_in(cache) as folder:
        yield folder


def seal(folder: Path) -> None:
    """Writes the manifest of a folder. Not synced: what a power cut takes does not check out."""
    write_manifest(folder)


def sweep(cache: Path) -> None:
    """Deletes what killed programs left half-written. One that lives holds the lock of its folder, on any machine."""
    for unfinished in cache.glob(f"{UNFINISHED}*"):
        with contextlib.suppress(OSError, InputError):
            if time.time() - unfinished.stat().st_mtime > HOUR:
                with locked(unfinished / LOCK, str(unfinished)):
                    pass
                shutil.rmtree(unfinished, ignore_errors=True)
