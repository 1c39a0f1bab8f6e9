"""Processes that train together: sharded as replicated, waiting for one that is slow, and hangs that show."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests import accelerators
from tests.processes import fork_ranks
from tests.test_train import same, weights

FLAGS = "--train-on de --batch-size 32 --lr 2e-3 --max-steps 8 --evaluate-every 4 --log-every 2 --mixed-precision no"

TRAIN = """
import sys
from tests import accelerators
from ner.training.checkpointer import Checkpointer
import train

accelerator, stop, *flags = sys.argv[1:]
if accelerator != "replicated":
    accelerators.use(accelerators.ShardedAccelerator)
if accelerator == "wrapped as Accelerate does":
    from ner.training import distributed
    distributed.shard_by_layer = lambda plugin, model: None
if stop != "-":  # within the evaluation after this step, by a signal to one process
    check = train.SignalHandler.check

    def interrupt(self, _=None):
        if self.group is not None and train.torch.distributed.get_rank() == 1 and self.step == int(stop):
            self.asked_by = "SIGTERM"
        check(self)

    after_step = Checkpointer.after_step

    def note(self, point, progress, meter, log, signals):
        signals.step = progress.step + 1
        after_step(self, point, progress, meter, log, signals)

    train.SignalHandler.step, train.SignalHandler.check, Checkpointer.after_step = 0, interrupt, note
train.main(flags)
"""


@pytest.fixture(scope="module")
def arguments(narrow_encoder, corpus_folder) -> list[str]:
    return ["--model", str(narrow_encoder), "--data", str(corpus_folder), *FLAGS.split()]


def losses(run: Path) -> list[tuple[float, float]]:
    entries = map(json.loads, (run / "log.jsonl").read_text(encoding="utf-8").splitlines())
    return [(entry["loss"], entry["grad_norm"]) for entry in entries if "loss" in entry]


@pytest.fixture(scope="module")
def sharded(arguments, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("sharded") / "run"
    fork_ranks(2, TRAIN, "sharded", "-", *arguments, "--output", run)
    return run


def test_a_sharded_model_trains_as_a_replicated_one(sharded, arguments, tmp_path):
    fork_ranks(2, TRAIN, "replicated", "-", *arguments, "--output", tmp_path / "run")
    for ours, theirs in zip(losses(sharded), losses(tmp_path / "run"), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)
    replicated = weights(tmp_path / "run")
    assert max(float((replicated[name] - value).abs().max()) for name, value in weights(sharded).items()) < 1e-5


def test_a_sharded_run_goes_on_after_a_stop_within_an_evaluation(sharded, arguments, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(AssertionError, match=r"statuses \[75, 75\]"):
        fork_ranks(2, TRAIN, "sharded", "4", *arguments, "--output", run)
    (_,) = (run / "checkpoints").glob("step-*4")
    fork_ranks(2, TRAIN, "sharded", "-", *arguments, "--output", run, "--resume", "auto")
    assert losses(run) == losses(sharded)
    assert same(weights(sharded), weights(run))
    assert load_file(run / "best" / "model.safetensors").keys() == weights(run).keys()


def test_three_processes_go_on_as_if_never_stopped(arguments, tmp_path):
    """To the last bit: from 3 on, it shows in which order the gradient's parts were added up."""
    flags = [*arguments, "--log-every", "3"]  # stopped after step 4, between two points
    fork_ranks(3, TRAIN, "replicated", "-", *flags, "--output", tmp_path / "whole")
    run = tmp_path / "run"
    with pytest.raises(AssertionError, match=r"statuses \[75, 75, 75\]"):
        fork_ranks(3, TRAIN, "replicated", "4", *flags, "--output", run)
    fork_ranks(3, TRAIN, "replicated", "-", *flags, "--output", run, "--resume", "auto")
    assert losses(run) == losses(tmp_path / "whole")
    assert same(weights(run), weights(tmp_path / "whole"))


HALF = """
import sys
from tests import accelerators
accelerators.use(accelerators.ShardedAccelerator)
import train
train.main(sys.argv[1:])
"""


def test_a_sharded_model_in_fp16_skips_overflows_on_all_processes(arguments, tmp_path):
    run = tmp_path / "run"
    flags = "--mixed-precision fp16 --max-steps 12 --evaluate-every 12 --log-every 4".split()
    fork_ranks(2, HALF, *arguments, *flags, "--output", run)
    entries = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    overflows = [entry["step"] for entry in entries if "overflow" in entry]
    assert overflows == list(range(1, len(overflows) + 1))
    points = [entry for entry in entries if "loss" in entry]
    assert points[-1]["loss_scale"] == accelerators.SCALE / 2 ** len(overflows)
    assert points[-1]["loss"] < 2
    assert all(value.isfinite().all() for value in weights(run).values())


