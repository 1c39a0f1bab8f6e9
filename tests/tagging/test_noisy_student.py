"""Copies of unlabelled sentences: which targets their words have."""

import datasets
import numpy as np
import pytest
from datasets import Dataset

from ner import utils
from ner.data.arrow_store import batches, tag_set
from ner.data.perturbation import spans
from ner.inputs.soft_targets import Unlabelled
from ner.tagging import noisy_student
from ner.tagging.noisy_student import add_copies
from tests.conftest import TAGS

NUM_SENTENCES = 40


@pytest.fixture
def pool(german: Dataset) -> Unlabelled:
    """German sentences of two files, with other targets for each word; the first word has none."""
    sentences = german.select(range(NUM_SENTENCES))
    num_words = sum(map(len, sentences["tokens"]))
    p = np.random.default_rng(0).dirichlet(np.full(len(TAGS.names), 0.2), num_words).astype(np.float16)
    p[0] = 0
    return Unlabelled(sentences, np.arange(NUM_SENTENCES) // 25, p)


def by_sentence(unlabelled: Unlabelled) -> list[tuple[list[str], np.ndarray]]:
    words = unlabelled.sentences["tokens"]
    ends = np.cumsum([len(sentence) for sentence in words])
    assert ends[-1] == len(unlabelled.probabilities)
    return list(zip(words, np.split(unlabelled.probabilities, ends[:-1]), strict=True))


def test_the_sentences_stand_before_their_copies(pool):
    found, note = add_copies(pool, ["case=0.5", "asides=0.5"], 42)
    assert list(found.sentences["tokens"])[:NUM_SENTENCES] == list(pool.sentences["tokens"])
    assert (found.probabilities[: len(pool.probabilities)] == pool.probabilities).all()
    assert (found.part[:NUM_SENTENCES] == pool.part).all()
    assert len(found.part) == len(found.sentences) > NUM_SENTENCES + 35
    assert found.probabilities.dtype == np.float16
    assert "augmentation: 40 sentences, +0 with other mentions, +19 with changed case" in note
    assert "+20 with an aside; 1 copies would have been the same" in note
    assert add_copies(pool, ["case=0.5", "asides=0.5"], 43)[0].sentences[:] != found.sentences[:]


def test_words_in_another_case_keep_their_targets(pool):
    found, _ = add_copies(pool, ["case=1"], 42)
    known = {tuple(words): p for words, p in by_sentence(pool)}
    lower = {tuple(word.lower() for word in words): p for words, p in known.items()}
    upper = {tuple(word.upper() for word in words): p for words, p in known.items()}
    copies = by_sentence(found)[NUM_SENTENCES:]
    assert len(copies) > 30
    for words, p in copies:
        assert (p == (lower | upper)[tuple(words)]).all()


def test_asides_are_outside_of_what_the_teacher_finds(pool):
    """They are certainly O, the words around them have their targets, and no entity of the teacher's is taken apart."""
    found, _ = add_copies(pool, ["asides=1"], 42)
    copies = by_sentence(found)[NUM_SENTENCES:]
    outside = TAGS.names.index("O")
    for (words, p), (new_words, new_p) in zip(by_sentence(pool), copies, strict=True):
        size = len(new_words) - len(words)
        places = [
            i
            for i in range(1, len(new_words) - size + 1)
            if new_words[i] == "(" and [*new_words[:i], *new_words[i + size :]] == words
        ]
        (place,) = [i for i in places if (np.delete(new_p, range(i, i + size), axis=0) == p).all()]
        assert (new_p[place : place + size] == np.eye(len(TAGS.names))[outside]).all()
        ids = np.where(p.any(-1), p.argmax(-1), outside)
        assert place in [end for _, end, _ in spans([TAGS.names[i] for i in ids])]


def test_other_mentions_are_the_teachers_of_the_same_file(pool):
    found, _ = add_copies(pool, ["mentions=1"], 42)
    tags = tag_set(found.sentences)
    mentions: list[set[str]] = [set(), set()]
    for row, part in zip(list(found.sentences)[:NUM_SENTENCES], pool.part, strict=True):
        names = [tags.names[i] for i in row["ner_tags"]]
        mentions[part] |= {f"{t} {' '.join(row['tokens'][a:b])}" for a, b, t in spans(names) if t}
    certain = np.eye(len(TAGS.names))
    num_new = 0
    pairs = zip(by_sentence(found), found.sentences, found.part, strict=True)
    for (words, p), row, part in list(pairs)[NUM_SENTENCES:]:
        ids = np.array(row["ner_tags"])
        is_new = (p == certain[ids]).all(-1)
        for start, end, type_ in spans([tags.names[i] for i in ids]):
            if type_ and is_new[start:end].all():
                num_new += 1
                assert f"{type_} {' '.join(words[start:end])}" in mentions[part]
    assert num_new > 20


def test_neither_batches_nor_the_cache_matter(pool, monkeypatch, tmp_path):
    items = ["mentions=1", "case=0.3", "asides=0.4"]
    before, _ = add_copies(pool, items, 42)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    monkeypatch.setattr(utils, "ROWS_PER_PART", 7)
    monkeypatch.setattr(noisy_student, "batches", lambda dataset: batches(dataset, 7))
    for _ in range(2):
        again, _ = add_copies(pool, items, 42)
        assert again.sentences[:] == before.sentences[:]
        assert (again.probabilities == before.probabilities).all()
        monkeypatch.setattr(noisy_student, "write_tagged", None)  # the second time from the cache
        monkeypatch.setattr(noisy_student, "targets_of_copies", None)


def test_nothing_to_change(pool):
    """No copy is made of sentences that would stay as they are."""
    numbers = pool.sentences.select(range(2)).map(lambda row: {"tokens": ["1"] * len(row["tokens"])})
    num_words = sum(map(len, numbers["tokens"]))
    few = Unlabelled(numbers, np.zeros(2, np.int64), pool.probabilities[:num_words])
    found, note = add_copies(few, ["case=1"], 42)
    assert len(found.sentences) == 2
    assert (found.probabilities == few.probabilities).all()
    assert "2 copies would have been the same" in note
