"""Programs that are measured: each in a process of its own, with a deadline, and what it used."""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.processes import ROOT, started

HOUR = 3600.0  # the deadline of a program that is given none


class ProgramError(SystemExit):
    """A program failed, or came to its deadline: it ends the benchmark, unless a part may fail by itself."""


class DeadlineError(ProgramError):
    """A program came to its deadline."""


@dataclass(frozen=True)
class Finished:
    """What a program printed and used.

    megabytes: of memory at its peak; watched: what `tests.bench.watched` wrote: memory of the GPU, points of a Trainer.
    """

    output: str
    megabytes: float
    watched: dict[str, Any]

    @property
    def last_line(self) -> Any:
        """The JSON that it printed last."""
        return json.loads(self.output.strip().splitlines()[-1])

    @property
    def peak(self) -> float:
        """Megabytes at the peak: those that torch reserved on the GPU, where it used one."""
        return float(self.watched.get("reserved_megabytes") or self.megabytes)


def countdown(seconds: float) -> Callable[[], float]:
    """What is left of so many seconds from now on, for several programs in turn."""
    end = time.monotonic() + seconds
    return lambda: max(end - time.monotonic(), 1.0)


def run(
    program: Sequence[str], *, seconds: float = HOUR, watch: Sequence[str] = (), env: Mapping[str, str] | None = None
) -> Finished:
    """Runs a program of Python to its end; nothing here touches the GPU, whose memory the program reports itself.

    program: a script, or -m and a module, and its arguments; watch: flags of `tests.bench.watched`; env: beside that
    of this process. Raises ProgramError if the program fails, DeadlineError after so many seconds.
    """
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as output,
        tempfile.TemporaryFile("w+", encoding="utf-8") as errors,
        tempfile.TemporaryDirectory() as folder,
    ):
        report = Path(folder) / "watched.json"
        command = [sys.executable, "-m", "tests.bench.watched", str(report), *watch, "--", *program]
        deadline = time.monotonic() + seconds
        settings: dict[str, Any] = {
            "stdout": output,
            "stderr": errors,
            "cwd": ROOT,
            "env": {**os.environ, **(env or {})},
        }
        with started(command, **settings) as process:
            pid = 0
            while not pid:
                pid, status, usage = os.wait4(process.pid, os.WNOHANG)
                if not pid and time.monotonic() > deadline:
                    raise DeadlineError(f"{' '.join(program)}\nnot done after {seconds:,.0f} seconds")
                time.sleep(0.02)
        for file in (output, errors):
            file.seek(0)
        if status:
            raise ProgramError(f"{' '.join(program)}\n{errors.read()[-3000:]}")
        watched = json.loads(report.read_text(encoding="utf-8"))
        return Finished(output.read(), usage.ru_maxrss / 1024, watched)
