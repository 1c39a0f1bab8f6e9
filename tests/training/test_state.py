import random
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch.optim import AdamW
from torch.optim.lr_scheduler import LRScheduler
from transformers import get_scheduler

from ner.training.checkpoint import write_folder
from ner.training.state import (
    Snapshot,
    capture_state,
    random_state,
    read_snapshot,
    restore_state,
    set_random_state,
    write_snapshot,
)
from tests.processes import fork_ranks

ROOT = Path(__file__).parent.parent.parent


def draw() -> tuple:
    return torch.rand(3).tolist(), np.random.rand(3).tolist(), [random.random(), random.gauss(0, 1)]  # noqa: NPY002


def test_random_generators_go_on_where_they_were():
    random.gauss(0, 1)  # half of a pair is kept by the generator
    np.random.randn()  # noqa: NPY002
    kept = random_state()
    first = draw()
    assert draw() != first
    set_random_state(kept)
    assert draw() == first


def training() -> tuple[torch.nn.Module, AdamW, LRScheduler]:
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 8), torch.nn.Dropout(0.5), torch.nn.LayerNorm(8), torch.nn.Linear(8, 2)
    )
    optimizer = AdamW(model.parameters(), lr=0.1, fused=True)
    return model, optimizer, get_scheduler("cosine", optimizer, 2, 20)


def step(model, optimizer, scheduler) -> None:
    model(torch.randn(5, 4)).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()
    scheduler.step()


def test_training_goes_on_to_the_last_bit(tmp_path):
    accelerator = Accelerator(cpu=True)
    run = training()
    for _ in range(5):
        step(*run)
    snapshot = capture_state(accelerator, *run, {"step": 5})
    folder = tmp_path / "c"
    write_folder(folder, lambda folder: write_snapshot(folder, snapshot), facts={"step": 5})
    for _ in range(5):
        step(*run)
    other = training()
    restore_state(read_snapshot(folder), accelerator, *other)
    assert other[1].param_groups[0]["lr"] == snapshot.state["scheduler"]["_last_lr"][0]
    for _ in range(5):
        step(*other)
    for mine, theirs in zip(run[0].parameters(), other[0].parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert run[2].get_last_lr() == other[2].get_last_lr()
    assert not any(
        tensor.data_ptr() == p.data_ptr() for tensor in snapshot.tensors.values() for p in run[0].parameters()
    )


def test_another_model_is_refused():
    accelerator, run = Accelerator(cpu=True), training()
    snapshot = capture_state(accelerator, *run, {"step": 0})
    snapshot.tensors["model/3.bias"] = torch.zeros(3)
    with pytest.raises(ValueError, match="other parameters"):
        restore_state(snapshot, accelerator, *run)
    with pytest.raises(ValueError, match="other parameters"):
        restore_state(Snapshot({}, {}), accelerator, *run)


SHARDED = """
import sys, torch, torch.distributed as dist
from accelerate import Accelerator
from torch.distributed.fsdp import fully_shard
from ner.training.optimization import step_if_finite
from ner.training.checkpoint import write_folder
from ner.training.state import capture_state, read_snapshot, restore_state, write_snapshot
from types import SimpleNamespace
from tests.training.test_state import training
from torch.optim import AdamW
from torch.optim.lr_scheduler import LRScheduler
from transformers import get_scheduler
from pathlib import Path

accelerator, folder = Accelerator(cpu=True), Path(sys.argv[1]) / "c"

def sharded():
    model, _, _ = training()
    model.eval()
    mesh = torch.distributed.init_device_mesh("cpu", (2,))
    fully_shard(model, mesh=mesh)
    optimizer = AdamW(model.parameters(), lr=0.1, fused=True)
    return model, optimizer, get_scheduler("cosine", optimizer, 2, 20)

def steps(model, optimizer, scheduler):
    for number in range(3):
        generator = torch.Generator().manual_seed(number * 2 + accelerator.process_index)
        model(torch.randn(5, 4, generator=generator)).square().mean().backward()
        optimizer.step(); optimizer.zero_grad(); scheduler.step()

run = sharded()
steps(*run)
before = [parameter.full_tensor().clone() for parameter in run[0].parameters()]
run[0](torch.full((5, 4), torch.nan if accelerator.process_index else 1.0)).sum().backward()  # on one process alone
norm = torch.nn.utils.clip_grad_norm_(run[0].parameters(), 1.0).full_tensor()
prepared = SimpleNamespace(optimizer=run[1], step=run[1].step, param_groups=run[1].param_groups)
assert not step_if_finite(accelerator, prepared, norm)
run[1].zero_grad()
assert all(torch.equal(a, p.full_tensor()) for a, p in zip(before, run[0].parameters()))
del run[1].found_inf
snapshot = capture_state(accelerator, *run, {"step": 3})
if accelerator.is_main_process:
    assert snapshot.tensors["model/0.weight"].shape == (8, 4)
    assert snapshot.tensors["optimizer/exp_avg/0.weight"].shape == (8, 4)
    write_folder(folder, lambda folder: write_snapshot(folder, snapshot), facts={"step": 3})
dist.barrier()
other = sharded()
restore_state(read_snapshot(folder), accelerator, *other)
steps(*run)
steps(*other)
for mine, theirs in zip(run[0].parameters(), other[0].parameters()):
    assert torch.equal(mine.full_tensor(), theirs.full_tensor())
print("the same")
dist.barrier()
accelerator.end_training()
"""


def test_a_model_sharded_over_two_processes_goes_on_to_the_last_bit(tmp_path):
    assert fork_ranks(2, SHARDED, tmp_path).count("the same") == 2
