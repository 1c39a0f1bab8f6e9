"""Word vectors against a plain forward, and samples of sentences."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Value
from datasets import List as ListOf
from torch import nn

from ner.analysis.encoder.layer_scores import (
    Task,
    choose_sentences,
    entity_vectors,
    fit_probes,
    make_sample,
    sample_vectors,
    score_probes,
)
from ner.analysis.encoder.word_vectors import word_vectors
from ner.data.arrow_store import flat_column
from ner.errors import InputError
from ner.evaluation.inference import Alone
from ner.inputs.encoding import encode
from ner.tags import entities, first_words
from tests.conftest import TAGS

CPU = Alone(torch.device("cpu"))
WORDS = [
    ["Anna", "Keller", "wohnt", "in", "Bern", "."],
    ["Bern"],
    ["Anna", "Keller", "und", "Peter", "Meier", "arbeiten", "in", "Zürich", "bei", "Helvetia", "."],
]
SENTENCE_TAGS = [[5, 6, 0, 0, 1, 0], [1], [5, 6, 0, 5, 6, 0, 0, 1, 0, 3, 0]]


def dataset(words: list[list[str]], tags: list[list[int]]) -> Dataset:
    features = Features({"tokens": ListOf(Value("string")), "ner_tags": ListOf(ClassLabel(names=list(TAGS.names)))})
    return Dataset.from_dict({"tokens": words, "ner_tags": tags}, features)


def settings(name: str = "made") -> dict:
    return {"name": name, "max_tokens": 64}


@pytest.fixture(scope="module")
def rows() -> Dataset:
    return dataset(WORDS, SENTENCE_TAGS)


@pytest.fixture
def encoder_folder(narrow_encoder):
    return narrow_encoder


@pytest.mark.parametrize("max_length", [64, 8])
def test_vectors_are_those_of_a_plain_forward(model, tokenizer, rows, max_length):
    """Padded together, against each window alone; 8 sub-tokens cut a sentence into several windows."""
    encoded = encode(rows, tokenizer, TAGS, max_length=max_length)
    assert (len(encoded) > 3) == (max_length == 8)
    chosen = np.array([4, 6, 0, 14, 9])
    found = word_vectors(model, encoded, chosen, CPU, **settings())
    assert found.shape == (3, 5, 64)
    assert found.dtype == np.float32
    for place, word in enumerate(chosen):
        token = encoded.scored_at[word]
        window = int(np.searchsorted(encoded.offsets, token, side="right") - 1)
        ids = torch.from_numpy(encoded[window]["input_ids"]).long()[None]
        with torch.no_grad():
            states = model(input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True).hidden_states
        plain = torch.stack(states)[:, 0, token - encoded.offsets[window]].numpy()
        np.testing.assert_allclose(found[:, place], plain, atol=1e-5)


def test_an_encoder_without_layers_is_refused(rows, tokenizer):
    class Embedding(nn.Module):
        def __init__(self, with_layers: bool) -> None:
            super().__init__()
            self.table = nn.Embedding(len(tokenizer), 4)
            self.with_layers = with_layers
            self.config = type("Config", (), {"pad_token_id": 0})

        def forward(self, input_ids, attention_mask, output_hidden_states):
            state = self.table(input_ids)
            states = (state, state[..., :2]) if self.with_layers else None
            return type("Output", (), {"last_hidden_state": state, "hidden_states": states})

    encoded = encode(rows, tokenizer, TAGS, max_length=64)
    with pytest.raises(InputError, match="bag-of-words gives no hidden states of its layers"):
        word_vectors(Embedding(False), encoded, np.array([0]), CPU, **settings("bag-of-words"))
    with pytest.raises(InputError, match="its layers differ in size"):
        word_vectors(Embedding(True), encoded, np.array([0]), CPU, **settings())


def test_whole_sentences_are_drawn_up_to_the_cap():
    rows = dataset([[str(i)] * (i % 4 + 1) for i in range(40)], [[0] * (i % 4 + 1) for i in range(40)])
    drawn = choose_sentences(rows, 30, seed=1)
    numbers = [int(words[0]) for words in drawn["tokens"][:]]
    assert numbers == sorted(numbers)
    assert 26 < flat_column(drawn, "ner_tags")[1].sum() <= 30
    assert choose_sentences(rows, 30, seed=1)["tokens"][:] == drawn["tokens"][:]
    assert choose_sentences(rows, 30, seed=2)["tokens"][:] != drawn["tokens"][:]
    assert len(choose_sentences(rows, 1000, seed=1)) == 40
    assert len(choose_sentences(rows, 1, seed=1)) == 1  # never none


def test_entities_are_means_of_their_words(rows, tokenizer):
    sample = make_sample([rows], TAGS, {"made": (tokenizer, 64)})
    vectors = np.arange(2 * 18, dtype=np.float32).reshape(18, 2) ** 2
    found = entity_vectors(vectors, sample, "de", TAGS, 100, seed=0)
    assert found.texts == ("Anna Keller", "Bern", "Bern", "Anna Keller", "Peter Meier", "Zürich", "Helvetia")
    assert [found.type_names[i] for i in found.types] == ["PER", "LOC", "LOC", "PER", "PER", "LOC", "ORG"]
    np.testing.assert_array_equal(found.vectors[0], (vectors[0] + vectors[1]) / 2)
    np.testing.assert_array_equal(found.vectors[2], vectors[6])
    few = entity_vectors(vectors, sample, "de", TAGS, 3, seed=0)
    assert len(few) == 3
    assert set(few.texts) <= set(found.texts)


def test_words_without_a_sub_token_are_left_out(tokenizer):
    whole = make_sample([dataset([["Anna", "von", "Keller", "."]], [[5, 6, 6, 0]])], TAGS, {"made": (tokenizer, 64)})
    sample = replace(whole, has_vector=np.array([True, False, True, True]))
    assert sample.chosen.tolist() == [0, 2, 3]
    vectors = np.array([[2.0, 0], [4, 0], [9, 9]], dtype=np.float32)
    found = entity_vectors(vectors, sample, "de", TAGS, 9, seed=0)
    assert found.vectors.tolist() == [[3.0, 0]]
    assert found.texts == ("Anna von Keller",)


def test_probes_of_all_layers(rows, tokenizer, model, german):
    """Layer 0 of the made vectors holds the tags, layer 1 nothing."""
    sample = make_sample([german.select(range(60))], TAGS, {"made": (tokenizer, 64)})
    gold = sample.gold[sample.has_vector]
    rng = np.random.default_rng(0)
    vectors = np.stack([np.eye(7, dtype=np.float32)[gold], rng.normal(size=(len(gold), 7)).astype(np.float32)])
    done: list[int] = []
    num_words_of: dict[Task, int] = {"tag": len(gold), "type": int((gold > 0).sum())}
    for task, num_words in num_words_of.items():
        probes = fit_probes(vectors, sample, task, TAGS, 42, done.append)
        assert probes is not None
        first, second = score_probes(probes, vectors, sample, TAGS)
        assert first.accuracy == first.macro_f1 == 1
        assert second.accuracy < 0.8
        assert first.num_words == num_words
        assert first.seen == 1
        assert first.selectivity > 0.1
    assert done == [1] * 4
    whole = sample_vectors(sample, "made", model, CPU, 512, done.append)
    assert whole.shape == (3, len(gold), 64)
    assert sum(done[4:]) == 60
    found = entities(sample.gold, first_words(sample.word_offsets), TAGS)
    assert len(entity_vectors(whole[2], sample, "de", TAGS, 10_000, seed=0)) == len(found[0])


def test_without_entities_there_is_no_probe_of_types(tokenizer):
    sample = make_sample([dataset([["in", "Bern"]], [[0, 0]])], TAGS, {"made": (tokenizer, 64)})
    assert fit_probes(np.ones((1, 2, 3), np.float32), sample, "type", TAGS, 42, print) is None
