"""Noise for a student: changed copies of unlabelled sentences, whose words keep the soft targets that they had.

The teacher read the sentences as they are. Xie et al. 2020, https://arxiv.org/abs/1911.04252.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from datasets import Dataset

from ner.data.arrow_store import ROW, TAGS, batches, content_hash, lengths, tag_set
from ner.data.augmentation import SOURCE, augment
from ner.data.cache import cached
from ner.inputs.soft_targets import Unlabelled
from ner.utils import in_parts, offsets_of, rows_of

VERSION = 1  # of what is in the cache: raise it when that changes
TARGETS = "probabilities.bin"


def add_copies(unlabelled: Unlabelled, items: Sequence[str], seed: int) -> tuple[Unlabelled, str]:
    """The sentences, and behind them their copies; and how many were made, in words.

    Mentions and places are those of the teacher's likeliest tags. A word of a copy has the targets that it had in its
    sentence; a new one, such as those of an aside, has its tag as the only target.

    Args:
        unlabelled: Sentences and targets.
        items: What `Augmentation.parse` reads.
        seed: Of what is drawn.

    Raises:
        InputError: For items that make no sense.
    """
    targets = unlabelled.probabilities
    content = hashlib.sha256()
    for part in in_parts(targets):
        content.update(part.data)
    key = (VERSION, content_hash(unlabelled.sentences), content.hexdigest())
    folder = cached(
        ("tagged by a teacher", *key),
        lambda folder: write_tagged(unlabelled, folder / "rows.arrow"),
        kind="rows tagged by teachers",
        content=f"{len(unlabelled.sentences):,} sentences",
    )
    tagged = Dataset.from_file(str(folder / "rows.arrow"))
    augmented = augment(tagged, unlabelled.part, items, seed)
    origins, num_sentences = augmented.origins, len(tagged)
    if not len(origins):
        return unlabelled, augmented.note
    copies = augmented.sentences.select(range(num_sentences, len(augmented.sentences)))

    def write(folder: Path) -> None:
        offsets = offsets_of(np.concatenate([lengths(rows) for rows in batches(tagged)]))
        with (folder / TARGETS).open("wb") as file:
            for part in in_parts(targets):
                file.write(part.data)
            for rows, of_rows in zip(batches(copies), batches(origins), strict=True):
                file.write(targets_of_copies(rows, of_rows, targets, offsets).data)

    key_of_copies = ("targets of copies", *key, content_hash(copies), origins_hash(origins))
    folder = cached(key_of_copies, write, kind="soft targets of copies", content=f"{len(copies):,} copies")
    flat = np.memmap(folder / TARGETS, dtype=np.float16, mode="r")
    with_copies = Unlabelled(augmented.sentences, augmented.languages, flat.reshape(-1, targets.shape[1]))
    return with_copies, augmented.note


def write_tagged(unlabelled: Unlabelled, file: Path) -> None:
    """Writes the sentences with the teacher's likeliest tags; O for a word without targets."""
    outside = tag_set(unlabelled.sentences).outside
    schema = unlabelled.sentences.features.arrow_schema
    end = 0
    with pa.ipc.new_stream(str(file), schema) as arrow:
        for rows in batches(unlabelled.sentences):
            offsets = offsets_of(lengths(rows))
            start, end = end, end + int(offsets[-1])
            p = np.asarray(unlabelled.probabilities[start:end])
            ids = np.where(p.any(axis=-1), p.argmax(axis=-1), outside)
            tags = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(ids))
            columns = [tags if name == TAGS else rows[name] for name in schema.names]
            arrow.write_table(pa.table(columns, names=schema.names).cast(schema))


def targets_of_copies(rows: pa.Table, origins: pa.Table, targets: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """float16 [words of these copies, tags]. targets: of the sentences; offsets: where each begins among them."""
    source = origins[SOURCE].combine_chunks().flatten().to_numpy()
    of_word = origins[ROW].to_numpy()[rows_of(lengths(rows))]
    tag_ids = rows[TAGS].combine_chunks().flatten().to_numpy()
    found: np.ndarray = np.eye(targets.shape[1], dtype=np.float16)[tag_ids]
    is_old = source >= 0
    found[is_old] = targets[offsets[of_word[is_old]] + source[is_old]]
    return found


def origins_hash(origins: Dataset) -> str:
    """A hash of where the words of copies come from."""
    content = hashlib.sha256()
    for rows in batches(origins):
        content.update(rows[ROW].to_numpy().data)
        content.update(rows[SOURCE].combine_chunks().flatten().to_numpy().data)
    return content.hexdigest()
