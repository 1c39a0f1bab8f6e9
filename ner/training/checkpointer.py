"""Keeps a run: checkpoints it beside the training, finds where it stopped, and goes on from there."""

import contextlib
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from torch import nn
from torch.optim.lr_scheduler import LRScheduler
from transformers import PreTrainedTokenizerBase

from ner.arguments import echo, parse_interval
from ner.config import TrainConfig
from ner.data.streaming import NOT_NOW
from ner.errors import InputError, single_line
from ner.inputs.batching import EpochPlan
from ner.inputs.buffers import BufferPlan
from ner.modeling.embedding_trimming import TrimmedEmbedding
from ner.modeling.model import save_model
from ner.runtime import main_process_first, say, warn
from ner.training import checkpoint, state
from ner.training.averaging import RunningMean
from ner.training.metrics_log import JsonLinesLog, Meter
from ner.training.signals import PreemptedError, SignalHandler
from ner.training.state import NOT_WRITTEN, Snapshot


@dataclass
class Progress:
    """Where a run stands. step: the last that was made; evaluated: the last after which there was an evaluation."""

    step: int = 0
    evaluated: int = 0
    evaluations_since_best: int = 0
    best: dict[str, Any] = field(default_factory=lambda: {"f1": -1.0, "step": 0})


class Checkpointer:
    """Checkpoints a run while it goes on, in a thread of the main process, and keeps the newest checkpoints."""

    def __init__(
        self,
        config: TrainConfig,
        accelerator: Accelerator,
        model: nn.Module,
        optimizer: AcceleratedOptimizer,
        scheduler: LRScheduler,
        average: RunningMean,
        fingerprint: str,
        plan: EpochPlan | BufferPlan,
    ) -> None:
        """model, optimizer: prepared; fingerprint: of the sentences, which a run that goes on must share."""
        number, unit = parse_interval(config.checkpoint_every, "`checkpoint_every`", "em")
        self.run, self.keep, self.fingerprint = config.folder, config.keep, fingerprint
        self.accelerator, self.model, self.optimizer, self.scheduler = accelerator, model, optimizer, scheduler
        self.average, self.plan = average, plan
        self.every_steps = {"steps": 1, "epochs": len(plan)}.get(unit, 0) * number
        self.every_seconds = 60 * number if unit == "minutes" else float("inf")
        self.last = time.monotonic()
        self.thread = ThreadPoolExecutor(max_workers=1)
        self.running: Future[dict[str, Any]] | None = None

    def is_due(self, step: int) -> bool:
        """Whether a checkpoint is to be made after this step: the main process's clock decides for all."""
        by_count = bool(self.every_steps) and step % self.every_steps == 0
        return self.accelerator.is_main_process and (by_count or time.monotonic() - self.last >= self.every_seconds)

    def restore(self, folder: Path | None) -> tuple[Progress, Meter]:
        """Makes everything what it was at that checkpoint; None: a fresh start. Raises InputError for a corrupt one."""
        if folder is None:
            return Progress(), Meter(self.accelerator)
        kept = state.read_snapshot(folder)
        state.restore_state(kept, self.accelerator, self.model, self.optimizer.optimizer, self.scheduler)
        self.average.restore(kept.under("average/"), kept.state.get("averaged", 0))  # 0: an older version's
        self.plan.restore(kept.state.get("plan", {}))
        progress = Progress(**{item.name: kept.state[item.name] for item in fields(Progress)})
        with main_process_first(self.accelerator, per_machine=False):
            best = progress.best["step"]
            if best and not checkpoint.restore_best(self.run, best):
                warn(self.accelerator, f"best/ of step {best} is gone; the next evaluation is the best")
                progress.best = Progress().best
            if self.accelerator.is_main_process:
                checkpoint.forget_after(self.run, progress.step)
                if (metrics := self.run / "metrics.json").exists():  # of the end that is made again
                    checkpoint.set_aside(self.run, metrics)
        say(self.accelerator, f"{folder}: going on after step {progress.step:,}")
        return progress, Meter(self.accelerator, kept.state["meter"])

    def wait(self) -> None:
        """Until nothing is being written. What was written, or why not, is for `log_written` to say."""
        if self.running:
            wait([self.running])

    def save(self, point: dict[str, Any], progress: Progress, meter: Meter, log: JsonLinesLog) -> None:
        """Takes a snapshot of everything, on all processes; it is written while training goes on."""
        begin = time.monotonic()
        self.log_written(log, point, wait_for_it=True)  # the one before
        numbers = {
            **asdict(progress),
            "averaged": self.average.count,
            "plan": self.plan.state(progress.step),
            "meter": meter.state(),
            "fingerprint": self.fingerprint,
        }
        taken = state.capture_state(
            self.accelerator, self.model, self.optimizer.optimizer, self.scheduler, numbers, self.average.means
        )
        self.last = time.monotonic()
        if self.accelerator.is_main_process:
            config = (self.run / "config.yaml").read_text(encoding="utf-8")
            self.running = self.thread.submit(self.write, taken, config, self.last - begin)

    def after_step(
        self, point: dict[str, Any], progress: Progress, meter: Meter, log: JsonLinesLog, signals: SignalHandler
    ) -> None:
        """Checkpoints when one is due, or any process got a signal: then raises PreemptedError, on all processes.

        point: step and epoch, for the log.
        """
        stop, is_due = signals.sync(self.is_due(progress.step))
        if stop or is_due:
            log.write_bad(meter.read_bad())
            self.save(point, progress, meter, log)
        is_written = self.log_written(log, point, wait_for_it=stop)
        if stop:
            raise PreemptedError(progress.step, is_written=is_written)

    @contextlib.contextmanager
    def kept_on_bad_input(self, progress: Progress, meter: Meter, log: JsonLinesLog) -> Iterator[None]:
        """Checkpoints what was done before sentences that cannot be used came in a stream, on all processes.

        Not where it is the network or the disk that fails, and others may go on: these wait for this one elsewhere.
        Whatever ends the training, a checkpoint that is being written is finished.
        """
        try:
            yield
        except InputError as error:
            point = {"step": progress.step}
            if self.accelerator.num_processes > 1 and isinstance(error, NOT_NOW):
                # It may not be the one that speaks.
                echo(f"process {self.accelerator.process_index}: {error}", sys.stderr)
            else:
                self.save(point, progress, meter, log)
            self.log_written(log, point, wait_for_it=True)
            raise
        finally:
            self.wait()

    def write(self, taken: Snapshot, config: str, stopped: float) -> dict[str, Any]:
        """Checkpoints, then prunes. stopped: seconds that training stood still. Returns what there is to log."""
        begin = time.monotonic()
        step = taken.state["step"]

        def files(folder: Path) -> None:
            state.write_snapshot(folder, taken)
            (folder / "config.yaml").write_text(config, encoding="utf-8")

        size = checkpoint.write_folder(checkpoint.of_step(self.run, step), files, facts={"step": step})
        checkpoint.prune(self.run, self.keep)
        seconds = {"stopped_seconds": round(stopped, 3), "seconds": round(stopped + time.monotonic() - begin, 3)}
        return {"step": step, **seconds, "megabytes": round(size / 1e6, 1)}

    def save_model(
        self, name: str, tokenizer: PreTrainedTokenizerBase, trimmed: TrimmedEmbedding | None, step: int
    ) -> None:
        """Writes best/, last/ or average/, on all processes. A best model that a checkpoint needs stays beside it."""
        self.wait()  # the checkpoint that is being written may name the best model so far, which is kept then
        tensors = self.accelerator.get_state_dict(self.model)  # of a sharded model, all processes gather it
        if self.accelerator.is_main_process:
            tensors = trimmed.state(tensors) if trimmed else tensors
            plain = self.accelerator.unwrap_model(self.model)
            checkpoint.write_folder(
                self.run / name,
                lambda folder: save_model(folder, plain, tokenizer, tensors),
                facts={"step": step},
                keep_old=name == "best",
            )
            checkpoint.prune_models(self.run)

    def log_written(self, log: JsonLinesLog, point: dict[str, Any], *, wait_for_it: bool = False) -> bool:
        """Logs what was checkpointed since the last call. Returns false if a checkpoint failed, and says why."""
        if self.running is None or not (wait_for_it or self.running.done()):
            return True
        running, self.running = self.running, None
        try:
            log.write({**point, "checkpoint": running.result()})
        except NOT_WRITTEN as error:
            warn(self.accelerator, f"checkpoint failed, those before it are intact: {single_line(error)}")
            return False
        return True
