"""The tensors of the steps to come, made in a thread while the device computes."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ner.inputs.batching import EpochPlan, Step
from ner.inputs.collators import Collator, collate
from ner.utils import ahead

if TYPE_CHECKING:  # who tags needs nothing of streams
    from ner.inputs.buffers import BufferPlan

ALIGNMENT = 64  # bytes: where a tensor may begin in a block

Allocate = Callable[[int], Tensor]  # so many bytes, as uint8
pinned_memory: Allocate = partial(torch.empty, dtype=torch.uint8, pin_memory=True)


def prefetch(
    plan: "EpochPlan | BufferPlan",
    collator: Collator,
    rank: int,
    first: int,
    last: int,
    device: torch.device,
    *,
    with_words: bool,
    allocate: Allocate | None = None,
) -> Iterator[tuple[Step, list[dict[str, Tensor]]]]:
    """Steps first to last (from 1, over the epochs), each with the tensors of this rank's micro-batches.

    All of it is made in the thread: the plan, the tensors, and for a GPU their copy in pinned memory, from where copies
    to the device do not wait.

    with_words: as of `collate`; allocate: the memory of a step's tensors, None for pinned memory where the device is a
    GPU, and for no copy elsewhere.
    """
    if allocate is None and device.type == "cuda":
        allocate = pinned_memory
    latest: dict[int, EpochPlan] = {}  # of one epoch: its order of sentences is made once

    def tensors(number: int) -> tuple[Step, list[dict[str, Tensor]]]:
        if device.type == "cuda" and device.index is not None:
            # A thread begins with the first GPU, where pinned memory would open a context.
            torch.cuda.set_device(device)
        epoch, index = divmod(number - 1, len(plan))
        if epoch not in latest:
            latest.clear()
            latest[epoch] = plan.of_epoch(epoch)
        step = latest[epoch][index]
        batches = [
            collate(latest[epoch].encoded, part, collator, with_words=with_words) for part in step.micro_batches[rank]
        ]
        return step, in_one_block(batches, allocate) if allocate else batches

    return ahead(tensors, range(first, last + 1))


def in_one_block(batches: Sequence[dict[str, Tensor]], allocate: Allocate) -> list[dict[str, Tensor]]:
    """The same tensors, as views of one block of memory: a step allocates once."""
    offsets = {}
    end = 0
    for i, batch in enumerate(batches):
        for name, tensor in batch.items():
            offsets[i, name] = end
            end += -(-tensor.nbytes // ALIGNMENT) * ALIGNMENT
    block = allocate(end)

    def moved(tensor: Tensor, offset: int) -> Tensor:
        view = block[offset : offset + tensor.nbytes].view(tensor.dtype).view(tensor.shape)
        return view.copy_(tensor)

    return [
        {name: moved(tensor, offsets[i, name]) for name, tensor in batch.items()} for i, batch in enumerate(batches)
    ]
