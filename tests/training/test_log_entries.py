"""The training loss between evaluations, and evaluations read from a log: numbers checked by hand."""

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ner.inputs.batching import Step
from ner.training.log_entries import Evaluation, printed, read_evaluations, to_markdown
from ner.training.metrics_log import JsonLinesLog, Meter

SCORES = {"loss": 0.25, "precision": 0.8, "recall": 0.5, "f1": 0.61538, "accuracy": 0.9375}
FIRST = Evaluation(197, 1.0, 0.5, 0.25, 0.8, 0.5, 0.61538, 0.9375)
LATER = Evaluation(12_345, 62.5, None, None, 1.0, 1.0, 1.0, 1.0)
BAD = float("inf")
STEP = Step(np.arange(2), [[]], 6, 8)


def passed(loss: float) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(loss), torch.tensor(np.isfinite(loss))


def train(accelerator, meter: Meter, events: str, *, resume_at: int = -1) -> tuple[list, list]:
    """The losses that are read. events: losses of steps, `log` and `evaluate`; a meter is made anew at one of them."""
    at_log, at_evaluation = [], []
    for number, event in enumerate(events.split()):
        if number == resume_at:
            meter.read_bad()
            meter = Meter(accelerator, json.loads(json.dumps(meter.state())))
        if event == "log":
            meter.read_bad()
            at_log.append(meter.read()["loss"])
        elif event == "evaluate":
            meter.read_bad()
            at_evaluation.append(meter.read_since_evaluation())
        else:
            meter.add(number, STEP, *passed(float(event)))
    return at_log, at_evaluation


# (4 + 2 + 3) / 3; (1 + 2) / 2, where one step of three was not finite; none; 7. Of log points: (4 + 2) / 2, and so on.
EVENTS = "4 2 log 3 evaluate 1 log inf 2 evaluate evaluate log 7 log evaluate"
AT_LOG, AT_EVALUATION = [3.0, 2.0, 2.0, 7.0], [3.0, 1.5, None, 7.0]


@pytest.mark.parametrize("resume_at", range(-1, len(EVENTS.split())))
def test_the_loss_since_the_last_evaluation(accelerator, resume_at):
    """Wherever log points are, and wherever the run was stopped."""
    assert train(accelerator, Meter(accelerator), EVENTS, resume_at=resume_at) == (AT_LOG, AT_EVALUATION)


def test_a_checkpoint_of_an_older_version_does_not_have_it(accelerator):
    meter = Meter(accelerator)
    train(accelerator, meter, "4 2 log 3")
    meter.read_bad()
    state = {name: value for name, value in meter.state().items() if not name.startswith("evaluation")}
    found = train(accelerator, Meter(accelerator, state), "5 log evaluate 1 evaluate", resume_at=2)
    assert found == ([4.0], [None, 1.0])


@pytest.mark.parametrize(
    ("losses", "expected"), [([0.25, 4.0], 4.0), ([0.25, 4.0, 1.75], 2.0), (3.0, 3.0)], ids=["same", "fewer", "older"]
)
def test_each_process_goes_on_from_its_own_loss(losses, expected):
    """The mean of them, where there were more processes, and in a checkpoint of an older version."""
    second = SimpleNamespace(device=torch.device("cpu"), num_processes=2, process_index=1)
    assert Meter(second, {"loss": losses}).loss.item() == expected


def test_an_evaluation_is_logged_and_said_as_a_table(tmp_path, accelerator, messages):
    meter, log = Meter(accelerator), JsonLinesLog(tmp_path / "log.jsonl", accelerator)
    train(accelerator, meter, "1 0.25 0.25")
    log.write_evaluation({"step": 197, "epoch": 1.0}, SCORES, meter)
    meter.add(198, STEP, *passed(BAD))
    log.write_evaluation({"step": 198, "epoch": 1.005}, {**SCORES, "loss": float("nan")}, meter)
    head, rule, first, bad, second = "\n".join(messages).split("\n")
    assert head == "|      step | epoch | training loss | validation loss | precision | recall |     F1 | accuracy |"
    assert rule == "|----------:|------:|--------------:|----------------:|----------:|-------:|-------:|---------:|"
    assert first == "|       197 |  1.00 |        0.5000 |          0.2500 |    0.8000 | 0.5000 | 0.6154 |   0.9375 |"
    assert "step 198: its gradient is not finite" in bad
    assert second.split() == "| 198 | 1.00 | – | – | 0.8000 | 0.5000 | 0.6154 | 0.9375 |".split()  # noqa: RUF001
    assert len(second) == len(first)
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [entry.get("train_loss", "") for entry in entries] == [0.5, "", None]
    assert entries[0] == {"step": 197, "epoch": 1.0, "train_loss": 0.5, "validation": SCORES}
    assert read_evaluations(tmp_path)[0] == FIRST


def test_lines_stand_below_each_other():
    lines = [*printed(FIRST, is_first=True).split("\n"), printed(LATER, is_first=False)]
    assert len({len(line) for line in lines}) == 1
    assert lines[-1].startswith("|    12,345 | 62.50 |")


def test_a_table_in_markdown():
    assert to_markdown([FIRST, LATER]).split("\n")[2:] == [
        "|    197 |  1.00 |        0.5000 |          0.2500 |    0.8000 | 0.5000 | 0.6154 |   0.9375 |",
        "| 12,345 | 62.50 |             – |               – |    1.0000 | 1.0000 | 1.0000 |   1.0000 |",  # noqa: RUF001
    ]


def test_of_a_log_what_is_no_evaluation_is_left_out(tmp_path):
    """Other entries, those of an older version, half a line, and what nobody wrote."""
    assert read_evaluations(tmp_path) == []
    older: dict[str, Any] = {"step": 394, "epoch": 2.0, "validation": SCORES}
    entries: list[Any] = [
        {"step": 0, "notes": ["validation"]},
        {"step": 197, "epoch": 1.0, "loss": 1.0},
        {"step": 197, "epoch": 1.0, "train_loss": 0.5, "validation": SCORES},
        {**older, "train_loss": "<b>"},
        {**older, "validation": [1]},
        {**older, "validation": {"f1": 1.0}},
        {**older, "step": "394"},
        {**older, "epoch": None},
        [older],
        older,
    ]
    text = "".join(json.dumps(entry) + "\n" for entry in entries)
    (tmp_path / "log.jsonl").write_text(text + json.dumps(older)[:40], encoding="utf-8")
    first, second = read_evaluations(tmp_path)
    assert first == FIRST
    assert (second.step, second.train_loss, second.f1) == (394, None, 0.61538)
