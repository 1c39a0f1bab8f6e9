"""A lock for files that two programs at once would spoil. It ends with the program that holds it, however that ends."""

import contextlib
import os
import platform
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from ner.data.faults import InputError, printable

LOCK = ".lock"  # of a run, in its folder


@contextlib.contextmanager
def locked(file: Path, what: str) -> Iterator[None]:
    """Holds the lock of that file, which says who holds it, and is removed at the end. Never waits.

    what: it keeps others from. Raises InputError if another program has it, OSError where there can be no such file.
    The lock is the system's (flock): what a killed program leaves of the file locks nothing.
    """
    lock = FileLock(file)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        holder = ""
        with contextlib.suppress(OSError):
            holder = printable(file.read_text(encoding="utf-8", errors="replace")[:200].strip())
        raise InputError(
            f"{what}: {holder or 'another program'} is writing there; wait for its end, or name another --output"
        ) from error
    try:
        now = datetime.now().astimezone().isoformat(" ", "seconds")
        file.write_text(f"process {os.getpid()} on {platform.node()} (since {now})\n", encoding="utf-8")
        yield
    finally:
        with contextlib.suppress(OSError):  # where an open file can not be removed, it stays
            file.unlink()
        lock.release()
