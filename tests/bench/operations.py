"""What a training step spends its time on, operation by operation: not part of the suite.

    python -m tests.bench.operations --train-on de --model models/me5-small --data data/panx --lr 2e-4

Prints a table of 10 steps on a CPU, and at which rate matrix products ran within them and alone. Takes the flags of
train.py; what it writes goes to a temporary folder.
"""

import sys
import tempfile
from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import torch
from torch.profiler import ProfilerActivity, profile

import train
from ner.inputs.masks import compute_dtype
from ner.training.job import Job
from ner.training.optimization import clip_gradients
from ner.utils import table
from tests.bench.stages import matmul_rate

FIRST, LAST = 6, 15  # steps; those before allocate and choose kernels
GROUPS = {
    "matrix products": ("mm", "addmm", "bmm"),
    "zeros (gradient of the embedding)": ("fill_", "zero_"),
    "casts and copies": ("copy_",),
    "GELU": ("gelu", "gelu_backward"),
    "random numbers and masks of dropout": ("random_", "ge"),
    "softmax": ("_softmax", "_softmax_backward_data"),
    "LayerNorm": ("native_layer_norm", "native_layer_norm_backward"),
    "AdamW": ("_fused_adamw_",),
    "gradient norm": ("linalg_vector_norm",),
}


class DoneError(Exception):
    """The steps are measured."""


def measure(flags: Sequence[str]) -> tuple[Any, Job, torch.dtype]:
    """The profile of the steps FIRST to LAST of a run, the run, and what it computes in."""
    fit = train.fit
    runs: list[tuple[Job, torch.dtype]] = []
    number = 0
    profiler = profile(activities=[ProfilerActivity.CPU], with_flops=True)

    def fit_measured(config: Any, accelerator: Any, job: Job, *others: Any) -> Any:
        runs.append((job, compute_dtype(accelerator.mixed_precision)))
        return fit(config, accelerator, job, *others)

    def clip_measured(*arguments: Any) -> Any:
        """A step begins and ends where gradients are clipped."""
        nonlocal number
        number += 1
        if number == FIRST - 1:
            profiler.start()
        if number == LAST:
            profiler.stop()
            raise DoneError
        return clip_gradients(*arguments)

    replaced = patch.multiple(train, fit=fit_measured, clip_gradients=clip_measured)
    with tempfile.TemporaryDirectory() as folder, replaced:
        try:
            train.main([*flags, "--output", folder, "--overwrite"])
        except DoneError:
            return profiler.key_averages(), *runs[0]
    raise SystemExit(f"the run has fewer than {LAST} steps")


def main() -> None:
    """Prints the table."""
    events, job, dtype = measure(sys.argv[1:])
    times = {event.key.removeprefix("aten::"): event.self_cpu_time_total for event in events}
    total = sum(times.values())
    rows = [[name, f"{sum(times.get(op, 0) for op in ops) / total:.1%}"] for name, ops in GROUPS.items()]
    known = {op for ops in GROUPS.values() for op in ops}
    rest = sorted(((time, op) for op, time in times.items() if op not in known), reverse=True)
    rows.append([f"{len(rest)} others; the longest, {rest[0][1]}, {rest[0][0] / total:.1%}", ""])
    rows[-1][1] = f"{sum(time for time, _ in rest) / total:.1%}"
    print(table(["operations", "share of the time"], rows))
    products = [event for event in events if event.key.removeprefix("aten::") in GROUPS["matrix products"]]
    rate = sum(event.flops for event in products) / sum(event.self_cpu_time_total for event in products) * 1e6
    steps = LAST - FIRST + 1
    alone = matmul_rate(job.model, 1200, dtype)
    print(f"\n{total / 1e6 / steps:.2f} s a step, {torch.get_num_threads()} threads")
    print(f"matrix products: {rate / 1e9:,.0f} GFLOP/s within steps, {alone / 1e9:,.0f} alone")


if __name__ == "__main__":
    main()
