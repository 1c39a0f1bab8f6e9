import threading

import pytest
import torch

from ner.inputs.batching import EpochPlan
from ner.inputs.collators import PackedCollator, PaddedCollator, collate
from ner.inputs.prefetch import prefetch
from ner.utils import ahead

CPU = torch.device("cpu")


def test_steps_come_in_order_over_epochs(encoded):
    plan = EpochPlan(encoded, 64, None, 4096, seed=3)
    first, last = len(plan) - 1, len(plan) + 2
    found = list(prefetch(plan, PaddedCollator(1), 0, first, last, CPU, with_words=True))
    second = EpochPlan(encoded, 64, None, 4096, seed=3, epoch=1)
    expected = [plan[len(plan) - 2], plan[len(plan) - 1], second[0], second[1]]
    for (step, batches), planned in zip(found, expected, strict=True):
        assert step.sentences.tolist() == planned.sentences.tolist()
        for batch, micro_batch in zip(batches, planned.micro_batches[0], strict=True):
            assert torch.equal(batch["input_ids"], collate(encoded, micro_batch, PaddedCollator(1))["input_ids"])


def test_a_step_is_one_block_of_memory(encoded):
    """What is pinned for a GPU: one allocation a step, and every tensor a view of it."""
    sizes = []

    def allocate(size):
        sizes.append(size)
        return torch.full((size,), 0xAB, dtype=torch.uint8)

    plan = EpochPlan(encoded, 64, 16, 256, seed=3)  # several micro-batches a step
    plain = list(prefetch(plan, PackedCollator(1, 16), 0, 1, 3, CPU, with_words=False))
    found = list(prefetch(plan, PackedCollator(1, 16), 0, 1, 3, CPU, with_words=False, allocate=allocate))
    assert len(sizes) == 3
    for (_, batches), (_, expected), size in zip(found, plain, sizes, strict=True):
        assert len(batches) > 1
        tensors = [tensor for batch in batches for tensor in batch.values()]
        assert len({tensor.untyped_storage().data_ptr() for tensor in tensors}) == 1
        assert size - 64 * len(tensors) < sum(tensor.nbytes for tensor in tensors) <= size
        for batch, same in zip(batches, expected, strict=True):
            assert batch.keys() == same.keys() == {"input_ids", "labels", "position_ids", "segments"}
            for name, tensor in same.items():
                assert batch[name].dtype == tensor.dtype
                assert torch.equal(batch[name], tensor)


def test_the_plan_is_made_in_the_thread(encoded):
    threads = []

    class Plan(EpochPlan):
        def __getitem__(self, step):
            threads.append(threading.current_thread())
            return super().__getitem__(step)

    plan = Plan(encoded, 64, None, 4096, seed=3)
    assert len(list(prefetch(plan, PaddedCollator(1), 0, len(plan), len(plan) + 1, CPU, with_words=False))) == 2
    assert len(threads) == 2
    assert threading.current_thread() not in threads


def plain_memory(size: int) -> torch.Tensor:
    return torch.empty(size, dtype=torch.uint8)


def test_the_thread_pins_memory_for_its_own_gpu(encoded, monkeypatch):
    """A thread begins with the first GPU, on which each process would open a context."""
    chosen = []
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: chosen.append((device, threading.current_thread())))
    plan = EpochPlan(encoded, 64, None, 4096, seed=3)
    for device in (torch.device("cuda", 3), torch.device("cuda"), CPU):
        steps = prefetch(plan, PaddedCollator(1), 0, 1, 2, device, with_words=False, allocate=plain_memory)
        assert len(list(steps)) == 2
    assert [device for device, _ in chosen] == [torch.device("cuda", 3)] * 2
    assert threading.current_thread() not in [thread for _, thread in chosen]


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
