"""Around the loop: the accelerator, seeds, messages and the log file."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from accelerate import Accelerator
from torch import Tensor
from tqdm import tqdm

from ner.batching import Update


def start_accelerator(mixed_precision: str, trackers: Sequence[str] = (), folder: Path | None = None) -> Accelerator:
    """The accelerator. mixed_precision: no, fp16, bf16 or auto; folder: where local trackers write.

    Raises ValueError for a precision that the hardware lacks and a tracker that is not installed.
    """
    accelerator = Accelerator(
        mixed_precision=best_precision() if mixed_precision == "auto" else mixed_precision,
        log_with=list(trackers) or None,
        project_dir=folder,
        step_scheduler_with_optimizer=False,
    )
    active = {getattr(tracker, "value", tracker) for tracker in accelerator.log_with}
    for tracker in trackers:
        if tracker not in active:  # Accelerate leaves it out without a word
            raise ValueError(f"--trackers {tracker}: not installed; pip install {tracker}")
    if accelerator.mixed_precision == "fp16" and not accelerator.native_amp:  # Accelerate itself says nothing
        raise ValueError(f"fp16 needs a GPU, and the device is {accelerator.device}; --mixed-precision bf16, or no")
    if accelerator.device.type == "cpu":
        use_idle_cores(int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()  # of loading weights; downloads keep theirs
    return accelerator


def use_idle_cores(num_processes: int) -> None:
    """Computes on all cores where `accelerate launch` and torchrun leave one thread to each process.

    num_processes: on this machine. Both set OMP_NUM_THREADS to 1 when nobody asked for anything; a larger number,
    as of `accelerate launch --num_cpu_threads_per_process 2`, is left alone.
    """
    if os.environ.get("OMP_NUM_THREADS") == "1":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        torch.set_num_threads(max(cores // num_processes, 1))


def best_precision() -> str:
    """What `accelerate launch --mixed_precision` asks for, else the fastest that this hardware computes natively."""
    asked = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if asked != "no":
        return asked
    if torch.cuda.is_available() and os.environ.get("ACCELERATE_USE_CPU", "false").lower() not in ("true", "1"):
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # not in older versions of torch
    return "bf16" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "no"


def say(accelerator: Accelerator, message: str) -> None:
    """A line for the person at the terminal, once, above the progress bar."""
    if accelerator.is_main_process:
        tqdm.write(message, file=sys.stderr)


class JsonLinesLog:
    """log.jsonl: one object per log point, on the main process, flushed at once; trackers get the numbers too."""

    def __init__(self, file: Path, accelerator: Accelerator) -> None:
        self.file = file
        self.accelerator = accelerator

    def write(self, entry: dict[str, Any]) -> None:
        """Appends the entry. `update` is the trackers' step."""
        if self.accelerator.is_main_process:
            with self.file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(entry, ensure_ascii=False) + "\n")
        self.accelerator.log(flat_numbers(entry), step=entry["update"])


class Meter:
    """Loss and throughput between log points, and over the run. Sums stay on the device until they are read."""

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.seconds = self.sentences = self.tokens = self.positions = 0.0
        self.start()

    def start(self) -> None:
        """Begins an interval between log points."""
        self.loss = torch.zeros((), device=self.accelerator.device)
        self.updates = self.interval_sentences = self.interval_tokens = 0
        self.interval_seconds = 0.0
        self.since = time.perf_counter()

    def add(self, update: Update, loss: Tensor) -> None:
        """Counts an update. loss: this process's share, scalar on the device."""
        self.loss += loss
        self.updates += 1
        self.interval_sentences += len(update.sentences)
        self.interval_tokens += update.num_tokens
        self.positions += update.num_positions

    def read(self) -> dict[str, float]:
        """Mean loss, sentences and tokens a second since the last reading, over all processes. Waits for the device."""
        loss = self.accelerator.reduce(self.loss, "mean").item() / self.updates
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
        if self.updates:
            self.read()
        return {
            "training_seconds": round(self.seconds, 2),
            "sentences_per_second": round(self.sentences / self.seconds, 1),
            "tokens_per_second": round(self.tokens / self.seconds, 1),
            "position_efficiency": round(self.tokens / self.positions, 4),
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


def write_json(file: Path, content: Any) -> None:
    """Writes a JSON file that a reader never sees half of."""
    aside = file.with_name(file.name + ".new")
    aside.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    aside.replace(file)
