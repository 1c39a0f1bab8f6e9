"""Whether the scores of a tagger can be relied on, and what makes them so: tags stay as they are.

Platt scaling maps the scores of entities to how often they are right. Temperature scaling divides all logits by one
number (Guo et al., On Calibration of Modern Neural Networks, arXiv 1706.04599), which is fitted on words: most of them
are O, and what is best for these need not be good for entities.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from ner.evaluation.bootstrap import Interval, interval, resampled
from ner.evaluation.metrics import count_types, score_of
from ner.modeling.calibration import UNCHANGED, Calibration, log_odds
from ner.tags import TagSet, entities, is_among

BINS = 15  # of the expected calibration error, equally wide, as published
STEPS = 60  # of the search for the temperature: far below what a float tells apart
RANGE = (0.05, 20.0)  # of temperatures
FLATTEST = 1e-3  # slope of a map of scores: above 0, so that no order changes


def fit_temperature(p: np.ndarray, gold: np.ndarray) -> float:
    """The temperature of the lowest mean cross-entropy, between 0.05 and 20.

    Args:
        p: float [words, tags], a distribution over tags of each word.
        gold: int64 [words], ids of the gold tags.

    Returns:
        Above 1 where the tagger is too sure, below 1 where it is not sure enough.
    """
    log_p = np.log(np.maximum(p.astype(np.float64), np.finfo(np.float64).tiny))
    of_gold = log_p[np.arange(len(gold)), gold].mean()

    def slope(sharpness: float) -> float:
        """Of the cross-entropy, which is convex in 1/T."""
        return float((scaled(p, 1 / sharpness) * log_p).sum(axis=1).mean() - of_gold)

    low, high = 1 / RANGE[1], 1 / RANGE[0]
    for _ in range(STEPS):
        middle = np.sqrt(low * high)
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return float(1 / np.sqrt(low * high))


def fit_scores(found: "ScoredEntities") -> tuple[float, float]:
    """Slope and intercept of the log-odds of scores that make them as high as they are often right: Platt scaling.

    Logistic regression of what is right (Platt, Probabilistic Outputs for Support Vector Machines, 1999), with his
    targets, which are not quite 0 and 1: so that there is an optimum where all are right.

    Args:
        found: At least one entity.

    Returns:
        The slope, which is above 0, and the intercept.
    """
    right = int(found.is_right.sum())
    wrong = len(found.is_right) - right
    target = np.where(found.is_right, (right + 1) / (right + 2), 1 / (wrong + 2))
    x, y = torch.from_numpy(log_odds(found.score)), torch.from_numpy(target)

    def best(log_odds_of: Callable[[Tensor], Tensor], start: Sequence[float]) -> list[float]:
        """The weights of the lowest cross-entropy."""
        weights = torch.tensor(start, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS([weights], max_iter=200, tolerance_change=1e-12, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            optimizer.zero_grad()
            value = binary_cross_entropy_with_logits(log_odds_of(weights), y)
            value.backward()
            return value

        optimizer.step(loss)
        return weights.tolist()

    slope, intercept = best(lambda weights: weights[0] * x + weights[1], [1.0, 0.0])
    if slope < FLATTEST:  # the surest are right less often than others
        slope, (intercept,) = FLATTEST, best(lambda weights: FLATTEST * x + weights[0], [0.0])
    return slope, intercept


def scaled(p: np.ndarray, temperature: float) -> np.ndarray:
    """float64 [words, tags]: what distributions become when their logits are divided by a temperature."""
    log_p = np.log(np.maximum(p.astype(np.float64), np.finfo(np.float64).tiny)) / temperature
    powers = np.exp(log_p - log_p.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Reliability:
    """How sure and how often right, in bins of equal width from 0 to 1.

    Attributes:
        count: int64 [bins], cases.
        confidence: float64 [bins], their mean; 0 in an empty bin.
        accuracy: float64 [bins], the share that is right; 0 in an empty bin.
    """

    count: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def error(self) -> float:
        """The expected calibration error: how far accuracy is from confidence, the mean over cases."""
        return float((self.count * abs(self.accuracy - self.confidence)).sum() / max(self.count.sum(), 1))


def reliability(confidence: np.ndarray, is_right: np.ndarray, bins: int = BINS) -> Reliability:
    """confidence: float [cases], from 0 to 1; is_right: bool [cases]."""
    place = np.minimum((confidence.astype(np.float64) * bins).astype(np.int64), bins - 1)
    count = np.bincount(place, minlength=bins)
    sums = [np.bincount(place, weights=values, minlength=bins) for values in (confidence, is_right)]
    return Reliability(count, *(each / np.maximum(count, 1) for each in sums))


@dataclass(frozen=True)
class ScoredEntities:
    """Predicted entities with their scores, and the gold ones.

    Attributes:
        score: float64 [predicted], the mean probability of the tags of its words.
        is_right: bool [predicted], whether a gold entity has its type and boundaries.
        type_: int64 [predicted], index into the types of the tags.
        sentence: int64 [predicted], the place of its sentence, from 0.
        gold_type: int64 [gold].
        gold_sentence: int64 [gold].
        num_sentences: Of all of them, with entities or without.
    """

    score: np.ndarray
    is_right: np.ndarray
    type_: np.ndarray
    sentence: np.ndarray
    gold_type: np.ndarray
    gold_sentence: np.ndarray
    num_sentences: int


def scored_entities(p: np.ndarray, gold: np.ndarray, begins: np.ndarray, tags: TagSet) -> ScoredEntities:
    """The entities of tagged words.

    Args:
        p: float [words, tags]; the predicted tag is the most probable one, O where nothing is known (nan).
        gold: int64 [words].
        begins: bool [words], true where a sentence begins.
        tags: Of both.
    """
    is_known = ~np.isnan(p).any(axis=1)
    predicted = np.where(is_known, np.where(np.isnan(p), 0, p).argmax(axis=1), tags.outside)
    found, there = (entities(ids, begins, tags) for ids in (predicted, gold))
    of_words = np.where(is_known, np.nan_to_num(p.astype(np.float64)).max(axis=1), 0)
    start, end, type_ = found
    sentence = np.cumsum(begins) - 1  # of each word
    return ScoredEntities(
        score=score_of(of_words, start, end, "mean"),
        is_right=is_among(found, there, len(gold)),
        type_=type_,
        sentence=sentence[start],
        gold_type=there[2],
        gold_sentence=sentence[there[0]],
        num_sentences=int(begins.sum()),
    )


def score_for(found: ScoredEntities, precision: float) -> float | None:
    """The lowest score from which on entities are right so often; None where no score is high enough.

    precision: of all entities with that score or a higher one.
    """
    order = np.argsort(-found.score, kind="stable")
    scores, right = found.score[order], np.cumsum(found.is_right[order])
    is_last = np.append(np.diff(scores) != 0, True)[: len(scores)]  # entities of one score stay or go together
    enough = np.flatnonzero(is_last & (right >= precision * np.arange(1, len(scores) + 1)))
    return float(scores[enough[-1]]) if len(enough) else None


@dataclass(frozen=True)
class PrecisionRecall:
    """Of the entities with a certain score or a higher one; nan without any.

    Attributes:
        precision_interval: 95%, by bootstrap over sentences, of those resamples that have any; None where none has.
        recall_interval: The same.
    """

    precision: float
    recall: float
    precision_interval: Interval | None
    recall_interval: Interval | None


def precision_recall(found: ScoredEntities, min_score: float, types: Sequence[str]) -> dict[str, PrecisionRecall]:
    """Type, or "all" -> precision and recall of the entities of that score or a higher one. types: Their names."""
    kept = found.score >= min_score
    right = found.is_right & kept

    def counted(sentence: np.ndarray, type_: np.ndarray) -> np.ndarray:
        by_type = count_types(sentence, type_, found.num_sentences, len(types))
        return np.concatenate([by_type.sum(axis=1, keepdims=True), by_type], axis=1)

    columns = (
        counted(found.sentence[right], found.type_[right]),
        counted(found.sentence[kept], found.type_[kept]),
        counted(found.gold_sentence, found.gold_type),
    )
    counts = np.stack(columns, axis=-1)  # [sentences, 1 + types, 3]
    values, drawn = shares(counts.sum(axis=0)), resampled(counts, score=shares)
    found_of = {}
    for i, name in enumerate(("all", *types)):
        precision, recall = values[i].tolist()
        of_precision, of_recall = (known_interval(samples) for samples in drawn[:, i].T)
        found_of[name] = PrecisionRecall(precision, recall, of_precision, of_recall)
    return found_of


def shares(counts: np.ndarray) -> np.ndarray:
    """float64 [..., 2]: precision and recall of counts [..., 3] (correct, predicted, gold); nan for 0 of 0."""
    return np.divide(
        counts[..., :1], counts[..., 1:], where=counts[..., 1:] > 0, out=np.full(counts[..., 1:].shape, np.nan)
    )


def known_interval(drawn: np.ndarray) -> Interval | None:
    """Of the resamples that are not nan."""
    known = drawn[~np.isnan(drawn)]
    return interval(known) if len(known) else None


@dataclass(frozen=True)
class WordProbabilities:
    """What a tagger says of sentences.

    Attributes:
        p: float [words, tags], nan for a word without a sub-token.
        gold: int64 [words].
        begins: bool [words], true where a sentence begins.
    """

    p: np.ndarray
    gold: np.ndarray
    begins: np.ndarray

    def known(self) -> tuple[np.ndarray, np.ndarray]:
        """p and gold of the words that have a distribution."""
        is_known = ~np.isnan(self.p).any(axis=1)
        return self.p[is_known], self.gold[is_known]

    def words(self, temperature: float = 1.0) -> Reliability:
        """Of the predicted tags of words."""
        p, gold = self.known()
        p = scaled(p, temperature)
        return reliability(p.max(axis=1), p.argmax(axis=1) == gold)

    def entities(self, tags: TagSet, calibration: Calibration = UNCHANGED) -> ScoredEntities:
        """The predicted entities, with calibrated scores."""
        p = np.full(self.p.shape, np.nan)
        is_known = ~np.isnan(self.p).any(axis=1)
        p[is_known] = scaled(self.p[is_known], calibration.temperature)
        found = scored_entities(p, self.gold, self.begins, tags)
        return replace(found, score=calibration.scores(found.score))


def joined(parts: Sequence[WordProbabilities]) -> WordProbabilities:
    """Sentences of several languages together."""
    columns = zip(*((part.p, part.gold, part.begins) for part in parts), strict=True)
    return WordProbabilities(*(np.concatenate(column) for column in columns))


@dataclass(frozen=True)
class Assessment:
    """How far a tagger can be relied on in one language, before and after it is calibrated.

    Attributes:
        words: Before, after.
        entities: Before, after.
        kept: Type, or "all" -> precision and recall of the entities with the lowest score that is asked for, or more.
        whole: The same of all entities.
    """

    words: tuple[Reliability, Reliability]
    entities: tuple[Reliability, Reliability]
    kept: dict[str, PrecisionRecall]
    whole: dict[str, PrecisionRecall]


def assess(said: WordProbabilities, tags: TagSet, calibration: Calibration, min_score: float | None) -> Assessment:
    """min_score: None where no score is high enough: then nothing is kept."""
    before, after = (said.entities(tags, each) for each in (UNCHANGED, calibration))
    lowest = math.inf if min_score is None else min_score
    return Assessment(
        words=(said.words(), said.words(calibration.temperature)),
        entities=(reliability(before.score, before.is_right), reliability(after.score, after.is_right)),
        kept=precision_recall(after, lowest, tags.types),
        whole=precision_recall(after, 0.0, tags.types),
    )
