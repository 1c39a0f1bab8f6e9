"""fp16 with a GradScaler, the whole loop: on a CPU, through an accelerator that does what Accelerate does on GPUs."""

import json
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from torch.optim import AdamW

from ner import runtime
from ner.training import checkpoint
from ner.training.checkpointer import Checkpointer
from ner.training.optimization import clip_gradients, step_if_finite
from ner.training.state import read_snapshot
from tests.accelerators import SCALE, Fp16Accelerator
from tests.runs import train_run
from tests.test_train import same, weights

FLAGS = "--mixed-precision fp16 --train-on de --epochs 1 --batch-size 40 --max-train-sentences 480 --log-every 4"


@pytest.fixture(autouse=True)
def _fp16_on_a_cpu(monkeypatch):
    monkeypatch.setattr(runtime, "Accelerator", Fp16Accelerator)


def log_of(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def whole(narrow_encoder, corpus_folder, tmp_path_factory):
    """A run of 12 steps with a checkpoint after each of the first steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "Accelerator", Fp16Accelerator)
        run = tmp_path_factory.mktemp("fp16") / "run"
        train_run(narrow_encoder, corpus_folder, run, f"{FLAGS} --checkpoint-every 1 --keep 20")
    return run


def test_overflows_halve_the_scale_and_change_nothing_else(whole):
    entries = log_of(whole)
    overflows = [entry["step"] for entry in entries if "overflow" in entry]
    assert 0 < len(overflows) < 12
    assert overflows == list(range(1, len(overflows) + 1))  # until the scale has settled
    assert not [entry for entry in entries if "not_finite" in entry]  # nothing is wrong with these sentences
    metrics = json.loads((whole / "metrics.json").read_text(encoding="utf-8"))
    assert (metrics["overflows"], metrics["bad_steps"]) == (len(overflows), 0)
    snapshots = {step: read_snapshot(checkpoint.of_step(whole, step)) for step in (1, len(overflows), 12)}
    for step in (1, len(overflows)):
        assert snapshots[step].state["scaler"]["scale"] == SCALE / 2**step
        assert all(not value.any() for value in snapshots[step].under("optimizer/").values())  # moments, step numbers
    assert same(snapshots[1].under("model/"), snapshots[len(overflows)].under("model/"))
    steps = [value for name, value in snapshots[12].under("optimizer/").items() if name.startswith("step/")]
    assert {float(value) for value in steps} == {12 - len(overflows)}


def test_an_interval_of_overflows_has_no_loss(whole):
    points = [entry for entry in log_of(whole) if "loss" in entry]
    assert [entry["step"] for entry in points] == [4, 8, 12]
    assert points[0]["loss"] is None
    assert points[0]["loss_scale"] == SCALE / 16
    assert 0 < points[-1]["loss"] < 3


def test_a_run_that_is_stopped_goes_on_to_the_last_bit(whole, narrow_encoder, corpus_folder, tmp_path, monkeypatch):
    after_step = Checkpointer.after_step

    def interrupt(self, point, progress, meter, log, signals):
        if progress.step == 9:
            signals.asked_by = "SIGTERM"
        after_step(self, point, progress, meter, log, signals)

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Checkpointer, "after_step", interrupt)
        with pytest.raises(SystemExit) as caught:
            train_run(narrow_encoder, corpus_folder, run, FLAGS)
    assert caught.value.code == 75
    train_run(narrow_encoder, corpus_folder, run, f"{FLAGS} --resume auto")
    assert same(weights(whole), weights(run))
    assert same(weights(whole, "best"), weights(run, "best"))
    scales = [[entry["loss_scale"] for entry in log_of(folder) if "loss" in entry] for folder in (whole, run)]
    assert scales[0] == scales[1]


@pytest.mark.parametrize("size", [1e30, 3e37, torch.inf, torch.nan])
def test_a_finite_gradient_whose_norm_overflows_is_skipped(size):
    """Elements are finite and the sum of their squares is not: clipping makes them 0, and AdamW would step on that."""
    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Fp16Accelerator(mixed_precision="fp16")
    accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    model = torch.nn.Linear(2, 1, bias=False)
    model, optimizer = accelerator.prepare(model, AdamW(model.parameters(), lr=0.1, fused=True))
    for gradient, scale, steps in (([1.0, 2.0], 2.0, 1), ([size, size], 1.0, 1), ([1.0, 0.0], 1.0, 2)):
        before = model.weight.detach().clone()
        accelerator.scaler.scale(torch.zeros(()))  # as backward does
        model.weight.grad = torch.tensor([gradient])
        norm = clip_gradients(accelerator, model, 1.0)
        is_finite = bool(step_if_finite(accelerator, optimizer, norm))
        optimizer.zero_grad()
        assert is_finite == (gradient != [size, size])
        assert torch.equal(model.weight, before) != is_finite
        assert accelerator.scaler.get_scale() == scale
        assert optimizer.state[model.weight]["step"].item() == steps
    AcceleratorState._reset_state(reset_partial_state=True)
