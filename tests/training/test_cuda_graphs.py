"""The runner of CUDA graphs, with a recorder that repeats on a CPU what was recorded, as a graph would."""

import json
import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType, set_seed
from safetensors.torch import load_file
from torch import nn

import train
from ner.arguments import parse
from ner.config import TrainConfig
from ner.errors import InputError
from ner.modeling.loss import micro_batch_loss
from ner.runtime import start_accelerator
from ner.training.cuda_graphs import MOST_GRAPHS, CudaGraphs, Gradients, check_device
from ner.training.metrics_log import JsonLinesLog
from ner.training.signals import PreemptedError
from tests.conftest import part_of
from tests.processes import fork_ranks
from tests.tape import TapeRecorder

ROOT = Path(train.__file__).parent
# signals are tested here
pytestmark = [pytest.mark.timeout(method="thread"), pytest.mark.usefixtures("fresh_accelerator")]


class Small(nn.Module):
    """Tags from embeddings, with dropout, and a parameter that nothing uses."""

    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(20, 8), nn.Linear(8, 3)
        self.dropout, self.unused = nn.Dropout(0.3), nn.Parameter(torch.ones(2))

    def forward(self, ids):
        return self.head(self.dropout(torch.tanh(self.table(ids))))


def forward_backward(accelerator, model, batch, num_labels, is_last):
    loss = micro_batch_loss(model(batch["ids"]), batch["labels"], num_labels, accelerator.num_processes)
    accelerator.backward(loss)
    return loss.detach()


def batches(*shapes):
    labels = torch.randint(-1, 3, (100,))
    labels[labels < 0] = -100
    return [{"ids": torch.randint(20, shape), "labels": labels[torch.randint(100, shape)]} for shape in shapes]


def gradient(parameter: torch.Tensor) -> torch.Tensor:
    assert parameter.grad is not None
    return parameter.grad


class Pair:
    """The same model twice, eager and with graphs."""

    def __init__(self, scaler=None):
        torch.manual_seed(0)
        self.accelerator = Accelerator(cpu=True)
        self.accelerator.scaler = scaler
        self.models = [Small(), Small()]
        self.models[1].load_state_dict(self.models[0].state_dict())
        self.eager = partial(forward_backward, self.accelerator, self.models[0])
        self.recorder = TapeRecorder()
        compute = partial(forward_backward, self.accelerator, self.models[1])
        self.graphs = CudaGraphs(self.accelerator, compute, self.models[1].parameters(), self.recorder)

    def both(self, batch, num_labels, is_last=True):
        """A micro-batch of each, from one state of the random generator, which must go on alike."""
        before = torch.get_rng_state()
        expected = self.eager(batch, num_labels, is_last)
        after = torch.get_rng_state()
        torch.set_rng_state(before)
        found = self.graphs(batch, num_labels, is_last)
        assert torch.equal(found, expected)
        assert torch.equal(torch.get_rng_state(), after)
        self.check()

    def check(self):
        for theirs, own in zip(self.models[0].parameters(), self.models[1].parameters(), strict=True):
            assert (theirs.grad is None) == (own.grad is None)
            assert theirs.grad is None or torch.equal(gradient(theirs), gradient(own))

    def zero(self):
        for model in self.models:
            model.zero_grad(set_to_none=True)


def test_gradients_losses_and_draws_are_those_of_eager_steps():
    """Micro-batches of two shapes in a step, other labels, and other numbers of labels; steps follow each other."""
    pair = Pair()
    for num_labels in (7, 12, 5, 0):
        for batch in batches((2, 6), (3, 4), (2, 6)):
            pair.both(batch, num_labels)
        pair.zero()
    assert len(pair.recorder.tapes) == 2
    assert pair.recorder.num_replays == 12
    assert pair.models[1].unused.grad is None  # else AdamW would decay it


def test_a_shape_that_comes_within_a_step_leaves_its_gradient_alone():
    pair = Pair()
    for shape in ((2, 6), (3, 4), (5, 5)):  # each is recorded while the step has a gradient
        pair.both(batches(shape)[0], 9)


