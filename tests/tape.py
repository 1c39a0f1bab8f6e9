"""What a CUDA graph does, on a CPU: a recorder for `ner.training.cuda_graphs`."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Storage = torch.UntypedStorage


class Tape(TorchDispatchMode):
    """The operations of a function on the memory that they had, and nothing else of it.

    As in a graph, numbers of Python are those of the recording, a value cannot be read back, random numbers come from
    the default generator at each replay, and recording leaves as it was what was there before.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, Any, Any, list[Tensor]]] = []
        self.made: dict[int, Storage] = {}  # while it was recorded
        self.before: dict[int, tuple[Storage, Storage]] = {}  # memory that was written to, and what was in it

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.overloadpacket in (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero):
            raise RuntimeError(f"{func} reads a value back: it cannot be recorded")
        given = {}
        for i, argument in enumerate(func._schema.arguments):
            value = kwargs.get(argument.name, args[i] if i < len(args) else None)
            is_written = argument.alias_info is not None and argument.alias_info.is_write
            for tensor in tensors(value):
                storage = tensor.untyped_storage()
                given[storage._cdata] = storage
                if is_written and storage._cdata not in self.made and storage._cdata not in self.before:
                    self.before[storage._cdata] = storage, storage.clone()
        results = func(*args, **kwargs)
        for tensor in tensors(results):
            storage = tensor.untyped_storage()
            if storage._cdata not in given:
                self.made[storage._cdata] = storage
        self.operations.append((func, args, kwargs, tensors(results)))
        return results

    def undo(self) -> None:
        """Gives back what the recording wrote to."""
        for storage, content in self.before.values():
            storage.copy_(content)
        self.before.clear()

    @torch.no_grad()
    def replay(self) -> None:
        """Computes all of it again, into the same memory."""
        for func, args, kwargs, results in self.operations:
            again = tensors(func(*args, **kwargs))
            for old, new in zip(results, again, strict=True):
                if old.untyped_storage()._cdata != new.untyped_storage()._cdata:
                    old.copy_(new)


class TapeRecorder:
    """Records tapes; counts what it was asked for."""

    def __init__(self) -> None:
        self.tapes: list[Tape] = []
        self.num_replays = 0

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        yield

    def record(self, compute: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
        tape = Tape()
        with tape:
            result = compute()
        tape.undo()
        self.tapes.append(tape)

        def replay() -> None:
            self.num_replays += 1
            tape.replay()

        return result, replay


def tensors(values: Any) -> list[Tensor]:
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]
