"""What a run was made with, for metrics.json and the model card: versions, device, processes, commit of the code."""

import functools
import os
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import ner

PACKAGES = ("torch", "accelerate", "transformers", "datasets", "seqeval")
CPU_INFO = Path("/proc/cpuinfo")
GIT_SECONDS = 5.0  # in which git has to answer
ELSEWHERE = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"}  # variables that name another repository, as within a hook


def environment(device: torch.device, num_processes: int = 1) -> dict[str, Any]:
    """Versions, name of the device, number of processes, and `git` as of `checkout`. None for what is not known."""
    return {"versions": versions(), "device": device_name(device), "processes": num_processes, "git": checkout()}


def versions() -> dict[str, str | None]:
    """Of Python, this package and the packages that decide a result; None for one that is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version(), "crosslingual-ner": ner.__version__}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def device_name(device: torch.device) -> str:
    """The name of the GPU, or of the processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type != "cpu":
        return device.type
    lines = CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines() if CPU_INFO.is_file() else []
    names = [
        value.strip() for name, _, value in (line.partition(":") for line in lines) if name.strip() == "model name"
    ]
    return names[0] if names else platform.processor() or platform.machine()


@functools.cache
def checkout() -> dict[str, Any] | None:
    """`git_state` of this package when it was first asked for: at the start of a run, since code changes meanwhile."""
    return git_state(Path(ner.__file__).parent)


def git_state(package: Path, seconds: float = GIT_SECONDS) -> dict[str, Any] | None:
    """`commit` of the checkout that a package is in, and `dirty`: whether tracked files have other changes.

    None without git, without a repository, in one that does not track the package (an environment within somebody's
    repository), and where git takes longer than these seconds; `dirty` alone is None where that takes too long.
    """
    deadline = time.monotonic() + seconds
    variables = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    variables["GIT_OPTIONAL_LOCKS"] = "0"  # reads alone: nothing is written into the repository

    def git(*arguments: str) -> str | None:
        try:
            return subprocess.run(
                ["git", "-C", str(package), *arguments],
                env=variables,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=True,
                encoding="utf-8",
                errors="replace",
                timeout=max(deadline - time.monotonic(), 0.0),
            ).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            return None

    if git("ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    commit = git("rev-parse", "HEAD")
    if not commit:
        return None
    changes = git("status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}
