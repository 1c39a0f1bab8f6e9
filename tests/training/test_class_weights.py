"""Weights of the tags: by hand, against the formula of scikit-learn, and in a run."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ner.config import TrainConfig
from ner.errors import InputError
from ner.inputs.encoding import Encoded
from ner.inputs.soft_targets import SoftEncoded
from ner.tags import TagSet
from ner.training.class_weights import balanced, tag_weights
from tests.conftest import part_of
from tests.runs import train_run

TAGS = TagSet(("O", "B-LOC", "I-LOC"))


def with_counts(*counts: int) -> Encoded:
    """A sentence of one-token words whose labels are so many of each tag."""
    labels = np.repeat(np.arange(len(counts)), counts)
    size = len(labels)
    return Encoded(
        input_ids=np.zeros(size, np.int32),
        labels=labels,
        words=np.arange(size),
        offsets=np.array([0, size]),
        sentence=np.array([0]),
        gold=labels,
        word_offsets=np.array([0, size]),
        num_sub_tokens=np.ones(size, np.int64),
    )


def test_balanced_by_hand():
    """8, 3 and 1 of 12 labels: 12 / (3 * 8), 12 / (3 * 3), 12 / (3 * 1)."""
    assert tag_weights("balanced", with_counts(8, 3, 1), TAGS).tolist() == pytest.approx([0.5, 4 / 3, 4])
    assert tag_weights("balanced", with_counts(6, 2, 0), TAGS).tolist() == pytest.approx([8 / 12, 2, 1])
    assert tag_weights("balanced", with_counts(0, 0, 0), TAGS).tolist() == [1, 1, 1]


@given(counts=st.lists(st.integers(0, 10**6), min_size=1, max_size=9).filter(any))
def test_the_mean_of_all_labels_is_one(counts):
    weights = balanced(np.array(counts, float))
    assert np.average(weights, weights=counts) == pytest.approx(1)
    parts = [weight * count for weight, count in zip(weights, counts, strict=True) if count]
    assert parts == pytest.approx([sum(counts) / len(parts)] * len(parts))  # each tag has the same part of the loss


def test_single_tags():
    assert tag_weights({"O": 0.5}, with_counts(1, 1, 1), TAGS).tolist() == [0.5, 1, 1]
    with pytest.raises(InputError, match="`class_weights` names B-PER; the tags are O, B-LOC, I-LOC"):
        tag_weights({"B-PER": 2, "O": 1}, with_counts(1, 1, 1), TAGS)


def test_labels_are_counted(encoded):
    labels = encoded.labels[encoded.labels >= 0]
    counts = encoded.label_counts(9)
    assert counts.tolist() == [int((labels == tag).sum()) for tag in range(9)]
    p = np.full((int(encoded.word_offsets[-1] - encoded.word_offsets[-3]), 9), 1 / 8, np.float16)  # of two sentences
    soft = SoftEncoded.of(encoded, p, 0.0)
    first_token = encoded.offsets[np.searchsorted(encoded.sentence, encoded.num_sentences - 2)]
    hard = encoded.labels[:first_token]
    num_soft = int((encoded.words[first_token:] >= 0).sum())
    expected = np.bincount(hard[hard >= 0], minlength=9) + num_soft / 8
    np.testing.assert_allclose(soft.label_counts(9), expected)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("O", "--class-weights 'O': give balanced alone, or a weight of 0 or more for single tags, like O=0.5"),
        ("balanced O=1", "--class-weights 'balanced': give balanced alone"),
        ("O=-1", "'O=-1': give balanced"),
        ("O=nan", "'O=nan': give balanced"),
        ("O=inf", "'O=inf': give balanced"),
        ("=1", "'=1': give balanced"),
        ("O=1 O=2", "--class-weights names one twice: 'O=1 O=2'"),
    ],
)
def test_what_makes_no_sense(given, message):
    with pytest.raises(InputError) as caught:
        TrainConfig(class_weights=tuple(given.split()))
    assert message in str(caught.value)


def test_they_are_part_of_the_recipe():
    assert TrainConfig().tag_weights == {}
    weighted = TrainConfig(class_weights=("O=0.5", "B-A=B=2"))
    assert weighted.tag_weights == {"O": 0.5, "B-A=B": 2}
    assert weighted.recipe() != TrainConfig().recipe()
    assert TrainConfig(class_weights=("balanced",)).tag_weights == "balanced"


def test_a_run_with_weights(thin_encoder, corpus_folder, tmp_path, capsys):
    """Weights of 1 change nothing, to the last bit. A tag that is not there is refused before anything is written."""
    corpus = part_of(corpus_folder, tmp_path / "part", train=100, validation=30, test=30)
    losses = {}
    for name, flags in (("none", ""), ("one", "--class-weights O=1"), ("balanced", "--class-weights balanced")):
        train_run(thin_encoder, corpus, tmp_path / name, f"--max-steps 2 --log-every 1 {flags}")
        entries = map(json.loads, (tmp_path / name / "log.jsonl").read_text(encoding="utf-8").splitlines())
        losses[name] = [entry["loss"] for entry in entries if "loss" in entry]
        assert len(losses[name]) == 2
    assert losses["none"] == losses["one"] != losses["balanced"]
    assert "class weights: O " in capsys.readouterr().err
    with pytest.raises(SystemExit):
        train_run(thin_encoder, corpus, tmp_path / "none", "--max-steps 2 --overwrite --class-weights B-LCO=2")
    assert "--class-weights names B-LCO; the tags are O, B-LOC" in capsys.readouterr().err
    assert (tmp_path / "none/metrics.json").exists()
