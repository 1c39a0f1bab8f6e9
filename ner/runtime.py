"""Around the loop: the accelerator, how processes wait for each other, and messages."""

import contextlib
import functools
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
import transformers
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, DistributedType, parse_flag_from_env

from ner.errors import InputError, single_line

Decision = TypeVar("Decision")
logger = logging.getLogger("ner")
NVIDIA = (Path("/dev/nvidia0"), Path("/proc/driver/nvidia"))  # what its driver makes, whatever torch makes of it
# How long a process waits for another that downloads, reads or encodes. Training keeps the timeout of its backend
# (10 minutes with NCCL), so that a process that hangs is noticed.
SETUP_TIMEOUT = timedelta(hours=6)
WORK_TIMEOUT = timedelta(days=365)  # of processes that share work which takes as long as it takes


def start_accelerator(mixed_precision: str, trackers: Sequence[str] = (), folder: Path | None = None) -> Accelerator:
    """The accelerator. mixed_precision: no, fp16, bf16 or auto; folder: where local trackers write.

    Raises InputError for a precision that the hardware lacks and a tracker that is not installed.
    """
    # Else all processes but the first of a machine make a model without weights, of which nothing can be computed.
    os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"
    try:
        accelerator = Accelerator(
            mixed_precision=best_precision() if mixed_precision == "auto" else mixed_precision,
            log_with=list(trackers) or None,
            project_dir=folder,
            step_scheduler_with_optimizer=False,
            # A gradient that lies in its bucket is not copied to it.
            kwargs_handlers=[DistributedDataParallelKwargs(gradient_as_bucket_view=True)],
        )
    except ValueError as error:  # of options and of ACCELERATE_... in the environment
        raise InputError(single_line(error)) from error
    active = {getattr(tracker, "value", tracker) for tracker in accelerator.log_with}
    for tracker in trackers:
        if tracker not in active:  # Accelerate leaves it out without a word
            raise InputError(f"`trackers` {tracker}: not installed; pip install {tracker}")
    if accelerator.mixed_precision == "fp16" and not accelerator.native_amp:  # Accelerate itself says nothing
        raise InputError(f"fp16 needs a GPU, and the device is {accelerator.device}; `mixed_precision` bf16, or no")
    if accelerator.distributed_type == DistributedType.FSDP and not accelerator.is_fsdp2:
        raise InputError(
            "FSDP of version 1 is not supported; accelerate launch --fsdp_version 2, or launch/gpus_fsdp2.sh"
        )
    choose_attention(accelerator.device)
    if accelerator.device.type == "cpu" and (reason := idle_gpu(NVIDIA)):
        warn(accelerator, f"note: {reason}")
    use_idle_cores(int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()  # of loading weights; downloads keep theirs
    return accelerator


def choose_attention(device: torch.device) -> None:
    """On CUDA, attention without cuDNN's kernel: it plans anew for each shape, and texts have many."""
    if device.type == "cuda":
        torch.backends.cuda.enable_cudnn_sdp(False)


def end(accelerator: Accelerator, status: int) -> None:
    """Ends trackers and process group. A process that has failed ends at once, by that status, if there are others.

    They may wait for it within a collective operation. To end the group of NCCL is one, too: it would wait for them.
    The launcher ends them.
    """
    if status and accelerator.num_processes > 1:
        for tracker in accelerator.trackers:
            tracker.finish()
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    accelerator.end_training()


def start_trackers(accelerator: Accelerator, options: dict[str, Any]) -> None:
    """Starts the trackers, with the run's options. Raises InputError for one that cannot be: without a login, say."""
    plain = {name: value if isinstance(value, int | float | str) else str(value) for name, value in options.items()}
    try:
        accelerator.init_trackers("ner", config=plain)
    except Exception as error:  # of packages that are not ours, each with errors of its own
        names = ", ".join(str(getattr(tracker, "value", tracker)) for tracker in accelerator.log_with)
        raise InputError(f"`trackers` {names}: {single_line(error) or repr(error)}") from error


def is_cpu_requested() -> bool:
    """Whether the environment chooses the CPU: `accelerate launch --cpu`, or by hiding the GPUs."""
    if parse_flag_from_env("ACCELERATE_USE_CPU") or os.environ.get("ACCELERATE_TORCH_DEVICE") == "cpu":
        return True
    return os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1")


def idle_gpu(places: Sequence[Path]) -> str | None:
    """Why the CPU computes on a machine with an NVIDIA GPU. None without one, where it computes, or for who asked so.

    places: of which a driver makes one at least. torch and Accelerate take the CPU then without a word.
    """
    there = next((place for place in places if place.exists()), None)
    if there is None or torch.cuda.is_available() or is_cpu_requested():
        return None
    if torch.version.cuda is None:
        reason = f"torch {torch.__version__} is a build without CUDA"
    else:
        try:
            torch.cuda.init()
            reason = f"CUDA {torch.version.cuda} does not start: it finds no GPU"
        except RuntimeError as error:  # it names the driver's version
            reason = f"CUDA {torch.version.cuda} does not start: {single_line(error)}"
    return (
        f"{there} is an NVIDIA GPU, and the CPU computes: {reason} (docs/platforms.md; CPU alone: ACCELERATE_USE_CPU=1)"
    )


def use_idle_cores(num_processes: int) -> None:
    """Computes on all cores where `accelerate launch` and torchrun leave one thread to each process.

    With a GPU, too: the model is checked before it moves there. num_processes: on this machine. Both set
    OMP_NUM_THREADS to 1 when nobody asked for anything; a larger number, as of `accelerate launch
    --num_cpu_threads_per_process 2`, is left alone.
    """
    if os.environ.get("OMP_NUM_THREADS") == "1":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        torch.set_num_threads(max(cores // num_processes, 1))


def best_precision(device_type: str | None = None) -> str:
    """What `accelerate launch --mixed_precision` asks for, else the fastest that this hardware computes natively.

    device_type: cpu, cuda, ...; None for the one that Accelerate chooses.
    """
    requested = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if requested != "no":
        return requested
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
    answer: Any = None
    problem = ""
    if accelerator.is_main_process:
        try:
            answer = decide()
        except InputError as error:
            problem = str(error)
    if group := host_group():
        shared: list[Any] = [answer, problem]
        dist.broadcast_object_list(shared, group=group)
        answer, problem = shared
    if problem:
        raise InputError(problem)
    return cast(Decision, answer)


def of_everyone(check: Callable[[], object]) -> None:
    """Checks something on all processes. The InputError of the first that raises one is raised on all."""
    group = host_group()
    if group is None:
        check()
        return
    problem = ""
    try:
        check()
    except InputError as error:
        problem = str(error)
    problems: list[str] = [""] * dist.get_world_size()
    dist.all_gather_object(problems, problem, group=group)
    if first := next(filter(None, problems), ""):
        raise InputError(first)


def host_group(timeout: timedelta = SETUP_TIMEOUT) -> dist.ProcessGroup | None:
    """All processes, connected over the CPU; None for one process. Called by all of them.

    timeout: how long one of them waits for another.
    """
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return None
    return group_beside(dist.group.WORLD, timeout)


@functools.lru_cache(maxsize=2)
def group_beside(_: dist.ProcessGroup, timeout: timedelta) -> dist.ProcessGroup:
    """A group over the CPU of the processes of the default one, which may be over NCCL. Made once."""
    return dist.new_group(backend="gloo", timeout=timeout)


def wait_for_everyone() -> None:
    """Until all processes have come here, SETUP_TIMEOUT at most."""
    if group := host_group():
        dist.barrier(group=group)


def gathered(item: Decision, meanwhile: Callable[[], object]) -> list[Decision]:
    """What all processes give, by rank, on each of them; one may come much later than another.

    meanwhile: called now and then, at last twice a second, until all have come; a signal is taken then, too. Raises
    ConnectionError if a process has ended before.
    """
    group = host_group(WORK_TIMEOUT)
    if group is None:
        return [item]
    found: list[Any] = [None] * dist.get_world_size()
    pause = 0.01
    try:
        everyone = dist.barrier(group=group, async_op=True)
        assert everyone is not None
        while not everyone.is_completed():
            meanwhile()
            time.sleep(pause)
            pause = min(2 * pause, 0.5)
        everyone.wait()
        dist.all_gather_object(found, item, group=group)
    except RuntimeError as error:
        raise ConnectionError(f"another process has ended before its work was done ({single_line(error)})") from error
    return found


@contextlib.contextmanager
def main_process_first(accelerator: Accelerator, *, per_machine: bool = True) -> Iterator[None]:
    """The main process does what is within before the others do: it fills the caches, and they read them.

    per_machine: the main process of each machine.
    """
    is_first = accelerator.is_local_main_process if per_machine else accelerator.is_main_process
    if not is_first:
        wait_for_everyone()
    yield
    if is_first:
        wait_for_everyone()


def say(accelerator: Accelerator, message: str, level: int = logging.INFO) -> None:
    """Logs a message once, on the main process, as `ner`: the command line shows it above the progress bar."""
    if accelerator.is_main_process:
        logger.log(level, message)


def warn(accelerator: Accelerator, message: str) -> None:
    """`say` what went wrong, and does not end the run: a program that embeds this shows it, too."""
    say(accelerator, message, logging.WARNING)
