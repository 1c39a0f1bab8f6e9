"""The numbers of a benchmark in a JSON file, written whenever one more is known: a run that ends early loses none."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ner.errors import single_line
from ner.files import read_json, write_json
from tests.bench.programs import DeadlineError, ProgramError

FAILED = "failed"


class Results:
    """What is known, by name."""

    def __init__(self, file: Path, machine: dict[str, Any]) -> None:
        """Goes on with a file that is there. Exits if it is of another machine: its numbers compare with none here."""
        self.file = file
        self.known: dict[str, Any] = read_json(file) if file.exists() else {}
        if self.known.setdefault("machine", machine) != machine:
            raise SystemExit(
                f"{file} is of another machine: {self.known['machine']}, and this is {machine}; remove it, or name "
                "another file: --json FILE"
            )

    def put(self, name: str, value: Any) -> None:
        """Adds it, or replaces what has that name, and writes the file."""
        self.known[name] = value
        write_json(self.file, self.known)

    def has(self, name: str) -> bool:
        """Whether it is known; what failed is not."""
        return name in self.known and not (isinstance(self.known[name], dict) and FAILED in self.known[name])


@dataclass(frozen=True)
class Task:
    """A measurement. measure: takes the seconds that it may last."""

    name: str
    measure: Callable[[float], Any]


def work_off(tasks: Sequence[Task], results: Results, seconds: float, shortest: float = 60.0) -> list[str]:
    """Measures what is not known, in turn, for so many seconds; returns the names of what is left for another call.

    A task that fails is known as failed, with the reason, and is tried again in the next call. None starts with fewer
    than `shortest` seconds left; one that is stopped then, having had less than all of them, is left.
    """
    end = time.monotonic() + seconds
    left = []
    for number, task in enumerate(task for task in tasks if not results.has(task.name)):
        remaining = end - time.monotonic()
        if number and remaining < shortest:
            left.append(task.name)
            continue
        try:
            results.put(task.name, task.measure(remaining))
        except DeadlineError as error:
            if number:
                left.append(task.name)
            else:
                results.put(task.name, {FAILED: single_line(error)})
        except (Exception, ProgramError) as error:  # whatever is wrong with one of them, the others are measured
            results.put(task.name, {FAILED: f"{type(error).__name__}: {str(error)[-2000:]}"})
        print(f"{task.name}: {results.known.get(task.name, 'left')}"[:200], file=sys.stderr)
    return left
