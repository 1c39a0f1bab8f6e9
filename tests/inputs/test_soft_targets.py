"""Targets of windows: gold tags, and a teacher's probabilities."""

import dataclasses

import numpy as np
import pytest
import torch

from ner.inputs.batching import EpochPlan
from ner.inputs.collators import PackedCollator, PaddedCollator, collate
from ner.inputs.encoding import IGNORED, encode
from ner.inputs.soft_targets import SoftEncoded
from ner.modeling.loss import micro_batch_loss, token_loss
from tests.conftest import TAGS


def soft(german, tokenizer, *, num_labelled: int = 20, power: float = 0.0, label_tokens="first"):
    """40 German sentences, those behind num_labelled with random probabilities, and the same with gold tags."""
    encoded = encode(german.select(range(40)), tokenizer, TAGS, max_length=24, label_tokens=label_tokens)
    first = encoded.word_offsets[num_labelled]
    p = np.random.default_rng(0).dirichlet(np.ones(len(TAGS.names)), len(encoded.gold) - first).astype(np.float16)
    return SoftEncoded.of(encoded, p, power), encoded, p, first


@pytest.mark.parametrize("label_tokens", ["first", "all"])
@pytest.mark.parametrize("power", [0.0, 2.0])
def test_targets_are_gold_tags_then_probabilities(german, tokenizer, label_tokens, power):
    made, encoded, p, first = soft(german, tokenizer, power=power, label_tokens=label_tokens)
    seen = []
    for window in range(len(made)):
        features = made[window]
        is_soft = encoded.sentence[window] >= 20
        labels = made.labels[made.offsets[window] : made.offsets[window + 1]]
        for label, word, target in zip(labels, features["words"], features["labels"], strict=True):
            if is_soft and word >= 0:
                row = p[word - first].astype(np.float32)
                np.testing.assert_allclose(target, row * row.max() ** power, rtol=1e-6)
                seen.append(word)
            elif label != IGNORED and not is_soft:
                assert target.tolist() == np.eye(len(TAGS.names))[label].tolist()
            else:
                assert label == IGNORED
                assert not target.any()
    assert sorted(seen) == list(range(first, len(encoded.gold)))  # each word once, in windows that overlap too
    assert max(np.bincount(made.sentence)) > 1


def test_without_probabilities_the_loss_is_that_of_tags(german, tokenizer):
    """One-hot probabilities train what tag ids train, in every layout."""
    encoded = encode(german.select(range(40)), tokenizer, TAGS, max_length=24)
    p = np.eye(len(TAGS.names), dtype=np.float16)[encoded.gold[encoded.word_offsets[20] :]]
    made = SoftEncoded.of(encoded, p, certainty_power=3.0)
    for collator, row_length in ((PaddedCollator(1), None), (PackedCollator(1, 32), 32)):
        plan = EpochPlan(made, batch_size=16, row_length=row_length, max_tokens=256, seed=1)
        for step in plan:
            for micro_batch in step.micro_batches[0]:
                soft, hard = (collate(part, micro_batch, collator, with_words=False) for part in (made, encoded))
                assert "words" not in soft
                logits = torch.randn(*soft["labels"].shape, generator=torch.Generator().manual_seed(5))
                by_tag = micro_batch_loss(logits, hard["labels"], step.num_labels, 1)
                torch.testing.assert_close(micro_batch_loss(logits, soft["labels"], step.num_labels, 1), by_tag)


def test_a_soft_target_is_the_cross_entropy_between_distributions():
    logits, p = torch.randn(2, 3, 7), torch.rand(2, 3, 7)
    p[1, 2] = 0
    expected = -(p * logits.log_softmax(-1)).sum(-1)
    torch.testing.assert_close(token_loss(logits, p), expected)
    assert token_loss(logits, p)[1, 2] == 0


def test_a_filler_has_no_targets(german, tokenizer):
    made = soft(german, tokenizer)[0]
    step = EpochPlan(made, batch_size=1, row_length=None, max_tokens=64, num_processes=2)[0]
    filler = next(part for rank in step.micro_batches for part in rank if part.filler)
    assert not collate(made, filler, PaddedCollator(1))["labels"].any()


def test_the_fingerprint_is_of_probabilities_and_power_too(german, tokenizer):
    made, encoded, p, _ = soft(german, tokenizer)
    other = p.copy()
    other[-1] = np.roll(other[-1], 1)
    prints = {
        item.fingerprint()
        for item in (
            encoded,
            made,
            SoftEncoded.of(encoded, other, 0.0),
            SoftEncoded.of(encoded, p, 1.0),
            dataclasses.replace(made, input_ids=made.input_ids + 1),
        )
    }
    assert len(prints) == 5
