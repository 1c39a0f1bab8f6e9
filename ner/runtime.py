"""Around the loop: the accelerator, seeds, messages and the log file."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
import transformers
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from accelerate.utils import broadcast_object_list, parse_flag_from_env
from torch import Tensor
from torch.distributed.tensor import DTensor
from tqdm import tqdm

from ner.data.faults import InputError, harmless, one_line
from ner.files import to_json_line, write_whole
from ner.inputs.batching import Update

Decision = TypeVar("Decision")
NVIDIA = (Path("/dev/nvidia0"), Path("/proc/driver/nvidia"))  # what its driver makes, whatever torch makes of it


def start_accelerator(mixed_precision: str, trackers: Sequence[str] = (), folder: Path | None = None) -> Accelerator:
    """The accelerator. mixed_precision: no, fp16, bf16 or auto; folder: where local trackers write.

    Raises InputError for a precision that the hardware lacks and a tracker that is not installed.
    """
    try:
        accelerator = Accelerator(
            mixed_precision=best_precision() if mixed_precision == "auto" else mixed_precision,
            log_with=list(trackers) or None,
            project_dir=folder,
            step_scheduler_with_optimizer=False,
        )
    except ValueError as error:  # of options and of ACCELERATE_... in the environment
        raise InputError(one_line(error)) from error
    active = {getattr(tracker, "value", tracker) for tracker in accelerator.log_with}
    for tracker in trackers:
        if tracker not in active:  # Accelerate leaves it out without a word
            raise InputError(f"--trackers {tracker}: not installed; pip install {tracker}")
    if accelerator.mixed_precision == "fp16" and not accelerator.native_amp:  # Accelerate itself says nothing
        raise InputError(f"fp16 needs a GPU, and the device is {accelerator.device}; --mixed-precision bf16, or no")
    if accelerator.device.type == "cpu":
        if reason := idle_gpu(NVIDIA):
            say(accelerator, f"note: {reason}")
        use_idle_cores(int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()  # of loading weights; downloads keep theirs
    return accelerator


def start_trackers(accelerator: Accelerator, options: dict[str, Any]) -> None:
    """Starts the trackers, with the run's options. Raises InputError for one that can not be: without a login, say."""
    plain = {name: value if isinstance(value, int | float | str) else str(value) for name, value in options.items()}
    try:
        accelerator.init_trackers("ner", config=plain)
    except Exception as error:  # of packages that are not ours, each with errors of its own
        names = ", ".join(str(getattr(tracker, "value", tracker)) for tracker in accelerator.log_with)
        raise InputError(f"--trackers {names}: {one_line(error) or repr(error)}") from error


def is_cpu_asked_for() -> bool:
    """Whether the environment chooses the CPU: `accelerate launch --cpu`, or by hiding the GPUs."""
    if parse_flag_from_env("ACCELERATE_USE_CPU") or os.environ.get("ACCELERATE_TORCH_DEVICE") == "cpu":
        return True
    return os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1")


def idle_gpu(places: Sequence[Path]) -> str | None:
    """Why the CPU computes on a machine with an NVIDIA GPU. None without one, where it computes, or for who asked so.

    places: of which a driver makes one at least. torch and Accelerate take the CPU then without a word.
    """
    there = next((place for place in places if place.exists()), None)
    if there is None or torch.cuda.is_available() or is_cpu_asked_for():
        return None
    if torch.version.cuda is None:
        reason = f"torch {torch.__version__} is a build without CUDA"
    else:
        try:
            torch.cuda.init()
            reason = f"CUDA {torch.version.cuda} does not start: it finds no GPU"
        except RuntimeError as error:  # it names the driver's version
            reason = f"CUDA {torch.version.cuda} does not start: {one_line(error)}"
    return (
        f"{there} is an NVIDIA GPU, and the CPU computes: {reason} (README: Platforms; CPU alone: ACCELERATE_USE_CPU=1)"
    )


