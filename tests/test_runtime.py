import json
import os

import pytest
import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from torch.utils._python_dispatch import TorchDispatchMode

from ner import runtime
from ner.training import metrics_log
from ner.training.optimization import step_if_finite
from tests.processes import fork


def test_the_launcher_decides_the_precision(monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    assert runtime.best_precision() == "bf16"
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    assert runtime.best_precision() == "no"
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert runtime.best_precision() == "bf16"


def test_one_thread_from_the_launcher_is_not_one_core(tmp_path):
    code = """
import torch
from ner.runtime import start_accelerator
start_accelerator("no")
print(torch.get_num_threads())
"""

    def threads(asked, processes="1"):
        _, output = fork(code, env={"OMP_NUM_THREADS": asked, "LOCAL_WORLD_SIZE": processes})
        return int(output.splitlines()[-1])

    cores = len(os.sched_getaffinity(0))
    assert threads("1") == cores
    assert threads("1", processes="1000") == 1


def test_nested_numbers_for_trackers():
    entry = {"step": 3, "validation": {"f1": 0.5, "languages": {"de": {"f1": 0.4}}}, "note": "x"}
    assert metrics_log.flat_numbers(entry) == {"step": 3, "validation/f1": 0.5, "validation/languages/de/f1": 0.4}


def test_log_appends_one_object_a_line(tmp_path):
    log = metrics_log.JsonLinesLog(tmp_path / "log.jsonl", Accelerator(cpu=True))
    log.write({"step": 1, "loss": 0.5})
    log.write({"step": 2, "loss": 0.25})
    assert [json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()] == [
        0.5,
        0.25,
    ]


def test_log_of_a_run_that_was_killed_goes_on(tmp_path):
    file = tmp_path / "log.jsonl"
    file.write_bytes(b'{"step": 1}\n{"step": 2}\n{"step": 3}\n\x00\x00\n{"upda')
    metrics_log.JsonLinesLog(file, Accelerator(cpu=True), resumed_at=2).write({"step": 3, "again": True})
    assert [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] == [
        {"step": 1},
        {"step": 2},
        {"step": 3, "again": True},
    ]


@pytest.mark.parametrize("fused", [True, False])
def test_a_step_on_a_gradient_that_is_not_finite_changes_nothing(fused):
    accelerator = Accelerator(cpu=True)
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = accelerator.prepare(torch.optim.AdamW([weight], lr=0.1, fused=fused))

    def step(gradient: list[float]) -> bool:
        weight.grad = torch.tensor(gradient)
        return bool(step_if_finite(accelerator, optimizer, weight.grad.norm()))

    assert step([1.0, 2.0, 3.0])
    before, state = weight.detach().clone(), {k: v.clone() for k, v in optimizer.state[weight].items()}
    for bad in (torch.nan, torch.inf):
        assert not step([1.0, bad, 3.0])
        assert torch.equal(weight, before)
        assert all(torch.equal(value, optimizer.state[weight][key]) for key, value in state.items())
    assert step([1.0, 2.0, 3.0])
    assert not torch.equal(weight, before)


class HostReads(TorchDispatchMode):
    """Counts the tensors that are read back from the device."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_the_loss_scaling_of_fp16_reads_nothing_back():
    """With fused AdamW, which is what train.py has on GPUs: the step is skipped on the device."""
    accelerator = Accelerator(cpu=True)
    accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = AcceleratedOptimizer(torch.optim.AdamW([weight], lr=0.1, fused=True), scaler=accelerator.scaler)
    before = weight.detach().clone()
    for factor in (torch.inf, 1.0):
        accelerator.scaler.scale((weight * factor).sum()).backward()
        assert weight.grad is not None
        with HostReads() as reads:
            accelerator.scaler.unscale_(optimizer.optimizer)
            is_finite = step_if_finite(accelerator, optimizer, weight.grad.norm())
            optimizer.zero_grad()
        assert reads.count == 0
        assert torch.equal(weight, before) != is_finite
    assert not torch.equal(weight, before)


def test_log_is_legal_json_and_its_lines_end_at_newlines_alone(tmp_path):
    """A type name may hold what `str.splitlines` takes for an end: U+2028, and a loss may be infinite."""
    file = tmp_path / "log.jsonl"
    entry = {
        "step": 1,
        "loss": float("inf"),
        "grad_norm": float("nan"),
        "validation": {"per_type": {"A\u2028B": [1.5]}},
    }
    metrics_log.JsonLinesLog(file, Accelerator(cpu=True)).write(entry)
    metrics_log.JsonLinesLog(file, Accelerator(cpu=True), resumed_at=1).write({"step": 2})
    first, second, rest = file.read_text(encoding="utf-8").split("\n")
    assert json.loads(first, parse_constant=pytest.fail) == entry | {"loss": None, "grad_norm": None}
    assert (json.loads(second), rest) == ({"step": 2}, "")
