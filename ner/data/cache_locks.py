"""Who uses which folder of the cache of data: nobody deletes what a running program uses.

A program holds a shared lock for each folder that it uses until it ends, however it ends. Who deletes a folder must
have that lock alone. The locks are on bytes of one file of the cache, a byte for each name: any number of folders takes
one descriptor, and a reader that may not write needs no more than to open it. Windows has no such locks, and renames no
folder of open files.
"""

import contextlib
import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCKS = ".ner-locks"  # in the cache
HELD = (errno.EACCES, errno.EAGAIN)  # what systems say of a lock that another program has

used: set[Path] = set()  # by this process, whose own locks are no obstacle to it
descriptors: dict[Path, int] = {}  # of the files of locks: closing one would drop all locks that the process has there
one_thread = threading.Lock()


def hold(folder: Path) -> None:
    """Keeps a folder of the cache, there or not, from being deleted by others for as long as this process runs.

    Where there can be no locks, nobody deletes either. Only who may not write into a cache that has no file of locks
    yet, one of an older version, uses its folders without.
    """
    with one_thread:
        used.add(folder)
        if fcntl:
            with contextlib.suppress(OSError):
                fcntl.lockf(lock_file(folder.parent), fcntl.LOCK_SH, *byte_of(folder))


@contextlib.contextmanager
def unused(folder: Path) -> Iterator[bool]:
    """Whether no program uses the folder; then none begins to before this ends, which must be soon.

    Raises OSError where that cannot be told.
    """
    with one_thread, contextlib.ExitStack() as stack:
        is_unused = folder not in used
        if is_unused and fcntl:
            file = lock_file(folder.parent)
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, *byte_of(folder))
                stack.callback(fcntl.lockf, file, fcntl.LOCK_UN, *byte_of(folder))
            except OSError as error:
                if error.errno == errno.EBADF:  # it could be opened for reading alone
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder.parent / LOCKS) from error
                if error.errno not in HELD:
                    raise
                is_unused = False
        yield is_unused


def byte_of(folder: Path) -> tuple[int, int]:
    """(1, place) of the byte of the file of locks that stands for a folder, by the hash in its name."""
    return 1, int(folder.name[-15:], 16)


def lock_file(cache: Path) -> int:
    """The descriptor of the cache's file of locks, which is made if it is not there. Raises OSError."""
    file = cache / LOCKS
    with contextlib.suppress(FileNotFoundError):
        if file in descriptors and os.path.samestat(os.fstat(descriptors[file]), file.lstat()):
            return descriptors[file]
    others = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # it may be anything, where others write
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | others, 0o666)
        with contextlib.suppress(PermissionError):  # who may make folders of the cache may delete their own
            os.fchmod(descriptor, cache.stat().st_mode & 0o666)
    except OSError:
        if not os.path.lexists(file):
            raise
        try:
            descriptor = os.open(file, os.O_RDWR | others)
        except OSError:
            descriptor = os.open(file, os.O_RDONLY | others)
    descriptors[file] = descriptor
    return descriptor
