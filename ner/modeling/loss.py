"""Cross-entropy of every token, and its one normalisation: the sum over a step, over the step's scored labels.

The labels may be tag ids or soft targets (Hinton et al. 2015, https://arxiv.org/abs/1503.02531).
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ner.inputs.encoding import IGNORED


def token_loss(logits: Tensor, labels: Tensor, tag_weights: Tensor | None = None) -> Tensor:
    """Cross-entropy of each token.

    In fp32 on purpose: fp16 log-sum-exp loses the small losses that an error analysis is about.

    Args:
        logits: float [rows, tokens, tags], of any precision.
        labels: int64 [rows, tokens], tag ids, -100 where nothing is scored; or float32 [rows, tokens, tags], a weight
            for each tag: probabilities, which may be scaled down, and 0 for all tags where nothing is scored.
        tag_weights: float32 [tags], a factor of the loss at each tag; of soft targets, of each tag's part. None: all 1.

    Returns:
        float32 [rows, tokens], in nats, 0 where nothing is scored.
    """
    flat = cross_entropy(
        logits.float().flatten(0, 1), labels.flatten(0, 1), tag_weights, reduction="none", ignore_index=IGNORED
    )
    return flat.view(labels.shape[:2])


def micro_batch_loss(
    logits: Tensor, labels: Tensor, num_labels: int | Tensor, num_processes: int, tag_weights: Tensor | None = None
) -> Tensor:
    """A micro-batch's share of its step's mean loss: a scalar whose gradients add up to the mean's.

    Args:
        logits: float [rows, tokens, tags], of the micro-batch.
        labels: int64 [rows, tokens] or float32 [rows, tokens, tags], as of `token_loss`.
        num_labels: Scored labels of the whole step, over all micro-batches and processes; as a float32 scalar on the
            device where the loss is recorded in a CUDA graph, which would keep a number for ever.
        num_processes: Gradients are averaged over that many, so the share is multiplied by it.
        tag_weights: float32 [tags], as of `token_loss`. The sum is divided by the number of labels, not by the sum of
            their weights: a label counts by its weight whatever else is in its step.

    Returns:
        float32 scalar, in nats: the sum of `token_loss`, times num_processes, over num_labels (1 if that is 0).
    """
    if isinstance(num_labels, Tensor):
        weight = torch.full_like(num_labels, num_processes) / num_labels.clamp(min=1)
        return token_loss(logits, labels, tag_weights).sum() * weight
    return token_loss(logits, labels, tag_weights).sum() * (num_processes / max(num_labels, 1))
