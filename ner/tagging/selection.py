"""Which sentences to annotate next: those that a tagger is least sure of, and that are unlike each other.

Uncertainty is token entropy (Settles and Craven, An Analysis of Active Learning Strategies for Sequence Labeling Tasks,
EMNLP 2008): that of the tag probabilities of each word, summed over the words of a sentence (`total`), or their mean.
Diversity is maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998), as Kim and others use it for entities
(MMR-based Active Machine Learning for Bio Named Entity Recognition, NAACL 2006): one sentence after the other is
chosen, for its uncertainty less its likeness to those that are chosen already. Only the most uncertain sentences are
looked at for that, POOL times as many as are chosen, which is also all that is held in memory. Their uncertainty counts
by rank: one list of a hundred names has many times the total of any other sentence.
"""

import heapq
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from ner.data.words import characters_key

Measure: TypeAlias = Literal["total", "mean"]
POOL = 10  # candidates for each sentence that is chosen
UNCERTAINTY_SHARE = 0.5  # of a choice; the rest is unlikeness
DIMENSIONS = 1024  # of the vectors that sentences are compared by
DIGITS = 4  # of a score: what differs less is equal, as other sentences in a batch round otherwise


class Candidate(NamedTuple):
    """A sentence that may be chosen.

    score: its uncertainty, in nats; row, part: its row of the input, and which sentence of that; words: its words;
    content: what the caller wants back.
    """

    score: float
    row: int
    part: int
    words: Sequence[str]
    content: Any = None

    @property
    def rank(self) -> tuple[float, int, int]:
        """Orders candidates, the best one last; of equal ones the first of the input is best."""
        return self.score, -self.row, -self.part


def uncertainty(probabilities: np.ndarray, measure: Measure) -> float:
    """The token entropy of a sentence in nats, to DIGITS digits; 0 without a word that has probabilities.

    probabilities: float [words, tags], nan in the row of a word that has none.
    """
    p = probabilities[~np.isnan(probabilities).any(axis=1)].astype(np.float64)
    entropy = -(p * np.log(np.where(p > 0, p, 1))).sum(axis=1)
    whole = entropy.sum() if measure == "total" or not len(entropy) else entropy.mean()
    return round(max(float(whole), 0.0), DIGITS)


@dataclass
class Pool:
    """The best candidates of any number, each sentence once. size: how many at most."""

    size: int
    heap: list[tuple[tuple[float, int, int], Candidate]] = field(default_factory=list)
    keys: set[int] = field(default_factory=set)

    def add(self, candidate: Candidate) -> None:
        """Takes a candidate unless `size` better ones are here, or one with the same characters.

        Candidates of equal words come in the order of the input, or not at all: the first one stays.
        """
        entry = candidate.rank, candidate
        if len(self.heap) == self.size and entry[0] <= self.heap[0][0]:
            return
        key = characters_key(candidate.words)
        if key in self.keys:
            return
        self.keys.add(key)
        heapq.heappush(self.heap, entry)
        if len(self.heap) > self.size:
            self.keys.discard(characters_key(heapq.heappop(self.heap)[1].words))

    def best(self) -> list[Candidate]:
        """The candidates, the best one first."""
        return [candidate for _, candidate in sorted(self.heap, key=lambda entry: entry[0], reverse=True)]


def merged(pools: Iterable[Sequence[Candidate]], size: int) -> list[Candidate]:
    """The best candidates of several pools of that size, as a single one would have them."""
    whole = Pool(size)
    for candidate in sorted((each for pool in pools for each in pool), key=lambda each: each.rank, reverse=True):
        whole.add(candidate)
    return whole.best()


def choose(candidates: Sequence[Candidate], number: int) -> list[Candidate]:
    """So many of these, or all if there are fewer: uncertain ones that are unlike each other, in the order of choice.

    candidates: the best one first, which is always chosen; of equally good ones the first is.
    """
    vectors = sentence_vectors([candidate.words for candidate in candidates])
    return [candidates[i] for i in marginal_relevance(vectors, number)]


def marginal_relevance(vectors: np.ndarray, number: int) -> list[int]:
    """Indices in the order of choice: by rank, from 1 for the first towards 0, less the largest cosine.

    vectors: float [sentences, dimensions] from the most uncertain one on, of length 1 or 0.
    """
    size = len(vectors)
    worth = UNCERTAINTY_SHARE * (1 - np.arange(size) / max(size, 1))
    likeness = np.zeros(size)  # to the most alike of those that are chosen
    is_free = np.ones(size, dtype=bool)
    chosen: list[int] = []
    for _ in range(min(number, size)):
        value = np.where(is_free, worth - (1 - UNCERTAINTY_SHARE) * likeness, -np.inf)
        best = int(value.argmax())
        chosen.append(best)
        is_free[best] = False
        np.maximum(likeness, vectors @ vectors[best], out=likeness)
    return chosen


def sentence_vectors(sentences: Sequence[Sequence[str]]) -> np.ndarray:
    """float32 [sentences, DIMENSIONS], of length 1: the words and pieces of three letters of each, counted by hash.

    Two sentences are alike as far as they share words and parts of words, in any case of letters.
    """
    vectors = np.zeros((len(sentences), DIMENSIONS), dtype=np.float32)
    for vector, words in zip(vectors, sentences, strict=True):
        for word in words:
            marked = f"^{word.lower()}$"
            for feature in (marked, *(marked[i : i + 3] for i in range(len(marked) - 2))):
                # One bit is a sign, so that features that fall together do not add up to likeness.
                place = zlib.crc32(feature.encode(errors="surrogatepass"))
                vector[place % DIMENSIONS] += 1 if place & (1 << 31) else -1
        vector /= max(float(np.linalg.norm(vector)), 1e-12)
    return vectors
