"""Signals ask a run to stop; all its processes agree on the step after which they do."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist
from accelerate import Accelerator

STOPPED = 75  # exit status of a run that stopped with everything checkpointed: EX_TEMPFAIL, try again
# SIGHUP: the terminal, or the connection to it, is gone. Windows has neither that nor SIGUSR1.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP") if hasattr(signal, name))


@contextlib.contextmanager
def handled(
    handler: Callable[[int, FrameType | None], None], numbers: Sequence[signal.Signals] = SIGNALS
) -> Iterator[None]:
    """Signals go to the handler within, and to those from before at the end.

    One that is ignored stays so: nohup ignores SIGHUP. But for SIGINT, which a shell ignores in what `&` starts.
    """
    wanted = [n for n in numbers if n == signal.SIGINT or signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in wanted}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


class EvaluationStoppedError(Exception):
    """Ends an evaluation that is not worth finishing."""


class PreemptedError(Exception):
    """Ends a run that a signal asked to stop. is_written: there is a checkpoint of where it stands."""

    def __init__(self, step: int, *, is_written: bool) -> None:
        super().__init__(f"stopped by a signal after step {step}, {'' if is_written else 'and not '}checkpointed")
        self.is_written = is_written


class SignalHandler:
    """Whether to stop. Each process asks at the same places, and gets the same answer.

    Before `attach` there is nothing to write yet: a signal ends a program of one process at once, with STOPPED. One of
    several is kept for the first question, because the others wait for this one in places that they cannot leave.
    """

    def __init__(self) -> None:
        self.asked_by: str | None = None
        self.is_attached = False
        self.group: dist.ProcessGroup | None = None

    def attach(self, accelerator: Accelerator) -> None:
        """From here on a signal is kept until somebody asks."""
        self.is_attached = True
        if accelerator.num_processes > 1:
            # Over the CPU, whatever the gradients use: no host sync with a GPU.
            self.group = dist.new_group(backend="gloo")

    def listening(self) -> contextlib.AbstractContextManager[None]:
        """Takes signals within. A second SIGINT is not taken: it interrupts."""
        return handled(self.take)

    def take(self, number: int, _: FrameType | None) -> None:
        """The handler."""
        self.asked_by = signal.Signals(number).name
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if self.is_attached:
            return
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            os.write(2, f"stopped by {self.asked_by} before the first step; nothing is lost\n".encode())
            sys.exit(STOPPED)
        signal.signal(number, signal.SIG_DFL)  # where a process hangs, the same signal again ends it

    def sync(self, other: bool = False) -> tuple[bool, bool]:
        """(whether any process was asked to stop, whether `other` is true on any)."""
        if self.group is None:
            return self.asked_by is not None, other
        flags = torch.tensor([self.asked_by is not None, other], dtype=torch.int32)
        dist.all_reduce(flags, dist.ReduceOp.MAX, group=self.group)
        stop, any_other = flags.bool().tolist()
        return stop, any_other

    def check(self, _: Any = None) -> None:
        """Raises EvaluationStoppedError on all processes if one was asked to stop."""
        if self.sync()[0]:
            raise EvaluationStoppedError
