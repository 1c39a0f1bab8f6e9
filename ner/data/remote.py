"""Files at an address: https, the Hub (hf://), and what else fsspec has a package for (s3://, gs://)."""

import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import fsspec

from ner.errors import InputError, single_line

ATTEMPTS = 6
FIRST_WAIT = 1.0  # seconds between two attempts; each is twice as long as the one before
TIMEOUT = 30.0  # seconds without a byte
BYTES_PER_PART = 1 << 20
NUMBERED = re.compile(r"\{(\d+)\.\.(\d+)\}")
MOST_SHARDS = 1_000_000
NO_SUCH = (403, 404, 410)  # which no second attempt makes better


class FetchError(InputError):
    """A file can not be fetched now, whatever is in it."""


def is_address(data: str) -> bool:
    """Whether this names something on a network."""
    return "://" in data


def numbered(address: str) -> Iterator[str]:
    """`x-{00..11}.parquet` -> x-00.parquet to x-11.parquet, as WebDataset writes it. Raises InputError."""
    found = NUMBERED.search(address)
    if not found:
        yield address
        return
    first, last = map(int, found.groups())
    if not first <= last < first + MOST_SHARDS:
        raise InputError(f"{address}: {found[0]} is no range of up to {MOST_SHARDS:,} numbers, the smaller one first")
    for number in range(first, last + 1):
        yield from numbered(f"{address[: found.start()]}{number:0{len(found[1])}}{address[found.end() :]}")


def name_of(address: str) -> str:
    """The name of the file at an address, without what a server is asked beside it."""
    return re.split(r"[?#]", address, maxsplit=1)[0].rstrip("/").rpartition("/")[2]


def fetch(address: str, folder: Path) -> Path:
    """The file at an address, whole, in this folder. Raises FetchError after ATTEMPTS, in half a minute or more."""
    file = folder / name_of(address)
    failed: Exception | None = None
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(FIRST_WAIT * 2 ** (attempt - 1))
        try:
            download(address, file)
            return file
        except FetchError:
            raise
        except FileNotFoundError as error:
            raise FetchError(f"{address}: there is no such file") from error
        except Exception as error:  # each file system has its own, as boto has
            failed = error
    reason = f"{type(failed).__name__}: {single_line(failed)}" if failed else ""
    raise FetchError(f"{address}: could not be fetched in {ATTEMPTS} attempts, {reason}") from failed


def download(address: str, file: Path) -> None:
    """One attempt. Raises FetchError where no other helps, and whatever the file system of this address raises."""
    protocol = address.partition("://")[0]
    if protocol not in ("http", "https"):
        try:
            system, path = fsspec.core.url_to_fs(address)
        except (ImportError, ValueError) as error:  # fsspec says which package it lacks
            raise FetchError(f"{address}: {single_line(error)}") from error
        system.get_file(path, str(file))
        return
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT) as answer, file.open("wb") as content:
            shutil.copyfileobj(answer, content, BYTES_PER_PART)
            size, length = content.tell(), answer.headers.get("content-length")
    except urllib.error.HTTPError as error:
        if error.code in NO_SUCH:
            raise FetchError(f"{address}: the server answers {error.code} {error.reason}") from error
        raise
    if length is not None and int(length) != size:  # the connection ended early
        raise ConnectionError(f"{size:,} of {int(length):,} bytes came")
