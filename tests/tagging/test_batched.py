"""Texts of many callers in one queue: who waits together is answered together, each with what is its own."""

import threading
from concurrent.futures import CancelledError

import pytest

from ner.tagging.batched import Batched, ClosedError, FullError
from tests.processes import SECONDS, wait_until


class Gate:
    """Answers texts with themselves in capitals, from when it is opened, and notes which it was asked together."""

    def __init__(self):
        self.calls = []
        self.opened = threading.Event()

    def __call__(self, texts):
        self.calls.append(texts)
        assert self.opened.wait(timeout=SECONDS)
        if "bad" in texts:
            raise ValueError(f"bad among {len(texts)}")
        return [text.upper() for text in texts if text != "lost"]


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
def make(gate):
    """Makes queues, whose threads end with the test."""
    made = []

    def start(**limits):
        made.append(Batched(gate, **limits).__enter__())
        return made[-1]

    yield start
    gate.opened.set()
    for one in made:
        one.__exit__()


def busy(queue, gate):
    """Gives it something to do, which lasts until the gate opens."""
    future = queue.submit(["busy"])
    wait_until(lambda: gate.calls)
    return future


def test_who_waits_together_is_answered_together(make, gate):
    queue = make()
    futures = [busy(queue, gate), *(queue.submit(texts) for texts in (["a"], ["b", "c"], [], ["d"]))]
    assert queue.num_waiting == 4
    gate.opened.set()
    found = [list(future.result(timeout=SECONDS)) for future in futures]
    assert found == [["BUSY"], ["A"], ["B", "C"], [], ["D"]]
    assert gate.calls == [["busy"], ["a", "b", "c", "d"]]
    assert (queue.num_waiting, queue.num_calls) == (0, 2)


@pytest.mark.parametrize("limits", [{"max_texts": 3}, {"max_characters": 3}])
def test_a_call_has_its_limit_and_a_caller_is_not_divided(make, gate, limits):
    queue = make(**limits)
    busy(queue, gate)
    futures = [queue.submit(texts) for texts in (["a", "b"], ["c"], ["d", "e"], list("fghij"), ["k"])]
    gate.opened.set()
    assert ["".join(future.result(timeout=SECONDS)) for future in futures] == ["AB", "C", "DE", "FGHIJ", "K"]
    assert ["".join(call) for call in gate.calls[1:]] == ["abc", "de", "fghij", "k"]


def test_a_full_queue_refuses_and_what_is_cancelled_makes_room(make, gate):
    queue = make(max_waiting=3)
    busy(queue, gate)
    first, second = queue.submit(["a", "b"]), queue.submit(["c"])
    with pytest.raises(FullError):
        queue.submit(["d"])
    assert first.cancel()
    assert queue.num_waiting == 1
    third = queue.submit(["d", "e"])
    gate.opened.set()
    assert [future.result(timeout=SECONDS) for future in (second, third)] == [["C"], ["D", "E"]]
    assert gate.calls[1:] == [["c", "d", "e"]]
    with pytest.raises(CancelledError):
        first.result(timeout=0)


def test_what_has_begun_is_not_cancelled(make, gate):
    future = busy(make(), gate)
    assert not future.cancel()
    gate.opened.set()
    assert future.result(timeout=SECONDS) == ["BUSY"]


@pytest.mark.parametrize(("text", "error"), [("bad", ValueError), ("lost", AssertionError)])
def test_an_error_is_its_callers_alone(make, gate, text, error):
    queue = make()
    busy(queue, gate)
    before, wrong, after = (queue.submit([name]) for name in ("a", text, "b"))
    gate.opened.set()
    assert [future.result(timeout=SECONDS) for future in (before, after)] == [["A"], ["B"]]
    with pytest.raises(error, match=r"among 1|0 answers to 1 texts"):
        wrong.result(timeout=SECONDS)
    assert queue.submit(["c"]).result(timeout=SECONDS) == ["C"]  # it goes on


def test_a_fatal_error_is_told_to_all_that_wait_and_ends_it(make, gate):
    failed = threading.Event()
    queue = make(fatal=(ValueError,), failed=failed.set, max_texts=2)
    first = busy(queue, gate)
    futures = [queue.submit(texts) for texts in (["a"], ["bad"], ["b"], ["c", "d"])]
    gate.opened.set()
    assert first.result(timeout=SECONDS) == ["BUSY"]
    for future in futures:
        with pytest.raises(ValueError, match="bad among 2"):
            future.result(timeout=SECONDS)
    assert failed.wait(timeout=SECONDS)
    assert gate.calls == [["busy"], ["a", "bad"]]  # it is not asked again
    assert isinstance(queue.failure, ValueError)
    with pytest.raises(ClosedError):
        queue.submit(["e"])


def test_closed_it_answers_what_it_took(make, gate):
    queue = make(max_texts=1)
    futures = [busy(queue, gate), queue.submit(["a"]), queue.submit(["b"])]
    queue.close()
    with pytest.raises(ClosedError):
        queue.submit(["c"])
    gate.opened.set()
    queue.thread.join(timeout=SECONDS)
    assert not queue.thread.is_alive()
    assert [future.result(timeout=0) for future in futures] == [["BUSY"], ["A"], ["B"]]


def test_answers_of_many_threads_are_their_own(make, gate):
    gate.opened.set()
    queue = make(max_texts=7)
    wrong = []

    def ask(number):
        for turn in range(40):
            texts = [f"{number} x {turn} {i}" for i in range(turn % 4)]
            if list(queue.submit(texts).result(timeout=SECONDS)) != [text.upper() for text in texts]:
                wrong.append(texts)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=SECONDS)
    assert not wrong
    assert sum(map(len, gate.calls)) == 16 * sum(turn % 4 for turn in range(40))
