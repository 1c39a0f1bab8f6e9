"""Keeps a run: commits it beside the training, finds where it stopped, and goes on from there."""

import contextlib
import platform
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from accelerate.utils import gather_object
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from ner.data.faults import InputError, listed, one_line
from ner.files import file_errors, read_json, write_whole
from ner.locking import LOCK, locked
from ner.runtime import JsonLinesLog, Meter, decided, say
from ner.sharing.model_card import CARD, own_card
from ner.sharing.run_record import EVALUATION
from ner.training import checkpoint, state
from ner.training.state import NOT_WRITTEN, Snapshot

# What a run writes, beside its config and card.
MADE = ("log.jsonl", "metrics.json", EVALUATION, "skipped.jsonl", "best", "last", "onnx", checkpoint.FOLDER)


@dataclass
class Progress:
    """Where a run stands. update: the last that was made; evaluated: the last after which there was an evaluation."""

    update: int = 0
    evaluated: int = 0
    evaluations_since_best: int = 0
    best: dict[str, Any] = field(default_factory=lambda: {"f1": -1.0, "update": 0})


@dataclass(frozen=True)
class Start:
    """Where a run begins. resume_from: a commit, None for a fresh start; is_finished: there is nothing left to do.

    stored: folder of the options that this run must share, None where nothing is there that it could spoil; damaged:
    what is wrong with commits that are passed over.
    """

    resume_from: Path | None = None
    is_finished: bool = False
    stored: Path | None = None
    damaged: tuple[str, ...] = ()


def find_start(run: Path, resume: str | None, overwrite: bool, accelerator: Accelerator) -> Start:
    """Where the run begins: the main process looks, and all take its word.

    resume: auto, the folder of a commit, or None. Raises InputError for a folder that is taken, or damaged, and where
    a process does not see the commit.
    """
    start = decided(accelerator, lambda: look(run, resume, overwrite))
    for what in start.damaged:
        say(accelerator, f"damaged commit passed over: {what}")
    sees_it = start.resume_from is None or (start.resume_from / checkpoint.MANIFEST).is_file()
    blind = [host for host in gather_object([None if sees_it else platform.node()]) if host]
    if blind:
        raise InputError(
            f"{start.resume_from}: not there on {listed(dict.fromkeys(blind))} ({len(blind)} of "
            f"{accelerator.num_processes} processes); put the run folder on a disk that all machines see"
        )
    return start


def look(run: Path, resume: str | None, overwrite: bool) -> Start:
    """`find_start` of one process. Raises InputError."""
    with file_errors(run):
        return start_of(run, resume, overwrite)


def start_of(run: Path, resume: str | None, overwrite: bool) -> Start:
    """`look`, but raises OSError where the folder can not be read."""
    checkpoint.recover(run)
    is_taken = any(path.name != LOCK for path in run.glob("*"))
    if is_taken and (overwrite or resume == "auto") and not (run / checkpoint.CONFIG).is_file():
        raise InputError(f"{run} is not empty, and not a run of train.py: it has no config.yaml; give another --output")
    if resume == "auto":
        if is_finished(run):
            return Start(is_finished=True, stored=run)
        folder, damaged = checkpoint.newest(run)
        if damaged and folder is None:
            remedy = "restore one of them, or begin again with --overwrite instead of --resume"
            raise InputError("\n  ".join([f"{run}: none of its commits is sound; {remedy}", *damaged]))
        has_model = any(checkpoint.is_sound(run / name) for name in ("best", "last"))
        return Start(folder, stored=folder or (run if has_model else None), damaged=tuple(damaged))
    if resume:
        folder = Path(resume)
        checkpoint.verify(folder)
        if is_taken and run.resolve() != folder.resolve().parent.parent:
            raise InputError(f"--resume {folder}: something else is in {run}; give a new folder as --output")
        return Start(folder, stored=folder)
    if is_taken and not overwrite:
        raise InputError(f"{run} is not empty; --resume auto goes on with the run there, --overwrite replaces it")
    return Start()


def is_finished(run: Path) -> bool:
    """Whether a run has its metrics.json, which is written last. Raises OSError where that can not be told."""
    try:
        metrics = read_json(run / "metrics.json")
    except (FileNotFoundError, ValueError):  # a file that is empty or broken says nothing
        return False
    return isinstance(metrics, dict) and "best" in metrics


@contextlib.contextmanager
def held(run: Path, accelerator: Accelerator) -> Iterator[None]:
    """Keeps other programs from writing into the run folder. Leaves no folder behind that was made for nothing.

    Raises InputError, on all processes, if another program holds it.
    """
    with contextlib.ExitStack() as stack:

        def hold() -> None:
            with file_errors(run):
                run.mkdir(parents=True, exist_ok=True)
                stack.callback(checkpoint.remove_if_empty, run)
                stack.enter_context(locked(run / LOCK, str(run)))

        decided(accelerator, hold)
        yield


def begin_run(run: Path, config: str, *, is_new: bool) -> None:
    """Makes the run folder this run's. Raises OSError.

    config: its options as YAML; is_new: what is there makes room.
    """
    run.mkdir(parents=True, exist_ok=True)
    if is_new:
        checkpoint.replace_run(run, [*MADE, *([CARD] if own_card(run) is None else [])])
    write_whole(run / checkpoint.CONFIG, config)


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
        kept = state.read_snapshot(folder)
        state.give_back(kept, self.accelerator, self.model, self.optimizer.optimizer, self.scheduler)
        progress = Progress(**{item.name: kept.state[item.name] for item in fields(Progress)})
        with self.accelerator.main_process_first():
            best = progress.best["update"]
            if best and not checkpoint.restore_best(self.run, best):
                say(self.accelerator, f"best/ of update {best} is gone; the next evaluation is the best")
                progress.best = Progress().best
            if self.accelerator.is_main_process:
                checkpoint.forget_after(self.run, progress.update)
                if (metrics := self.run / "metrics.json").exists():  # of the end that is made again
                    checkpoint.set_aside(self.run, metrics)
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
        numbers = {**asdict(progress), "meter": meter.state(), "fingerprint": self.fingerprint}
        taken = state.take(self.accelerator, self.model, self.optimizer.optimizer, self.scheduler, numbers)
        self.last = time.monotonic()
        if self.accelerator.is_main_process:
            config = (self.run / "config.yaml").read_text(encoding="utf-8")
            self.running = self.thread.submit(self.write, taken, config, self.last - begin)

    def write(self, taken: Snapshot, config: str, stopped: float) -> dict[str, Any]:
        """Commits, then prunes. stopped: seconds that training stood still. Returns what there is to log."""
        begin = time.monotonic()
        update = taken.state["update"]

        def files(folder: Path) -> None:
            state.write_snapshot(folder, taken)
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