def test_the_loss_scale_is_not_frozen():
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    pair = Pair(scaler)
    scaler.scale(torch.zeros(()))  # makes its tensors
    for scale in (8.0, 4.0, 1024.0):
        scaler.update(scale)
        pair.both(batches((2, 6))[0], 9)
        assert gradient(pair.models[1].head.weight).abs().max() > 1e-4 * scale
        pair.zero()
    assert len(pair.recorder.tapes) == 1


def test_the_tape_freezes_what_a_graph_would():
    """A number of Python, which a loss of one's own might use, stays that of the recording: the tests above see it."""
    pair = Pair()
    weight = [1.0]
    pair.graphs.compute = lambda batch, num_labels, is_last: forward_backward(
        pair.accelerator, pair.models[1], batch, num_labels * weight[0], is_last
    )
    (batch,) = batches((2, 6))
    first = pair.graphs(batch, 9, True).clone()
    weight[0] = 3.0
    torch.manual_seed(1)
    again = pair.graphs(batch, 9, True).clone()
    torch.manual_seed(1)
    assert torch.equal(pair.eager(batch, 9, True), again)
    assert first.isfinite()


def test_what_reads_a_value_back_is_not_recorded():
    pair = Pair()
    pair.graphs.compute = lambda batch, num_labels, is_last: pair.models[1](batch["ids"]).sum() * float(num_labels)
    with pytest.raises(RuntimeError, match="reads a value back"):
        pair.graphs(batches((2, 6))[0], 9, True)


def test_beyond_eight_shapes_it_computes_without(messages):
    pair = Pair()
    for rows in [*range(1, MOST_GRAPHS + 4), 1, 2]:
        pair.both(batches((rows, 4))[0], 9)
        pair.zero()
    assert len(pair.recorder.tapes) == MOST_GRAPHS
    assert pair.recorder.num_replays == MOST_GRAPHS + 2
    assert [text for text in messages if "CUDA graphs" in text] == [
        "CUDA graphs: more than 8 shapes of micro-batches; the others are computed without. Longer rows (`row_length`) "
        "have fewer shapes"
    ]


def test_gradients_stay_at_their_places():
    model = Small()
    gradients = Gradients(model.parameters())
    gradients.is_used = [True] * 4
    gradients.begin()
    model(torch.tensor([[1, 2]])).sum().backward()
    places = [gradient(parameter).data_ptr() for parameter in model.parameters()]
    assert gradients.block.abs().sum() > 0
    model.zero_grad(set_to_none=True)
    gradients.begin()
    assert not gradients.block.any()
    assert [gradient(parameter).data_ptr() for parameter in model.parameters()] == places
    assert all(place % 64 == 0 for place in places)


@pytest.mark.parametrize(
    ("device", "distributed", "message"),
    [
        ("cpu", DistributedType.NO, "`cuda_graphs` needs a GPU with CUDA, and the device is cpu"),
        ("cuda", DistributedType.FSDP, "`cuda_graphs` needs the whole model on each GPU, and FSDP"),
        ("cuda", DistributedType.DEEPSPEED, "`cuda_graphs` needs the whole model on each GPU, and DEEPSPEED"),
    ],
)
def test_where_there_are_no_graphs(device, distributed, message):
    check_device(torch.device("cuda"), DistributedType.MULTI_GPU)
    with pytest.raises(InputError, match=message):
        check_device(torch.device(device), distributed)


@pytest.fixture(scope="module")
def corpus(corpus_folder, tmp_path_factory) -> Path:
    return part_of(corpus_folder, tmp_path_factory.mktemp("graphs"), train=120, validation=40, test=0)


TWO_SHAPES = ["--row-length", "32", "--max-tokens-per-micro-batch", "256"]


@pytest.fixture
def run(narrow_encoder, corpus, tmp_path):
    """Trains with dropout, and with these flags; returns the run folder."""

    def go(output: str, *flags: str, recorder: TapeRecorder | None = None) -> Path:
        AcceleratorState._reset_state(reset_partial_state=True)
        folder = tmp_path / output
        paths = ["--model", str(narrow_encoder), "--data", str(corpus), "--output", str(folder)]
        options = ["--lr", "1e-3", "--batch-size", "32", "--mixed-precision", "no", "--log-every", "1", *flags]
        config = parse(TrainConfig, [*paths, *options], "about")
        accelerator = start_accelerator(config.mixed_precision)
        job = train.build(config, accelerator)
        assert job
        set_seed(config.seed, device_specific=True)
        train.fit(config, accelerator, replace(job, recorder=recorder))
        return folder

    return go


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "last/model.safetensors")


