"""What a step asks of the device: nothing that the host waits for, and no more operations than it had."""

from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import train
from ner.training.metrics_log import Meter
from tests.runs import train_run

aten = torch.ops.aten
READS = (aten._local_scalar_dense, aten.nonzero, aten.masked_select, aten._unique2, aten.equal)
FLAGS = "--train-on de --batch-size 32 --max-steps 12 --log-every 5 --evaluate-every 12 --checkpoint-every 100"


class Operations(TorchDispatchMode):
    """Counts operations, and those whose result the host must see before it goes on, by step."""

    def __init__(self) -> None:
        super().__init__()
        self.step = 1
        self.all: Counter[int] = Counter()
        self.reads: dict[int, Counter[str]] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.all[self.step] += 1
        indices = args[1] if func.overloadpacket in (aten.index, aten.index_put, aten.index_put_) else ()
        by_flags = any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in indices)
        if func.overloadpacket in READS or by_flags:
            self.reads.setdefault(self.step, Counter())[str(func)] += 1
        return func(*args, **(kwargs or {}))


@pytest.fixture
def count(monkeypatch, tmp_path, narrow_encoder, corpus_folder):
    """Counts the operations of a run whose steps 5, 10 and 12 are log points."""

    def counted(flags: str) -> Operations:
        operations, fit, add = Operations(), train.fit, Meter.add

        def watched_fit(*arguments, **options):
            with operations:
                return fit(*arguments, **options)

        def watched_add(self, number, *arguments):
            add(self, number, *arguments)
            operations.step = number + 1  # a log point and a checkpoint come behind this, and count for the next step

        monkeypatch.setattr(train, "fit", watched_fit)
        monkeypatch.setattr(Meter, "add", watched_add)
        train_run(narrow_encoder, corpus_folder, tmp_path / "run", f"{FLAGS} {flags}")
        return operations

    return counted


@pytest.mark.parametrize(
    "flags",
    ["--packing on", "--packing off", "--packing off --max-tokens-per-micro-batch 256", "--mixed-precision bf16"],
)
def test_the_host_waits_for_nothing_between_log_points(count, flags):
    operations = count(flags)
    assert set(operations.reads) == {6, 11, 13}  # behind the log points, which do read
    assert set(range(1, 13)) <= set(operations.all)


def test_a_step_has_no_more_operations_than_it_had(count):
    """A GPU launches a kernel for each, which takes the host longer than the GPU, so that their number is the speed.

    Counted with torch 2.13 on a CPU: 524, of an encoder with two layers and one micro-batch.
    """
    operations = count("--packing on")
    assert max(operations.all[step] for step in (3, 4, 8, 9)) <= 540
