"""Keeps a run: commits it beside the training, finds where it stopped, and goes on from there."""

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from ner import checkpoint, snapshot
from ner.faults import InputError, one_line
from ner.runtime import JsonLinesLog, Meter, say
from ner.snapshot import NOT_WRITTEN, Snapshot


@dataclass
class Progress:
    """Where a run stands. update: the last that was made; evaluated: the last after which there was an evaluation."""

    update: int = 0
    evaluated: int = 0
    evaluations_since_best: int = 0
    best: dict[str, Any] = field(default_factory=lambda: {"f1": -1.0, "update": 0})


def find_commit(run: Path, resume: str | None, overwrite: bool, accelerator: Accelerator) -> Path | None:
    """The commit to go on from, None for a fresh start. Raises InputError for a folder that is taken, or damaged.

    resume: auto, the folder of a commit, or None.
    """
    is_taken = any(run.glob("*"))
    if resume == "auto":
        if is_taken and not (run / "config.yaml").is_file():
            raise InputError(f"{run} is not empty, and not a run; give another --output")
        folder, damaged = checkpoint.newest(run)
        for what in damaged:
            say(accelerator, f"damaged commit passed over: {what}")
        return folder
    if resume:
        checkpoint.verify(Path(resume))
        return Path(resume)
    if is_taken and not overwrite:
        raise InputError(f"{run} is not empty; --resume auto goes on with the run there, --overwrite replaces it")
    return None


def check_same(now: dict[str, Any], then: dict[str, Any], free: Sequence[str], folder: Path, fingerprint: str) -> None:
    """Raises InputError that lists the options which would change the result of the run in that folder.

    now, then: options; free: those that may change; fingerprint: of the sentences.
    """
    changed = [f"{name} is {now[name]}, and was {then.get(name)}" for name in now
               if name not in free and now[name] != then.get(name)]  # fmt: skip
    is_commit = (folder / "state.json").is_file()  # else it is the folder of a finished run
    if not changed and is_commit and checkpoint.read_state(folder)["fingerprint"] != fingerprint:
        changed = ["the training or validation sentences are not the same"]
    if changed:
        raise InputError("\n  ".join([f"{folder} can not be resumed, this would change its result:", *changed]))


class Keeper:
    """Commits a run while it goes on, in a thread of the main process, and keeps the newest commits."""

    def __init__(
        self, run: Path, accelerator: Accelerator, model: nn.Module, optimizer: AcceleratedOptimizer,
        scheduler: LRScheduler, fingerprint: str, every: tuple[int, str], updates_per_epoch: int, keep: int,
    ) -> None:  # fmt: skip
        """every: (number, updates or epochs or minutes) between commits; keep: how many; model, optimizer: prepared."""
        number, unit = every
        self.run, self.keep, self.fingerprint = run, keep, fingerprint
        self.accelerator, self.model, self.optimizer, self.scheduler = accelerator, model, optimizer, scheduler
        self.every_updates = {"updates": 1, "epochs": updates_per_epoch}.get(unit, 0) * number
        self.every_seconds = 60 * number if unit == "minutes" else float("inf")
        self.last = time.monotonic()
        self.thread = ThreadPoolExecutor(max_workers=1)
        self.running: Future[dict[str, Any]] | None = None

    def is_due(self, update: int) -> bool:
        """Whether a commit is to be made after this update: the main process's clock decides for all."""
        by_count = bool(self.every_updates) and update % self.every_updates == 0
        return self.accelerator.is_main_process and (by_count or time.monotonic() - self.last >= self.every_seconds)

    def go_on(self, folder: Path | None) -> tuple[Progress, Meter]:
        """Makes everything what it was at that commit; None: a fresh start. Raises InputError for a damaged commit."""
        if folder is None:
            return Progress(), Meter(self.accelerator)
        kept = snapshot.read_snapshot(folder)
        snapshot.give_back(kept, self.accelerator, self.model, self.optimizer.optimizer, self.scheduler)
        progress = Progress(**{name: kept.state[name] for name in Progress.__annotations__})
        with self.accelerator.main_process_first():
            best = progress.best["update"]
            if best and not checkpoint.restore_best(self.run, best):
                say(self.accelerator, f"best/ of update {best} is gone; the next evaluation is the best")
                progress.best = Progress().best
            if self.accelerator.is_main_process:
                checkpoint.forget_after(self.run, progress.update)
        say(self.accelerator, f"{folder}: going on after update {progress.update:,}")
        return progress, Meter(self.accelerator, kept.state["meter"])

    def wait(self) -> None:
        """Until nothing is being written. What was written, or why not, is for `log_written` to say."""
        if self.running:
            wait([self.running])

    def commit(self, progress: Progress, meter: Meter) -> None:
        """Takes a snapshot of everything, on all processes; it is written while training goes on."""
        begin = time.monotonic()
        self.wait()
        state = {**asdict(progress), "meter": meter.state(), "fingerprint": self.fingerprint}
        taken = snapshot.take(self.accelerator, self.model, self.optimizer.optimizer, self.scheduler, state)
        self.last = time.monotonic()
        if self.accelerator.is_main_process:
            config = (self.run / "config.yaml").read_text(encoding="utf-8")
            self.running = self.thread.submit(self.write, taken, config, self.last - begin)

    def write(self, taken: Snapshot, config: str, stopped: float) -> dict[str, Any]:
        """Commits, then prunes. stopped: seconds that training stood still. Returns what there is to log."""
        begin = time.monotonic()
        update = taken.state["update"]

        def files(folder: Path) -> None:
            snapshot.write_snapshot(folder, taken)
            (folder / "config.yaml").write_text(config, encoding="utf-8")

        size = checkpoint.commit(checkpoint.of_update(self.run, update), files, facts={"update": update})
        checkpoint.prune(self.run, self.keep)
        seconds = {"stopped_seconds": round(stopped, 3), "seconds": round(stopped + time.monotonic() - begin, 3)}
        return {"update": update, **seconds, "megabytes": round(size / 1e6, 1)}

    def log_written(self, log: JsonLinesLog, point: dict[str, Any], *, wait_for_it: bool = False) -> bool:
        """Logs what was committed since the last call. Returns false if a commit failed, and says why."""
        if self.running is None or not (wait_for_it or self.running.done()):
            return True
        running, self.running = self.running, None
        try:
            log.write({**point, "checkpoint": running.result()})
        except NOT_WRITTEN as error:
            say(self.accelerator, f"commit failed, those before it are intact: {one_line(error)}")
            return False
        return True
