"""The tensors of the updates to come, made in a thread while the device computes."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

import torch

from ner.batching import EpochPlan, Update
from ner.collating import Collator, collate

Item = TypeVar("Item")
Made = TypeVar("Made")


def feed(
    plan: EpochPlan, collator: Collator, rank: int, first: int, last: int, device: torch.device
) -> Iterator[tuple[Update, list[dict[str, Any]]]]:
    """Updates first to last (from 1, over the epochs), each with the tensors of this rank's micro-batches.

    device: that the tensors will go to; for a GPU they are in pinned memory, from where copies do not wait.
    """
    pin = device.type == "cuda"

    def tensors(update: Update) -> tuple[Update, list[dict[str, Any]]]:
        batches = [collate(plan.encoded, micro_batch, collator) for micro_batch in update.micro_batches[rank]]
        return update, [pinned(batch) for batch in batches] if pin else batches

    return ahead(tensors, planned(plan, first, last))


def planned(plan: EpochPlan, first: int, last: int) -> Iterator[Update]:
    """Updates first to last, from 1, over the epochs."""
    for number in range(first, last + 1):
        epoch, index = divmod(number - 1, len(plan))
        if epoch != plan.epoch:
            plan = replace(plan, epoch=epoch)
        yield plan[index]


def ahead(make: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
    """make(item) of every item in turn; that of the next item is made in a thread meanwhile. Raises what make does."""
    waiting: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(1) as pool:
        for item in items:
            waiting.append(pool.submit(make, item))
            if len(waiting) == 2:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def pinned(batch: dict[str, Any]) -> dict[str, Any]:
    """The batch in pinned memory."""
    return {name: pinned(value) if isinstance(value, dict) else value.pin_memory() for name, value in batch.items()}
