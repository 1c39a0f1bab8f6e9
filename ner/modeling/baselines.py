"""Taggers without an encoder, which train in seconds: a CRF, and the dictionary of training mentions; their folders.

A folder has the tags, the model, and a manifest with the hashes of both: what is not as it was written is not loaded.
"""

import json
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import numpy as np
from datasets import Dataset

from ner.data.arrow_store import TAGS, WORDS, batches, tag_set
from ner.errors import InputError, shorten, single_line
from ner.files import file_errors, to_json_line, verify, write_atomic, write_json
from ner.modeling import crf
from ner.modeling.crf import Crf
from ner.modeling.dictionary import MentionDictionary
from ner.tags import TagSet

Method: TypeAlias = Literal["crf", "dictionary"]
TITLES: dict[Method, str] = {"crf": "CRF", "dictionary": "dictionary"}
MODEL_FILES: dict[Method, str] = {"crf": "model.crfsuite", "dictionary": "mentions.jsonl"}
TAGS_FILE = "tags.json"
LARGEST_FILE = 1 << 30  # bytes: a hundred times what either makes of all of PAN-X's German
SENTENCES_PER_BATCH = 1000


class Baseline(Protocol):
    """A tagger of words."""

    @property
    def tags(self) -> TagSet:
        """What it predicts."""

    def tag(self, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray | None]:
        """Tag ids of a sentence, int64 [words], and the probability of each, float64 [words, tags], if it has one."""


def sentences(rows: Dataset) -> Iterator[tuple[list[str], list[int]]]:
    """Words and tag ids of each sentence."""
    for batch in batches(rows, SENTENCES_PER_BATCH):
        yield from zip(batch[WORDS].to_pylist(), batch[TAGS].to_pylist(), strict=True)


def train_baseline(method: Method, rows: Dataset, folder: Path) -> None:
    """Trains on sentences, and writes tags and model into a folder. Raises OSError, and InputError as `crf.train`."""
    tags = tag_set(rows)
    write_json(folder / TAGS_FILE, list(tags.names))
    file = folder / MODEL_FILES[method]
    if method == "crf":
        crf.train(((words, [tags.names[i] for i in ids]) for words, ids in sentences(rows)), file)
    else:
        learned = MentionDictionary.collect(((words, np.array(ids)) for words, ids in sentences(rows)), tags)
        write_atomic(file, "".join(map(to_json_line, learned.plain())))


def read_tags(folder: Path) -> TagSet:
    """The tags of a baseline. Raises InputError for a folder without them."""
    content = read_file(folder / TAGS_FILE)
    try:
        names = json.loads(content)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InputError(f"{shorten(names)} is no list of tags")
        return TagSet(tuple(names))
    except (ValueError, RecursionError) as error:  # InputError is the first of these
        raise InputError(f"{folder / TAGS_FILE}: {single_line(error)}") from error


def load_baseline(folder: Path, method: Method) -> Baseline:
    """The baseline in a folder, if its files are those that its manifest names. Raises InputError."""
    file = folder / MODEL_FILES[method]
    content = read_file(file)
    with file_errors(folder):
        listed = verify(folder)["files"]
    if lacking := {file.name, TAGS_FILE} - set(listed):
        raise InputError(f"{folder}: its manifest does not name {min(lacking)}; train the baseline again")
    tags = read_tags(folder)
    try:
        if method == "crf":
            return Crf.load(content, tags)
        return MentionDictionary.from_plain((json.loads(line) for line in content.splitlines()), tags)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: {single_line(error)}") from error


def read_file(file: Path) -> bytes:
    """The content of a file of a baseline. Raises InputError for one that is missing, too large, or no file."""
    with file_errors(file):
        state = file.stat()
        if not stat.S_ISREG(state.st_mode):  # to read a pipe is to wait for ever
            raise InputError(f"{file}: no file")
        if state.st_size > LARGEST_FILE:
            raise InputError(f"{file}: {state.st_size:,} bytes, where {LARGEST_FILE:,} are the most that is read")
        return file.read_bytes()
