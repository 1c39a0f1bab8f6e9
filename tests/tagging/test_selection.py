"""Which sentences are chosen to be annotated, by hand and by chance."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ner.tagging.selection import Candidate, Pool, choose, marginal_relevance, merged, sentence_vectors, uncertainty

NAN = math.nan


@pytest.mark.parametrize(
    ("probabilities", "total", "mean"),
    [
        ([[0.5, 0.5], [1.0, 0.0]], 0.6931, 0.3466),  # ln 2 and 0
        ([[0.5, 0.5], [NAN, NAN], [0.25, 0.75]], 1.2555, 0.6277),  # 0.69315 + 0.56234
        ([[1.0, 0.0]], 0.0, 0.0),
        ([[NAN, NAN]], 0.0, 0.0),
        (np.zeros((0, 3)), 0.0, 0.0),
    ],
)
def test_token_entropy_of_a_sentence(probabilities, total, mean):
    values = np.array(probabilities, dtype=np.float32)
    assert uncertainty(values, "total") == pytest.approx(total, abs=1e-4)
    assert uncertainty(values, "mean") == pytest.approx(mean, abs=1e-4)


def test_the_pool_keeps_the_best_and_each_sentence_once():
    pool = Pool(3)
    offered = [(0.5, "Bern"), (0.1, "Thun"), (0.5, "B ern"), (0.7, "Chur"), (0.5, "Wil"), (0.6, "Genf"), (0.5, "Bern")]
    for row, (score, text) in enumerate(offered):
        pool.add(Candidate(score, row, 0, text.split()))
    # Bern and Wil are equal, and Bern stands before Wil; `B ern` has its characters.
    assert [(each.words, each.row) for each in pool.best()] == [(["Chur"], 3), (["Genf"], 5), (["Bern"], 0)]


def test_sentences_of_a_row_come_in_their_order():
    pool = Pool(2)
    for part, word in enumerate("abc"):
        pool.add(Candidate(1.0, 7, part, [word]))
    assert [each.part for each in pool.best()] == [0, 1]


SENTENCES = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 5)), max_size=30)


def candidates(sentences: list[tuple[str, int]]) -> list[Candidate]:
    """A sentence has the same score each time."""
    scores = dict(reversed(sentences))
    return [Candidate(float(scores[word]), row, 0, [word]) for row, (word, _) in enumerate(sentences)]


@given(SENTENCES, st.integers(1, 6), st.integers(1, 4))
def test_a_pool_is_a_sorted_list_cut_off_and_so_are_several(sentences, size, processes):
    offered = candidates(sentences)
    first = {each.words[0]: each for each in reversed(offered)}
    expected = sorted(first.values(), key=lambda each: (-each.score, each.row))[:size]
    pools = [Pool(size) for _ in range(processes)]
    alone = Pool(size)
    for each in offered:
        alone.add(each)
        pools[each.row % processes].add(each)
    assert alone.best() == merged([pool.best() for pool in pools], size) == expected
    assert len(alone.keys) == len(alone.heap)


def test_marginal_relevance_by_hand():
    """Half of 1, 2/3 and 1/3 by rank, less half of the cosine to what is chosen."""
    # The second step: 0.333 - 0.5 = -0.167, and 0.167 - 0.
    assert marginal_relevance(np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32), 3) == [0, 2, 1]
    # 0.333 - 0.15 = 0.183, and 0.167 - 0: worth more though it is alike.
    assert marginal_relevance(np.array([[1, 0], [0.3, 0.954], [0, 1]], dtype=np.float32), 2) == [0, 1]
    assert marginal_relevance(np.zeros((0, 2)), 5) == []


@given(SENTENCES, st.integers(0, 9))
def test_fewer_are_the_first_of_more(sentences, number):
    pool = Pool(100)
    for each in candidates(sentences):
        pool.add(each)
    best = pool.best()
    chosen = choose(best, number)
    assert chosen == choose(best, len(best))[:number]
    assert len({each.row for each in chosen}) == len(chosen) == min(number, len(best))
    assert chosen[:1] == best[: min(number, 1)]


def test_vectors_are_alike_as_far_as_words_are():
    bern, upper, province, rain = sentence_vectors(
        ["la ville de Berne".split(), "LA VILLE DE BERNE".split(), "la province de Berne".split(), "il pleut".split()]
    )
    assert bern @ upper == pytest.approx(1)
    assert 0.5 < bern @ province < 0.9
    assert abs(bern @ rain) < 0.2
    assert np.linalg.norm(sentence_vectors([[], ["x"]]), axis=1) == pytest.approx([0, 1])
