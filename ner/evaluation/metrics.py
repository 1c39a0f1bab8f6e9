"""Entity counts -> precision, recall, F1 and token accuracy, equal to seqeval's and vectorised.

Counts add up: over batches, over processes, over languages.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ner.tags import SCORINGS, Scoring, TagSet, entities, first_words, is_among


@dataclass(frozen=True)
class Counts:
    """What scores are made of.

    Counts of the same types add up, `a + b`: over batches, over processes, over languages.

    Attributes:
        types: Entity types.
        entities: int64 [2 scorings, types, 3]: default and strict scoring; correct, predicted and gold entities.
        words: All words.
        correct_words: Words whose tag is the gold tag, O included.
        loss: Sum over the scored_words, in nats.
        scored_words: Words with a sub-token.
    """

    types: tuple[str, ...]
    entities: np.ndarray
    words: int
    correct_words: int
    loss: float
    scored_words: int

    def __add__(self, other: "Counts") -> "Counts":
        """The counts of both together.

        Args:
            other: Counts of the same entity types in the same order.

        Returns:
            The sum of each count.

        Raises:
            AssertionError: If the entity types differ.
        """
        assert self.types == other.types
        return Counts(
            self.types,
            self.entities + other.entities,
            self.words + other.words,
            self.correct_words + other.correct_words,
            self.loss + other.loss,
            self.scored_words + other.scored_words,
        )

    def scores(self, scoring: Scoring = "default") -> dict[str, Any]:
        """Everything worth reporting, as plain numbers: micro and macro averages, each type, accuracy, mean loss.

        Macro is the mean over types that occur in gold or prediction. A ratio without cases is 0.

        Args:
            scoring: `default` follows conlleval, where an I- that continues nothing begins an entity; `strict` takes
                only entities that begin with B-.

        Returns:
            `precision`, `recall`, `f1` (micro, from 0 to 1) and `support` (gold entities); `macro`, with the first
            three; `per_type`, with all four of each type that occurs; `accuracy` over words; `loss`, the mean in nats,
            nan where no word has one; `words`, their number.
        """
        counts = self.entities[SCORINGS.index(scoring)]
        per_type = {name: ratios(row) for name, row in zip(self.types, counts, strict=True) if row.any()}
        macro = {
            key: float(np.mean([row[key] for row in per_type.values()])) if per_type else 0.0
            for key in ("precision", "recall", "f1")
        }
        return {
            **ratios(counts.sum(axis=0)),
            "macro": macro,
            "per_type": per_type,
            "accuracy": self.correct_words / max(self.words, 1),
            "loss": self.loss / self.scored_words if self.scored_words else float("nan"),
            "words": self.words,
        }

    @property
    def f1(self) -> float:
        """Micro F1, default scoring: from 0 to 1."""
        return float(self.scores()["f1"])


def ratios(counts: np.ndarray) -> dict[str, Any]:
    """Precision, recall and F1 of one row of counts (correct, predicted, gold); support is gold."""
    correct, predicted, gold = (int(count) for count in counts)
    return {
        "precision": correct / predicted if predicted else 0.0,
        "recall": correct / gold if gold else 0.0,
        "f1": 2 * correct / (predicted + gold) if predicted + gold else 0.0,
        "support": gold,
    }


def entity_counts(
    gold: np.ndarray, predicted: np.ndarray, sentence_start: np.ndarray, tags: TagSet, scoring: Scoring = "default"
) -> np.ndarray:
    """int64 [types, 3]: correct, predicted and gold entities of each type; arguments as in `entities`."""
    gold_entities = entities(gold, sentence_start, tags, scoring)
    predicted_entities = entities(predicted, sentence_start, tags, scoring)
    correct = is_among(gold_entities, predicted_entities, len(gold))
    num_types = len(tags.types)
    columns = (gold_entities[2][correct], predicted_entities[2], gold_entities[2])
    return np.stack([np.bincount(column, minlength=num_types) for column in columns], axis=1).astype(np.int64)


def sentence_counts(
    gold: np.ndarray, predicted: np.ndarray, word_offsets: np.ndarray, tags: TagSet, scoring: Scoring = "default"
) -> np.ndarray:
    """int64 [sentences, types, 3]: correct, predicted and gold entities of each sentence and type.

    gold, predicted: int64 [words]; word_offsets: int64 [sentences + 1], the words of each sentence.
    """
    sentence_start = first_words(word_offsets)
    gold_entities = entities(gold, sentence_start, tags, scoring)
    predicted_entities = entities(predicted, sentence_start, tags, scoring)
    correct = is_among(gold_entities, predicted_entities, len(gold))
    num_sentences, num_types = len(word_offsets) - 1, len(tags.types)

    def counted(start: np.ndarray, type_: np.ndarray) -> np.ndarray:
        sentence = np.searchsorted(word_offsets, start, side="right") - 1
        places = np.bincount(sentence * num_types + type_, minlength=num_sentences * num_types)
        return places.reshape(num_sentences, num_types).astype(np.int64)

    (starts, _, types), found = gold_entities, predicted_entities
    columns = (counted(starts[correct], types[correct]), counted(found[0], found[2]), counted(starts, types))
    return np.stack(columns, axis=-1)


def count(
    gold: np.ndarray, predicted: np.ndarray, sentence_start: np.ndarray, loss: np.ndarray, tags: TagSet
) -> Counts:
    """Counts of tagged words. loss: float [words], nan for words without a sub-token; else as in `entities`."""
    return Counts(
        tags.types,
        np.stack([entity_counts(gold, predicted, sentence_start, tags, scoring) for scoring in SCORINGS]),
        len(gold),
        int((gold == predicted).sum()),
        float(np.nansum(loss, dtype=np.float64)),
        int((~np.isnan(loss)).sum()),
    )
