"""Encoded sentences on disk: written a part at a time, and mapped into memory, of any number of sentences."""

import contextlib
import hashlib
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tokenizers
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from ner.data.arrow_store import content_hash, tag_set
from ner.data.cache import cached
from ner.inputs.encoding import Encoded, check_alignment, encode
from ner.tags import TagSet

SENTENCES_PER_PART = 20_000  # encoded before they are written: bounds memory
DTYPES = {field.name: np.int64 for field in fields(Encoded)} | {"input_ids": np.int32, "labels": np.int16}


def encode_once(
    dataset: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    tags: TagSet,
    *,
    max_length: int,
    label_tokens: Literal["first", "all"] = "first",
    progress: Any = None,
) -> Encoded:
    """`encode`, but from the datasets cache if these sentences have been encoded with this tokenizer and these options.

    What decides is the content of sentences and tokenizer, not their names. Processes may start at once: each writes
    aside, and the first to finish wins.
    """
    check_alignment(tokenizer)
    tokenizer.backend_tokenizer.no_truncation()
    content = (content_hash(dataset), hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest())
    options = (tokenizers.__version__, tokenizer.split_special_tokens, tag_set(dataset).names, tags.names, max_length)

    def write(folder: Path) -> None:
        parts = (
            encode(
                dataset.select(np.arange(start, min(start + SENTENCES_PER_PART, len(dataset)))),
                tokenizer,
                tags,
                max_length=max_length,
                label_tokens=label_tokens,
                progress=progress,
            )
            for start in range(0, max(len(dataset), 1), SENTENCES_PER_PART)
        )
        write_parts(parts, folder)

    layout = [(name, np.dtype(dtype).str) for name, dtype in DTYPES.items()]
    key = ("encoded", layout, content, options, label_tokens)
    return mapped(cached(key, write, kind="encoded sentences", content=f"{len(dataset):,} sentences"))


def write_parts(parts: Iterable[Encoded], folder: Path) -> None:
    """Writes the arrays of sentences that come in parts, a file each, as if they had been encoded at once."""
    with contextlib.ExitStack() as stack:
        files = {name: stack.enter_context((folder / name).open("wb")) for name in DTYPES}
        first = {"words": 0, "offsets": 0, "sentence": 0, "word_offsets": 0}
        for name in ("offsets", "word_offsets"):
            files[name].write(np.zeros(1, DTYPES[name]).data)
        for part in parts:
            arrays = {name: getattr(part, name) for name in DTYPES}
            arrays["words"] = np.where(part.words < 0, part.words, part.words + first["words"])
            arrays["offsets"] = part.offsets[1:] + first["offsets"]
            arrays["sentence"] = part.sentence + first["sentence"]
            arrays["word_offsets"] = part.word_offsets[1:] + first["word_offsets"]
            for name, array in arrays.items():
                files[name].write(np.ascontiguousarray(array, DTYPES[name]).data)
            first["words"] = first["word_offsets"] = first["words"] + len(part.gold)
            first["offsets"] += len(part.input_ids)
            first["sentence"] += part.num_sentences


def mapped(folder: Path) -> Encoded:
    """What `write_parts` has written, mapped from disk: processes of a machine share it, and pages that rest go."""

    def array(name: str) -> np.ndarray:
        file = folder / name
        if not file.stat().st_size:
            return np.empty(0, DTYPES[name])
        return np.asarray(np.memmap(file, DTYPES[name], mode="r"))  # not as its own class, which slices slowly

    return Encoded(**{name: array(name) for name in DTYPES})
