"""The tensors of the steps to come, made in a thread while the device computes."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from ner.inputs.batching import EpochPlan, Step
from ner.inputs.collators import Collator, collate
from ner.utils import ahead


def prefetch(
    plan: EpochPlan, collator: Collator, rank: int, first: int, last: int, device: torch.device
) -> Iterator[tuple[Step, list[dict[str, Any]]]]:
    """Steps first to last (from 1, over the epochs), each with the tensors of this rank's micro-batches.

    device: that the tensors will go to; for a GPU they are in pinned memory, from where copies do not wait.
    """
    pin = device.type == "cuda"

    def tensors(step: Step) -> tuple[Step, list[dict[str, Any]]]:
        batches = [collate(plan.encoded, micro_batch, collator) for micro_batch in step.micro_batches[rank]]
        return step, [pinned(batch) for batch in batches] if pin else batches

    return ahead(tensors, planned(plan, first, last))


def planned(plan: EpochPlan, first: int, last: int) -> Iterator[Step]:
    """Steps first to last, from 1, over the epochs."""
    for number in range(first, last + 1):
        epoch, index = divmod(number - 1, len(plan))
        if epoch != plan.epoch:
            plan = replace(plan, epoch=epoch)
        yield plan[index]


def pinned(batch: dict[str, Any]) -> dict[str, Any]:
    """The batch in pinned memory."""
    return {name: pinned(value) if isinstance(value, dict) else value.pin_memory() for name, value in batch.items()}
