"""The running mean of the weights: what is in it, and that a run which is stopped has the same."""

import json
import os
import signal
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch

import evaluate
from ner.config import TrainConfig
from ner.errors import InputError
from ner.training.averaging import RunningMean
from ner.training.checkpointer import Checkpointer
from ner.training.metrics_log import JsonLinesLog
from tests.processes import fork_ranks
from tests.runs import train_run
from tests.test_train import same, weights
from tests.training.test_distributed import TRAIN

pytestmark = [pytest.mark.timeout(method="thread"), pytest.mark.usefixtures("fresh_accelerator")]
FLAGS = "--train-on de --lr 1e-2 --batch-size 64 --max-steps 12 --log-every 1 --evaluate-every 4"
AVERAGE = f"{FLAGS} --average on"


def taken_in(num_steps: int, **options) -> tuple[list[int], torch.Tensor]:
    """The steps whose weights are in the mean, and the mean, of a weight that is the number of its step."""
    model = torch.nn.Linear(1, 1, bias=False)
    average = RunningMean(TrainConfig(**options), model, num_steps)
    steps = []
    for number in range(1, num_steps + 1):
        torch.nn.init.constant_(model.weight, number)
        before = average.count
        average.after_step(number)
        steps += [number] * (average.count - before)
    return steps, average.means["weight"].squeeze() if average.means else torch.tensor(torch.nan)


def test_the_weights_of_which_steps_are_averaged():
    steps, mean = taken_in(10, average="on")
    assert steps == [6, 7, 8, 9, 10]
    assert mean == 8
    steps, mean = taken_in(11, average="on", average_from=0.3, average_every=3)
    assert steps == [5, 8, 11]
    assert mean == 8
    steps, _ = taken_in(1000, average="on")
    assert steps == list(range(505, 1001, 5))
    assert taken_in(10)[0] == []


def test_an_exponential_mean_begins_as_a_uniform_one():
    _, mean = taken_in(4, average="on", average_from=0, average_decay=0.6)
    uniform = (1 + 2) / 2
    assert mean == pytest.approx(0.6 * (0.6 * uniform + 0.4 * 3) + 0.4 * 4)
    assert taken_in(3, average="on", average_from=0, average_decay=0.9)[1] == 2


def test_options_that_make_no_sense():
    for options, message in (
        ({"average_every": 2}, "--average-every needs --average on"),
        ({"average_decay": 0.9}, "--average-decay needs --average on"),
        ({"average": "on", "average_decay": 1.0}, "--average-decay 1.0 must be above 0 and below 1"),
        ({"average": "on", "average_from": 1.0}, "--average-from 1.0 must be a share of the steps"),
        ({"average": "on", "average_every": 0}, "--average-every 0 must be above 0"),
    ):
        with pytest.raises(InputError, match=message):
            TrainConfig(**options)