REPLICATED = """
from ner.runtime import start_accelerator
from ner.training.distributed import prepare
import torch

accelerator = start_accelerator("no")
model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
prepared, _ = prepare(accelerator, model, torch.optim.AdamW(model.parameters()))
assert not prepared.broadcast_buffers
assert prepared.gradient_as_bucket_view
print("replicated")
accelerator.end_training()
"""


SHARDED = """
import sys
from tests import accelerators
accelerators.use(accelerators.ShardedAccelerator)
import torch
from ner.modeling.model import build_model
from ner.runtime import start_accelerator
from ner.training.distributed import prepare
from tests.conftest import TAGS

accelerator = start_accelerator("bf16")
model = build_model(sys.argv[1], TAGS, 0)
assert not any(tensor.is_meta for tensor in model.parameters())
prepare(accelerator, model, torch.optim.AdamW(model.parameters()))
policy = accelerator.state.fsdp_plugin.mixed_precision_policy
print("computes in", policy.param_dtype, "and adds up in", policy.reduce_dtype)
accelerator.end_training()
"""


def test_sharded_gradients_are_added_up_in_fp32_and_all_processes_have_weights(narrow_encoder):
    """With what `accelerate launch --use_fsdp` sets."""
    env = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_CPU_RAM_EFFICIENT_LOADING": "true"}
    said = fork_ranks(2, SHARDED, narrow_encoder, env=env)
    assert said.count("computes in torch.bfloat16 and adds up in torch.float32") == 2


ALONE = """
import os, sys, torch
from ner.runtime import end, start_accelerator
from tests.processes import left, wait_until

accelerator = start_accelerator("no")
destroy = torch.distributed.destroy_process_group

def together(group=None):  # as NCCL does
    torch.distributed.barrier()
    destroy(group)

torch.distributed.destroy_process_group = together
sessions = accelerator.gather(torch.tensor([os.getsid(0)]))
if accelerator.is_main_process:
    print("failed", flush=True)
    end(accelerator, int(sys.argv[1]))
else:
    wait_until(lambda: not left(int(sessions[0])), seconds=30)  # it does something else
    print("the other has ended")
    sys.stdout.flush()
    os._exit(0)
"""


def test_a_process_that_fails_alone_waits_for_no_other(tmp_path):
    with pytest.raises(AssertionError, match=r"statuses \[1, 0\]\n(.|\n)*failed\n(.|\n)*the other has ended"):
        fork_ranks(2, ALONE, 1)


def test_no_buffer_is_broadcast_and_no_gradient_copied():
    assert fork_ranks(2, REPLICATED).count("replicated") == 2


def test_the_classes_that_accelerate_would_shard_can_not_be(arguments, tmp_path):
    """What `shard_by_layer` is for; when this fails, it is not needed any more."""
    with pytest.raises(AssertionError, match="value was None"):
        fork_ranks(2, TRAIN, "wrapped as Accelerate does", "-", *arguments, "--output", tmp_path / "run")


WAIT = """
import datetime, sys, time
from pathlib import Path
import torch
from accelerate import Accelerator
from ner.errors import InputError
from ner.runtime import decided, main_process_first, of_everyone, wait_for_everyone
from tests.processes import wait_until

accelerator = Accelerator(cpu=True)
# Not before they have met, which may take them any time.
torch.distributed.distributed_c10d._set_pg_timeout(datetime.timedelta(seconds=1))
has_noticed = Path(sys.argv[1])

def slow(answer):
    time.sleep(2)
    return answer

with main_process_first(accelerator):
    if accelerator.is_main_process:
        slow(None)
assert decided(accelerator, lambda: slow("yes")) == "yes"

def check():
    if not accelerator.is_main_process:
        raise InputError("process 1 cannot")

try:
    of_everyone(check)
except InputError as error:
    print("refused:", error, flush=True)
if not accelerator.is_main_process:
    slow(None)
wait_for_everyone()
print("waited", flush=True)
if accelerator.is_main_process:
    wait_until(has_noticed.exists)
else:
    try:  # a gradient that never comes
        accelerator.reduce(torch.ones(1))
    except RuntimeError as error:
        print("noticed:", "imed out" in str(error), flush=True)
    finally:
        has_noticed.touch()
"""


def test_processes_wait_for_one_that_is_slow_and_notice_one_that_hangs(tmp_path):
    output = fork_ranks(2, WAIT, tmp_path / "noticed")
    assert output.count("waited") == 2
    assert output.count("refused: process 1 cannot") == 2
    assert output.count("noticed: True") == 1
