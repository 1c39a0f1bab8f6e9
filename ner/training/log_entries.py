"""What is read from log.jsonl again: its entries, and the evaluations among them as a table."""

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ner.utils import DASH, table

LOG = "log.jsonl"  # in the run folder
COLUMNS = ("step", "epoch", "training loss", "validation loss", "precision", "recall", "F1", "accuracy")
STEP_WIDTH = 9  # so that the lines of a table that is printed while it grows stand below each other


@dataclass(frozen=True)
class Evaluation:
    """Scores of the validation sentences after a step, and the training loss up to there.

    train_loss: mean over the steps since the evaluation before, in nats, None where it is not known; loss: mean over
    the scored words, in nats; precision, recall, f1: micro average over entities, from 0 to 1; accuracy: of words.
    """

    step: int
    epoch: float
    train_loss: float | None
    loss: float | None
    precision: float
    recall: float
    f1: float
    accuracy: float

    @classmethod
    def of(cls, entry: dict[str, Any]) -> "Evaluation":
        """Of an entry of the log. Raises LookupError, TypeError and ValueError for anything else."""
        scores = entry["validation"]
        return cls(
            step=int(entry["step"]),
            epoch=float(entry["epoch"]),
            train_loss=number(entry.get("train_loss")),
            loss=number(scores["loss"]),
            precision=float(scores["precision"]),
            recall=float(scores["recall"]),
            f1=float(scores["f1"]),
            accuracy=float(scores["accuracy"]),
        )

    def cells(self) -> list[str]:
        """Below COLUMNS, four decimals."""
        losses = [DASH if loss is None else f"{loss:.4f}" for loss in (self.train_loss, self.loss)]
        scores = [f"{score:.4f}" for score in (self.precision, self.recall, self.f1, self.accuracy)]
        return [f"{self.step:,}", f"{self.epoch:.2f}", *losses, *scores]


def number(value: Any) -> float | None:
    """As a float, None where there is none."""
    return None if value is None or value != value else float(value)


def read_log(file: Path) -> list[dict[str, Any]]:
    """The entries of a log, without half a line of a run that was killed, and what else is none. Raises OSError."""
    entries = []
    for line in file.read_text(encoding="utf-8", errors="replace").split("\n"):
        with contextlib.suppress(ValueError, RecursionError):
            entry = json.loads(line)
            if isinstance(entry, dict) and isinstance(entry.get("step"), int):
                entries.append(entry)
    return entries


def read_evaluations(run: Path) -> list[Evaluation]:
    """The evaluations of the run in that folder; none where it has no log. Raises OSError."""
    found = []
    for entry in read_log(run / LOG) if (run / LOG).is_file() else ():
        with contextlib.suppress(LookupError, TypeError, ValueError, OverflowError):
            found.append(Evaluation.of(entry))
    return found


def to_markdown(evaluations: Sequence[Evaluation]) -> str:
    """A Markdown table of evaluations."""
    return table(COLUMNS, [each.cells() for each in evaluations], right=[True] * len(COLUMNS))


def printed(evaluation: Evaluation, *, is_first: bool) -> str:
    """The line of an evaluation in a table that grows while a run goes on; below the head, if it is the first."""
    step, *rest = evaluation.cells()
    header = [COLUMNS[0].rjust(STEP_WIDTH), *COLUMNS[1:]]
    head, rule, line = table(header, [[step, *rest]], right=[True] * len(COLUMNS)).split("\n")
    return "\n".join([head, rule, line]) if is_first else line
