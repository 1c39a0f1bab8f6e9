"""The loss of a step, and its gradient at every split into micro-batches and rows."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from ner.inputs.batching import EpochPlan
from ner.inputs.collators import PackedCollator, PaddedCollator, collate, encoder_inputs
from ner.modeling.loss import micro_batch_loss, token_loss
from tests.conftest import gradients


def test_token_loss_of_each_token():
    logits = torch.randn(2, 3, 5, dtype=torch.float16)
    labels = torch.tensor([[1, -100, 4], [-100, 0, 2]])
    loss = token_loss(logits, labels)
    assert loss.shape == (2, 3)
    assert loss.dtype == torch.float32
    assert loss[0, 1] == loss[1, 0] == 0
    expected = -logits.float().log_softmax(-1)[1, 2, 2]
    torch.testing.assert_close(loss[1, 2], expected)


def test_no_labels_is_no_loss():
    assert micro_batch_loss(torch.randn(1, 2, 3), torch.full((1, 2), -100), 0, 1).item() == 0


LOGITS = torch.tensor([[[0.0, 0.0], [math.log(3), 0.0], [0.0, 0.0]]])  # probabilities 1/2 1/2, 3/4 1/4, 1/2 1/2


def test_weights_of_tags_by_hand():
    """A label of tag 0 counts once, of tag 1 twice: ln 2, 2 ln 4 and nothing."""
    labels, weights = torch.tensor([[0, 1, -100]]), torch.tensor([1.0, 2.0])
    expected = torch.tensor([[math.log(2), 2 * math.log(4), 0]])
    torch.testing.assert_close(token_loss(LOGITS, labels, weights), expected)
    # Two labels, not a sum of weights of 3; an average over two processes gives back the mean.
    loss = micro_batch_loss(LOGITS, labels, 2, 2, weights)
    assert loss.item() == pytest.approx((math.log(2) + 2 * math.log(4)) / 2 * 2)
    torch.testing.assert_close(micro_batch_loss(LOGITS, labels, torch.tensor(2.0), 2, weights), loss)


def test_weights_of_tags_in_soft_targets():
    """Each tag's part has its weight; targets of 1 are labels."""
    targets, weights = torch.tensor([[[0.5, 0.5], [0.25, 0.25], [0.0, 0.0]]]), torch.tensor([1.0, 3.0])
    second = 0.25 * math.log(4 / 3) + 3 * 0.25 * math.log(4)
    expected = torch.tensor([[2 * math.log(2), second, 0]])
    torch.testing.assert_close(token_loss(LOGITS, targets, weights), expected)
    hard = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]])
    labels = torch.tensor([[0, 1, -100]])
    torch.testing.assert_close(token_loss(LOGITS, hard, weights), token_loss(LOGITS, labels, weights))


def test_without_weights_nothing_changes():
    logits, labels = torch.randn(2, 5, 4), torch.tensor([[0, 1, 2, 3, -100], [3, -100, 1, 0, 0]])
    plain = cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(2, 5)
    assert torch.equal(token_loss(logits, labels), plain)
    assert torch.equal(micro_batch_loss(logits, labels, 8, 1), plain.sum() * (1 / 8))


def gradient_of_step(model, encoded, *, row_length, max_tokens, num_processes=1, weights=None):
    """The gradient of one step, and how many micro-batches it took. Processes are averaged, as DDP does."""
    plan = EpochPlan(encoded, 40, row_length, max_tokens, seed=3, num_processes=num_processes)
    collator = PackedCollator.for_model(model, row_length) if row_length else PaddedCollator(1)
    step = plan[2]
    model.zero_grad()
    total = 0.0
    for mine in step.micro_batches:
        for micro_batch in mine:
            batch = collate(encoded, micro_batch, collator)
            logits = model(**encoder_inputs(batch, collator, torch.float32)).logits
            loss = micro_batch_loss(logits, batch["labels"], step.num_labels, num_processes, weights)
            loss = loss / num_processes
            loss.backward()
            total += loss.item()
    return gradients(model), total, sum(map(len, step.micro_batches))


@pytest.mark.parametrize(
    ("row_length", "max_tokens", "num_processes"),
    [(32, 320, 1), (32, 96, 1), (16, 16, 1), (None, 8192, 1), (None, 64, 1), (32, 8192, 2), (32, 64, 3), (None, 64, 2)],
)
@pytest.mark.parametrize("weights", [None, torch.tensor([0.25, 1.0, 2.0, 3.0, 0.5, 4.0, 1.0])], ids=["", "weights"])
def test_the_gradient_is_the_same_at_any_split(model, encoded, row_length, max_tokens, num_processes, weights):
    model.eval()
    whole, loss, micro_batches = gradient_of_step(model, encoded, row_length=64, max_tokens=8192, weights=weights)
    assert micro_batches == 1
    split, split_loss, micro_batches = gradient_of_step(
        model, encoded, row_length=row_length, max_tokens=max_tokens, num_processes=num_processes, weights=weights
    )
    assert micro_batches > 1
    assert split_loss == pytest.approx(loss, rel=1e-6)
    for name, gradient in whole.items():
        error = (split[name] - gradient).norm() / gradient.norm().clamp(min=1e-6)
        assert error < 2e-5, name
