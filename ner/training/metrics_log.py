"""What a run logs: log.jsonl, trackers, and means over the steps since the last log point."""

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from ner.files import to_json_line, write_atomic
from ner.inputs.batching import Step
from ner.runtime import say, warn
from ner.training.log_entries import Evaluation, printed, read_log

Metrics = dict[str, Any]  # what is in metrics.json


class DivergedError(ArithmeticError):
    """Too many steps in a row had a gradient that is not finite."""


class JsonLinesLog:
    """log.jsonl: one object per log point, on the main process, flushed at once; trackers get the numbers too."""

    def __init__(self, file: Path, accelerator: Accelerator, resumed_at: int = 0) -> None:
        """resumed_at: step after which a run goes on; what was logged behind it is dropped."""
        self.file = file
        self.accelerator = accelerator
        self.has_head = False  # of the table of evaluations that is printed
        if accelerator.is_main_process and file.exists():
            entries = (entry for entry in read_log(file) if entry["step"] <= resumed_at)
            kept = [entry for entry in entries if "average" not in entry]  # which the end of a run makes again
            write_atomic(file, "".join(map(to_json_line, kept)))

    def write(self, entry: dict[str, Any]) -> None:
        """Appends the entry. `step` is the trackers' step."""
        if self.accelerator.is_main_process:
            with self.file.open("a", encoding="utf-8") as lines:
                lines.write(to_json_line(entry))
        numbers = {name: value for name, value in entry.items() if name != "step"}
        self.accelerator.log(flat_numbers(numbers), step=entry["step"])

    def write_metrics(
        self, point: dict[str, Any], meter: "Meter", lr: float, grad_norm: Tensor, max_bad_steps: int
    ) -> None:
        """Logs loss and throughput since the last log point. Waits for the device.

        point: step and epoch. Raises DivergedError after max_bad_steps steps in a row that changed nothing.
        """
        self.write_bad(meter.read_bad())
        scaler = self.accelerator.scaler
        scale = {} if scaler is None else {"loss_scale": scaler.get_scale()}
        self.write({**point, **meter.read(), "lr": lr, "grad_norm": float(grad_norm), **scale})
        if meter.bad_in_a_row >= max_bad_steps:
            raise DivergedError(
                f"{self.file.parent}: {meter.bad_in_a_row} steps in a row had a gradient that is not finite; "
                f"{self.file.name} has their sentences. Lower the learning rate, or train in bf16; checkpoints are "
                "intact"
            )

    def write_evaluation(self, point: dict[str, Any], scores: dict[str, Any], meter: "Meter") -> None:
        """Logs the scores of the validation sentences and the training loss up to there, and says them as a table.

        point: step and epoch. Waits for the device.
        """
        self.write_bad(meter.read_bad())
        entry = {**point, "train_loss": meter.read_since_evaluation(), "validation": scores}
        self.write(entry)
        say(self.accelerator, printed(Evaluation.of(entry), is_first=not self.has_head))
        self.has_head = True

    def write_bad(self, steps: Sequence["BadStep"]) -> None:
        """Logs steps whose gradient was not finite, with their sentences: rows of the joined training sentences.

        One that only overflowed says nothing of its sentences: with fp16 the loss scale begins high and is halved.
        """
        for bad in steps:
            if bad.is_overflow:
                self.write({"step": bad.number, "overflow": True})
            else:
                self.write({"step": bad.number, "not_finite": {"sentences": bad.step.sentences.tolist()}})
                warn(self.accelerator, f"step {bad.number}: its gradient is not finite; the weights stay as they are")


@dataclass(frozen=True)
class BadStep:
    """A step that changed nothing. is_overflow: its loss was finite, and its scaled gradient too large for fp16."""

    number: int
    step: Step
    is_overflow: bool


