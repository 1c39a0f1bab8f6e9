"""Signals ask a run to stop; all its processes agree on the update after which they do."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist
from accelerate import Accelerator

STOPPED = 75  # exit status of a run that stopped with everything committed: EX_TEMPFAIL, try again
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class StoppedError(Exception):
    """Ends an evaluation that is not worth finishing."""


class Stopper:
    """Whether to stop. Each process asks at the same places, and gets the same answer."""

    def __init__(self, accelerator: Accelerator) -> None:
        self.asked_by: str | None = None
        # Over the CPU, whatever the gradients use: no host sync with a GPU.
        self.group = dist.new_group(backend="gloo") if accelerator.num_processes > 1 else None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Takes signals within. A second SIGINT is not taken: it interrupts."""
        before = {number: signal.signal(number, self.take) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def take(self, number: int, _: FrameType | None) -> None:
        """The handler."""
        self.asked_by = signal.Signals(number).name
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def agree(self, other: bool = False) -> tuple[bool, bool]:
        """(whether any process was asked to stop, whether `other` is true on any)."""
        if self.group is None:
            return self.asked_by is not None, other
        flags = torch.tensor([self.asked_by is not None, other], dtype=torch.int32)
        dist.all_reduce(flags, dist.ReduceOp.MAX, group=self.group)
        stop, any_other = flags.bool().tolist()
        return stop, any_other

    def check(self, _: Any = None) -> None:
        """Raises StoppedError on all processes if one was asked to stop."""
        if self.agree()[0]:
            raise StoppedError
