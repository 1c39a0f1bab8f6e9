"""Files at an address: https, the Hub (hf://), and what else fsspec has a package for (s3://, gs://)."""

import http.client
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import fsspec

from ner.errors import InputError, printable, single_line
from ner.files import NO_ROOM

ATTEMPTS = 6
FIRST_WAIT = 1.0  # seconds between two attempts; each is twice as long as the one before
TIMEOUT = 30.0  # seconds without a byte
BYTES_PER_PART = 1 << 20
NUMBERED = re.compile(r"\{(\d+)\.\.(\d+)\}")
MOST_SHARDS = 1_000_000
PATIENCE, LEAST = 60.0, 60_000  # a server that sends fewer bytes in so many seconds would keep us for days
LEGAL = "%/:?#[]@!$&'()*+,;=~"  # in an address; what else is no letter or digit of ASCII is written as %C3%A4
AGAIN = (408, 425, 429)  # with 500 and more: what a second attempt may make better


class FetchError(InputError):
    """A file cannot be fetched now, whatever is in it."""


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
    """The file at an address, whole, in this folder.

    Raises FetchError after ATTEMPTS, in half a minute or more, and OSError where the folder has no room for it.
    """
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
            # Of our own disk, which no second attempt makes larger.
            if isinstance(error, OSError) and error.errno in NO_ROOM:
                raise
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
        request = urllib.parse.quote(address, safe=LEGAL)
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer, file.open("wb") as content:
            copy(answer, content)
    except urllib.error.HTTPError as error:
        if error.code < 500 and error.code not in AGAIN:
            raise FetchError(f"{address}: the server answers {error.code} {printable(str(error.reason))}") from error
        raise
    except http.client.InvalidURL as error:
        raise FetchError(f"{address}: {single_line(error)}") from error


def copy(answer: http.client.HTTPResponse, content: BinaryIO) -> None:
    """The body of an answer. Raises ConnectionError for one that ends early, or hardly comes."""
    said = answer.headers.get("content-length", "")
    length = int(said) if said.isdecimal() else None  # else the end of the connection is that of the body
    size = seen = 0
    start = time.monotonic()
    while part := answer.read1(BYTES_PER_PART if length is None else min(BYTES_PER_PART, length - size)):
        size += content.write(part)
        if (now := time.monotonic()) - start >= PATIENCE:
            if size - seen < LEAST and size != length:
                raise ConnectionError(f"fewer than {LEAST:,} bytes came in {PATIENCE:g} seconds")
            start, seen = now, size
    if length is not None and size != length:
        raise ConnectionError(f"{size:,} of {length:,} bytes came")
