"""What a run says of sentences, and what says it: an encoder, a baseline, or a file of another system."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import pyarrow as pa
from datasets import Dataset

from ner.evaluation.inference import Predictions
from ner.evaluation.metrics import Counts, count
from ner.tags import TagSet, first_words

Progress: TypeAlias = Callable[[int], Any]  # called with the number of sentences done since the last call
Place: TypeAlias = tuple[str, str]  # language and split of sentences
ANYWHERE: Place = ("", "")


@dataclass(frozen=True)
class Tested:
    """Sentences with what a run predicts for them, on every process.

    gold: int64 [words], ids of the run's tags; word_offsets: int64 [sentences + 1]; predictions: of all words;
    sub_tokens: of the words from one number up to another, list of str each; None where the model reads whole words.
    """

    gold: np.ndarray
    word_offsets: np.ndarray
    predictions: Predictions
    sub_tokens: Callable[[int, int], pa.ListArray] | None = None

    def counts(self, tags: TagSet) -> Counts:
        """What its scores are made of."""
        return count(self.gold, self.predictions.tags, first_words(self.word_offsets), self.predictions.losses, tags)


class Predictor(Protocol):
    """What tags the sentences of a test."""

    @property
    def tags(self) -> TagSet:
        """What it predicts."""

    @property
    def how(self) -> str:
        """How it computes, for a message; known after the first sentences."""

    def test(self, rows: Dataset, progress: Progress, place: Place = ANYWHERE) -> Tested:
        """Tags sentences of `ner.data.corpus`. All processes must call it. Raises InputError as `predict` does.

        place: their language and split, by which sentences that are tagged already are found.
        """
