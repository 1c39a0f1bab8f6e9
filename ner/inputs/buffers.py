"""The plan of a stream: a buffer of sentences after the other, each with an order of its own, as epochs have it."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from datasets import Dataset, concatenate_datasets

from ner.data.remote import name_of
from ner.data.streaming import Position, SentenceStream
from ner.inputs.batching import EpochPlan, apportion
from ner.inputs.encoding import Encoded

KEPT = 8  # buffers whose beginning is known: the thread that works ahead is at most three steps before the loop


@dataclass(frozen=True)
class Stream:
    """Sentences that stream: of each language, in these shares, so many at a time. encode: makes windows of them."""

    languages: Mapping[str, SentenceStream]
    shares: Mapping[str, float]
    buffer: int
    encode: Callable[[Dataset], Encoded]

    @property
    def sizes(self) -> dict[str, int]:
        """Sentences of each language in a buffer."""
        return of_each(self.shares, self.buffer)

    def described(self) -> str:
        """For a message."""
        files = ", ".join(
            f"{name} {self.sizes[name]:,} at a time (files: {len(stream.reader.names):,})"
            for name, stream in self.languages.items()
        )
        return f"a stream: {files}"

    def fingerprint(self) -> str:
        """Equal where the sentences come from files of the same names, in these shares."""
        # Without their folder: it may be moved, and a repository on the Hub get a new commit.
        names = {language: list(map(name_of, stream.reader.names)) for language, stream in self.languages.items()}
        return hashlib.sha256(json.dumps([names, self.sizes]).encode()).hexdigest()

    def check(self) -> None:
        """Makes the first shard of each language ready. Raises InputError for what is wrong with it."""
        for stream in self.languages.values():
            stream.check()


def of_each(shares: Mapping[str, float], total: int) -> dict[str, int]:
    """Whole numbers in proportion to shares, `total` together."""
    return dict(zip(shares, apportion(list(shares.values()), total).tolist(), strict=True))


class BufferPlan:
    """`EpochPlan` of a stream: what an epoch is there, a buffer is here.

    A buffer takes the next sentences of each language, in proportion to its share. Buffers are made in turn, each once;
    where the streams stood at the beginning of one is what a run that goes on needs.
    """

    def __init__(self, stream: Stream, like: EpochPlan) -> None:
        """Its steps, from where it stands. like: any plan, whose settings that of each buffer gets."""
        self.stream, self.plan = stream, like
        self.next = 0
        self.first = {0: self.positions()}

    def __len__(self) -> int:
        """The number of steps of a buffer."""
        return -(-self.stream.buffer // self.plan.batch_size)

    def of_epoch(self, number: int) -> EpochPlan:
        """The plan of a buffer: of the next one, or once more of the last. Raises InputError for bad sentences."""
        if number == self.plan.epoch and self.next == number + 1:
            return self.plan
        assert number == self.next, f"buffer {number} of a stream that stands at {self.next}"
        parts = [self.stream.languages[name].take(size) for name, size in self.stream.sizes.items() if size]
        encoded = self.stream.encode(concatenate_datasets(parts))
        self.plan = replace(self.plan, encoded=encoded, epoch=number, sentences=None, languages=None)
        self.next = number + 1
        self.first[self.next] = self.positions()
        self.first.pop(self.next - KEPT, None)
        return self.plan

    def positions(self) -> dict[str, Position]:
        """Where each language stands."""
        return {language: stream.position for language, stream in self.stream.languages.items()}

    def state(self, step: int) -> dict[str, Any]:
        """What a run that goes on behind that step needs. step: the last that was made."""
        number = step // len(self)
        return {"buffer": number, "positions": {name: asdict(at) for name, at in self.first[number].items()}}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Makes it stand where it stood. state: as of `state`."""
        self.next = state["buffer"]
        for language, at in state["positions"].items():
            self.stream.languages[language].position = Position(**at)
        self.first = {self.next: self.positions()}

    def drawn(self, steps: int) -> dict[str, int]:
        """Sentences of each language in so many steps, repeated ones included, by their shares."""
        buffers, rest = divmod(steps, len(self))
        total = buffers * self.stream.buffer + min(rest * self.plan.batch_size, self.stream.buffer)
        return of_each(self.stream.shares, total)
