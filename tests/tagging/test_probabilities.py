"""The probability of every label of every word: against numbers that are known, and against the scores."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ner.data import synthetic
from ner.errors import InputError
from ner.modeling.model import build_model
from ner.tagging.tagger import Tagger
from ner.tagging.untrained import untrained_tagger
from ner.tagging.windows import sub_tokens
from ner.tags import TagSet
from tests.taggers import LABELS, write_tagger


@pytest.fixture(scope="module")
def tagger(encoder_folder, tmp_path_factory):
    folder = write_tagger(tmp_path_factory.mktemp("taggers") / "attends", encoder_folder)
    return Tagger.from_pretrained(str(folder), precision="no", max_length=24, probabilities=True)


@pytest.fixture(scope="module")
def words():
    """One long text: many windows."""
    return [word for row in synthetic.sentences("de", "validation")[:20] for word in row["tokens"]]


def test_they_are_the_softmax_of_the_logits(encoder_folder):
    """A head that says the same of every word: probabilities 1/2, 1/4, 1/8, 1/16, 1/32, 1/64, 1/64."""
    known = [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 64]
    tagger = untrained_tagger(encoder_folder, TagSet(LABELS), precision="no", probabilities=True)
    head: Any = tagger.model.classifier
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(torch.tensor(known).log())
    (tagged,) = tagger.tag([["Anna", "\u00ad", "Keller"]])
    assert tagged.labels == LABELS
    np.testing.assert_allclose(tagged.probabilities[[0, 2]], [known, known], rtol=1e-5)
    assert list(tagged.probabilities_of(0) or ()) == list(LABELS)
    assert (tagged.probabilities_of(2) or {})["B-LOC"] == pytest.approx(0.25)
    assert np.isnan(tagged.probabilities[1]).all()
    assert tagged.probabilities_of(1) is None


def test_they_add_up_and_are_merged_as_scores_are(tagger, words):
    (tagged,) = tagger.tag([words])
    assert len(tagger.read([words])[1].sentence) > 5
    p = tagged.probabilities
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
    assert p.max(axis=1).tolist() == tagged.scores.tolist()
    raw = [LABELS[i][2:] for i in p.argmax(axis=1)]
    assert raw == [tag[2:] for tag in tagged.tags]


def test_they_change_nothing_else(tagger, words):
    plain = replace(tagger, probabilities=False)
    (one,), (other,) = tagger.tag([words]), plain.tag([words])
    assert (one.tags, one.entities, one.scores.tolist()) == (other.tags, other.entities, other.scores.tolist())
    assert other.labels == ()
    assert other.probabilities.shape == (len(words), 0)
    with pytest.raises(InputError, match="make it with `probabilities=True`"):
        other.probabilities_of(0)
    assert tagger.fingerprint() != plain.fingerprint()


def test_labels_of_another_scheme_keep_their_names(encoder_folder, tmp_path):
    folder = write_tagger(tmp_path, encoder_folder, ("B-A", "I-A", "E-A", "S-A"))
    (tagged,) = Tagger.from_pretrained(str(folder), probabilities=True).tag(["Anna wohnt in Bern"])
    assert set(tagged.tags) <= {"B-A", "I-A", "O"}
    assert list(tagged.probabilities_of(0) or ()) == ["B-A", "I-A", "E-A", "S-A"]


def test_nothing_to_tag(tagger):
    (empty,) = tagger.tag([""])
    assert empty.probabilities.shape == (0, len(LABELS))


def test_an_untrained_head_is_that_of_a_training(encoder_folder):
    tags = TagSet(LABELS)
    tagger = untrained_tagger(encoder_folder, tags, seed=7, device="cpu", precision="no", probabilities=True)
    heads: list[Any] = [tagger.model.classifier, build_model(str(encoder_folder), tags, 7).classifier]
    assert torch.equal(heads[0].weight, heads[1].weight)
    assert tagger.labels == LABELS
    (tagged,) = tagger.tag(["Anna Keller wohnt in Bern"])
    entropy = -(tagged.probabilities * np.log(tagged.probabilities)).sum(axis=1)
    assert (entropy > 0.9 * math.log(len(LABELS))).all()  # near uniform: weights of 0.02


def test_sub_tokens_of_words(tagger):
    pieces = sub_tokens(["Anna", "\u00ad", "Kalifornien"], tagger.tokenizer)
    assert [len(found) > 0 for found in pieces] == [True, False, True]
    assert ["".join(found) for found in pieces] == ["▁Anna", "", "▁Kalifornien"]
    assert sub_tokens([], tagger.tokenizer) == []
