"""Forward and backward of a micro-batch as CUDA graphs, one for each shape: kernel launches do not bound a step then.

A graph repeats the kernels that were recorded, on the memory that they had. So inputs are copied to fixed places,
gradients add up at fixed places, and numbers that change are tensors: the labels of the step here, fp16's scale in its
scaler. Clipping, the optimizer's step, loss scaling and the log are not recorded: they find gradients as ever.

Not run on a GPU yet. The tests record on a CPU.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch import Tensor, nn

from ner.errors import InputError
from ner.runtime import say

MOST_GRAPHS = 8  # shapes; each keeps its inputs and its result, and all share the rest of their memory
WARM_UPS = 3  # runs before a recording: libraries set themselves up in the first
ALIGNMENT = 128  # elements: where a gradient may begin in the block

Batch = dict[str, Tensor]
Compute = Callable[[Batch, Any, bool], Tensor]  # as `forward_backward` of train.py: batch, num_labels, is_last -> loss


class Recorder(Protocol):
    """Records what a function computes on the device."""

    def aside(self) -> AbstractContextManager[None]:
        """Where the function is to be run before it is recorded."""

    def record(self, compute: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
        """The tensor that the function returns, and what fills it anew. Recording changes nothing that was there."""


class CudaRecorder:
    """CUDA graphs, recorded on one stream beside the current one; they run in turn, and share one pool of memory."""

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device)
        self.pool = torch.cuda.graph_pool_handle()

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """The stream, which waits for the current one; that waits for it at the end."""
        current = torch.cuda.current_stream()
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            yield
        current.wait_stream(self.stream)

    def record(self, compute: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
        """A graph. Its kernels draw from the device's generator, which CUDA advances with each replay as they would."""
        graph = torch.cuda.CUDAGraph()
        # thread_local: another thread pins memory for the next step, which a capture would forbid else.
        with torch.cuda.graph(graph, pool=self.pool, stream=self.stream, capture_error_mode="thread_local"):
            result = compute()
        return result, graph.replay


def make_recorder(accelerator: Accelerator) -> CudaRecorder:
    """The recorder of this process's GPU. Raises InputError where there can be none."""
    check_device(accelerator.device, accelerator.distributed_type)
    return CudaRecorder(accelerator.device)


def check_device(device: torch.device, distributed_type: DistributedType) -> None:
    """Raises InputError where graphs cannot be recorded."""
    if device.type != "cuda":
        raise InputError(f"`cuda_graphs` needs a GPU with CUDA, and the device is {device}; leave it out")
    if distributed_type not in (DistributedType.NO, DistributedType.MULTI_GPU):
        raise InputError(
            f"`cuda_graphs` needs the whole model on each GPU, and {distributed_type.value} moves its parameters; "
            "leave one of the two out"
        )


class Gradients:
    """The gradients of a model at fixed places: parts of one block, which processes average as a whole."""

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self.parameters = [parameter for parameter in parameters if parameter.requires_grad]
        sizes = [-(-parameter.numel() // ALIGNMENT) * ALIGNMENT for parameter in self.parameters]
        self.block = self.parameters[0].new_zeros(sum(sizes))
        parts = zip(self.block.split(sizes), self.parameters, strict=True)
        self.places = [part[: parameter.numel()].view(parameter.shape) for part, parameter in parts]
        self.is_used = [False] * len(sizes)

    def begin(self) -> None:
        """Zeros at the start of a step, which is where the optimizer has let go of the gradients before."""
        if all(parameter.grad is None for parameter in self.parameters):
            self.block.zero_()
            self.attach()

    def attach(self) -> None:
        """Backward adds to the fixed places. A parameter without a gradient stays so, and is not decayed either."""
        for parameter, place, is_used in zip(self.parameters, self.places, self.is_used, strict=True):
            parameter.grad = place if is_used else None

    def detach(self) -> None:
        """Backward makes gradients of its own, and those at the fixed places are safe from it."""
        for parameter in self.parameters:
            parameter.grad = None

    def note_used(self) -> None:
        """Which parameters have a gradient, after a backward that made its own."""
        self.is_used = [
            is_used or parameter.grad is not None
            for is_used, parameter in zip(self.is_used, self.parameters, strict=True)
        ]

    def average(self, num_processes: int) -> None:
        """Over the processes: once a step, behind its last micro-batch."""
        if num_processes > 1:
            self.block.div_(num_processes)
            torch.distributed.all_reduce(self.block)


class Graph:
    """A recorded micro-batch: copies a batch to where the recorded one was, and computes it again."""

    def __init__(self, compute: Compute, batch: Batch, gradients: Gradients, recorder: Recorder) -> None:
        """Leaves gradients and random generators as they are."""
        self.inputs = {name: tensor.clone() for name, tensor in batch.items()}
        device = gradients.block.device
        self.num_labels = torch.ones((), device=device)
        recorded = partial(compute, self.inputs, self.num_labels, True)
        with torch.random.fork_rng([device] if device.type == "cuda" else []), recorder.aside():
            gradients.detach()
            for _ in range(WARM_UPS):
                recorded()
            gradients.note_used()
            gradients.attach()
            self.loss, self.replay = recorder.record(recorded)

    def __call__(self, batch: Batch, num_labels: int) -> Tensor:
        """The loss, which the next call overwrites."""
        for name, tensor in self.inputs.items():
            tensor.copy_(batch[name], non_blocking=True)
        self.num_labels.fill_(num_labels)
        self.replay()
        return self.loss


class CudaGraphs:
    """`forward_backward` of train.py, from graphs: the first micro-batch of each shape is recorded.

    Beyond `MOST_GRAPHS` shapes it computes as without graphs. It is called as what it replaces.
    """

    def __init__(
        self, accelerator: Accelerator, compute: Compute, parameters: Iterable[nn.Parameter], recorder: Recorder
    ) -> None:
        """compute: with a model that exchanges nothing; parameters: those of that model."""
        self.accelerator, self.compute, self.recorder = accelerator, compute, recorder
        self.gradients = Gradients(parameters)
        self.graphs: dict[Any, Graph] = {}
        self.is_full = False

    def __call__(self, batch: Batch, num_labels: int, is_last: bool) -> Tensor:
        """Adds the gradient of a micro-batch; returns its share of the step's loss, to be read before the next call."""
        self.gradients.begin()
        graph = self.graph_of(batch)
        loss = graph(batch, num_labels) if graph else self.compute(batch, num_labels, True)
        if is_last:
            self.gradients.average(self.accelerator.num_processes)
        return loss

    def graph_of(self, batch: Batch) -> Graph | None:
        """The graph for batches of this shape, recorded where it is the first; None if there are too many already."""
        shape = tuple((name, tensor.shape, tensor.dtype) for name, tensor in sorted(batch.items()))
        if shape not in self.graphs and len(self.graphs) < MOST_GRAPHS:
            self.graphs[shape] = Graph(self.compute, batch, self.gradients, self.recorder)
        elif shape not in self.graphs and not self.is_full:
            self.is_full = True
            say(
                self.accelerator,
                f"CUDA graphs: more than {MOST_GRAPHS} shapes of micro-batches; the others are computed without. "
                "Longer rows (`row_length`) have fewer shapes",
            )
        return self.graphs.get(shape)