def entries(run: Path) -> list[dict]:
    lines = (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    kept = [entry for entry in map(json.loads, lines) if "checkpoint" not in entry]
    for entry in kept:
        for volatile in ("sentences_per_second", "tokens_per_second"):
            entry.pop(volatile, None)
        for scores in (entry.get("validation", {}), entry.get("average", {})):
            scores.pop("seconds", None)
    return kept


def f1_of_average(run: Path, folder: Path) -> float:
    """On the German validation sentences, of the model in average/."""
    flags = ["--checkpoint", "average", "--splits", "validation", "--mixed-precision", "no"]
    evaluate.main([str(run), *flags, "--output", str(folder)])
    (row,) = json.loads((folder / "matrix.json").read_text(encoding="utf-8"))["f1"]["validation"].values()
    return row["de"]


@pytest.fixture(scope="module")
def whole(narrow_encoder, corpus_folder, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("whole") / "run"
    train_run(narrow_encoder, corpus_folder, run, AVERAGE)
    return run


def test_a_run_writes_the_mean_of_its_weights(whole, narrow_encoder, corpus_folder, tmp_path, monkeypatch):
    """The weights of steps 7 to 12, and best/ and last/ as they are without it."""
    saved = []

    def save(self, point, *others):
        saved.append({name: value.clone() for name, value in self.model.state_dict().items()})

    monkeypatch.setattr(Checkpointer, "after_step", save)
    train_run(narrow_encoder, corpus_folder, tmp_path / "plain", FLAGS)
    assert not (tmp_path / "plain/average").exists()
    for name in ("best", "last"):
        assert same(weights(whole, name), weights(tmp_path / "plain", name))
    average = weights(whole, "average")
    for name, value in average.items():
        if "word_embeddings" not in name:  # whose table is trimmed while it is trained
            mean = torch.stack([each[name].double() for each in saved[-6:]]).mean(dim=0)
            torch.testing.assert_close(value.double(), mean, rtol=1e-6, atol=1e-7)
    assert (
        average["roberta.embeddings.word_embeddings.weight"].shape
        == weights(whole)["roberta.embeddings.word_embeddings.weight"].shape
    )
    assert not same(average, weights(whole))


def test_its_validation_scores_are_those_of_the_model_in_average(whole, tmp_path):
    scores = json.loads((whole / "metrics.json").read_text(encoding="utf-8"))["average"]
    assert scores["weights"] == 6
    *_, last = entries(whole)
    assert last["step"] == 12
    assert last["average"] == {name: value for name, value in scores.items() if name != "seconds"}
    assert f1_of_average(whole, tmp_path) == scores["f1"] > 0


@pytest.mark.parametrize("step", [3, 9, 12])
def test_a_run_that_is_stopped_has_the_same_average(whole, narrow_encoder, corpus_folder, tmp_path, monkeypatch, step):
    """Before averaging, within it, and within the evaluation of the mean."""
    run = tmp_path / "run"
    write, applied = JsonLinesLog.write, RunningMean.applied

    def signalled(log: JsonLinesLog, entry: dict) -> None:
        write(log, entry)
        if entry["step"] == step and "loss" in entry:
            os.kill(os.getpid(), signal.SIGTERM)

    def signalled_at_the_end(average: RunningMean) -> AbstractContextManager[None]:
        os.kill(os.getpid(), signal.SIGTERM)
        return applied(average)

    with monkeypatch.context() as patched:
        if step == 12:
            patched.setattr(RunningMean, "applied", signalled_at_the_end)
        else:
            patched.setattr(JsonLinesLog, "write", signalled)
        with pytest.raises(SystemExit) as caught:
            train_run(narrow_encoder, corpus_folder, run, AVERAGE)
    assert caught.value.code == 75
    assert not (run / "average").exists()
    train_run(narrow_encoder, corpus_folder, run, f"{AVERAGE} --resume auto")
    for name in ("best", "last", "average"):
        assert same(weights(run, name), weights(whole, name))
    assert entries(run) == entries(whole)


@pytest.mark.parametrize("accelerator", ["replicated", "sharded"])
def test_two_processes(whole, narrow_encoder, corpus_folder, tmp_path, accelerator):
    """They average as one process, and a run that is stopped has the same to the bit."""
    flags = ["--model", narrow_encoder, "--data", corpus_folder, "--lr", "2e-3", "--mixed-precision", "no"]
    flags += AVERAGE.split()
    fork_ranks(2, TRAIN, accelerator, "-", *flags, "--output", tmp_path / "two")
    with pytest.raises(AssertionError, match=r"statuses \[75, 75\]"):
        fork_ranks(2, TRAIN, accelerator, "8", *flags, "--output", tmp_path / "stopped")
    fork_ranks(2, TRAIN, accelerator, "-", *flags, "--output", tmp_path / "stopped", "--resume", "auto")
    assert same(weights(tmp_path / "two", "average"), weights(tmp_path / "stopped", "average"))
    assert weights(tmp_path / "two", "average").keys() == weights(whole, "average").keys()
    assert entries(tmp_path / "two")[-1] == entries(tmp_path / "stopped")[-1]
    assert entries(tmp_path / "two")[-1]["average"]["f1"] == f1_of_average(tmp_path / "two", tmp_path)


GATHERED = """
import torch, torch.distributed as dist
from accelerate import Accelerator
from torch.distributed.fsdp import fully_shard
from ner.config import TrainConfig
from ner.training.averaging import RunningMean

accelerator = Accelerator(cpu=True)
mesh = torch.distributed.init_device_mesh("cpu", (2,))
model = fully_shard(torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Linear(5, 1)), mesh=mesh)
average = RunningMean(TrainConfig(average="on", average_from=0), model, 2)
for number in (1, 3):
    for weight in average.parameters.values():
        torch.nn.init.constant_(weight, number)
    average.after_step((number + 1) // 2)
with torch.no_grad():  # fully_shard keeps the gathered weights of the root
    outputs = [model(torch.ones(1, 3)).item()]
    with average.applied():
        outputs.append(model(torch.ones(1, 3)).item())
    outputs.append(model(torch.ones(1, 3)).item())
print(f"outputs {outputs}.")
dist.barrier()
accelerator.end_training()
"""


def test_gathered_weights_are_not_taken_for_the_mean():
    """Of weights that are all w, 5 w (3 w + w) + w."""
    assert fork_ranks(2, GATHERED).count("outputs [183.0, 82.0, 183.0].") == 2
