"""A linear-chain CRF on hand-made features, trained with L-BFGS by python-crfsuite (the extra [baseline]).

Its file is read by a C library that takes what it is given: `Crf.load` looks at the header first, and whoever calls it
at the hash (`ner.modeling.baselines`).
"""

import importlib.util
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ner.errors import InputError, listed
from ner.modeling.word_features import features
from ner.tags import TagSet

MISSING = 'python-crfsuite is not installed; pip install "crosslingual-ner[baseline]"'
# Chosen on PAN-X validation sentences, as the features.
SETTINGS = {
    "c1": 0.01,  # L1: weights become 0, which makes the file smaller
    "c2": 0.1,  # L2
    "max_iterations": 100,
    "feature.possible_transitions": True,  # a tag that never followed another gets a weight too
}
# lCRF, bytes, FOMC, version, features (left 0), labels, attributes, and where five parts begin, the features first.
HEADER = struct.Struct("<4sI4s9I")
VERSION = 100
PART_HEADER = struct.Struct("<4sII")  # FEAT, bytes, number
FEATURE = np.dtype([("type", "<u4"), ("source", "<u4"), ("target", "<u4"), ("weight", "<f8")])


def check_installed() -> None:
    """Raises InputError where python-crfsuite is not installed."""
    if importlib.util.find_spec("pycrfsuite") is None:
        raise InputError(MISSING)


def train(sentences: Iterable[tuple[Sequence[str], Sequence[str]]], file: Path) -> None:
    """Trains a CRF on sentences (words, names of their tags) and writes its file. The same sentences, the same file.

    Raises OSError if the file cannot be written, InputError without python-crfsuite.
    """
    check_installed()
    import pycrfsuite

    trainer = pycrfsuite.Trainer(algorithm="lbfgs", params=SETTINGS, verbose=False)
    for words, names in sentences:
        trainer.append(features(words), names)
    file.touch()  # raises where that cannot be: the library says nothing of it
    trainer.train(str(file))
    if problem := flaw(file.read_bytes()):
        raise OSError(f"{file}: not written whole: {problem}; is the disk full?")


def flaw(content: bytes) -> str:
    """What is wrong with the file of a CRF, as far as its header and features tell; empty if nothing is."""
    if len(content) < HEADER.size:
        return f"{len(content)} bytes are no model of CRFsuite"
    magic, size, kind, version, _, num_labels, num_attributes, *starts = HEADER.unpack_from(content)
    if (magic, kind, version) != (b"lCRF", b"FOMC", VERSION):
        return "not a model of CRFsuite, by its header"
    if size != len(content):
        return f"{len(content):,} bytes, where its header says {size:,}"
    lies = "its header names parts that are not in it"
    if max(starts) + PART_HEADER.size > size or not num_labels or max(num_labels, num_attributes) > size:
        return lies
    name, num_bytes, number = PART_HEADER.unpack_from(content, starts[0])
    if name != b"FEAT" or num_bytes != PART_HEADER.size + number * FEATURE.itemsize or starts[0] + num_bytes > size:
        return lies
    table = np.frombuffer(content, FEATURE, number, starts[0] + PART_HEADER.size)
    if number and (table["target"].max() >= num_labels or not np.isfinite(table["weight"]).all()):
        return "a feature of it has no label, or no weight"
    return ""


@dataclass(frozen=True)
class Crf:
    """A trained CRF.

    tagger: of python-crfsuite; content: of the file, which the tagger reads from; labels: what it predicts, a part of
    the names of `tags`; ids: int64 [labels], their ids there.
    """

    tagger: Any
    content: bytes
    labels: tuple[str, ...]
    ids: np.ndarray
    tags: TagSet

    @classmethod
    def load(cls, content: bytes, tags: TagSet) -> "Crf":
        """The CRF of a file's content. Raises InputError for anything else, and for labels that `tags` lacks."""
        check_installed()
        import pycrfsuite

        if problem := flaw(content):
            raise InputError(problem)
        tagger = pycrfsuite.Tagger()
        try:
            tagger.open_inmemory(content)
        except ValueError as error:
            raise InputError(f"python-crfsuite does not read it: {error}") from error
        labels = tuple(tagger.labels())
        if lacking := [label for label in labels if label not in tags.ids]:
            raise InputError(f"it predicts {listed(lacking)}, which is not among its tags")
        return cls(tagger, content, labels, np.array([tags.ids[label] for label in labels]), tags)

    def tag(self, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """The most probable tags of a sentence, together: int64 [words]; and the probability of each tag at each word.

        Those are marginals, float64 [words, tags], 0 for a tag that was in no training sentence.
        """
        self.tagger.set(features(words))
        found = np.array([self.tags.ids[name] for name in self.tagger.tag()])
        p = np.zeros((len(words), len(self.tags)))
        for label, number in zip(self.labels, self.ids.tolist(), strict=True):
            p[:, number] = [self.tagger.marginal(label, place) for place in range(len(words))]
        return found, p