class Meter:
    """Loss and throughput between log points, and over the run. Sums stay on the device until they are read.

    A step whose gradient is not finite counts in throughput, but not in the loss. The loss since the last evaluation is
    added up on the host, at log points and evaluations.
    """

    def __init__(self, accelerator: Accelerator, state: dict[str, Any] | None = None) -> None:
        """state: of a meter that is gone, as `state` gave it."""
        self.accelerator = accelerator
        self.seconds = self.sentences = self.tokens = self.positions = 0.0
        self.bad_steps = self.overflows = self.bad_in_a_row = self.evaluation_steps = 0
        self.evaluation_loss = math.nan if state else 0.0  # nan: not known, of a checkpoint of an older version
        self.start()
        for name, value in (state or {}).items():
            setattr(self, name, self.own_share(value) if name == "loss" else value)

    def own_share(self, losses: list[float] | float) -> Tensor:
        """The loss that this process goes on from. losses: of each process, or their mean, of an older version."""
        each = losses if isinstance(losses, list) else [losses]
        if len(each) == self.accelerator.num_processes:
            value = each[self.accelerator.process_index]
        else:
            value = sum(each) / len(each)
        return torch.tensor(value, device=self.accelerator.device)

    def start(self) -> None:
        """Begins an interval between log points."""
        self.loss = torch.zeros((), device=self.accelerator.device)
        self.steps = self.interval_sentences = self.interval_tokens = 0
        self.interval_seconds = 0.0
        self.unread: list[tuple[int, Step, Tensor]] = []  # number, step, [gradient is finite, loss is finite]
        self.since = time.perf_counter()

    def add(self, number: int, step: Step, loss: Tensor, is_finite: Tensor) -> None:
        """Counts a step. loss: this process's share; is_finite: of all processes' gradient; both on the device."""
        self.loss += torch.where(is_finite, loss, 0.0)
        self.unread.append((number, step, torch.stack([is_finite, torch.isfinite(loss)])))
        self.interval_sentences += len(step.sentences)
        self.interval_tokens += step.num_tokens
        self.positions += step.num_positions

    def read_bad(self) -> list[BadStep]:
        """The steps since the last call whose gradient was not finite. Waits for the device, and all processes."""
        unread, self.unread = self.unread, []
        if not unread:
            return []
        flags = torch.stack([finite for _, _, finite in unread])  # bool [steps, 2]
        if not bool(flags[:, 0].all()):  # the same on all processes; of the losses each knows its own
            flags = self.accelerator.reduce(flags.int(), "sum") == self.accelerator.num_processes
        bad = []
        for (number, step, _), (is_finite, loss_is_finite) in zip(unread, flags.tolist(), strict=True):
            self.bad_in_a_row = 0 if is_finite else self.bad_in_a_row + 1
            if is_finite:
                self.steps += 1
                continue
            is_overflow = loss_is_finite and self.accelerator.scaler is not None
            self.overflows += is_overflow
            self.bad_steps += not is_overflow
            bad.append(BadStep(number, step, is_overflow))
        return bad

    def read(self) -> dict[str, float | None]:
        """Mean loss, sentences and tokens a second since the last reading, over all processes, after `read_bad`.

        The loss is None where no step was finite.
        """
        total = self.accelerator.reduce(self.loss, "mean").item()
        loss = total / self.steps if self.steps else None
        self.evaluation_loss += total
        self.evaluation_steps += self.steps
        self.interval_seconds += time.perf_counter() - self.since
        seconds, sentences, tokens = self.interval_seconds, self.interval_sentences, self.interval_tokens
        self.seconds += seconds
        self.sentences += sentences
        self.tokens += tokens
        self.start()
        return {
            "loss": loss,
            "sentences_per_second": round(sentences / seconds, 1),
            "tokens_per_second": round(tokens / seconds, 1),
        }

    def read_since_evaluation(self) -> float | None:
        """Mean loss of the steps since the last call, over all processes, after `read_bad`.

        None where no step was finite, and where a checkpoint of an older version does not have it.
        """
        unread = self.accelerator.reduce(self.loss, "mean").item()
        loss, steps = self.evaluation_loss + unread, self.evaluation_steps + self.steps
        self.evaluation_loss, self.evaluation_steps = -unread, -self.steps  # which the next log point adds
        return loss / steps if steps and not math.isnan(loss) else None

    def state(self) -> dict[str, Any]:
        """Plain numbers that a new meter goes on from, after `read_bad`. Waits for the device, and all processes."""
        names = (
            "seconds",
            "sentences",
            "tokens",
            "positions",
            "bad_steps",
            "overflows",
            "bad_in_a_row",
            "steps",
            "evaluation_loss",
            "evaluation_steps",
            "interval_sentences",
            "interval_tokens",
        )
        return {
            **{name: getattr(self, name) for name in names},
            "loss": self.accelerator.gather(self.loss.reshape(1)).tolist(),
            "interval_seconds": self.interval_seconds + time.perf_counter() - self.since,
        }

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Time inside is not training time."""
        if self.accelerator.device.type == "cuda":
            torch.cuda.synchronize()
        self.interval_seconds += time.perf_counter() - self.since
        yield
        self.since = time.perf_counter()

    def totals(self) -> dict[str, float]:
        """Over the run: seconds of training, sentences and tokens a second, real tokens over computed positions."""
        if self.interval_sentences:
            self.read()
        return {
            "training_seconds": round(self.seconds, 2),
            "sentences_per_second": round(self.sentences / self.seconds, 1),
            "tokens_per_second": round(self.tokens / self.seconds, 1),
            "position_efficiency": round(self.tokens / self.positions, 4),
            "bad_steps": self.bad_steps,
            "overflows": self.overflows,
        }


def flat_numbers(entry: dict[str, Any], prefix: str = "") -> dict[str, float]:
    """Nested numbers under names like `languages/de/f1`."""
    flat: dict[str, float] = {}
    for key, value in entry.items():
        if isinstance(value, dict):
            flat |= flat_numbers(value, f"{prefix}{key}/")
        elif isinstance(value, int | float):
            flat[prefix + key] = value
    return flat
