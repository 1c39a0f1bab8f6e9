"""Texts of many callers, taken together: one thread owns the tagger and answers whatever is waiting in one call.

Nothing here knows of HTTP, or of a model: `answer` is any function from texts to an answer for each.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class FullError(Exception):
    """There is no room for more texts; try again later."""


class ClosedError(Exception):
    """Nothing more is taken."""


@dataclass
class Waiting(Generic[Answer]):
    """Texts of one caller, which are answered together."""

    texts: Sequence[str]
    future: "Future[Sequence[Answer]]" = field(default_factory=Future)

    @property
    def num_characters(self) -> int:
        """Of all its texts."""
        return sum(map(len, self.texts))


class Batched(Generic[Answer]):
    """A queue with a thread that answers it, which runs within `with`. At the end, all that was taken is answered.

    Args:
        answer: Called in that thread alone, with the texts of one or more callers. Gives an answer for each, in order.
        max_waiting: Texts that may wait. What is being answered waits no more.
        max_texts: Of one call of `answer`.
        max_characters: Of one call. A caller's texts are never divided: those that alone are more have their own call.
        fatal: Errors after which no call can succeed: nothing more is taken then, and all that waits is told the error.
        failed: Called after such an error, when all are told.
    """

    def __init__(
        self,
        answer: Callable[[list[str]], Sequence[Answer]],
        *,
        max_waiting: int = 10_000,
        max_texts: int = 256,
        max_characters: int = 100_000,
        fatal: tuple[type[BaseException], ...] = (),
        failed: Callable[[], object] = lambda: None,
    ) -> None:
        self.answer = answer
        self.max_waiting = max_waiting
        self.max_texts = max_texts
        self.max_characters = max_characters
        self.fatal = fatal
        self.failed = failed
        self.failure: BaseException | None = None  # the fatal error
        self.num_waiting = 0  # texts
        self.num_calls = 0  # of `answer`
        self.is_closed = False
        self.waiting: OrderedDict[Future[Sequence[Answer]], Waiting[Answer]] = OrderedDict()
        self.changed = threading.Condition()  # guards all of the above
        self.thread = threading.Thread(target=self.work, name="tagger")

    def __enter__(self) -> "Batched[Answer]":
        """Starts the thread."""
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Answers what was taken, and ends the thread."""
        self.close()
        self.thread.join()

    def submit(self, texts: Sequence[str]) -> "Future[Sequence[Answer]]":
        """Takes texts.

        Args:
            texts: Of one caller.

        Returns:
            Their answers, in order, as they will be; or what `answer` raised. If it is cancelled before its texts are
            begun, they leave the queue, and nothing is done for them.

        Raises:
            FullError: If they do not fit beside those that wait.
            ClosedError: After `close`.
        """
        one: Waiting[Answer] = Waiting(texts)
        one.future.add_done_callback(self.forget)
        with self.changed:
            if self.is_closed:
                raise ClosedError
            if self.num_waiting + len(texts) > self.max_waiting:
                raise FullError
            self.waiting[one.future] = one
            self.num_waiting += len(texts)
            self.changed.notify()
        return one.future

    def close(self) -> None:
        """Takes nothing more. What was taken is answered still."""
        with self.changed:
            self.is_closed = True
            self.changed.notify()

    def forget(self, future: "Future[Sequence[Answer]]") -> None:
        """Takes out of the queue what was cancelled while it waited."""
        with self.changed:
            if one := self.waiting.pop(future, None):
                self.num_waiting -= len(one.texts)

    def work(self) -> None:
        """What the thread does."""
        while batch := self.take():
            # From here on they cannot be cancelled. One that was a moment ago is left out.
            begun = [one for one in batch if one.future.set_running_or_notify_cancel()]
            if begun and not self.answer_together(begun) and len(begun) > 1:
                # A text that cannot be tagged is its caller's trouble, and nobody else's.
                for one in begun:
                    self.answer_together([one])
        if self.failure:
            self.failed()

    def take(self) -> list[Waiting[Answer]]:
        """Those that have waited longest, as many as go into one call. Waits for one; none: closed, and all is done."""
        with self.changed:
            self.changed.wait_for(lambda: self.waiting or self.is_closed)
            batch: list[Waiting[Answer]] = []
            num_texts = num_characters = 0
            while self.waiting:
                one = next(iter(self.waiting.values()))
                num_texts += len(one.texts)
                num_characters += one.num_characters
                if batch and (num_texts > self.max_texts or num_characters > self.max_characters):
                    break
                self.waiting.popitem(last=False)
                self.num_waiting -= len(one.texts)
                batch.append(one)
            return batch

    def answer_together(self, batch: Sequence[Waiting[Answer]]) -> bool:
        """Answers these in one call. False: it raised, which only one that is alone is told, if it is not fatal."""
        try:
            if self.failure:
                raise self.failure
            self.num_calls += 1
            answers = list(self.answer([text for one in batch for text in one.texts]))
            expected = sum(len(one.texts) for one in batch)
            if len(answers) != expected:
                raise AssertionError(f"{len(answers)} answers to {expected} texts")
        except BaseException as error:  # as an executor of concurrent.futures does: it is raised where somebody waits
            is_fatal = isinstance(error, self.fatal)
            if is_fatal:
                self.failure = error
                self.close()
            for one in batch if is_fatal or len(batch) == 1 else ():
                one.future.set_exception(error)
            return is_fatal
        start = 0
        for one in batch:
            one.future.set_result(answers[start : start + len(one.texts)])
            start += len(one.texts)
        return True
