"""Entity counts -> precision, recall, F1 and word accuracy, equal to seqeval's and vectorised.

Counts add up: over batches, over processes, over languages.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ner.errors import InputError, shorten
from ner.tags import SCORINGS, Scoring, TagSet, entities, first_words, is_among
from ner.utils import offsets_of

RATIOS = ("precision", "recall", "f1")


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
        """Everything worth reporting, as plain numbers: averages, each type, accuracy, mean loss.

        Macro is the mean over types that occur in gold or prediction, weighted is that with their support as weights. A
        ratio without cases is 0.

        Args:
            scoring: `default` follows conlleval, where an I- that continues nothing begins an entity; `strict` takes
                only entities that begin with B-.

        Returns:
            `precision`, `recall`, `f1` (micro, from 0 to 1) and `support` (gold entities); `macro` and `weighted`, with
            the first three; `per_type`, with all four of each type that occurs; `accuracy` over words; `loss`, the mean
            in nats, nan where no word has one; `words`, their number.
        """
        counts = self.entities[SCORINGS.index(scoring)]
        per_type = {name: ratios(row) for name, row in zip(self.types, counts, strict=True) if row.any()}
        rows = list(per_type.values())
        return {
            **ratios(counts.sum(axis=0)),
            "macro": mean_ratios(rows, [1] * len(rows)),
            "weighted": mean_ratios(rows, [row["support"] for row in rows]),
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


def mean_ratios(rows: Sequence[dict[str, Any]], weights: Sequence[int]) -> dict[str, float]:
    """The mean of precision, recall and F1; 0 where the weights are. rows: as of `ratios`."""
    if not sum(weights):
        return dict.fromkeys(RATIOS, 0.0)
    return {key: float(np.average([row[key] for row in rows], weights=weights)) for key in RATIOS}


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

    def counted(start: np.ndarray, type_: np.ndarray) -> np.ndarray:
        sentence = np.searchsorted(word_offsets, start, side="right") - 1
        return count_types(sentence, type_, len(word_offsets) - 1, len(tags.types))

    (starts, _, types), found = gold_entities, predicted_entities
    columns = (counted(starts[correct], types[correct]), counted(found[0], found[2]), counted(starts, types))
    return np.stack(columns, axis=-1)


def count_types(sentence: np.ndarray, type_: np.ndarray, num_sentences: int, num_types: int) -> np.ndarray:
    """int64 [sentences, types]: how many entities. sentence, type_: int64 [entities]."""
    places = np.bincount(sentence * num_types + type_, minlength=num_sentences * num_types)
    return places.reshape(num_sentences, num_types).astype(np.int64)


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


def classification_report(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], scoring: Scoring = "default"
) -> dict[str, dict[str, float]]:
    """Precision, recall, F1 and support by entity type, with averages.

    The same as seqeval's `classification_report(gold, predicted, output_dict=True)`, with `mode="strict", scheme=IOB2`
    for strict scoring; without any entity the macro average is 0, which is nan there.

    Args:
        gold: IOB2 tags of the words of each sentence.
        predicted: Those that are scored: as many sentences, of the same lengths.
        scoring: `default` follows conlleval, where an I- that continues nothing begins an entity; `strict` takes only
            entities that begin with B-.

    Returns:
        For each type that has an entity, in alphabetical order, and for `micro avg`, `macro avg` and `weighted avg`:
        `precision`, `recall` and `f1-score`, from 0 to 1, and `support`, the number of gold entities.

    Raises:
        InputError: If the lengths differ, or a tag is not IOB2.
    """
    check_sentences(gold, predicted)
    try:
        tags = TagSet.collect(tag for sentences in (gold, predicted) for sentence in sentences for tag in sentence)
    except InputError as error:
        raise InputError(f"`gold`, `predicted`: {error}") from error
    ids, guessed = (
        np.array([tags.ids[tag] for sentence in sentences for tag in sentence], dtype=np.int64)
        for sentences in (gold, predicted)
    )
    starts = first_words(offsets_of([len(sentence) for sentence in gold]))
    scores = count(ids, guessed, starts, np.full(len(ids), np.nan), tags).scores(scoring)
    averages = {"micro avg": scores, "macro avg": scores["macro"], "weighted avg": scores["weighted"]}
    return {
        name: {
            "precision": row["precision"],
            "recall": row["recall"],
            "f1-score": row["f1"],
            "support": row.get("support", scores["support"]),
        }
        for name, row in {**scores["per_type"], **averages}.items()
    }


def check_sentences(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> None:
    """Raises InputError for what is not sentences of tags, or not as many of each."""
    for name, sentences in (("gold", gold), ("predicted", predicted)):
        if flat := [sentence for sentence in sentences if isinstance(sentence, str)]:
            raise InputError(f"`{name}` has {shorten(flat[0])} for a sentence; give a list of tags for each sentence")
        if others := [tag for sentence in sentences for tag in sentence if not isinstance(tag, str)]:
            raise InputError(f"`{name}` has {shorten(others[0])} for a tag; give names like B-PER, not ids")
    if len(gold) != len(predicted):
        raise InputError(f"`gold` has {len(gold):,} sentences, `predicted` {len(predicted):,}; give the same ones")
    for i, (of_gold, of_predicted) in enumerate(zip(gold, predicted, strict=True)):
        if len(of_gold) != len(of_predicted):
            lengths = f"{len(of_gold)} tags in `gold`, {len(of_predicted)} in `predicted`"
            raise InputError(f"sentence {i} (from 0) has {lengths}; each word has one in both")


def score_of(p: np.ndarray, start: np.ndarray, end: np.ndarray, score: str) -> np.ndarray:
    """Mean or lowest probability of the words of each entity. p: float32 [words]; start, end: int64 [entities]."""
    edges = np.stack([start, end], axis=1).ravel()
    if not len(edges):
        return p[:0]
    combine = np.add if score == "mean" else np.minimum
    combined = combine.reduceat(np.append(p, 0), edges)[::2]
    return combined / (end - start) if score == "mean" else combined
