"""Sentences whose targets are a teacher's tag probabilities, beside sentences with gold tags."""

import hashlib
from dataclasses import dataclass, fields

import numpy as np
from datasets import Dataset

from ner.inputs.encoding import IGNORED, Encoded
from ner.utils import in_parts


@dataclass(frozen=True)
class Unlabelled:
    """Sentences without gold tags, and what a teacher says of each word.

    sentences: as those of a corpus, every tag O; part: int64 [sentences], which file or language each is of;
    probabilities: float16 [words, tags], in the order of the corpus's tags, mapped from disk.
    """

    sentences: Dataset
    part: np.ndarray
    probabilities: np.ndarray


@dataclass(frozen=True)
class SoftEncoded(Encoded):
    """Encoded sentences, the last of which have soft targets.

    The `labels` of a window are float32 [tokens, tags]: 1 at the gold tag of a scored token; the teacher's
    probabilities where there is no gold tag, times the weight of the word; 0 at tokens that are not scored. The weight
    is the largest of the word's probabilities to the power `certainty_power`: 1 for a teacher that is sure.

    Attributes:
        probabilities: float16 [words without gold tags, tags]; these words come last.
        certainty_power: 0 counts all words alike, a higher one counts uncertain words less.
    """

    probabilities: np.ndarray
    certainty_power: float

    @classmethod
    def of(cls, encoded: Encoded, probabilities: np.ndarray, certainty_power: float) -> "SoftEncoded":
        """The encoded sentences, with these probabilities for the words at their end."""
        arrays = {field.name: getattr(encoded, field.name) for field in fields(Encoded)}
        first_word = len(encoded.gold) - len(probabilities)
        first_sentence = np.searchsorted(encoded.word_offsets, first_word, side="left")
        first_token = encoded.offsets[np.searchsorted(encoded.sentence, first_sentence)]
        is_extra = (encoded.labels[first_token:] != IGNORED) & (encoded.words[first_token:] < 0)
        if is_extra.any():  # label_tokens all: what a teacher says of a word is learned at its first sub-token
            arrays["labels"] = encoded.labels.copy()
            arrays["labels"][first_token:][is_extra] = IGNORED
        return cls(**arrays, probabilities=probabilities, certainty_power=certainty_power)

    @property
    def first_word(self) -> int:
        """The first word that has no gold tag."""
        return len(self.gold) - len(self.probabilities)

    def __getitem__(self, window: int) -> dict[str, np.ndarray]:
        """As of `Encoded`, with soft targets as `labels`."""
        features = super().__getitem__(window)
        labels, words = features["labels"], features["words"]
        targets = np.zeros((len(labels), self.probabilities.shape[1]), np.float32)
        if self.offsets[window] < self.offsets[window + 1] and words.max() >= self.first_word:
            scored = np.flatnonzero(words >= 0)
            p = self.probabilities[words[scored] - self.first_word].astype(np.float32)
            targets[scored] = p * p.max(axis=-1, keepdims=True) ** self.certainty_power
        else:
            scored = np.flatnonzero(labels != IGNORED)
            targets[scored, labels[scored]] = 1
        return {**features, "labels": targets}

    def label_counts(self, num_tags: int) -> np.ndarray:
        """As of `Encoded`; soft targets count by their parts."""
        return sum(
            (self[window]["labels"].sum(axis=0, dtype=np.float64) for window in range(len(self))), np.zeros(num_tags)
        )

    def fingerprint(self) -> str:
        """A hash of all of it, soft targets included."""
        whole = hashlib.sha256(f"{super().fingerprint()} {self.certainty_power}".encode())
        for part in in_parts(self.probabilities):
            whole.update(part.data)
        return whole.hexdigest()
