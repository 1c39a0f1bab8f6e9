"""Files: written whole or not at all, synced, hashed; and what the system says of one, as a message that names it."""

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ner.data.faults import InputError, one_line


@contextlib.contextmanager
def file_errors(file: str | Path) -> Iterator[None]:
    """Turns what the system says of a file or folder into an InputError that names it."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{error.filename or file}: {error.strerror or one_line(error)}") from error


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


def write_whole(file: Path, text: str) -> None:
    """Writes a file that a reader never sees half of, and that is on the disk afterwards. Raises OSError."""
    with written_aside(file) as aside:
        aside.write_text(text, encoding="utf-8")


def write_json(file: Path, content: Any) -> None:
    """Writes a JSON file as `write_whole` does."""
    write_whole(file, to_json(content))


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
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