def use_idle_cores(num_processes: int) -> None:
    """Computes on all cores where `accelerate launch` and torchrun leave one thread to each process.

    num_processes: on this machine. Both set OMP_NUM_THREADS to 1 when nobody asked for anything; a larger number,
    as of `accelerate launch --num_cpu_threads_per_process 2`, is left alone.
    """
    if os.environ.get("OMP_NUM_THREADS") == "1":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        torch.set_num_threads(max(cores // num_processes, 1))


def best_precision(device_type: str | None = None) -> str:
    """What `accelerate launch --mixed_precision` asks for, else the fastest that this hardware computes natively.

    device_type: cpu, cuda, ...; None for the one that Accelerate chooses.
    """
    asked = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if asked != "no":
        return asked
    if device_type is None:
        device_type = "cuda" if torch.cuda.is_available() and not parse_flag_from_env("ACCELERATE_USE_CPU") else "cpu"
    if device_type not in ("cpu", "cuda"):
        return "no"
    if device_type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # not in older versions of torch
    return "bf16" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "no"


def decided(accelerator: Accelerator, decide: Callable[[], Decision]) -> Decision:
    """What the main process decides, on all of them. The InputError that it raises is raised on all, too."""
    answer, problem = None, ""
    if accelerator.is_main_process:
        try:
            answer = decide()
        except InputError as error:
            problem = str(error)
    answer, problem = broadcast_object_list([answer, problem])
    if problem:
        raise InputError(problem)
    return cast(Decision, answer)


def say(accelerator: Accelerator, message: str) -> None:
    """A line for the person at the terminal, once, above the progress bar."""
    if accelerator.is_main_process:
        tqdm.write(harmless(message), file=sys.stderr)


class JsonLinesLog:
    """log.jsonl: one object per log point, on the main process, flushed at once; trackers get the numbers too."""

    def __init__(self, file: Path, accelerator: Accelerator, resumed_at: int = 0) -> None:
        """resumed_at: update after which a run goes on; what was logged behind it is dropped."""
        self.file = file
        self.accelerator = accelerator
        if accelerator.is_main_process and file.exists():
            kept = []
            for line in file.read_text(encoding="utf-8", errors="replace").split("\n"):
                with contextlib.suppress(
                    ValueError, KeyError, TypeError, RecursionError
                ):  # half a line, of a run that was killed
                    if json.loads(line)["update"] <= resumed_at:
                        kept.append(line + "\n")
            write_whole(file, "".join(kept))

    def write(self, entry: dict[str, Any]) -> None:
        """Appends the entry. `update` is the trackers' step."""
        if self.accelerator.is_main_process:
            with self.file.open("a", encoding="utf-8") as lines:
                lines.write(to_json_line(entry))
        self.accelerator.log(flat_numbers(entry), step=entry["update"])

    def write_bad(self, updates: Sequence[tuple[int, Update]]) -> None:
        """Logs updates whose gradient was not finite, with their sentences: rows of the joined training sentences."""
        for number, update in updates:
            self.write({"update": number, "not_finite": {"sentences": update.sentences.tolist()}})
            say(self.accelerator, f"update {number}: its gradient is not finite; the weights stay as they are")


class Meter:
    """Loss and throughput between log points, and over the run. Sums stay on the device until they are read.

    An update whose gradient is not finite counts in throughput, but not in the loss.
    """

    def __init__(self, accelerator: Accelerator, state: dict[str, Any] | None = None) -> None:
        """state: of a meter that is gone, as `state` gave it."""
        self.accelerator = accelerator
        self.seconds = self.sentences = self.tokens = self.positions = 0.0
        self.bad_updates = self.bad_in_a_row = 0
        self.start()
        for name, value in (state or {}).items():
            setattr(self, name, torch.tensor(value, device=accelerator.device) if name == "loss" else value)

    def start(self) -> None:
        """Begins an interval between log points."""
        self.loss = torch.zeros((), device=self.accelerator.device)
        self.updates = self.interval_sentences = self.interval_tokens = 0
        self.interval_seconds = 0.0
        self.unread: list[tuple[int, Update, Tensor]] = []
        self.since = time.perf_counter()

    def add(self, number: int, update: Update, loss: Tensor, is_finite: Tensor) -> None:
        """Counts an update. loss: this process's share; is_finite: of all processes' gradient; both on the device."""
        self.loss += torch.where(is_finite, loss, 0.0)
        self.unread.append((number, update, is_finite))
        self.interval_sentences += len(update.sentences)
        self.interval_tokens += update.num_tokens
        self.positions += update.num_positions

    def read_bad(self) -> list[tuple[int, Update]]:
        """The updates since the last call whose gradient was not finite, with their numbers. Waits for the device."""
        unread, self.unread = self.unread, []
        bad = []
        flags = torch.stack([is_finite for _, _, is_finite in unread]).tolist() if unread else []
        for (number, update, _), is_finite in zip(unread, flags, strict=True):
            self.updates += is_finite
            self.bad_updates += not is_finite
            self.bad_in_a_row = 0 if is_finite else self.bad_in_a_row + 1
            if not is_finite:
                bad.append((number, update))
        return bad

    def read(self) -> dict[str, float]:
        """Mean loss, sentences and tokens a second since the last reading, over all processes, after `read_bad`."""
        loss = self.accelerator.reduce(self.loss, "mean").item() / max(self.updates, 1)
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

    def state(self) -> dict[str, Any]:
        """Plain numbers that a new meter goes on from, after `read_bad`. Waits for the device, and all processes."""
        names = ("seconds", "sentences", "tokens", "positions", "bad_updates", "bad_in_a_row", "updates",
                 "interval_sentences", "interval_tokens")  # fmt: skip
        return {
            **{name: getattr(self, name) for name in names},
            "loss": self.accelerator.reduce(self.loss, "mean").item(),
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
            "bad_updates": self.bad_updates,
        }


def clip(accelerator: Accelerator, model: torch.nn.Module, max_norm: float) -> Tensor:
    """Clips the gradient; returns its norm before, over all parameters and processes, a scalar on the device."""
    norm = accelerator.clip_grad_norm_(model.parameters(), max_norm)
    return norm.full_tensor() if isinstance(norm, DTensor) else norm


def step_if_finite(accelerator: Accelerator, optimizer: AcceleratedOptimizer, grad_norm: Tensor) -> Tensor:
    """An optimizer step that leaves weights and state alone if the gradient is not finite.

    grad_norm: scalar over all parameters and processes, the same on all of them. Returns bool, a scalar on the device.
    Fused AdamW takes the flag on the device, without a host sync, as it does from a GradScaler; with fp16 it is the
    scaler that gives it.
    """
    is_finite = torch.isfinite(grad_norm)
    is_fused = bool(optimizer.param_groups[0].get("fused"))
    if accelerator.scaler is None and is_fused:
        optimizer.optimizer.found_inf = (~is_finite).float()
    if accelerator.scaler is not None or is_fused or is_finite:  # host sync: on devices without a fused AdamW
        optimizer.step()
    return is_finite


def flat_numbers(entry: dict[str, Any], prefix: str = "") -> dict[str, float]:
    """Nested numbers under names like `languages/de/f1`."""
    flat: dict[str, float] = {}
    for key, value in entry.items():
        if isinstance(value, dict):
            flat |= flat_numbers(value, f"{prefix}{key}/")
        elif isinstance(value, int | float):
            flat[prefix + key] = value
    return flat
