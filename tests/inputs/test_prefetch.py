import threading

import pytest
import torch

from ner.inputs.batching import EpochPlan
from ner.inputs.collators import PaddedCollator, collate
from ner.inputs.prefetch import prefetch
from ner.utils import ahead


def test_steps_come_in_order_over_epochs(encoded):
    plan = EpochPlan(encoded, 64, None, 4096, seed=3)
    first, last = len(plan) - 1, len(plan) + 2
    found = list(prefetch(plan, PaddedCollator(1), 0, first, last, torch.device("cpu")))
    second = EpochPlan(encoded, 64, None, 4096, seed=3, epoch=1)
    expected = [plan[len(plan) - 2], plan[len(plan) - 1], second[0], second[1]]
    for (step, batches), planned in zip(found, expected, strict=True):
        assert step.sentences.tolist() == planned.sentences.tolist()
        for batch, micro_batch in zip(batches, planned.micro_batches[0], strict=True):
            assert torch.equal(batch["input_ids"], collate(encoded, micro_batch, PaddedCollator(1))["input_ids"])


def test_only_the_next_is_made_in_advance():
    made = []

    def make(item):
        made.append(item)
        return item

    before = set(threading.enumerate())
    results = ahead(make, range(10))
    assert next(results) == 0
    del results
    assert made in ([0], [0, 1])
    assert set(threading.enumerate()) <= before


def test_errors_come_where_the_item_would():
    results = ahead(lambda item: 1 // item, [2, 1, 0])
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_nothing_to_make():
    assert list(ahead(str, [])) == []