def losses(folder: Path) -> list[tuple]:
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [(entry["step"], entry["loss"], entry["grad_norm"]) for entry in entries if "loss" in entry]


def assert_same(found: Path, expected: Path) -> None:
    assert losses(found) == losses(expected)
    for name, tensor in weights(expected).items():
        assert torch.equal(weights(found)[name], tensor), name


@pytest.mark.parametrize(
    ("flags", "is_full"), [(TWO_SHAPES, False), (["--packing", "off"], True)], ids=["packed", "padded"]
)
def test_twenty_steps_train_the_same_weights(run, flags, is_full):
    recorder = TapeRecorder()
    graphed = run("graphed", "--max-steps", "20", *flags, recorder=recorder)
    assert_same(graphed, run("eager", "--max-steps", "20", *flags))
    assert len(recorder.tapes) == MOST_GRAPHS if is_full else 1 < len(recorder.tapes) <= MOST_GRAPHS
    assert recorder.num_replays > (MOST_GRAPHS if is_full else 20)  # packed: several micro-batches a step
    assert losses(graphed)[-1][1] < losses(graphed)[0][1]


def test_half_precision_is_recorded_too(run):
    recorder = TapeRecorder()
    flags = ["--max-steps", "4", "--mixed-precision", "bf16", *TWO_SHAPES]
    assert_same(run("graphed", *flags, recorder=recorder), run("eager", *flags))
    assert recorder.num_replays > 4


def test_a_run_that_was_stopped_goes_on_with_the_same_bits(run, monkeypatch):
    flags = ["--max-steps", "8", "--resume", "auto", *TWO_SHAPES]
    whole = run("whole", *flags)
    write = JsonLinesLog.write

    def signalled(log: JsonLinesLog, entry: dict) -> None:
        write(log, entry)
        if entry["step"] == 3 and "loss" in entry:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(JsonLinesLog, "write", signalled)
    with pytest.raises(PreemptedError):
        run("stopped", *flags, recorder=TapeRecorder())
    monkeypatch.setattr(JsonLinesLog, "write", write)
    assert_same(run("stopped", *flags, recorder=TapeRecorder()), whole)  # recorded anew, in the fourth step


RANK = """
import sys
from dataclasses import replace
from accelerate.utils import set_seed
import train
from ner.arguments import parse
from ner.config import TrainConfig
from ner.runtime import start_accelerator
from tests.tape import TapeRecorder
config = parse(TrainConfig, sys.argv[1:], "about")
accelerator = start_accelerator(config.mixed_precision)
job = train.build(config, accelerator)
set_seed(config.seed, device_specific=True)
recorder = TapeRecorder()
train.fit(config, accelerator, replace(job, recorder=recorder))
assert recorder.num_replays > 4, recorder.num_replays
accelerator.end_training()
"""


def test_two_processes_average_as_they_do_without(narrow_encoder, corpus, tmp_path):
    """Each rank has shapes of its own, and dropout of its own."""
    flags = ["--model", str(narrow_encoder), "--data", str(corpus), "--lr", "1e-3", "--batch-size", "32"]
    flags += ["--mixed-precision", "no", "--log-every", "1", "--max-steps", "4", *TWO_SHAPES]
    fork_ranks(2, RANK, *flags, "--output", tmp_path / "graphed")
    fork_ranks(2, ROOT / "train.py", *flags, "--output", tmp_path / "eager")
    for mine, theirs in zip(losses(tmp_path / "graphed"), losses(tmp_path / "eager"), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-5)
    for name, tensor in weights(tmp_path / "eager").items():
        torch.testing.assert_close(weights(tmp_path / "graphed")[name], tensor, rtol=1e-4, atol=1e-6, msg=name)
