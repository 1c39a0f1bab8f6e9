"""The plan of an epoch: which sentences make a step, in which micro-batch, and in which row.

A plan is a pure function of (seed, epoch, number of processes). Every process computes the whole of it, so that
nothing is communicated to know who does what, how many labels a step has, or where an interrupted epoch goes on.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ner.errors import InputError
from ner.inputs.encoding import Encoded
from ner.utils import numbers


@dataclass(frozen=True)
class MicroBatch:
    """What one process runs forward and backward at once.

    rows: the windows in each row; one per row in a padded batch. row_length: sub-tokens of a row, padding included.
    filler: computed only to keep the processes in step; its labels do not count.
    """

    rows: list[list[int]]
    row_length: int
    filler: bool = False

    @property
    def windows(self) -> list[int]:
        """Row after row."""
        return [window for row in self.rows for window in row]

    @property
    def num_positions(self) -> int:
        """Sub-tokens that are computed, padding included."""
        return len(self.rows) * self.row_length


@dataclass(frozen=True)
class Step:
    """One optimizer step.

    sentences: int64 [sentences]; micro_batches: those of each process, equally many for all;
    num_labels, num_tokens: scored labels and sub-tokens over all processes.
    """

    sentences: np.ndarray
    micro_batches: list[list[MicroBatch]]
    num_labels: int
    num_tokens: int

    @property
    def num_positions(self) -> int:
        """Sub-tokens that are computed on all processes, padding included."""
        return sum(micro_batch.num_positions for rank in self.micro_batches for micro_batch in rank)


@dataclass(frozen=True)
class EpochPlan(Sequence[Step]):
    """The steps of an epoch. `plan[k]` costs the same for every k: nothing before it is computed.

    `len(plan)` is the number of steps, and `for step in plan` runs over them.

    Attributes:
        encoded: Sentences as windows of sub-tokens.
        batch_size: Sentences per step, over all processes; the last step of an epoch may have fewer.
        row_length: Sub-tokens of a packed row; None pads, one window per row, windows of similar length together.
        max_tokens: Positions (padding included) in a micro-batch at most.
        seed: Of the order of sentences; None takes them in the order of the data.
        epoch: Number of the epoch; each has an order of its own.
        num_processes: Processes that share the work.
        sentences: int [sentences], the sentences of `encoded` in the order that epochs are drawn from; None for all as
            they are.
        languages: int [sentences], the language of each of these as a number; only where temperature is not 1.
        temperature: An epoch draws as many sentences as there are, of a language with n of them a share in proportion
            to n ** (1 / temperature): 1 takes each sentence once, more repeats those of small languages.

    Raises:
        InputError: If a window alone has more than max_tokens positions.
    """

    encoded: Encoded
    batch_size: int
    row_length: int | None
    max_tokens: int
    seed: int | None = None
    epoch: int = 0
    num_processes: int = 1
    sentences: np.ndarray | None = None
    languages: np.ndarray | None = None
    temperature: float = 1.0

    def __post_init__(self) -> None:
        longest = self.encoded.longest
        if self.row_length:
            longest = -(-longest // self.row_length) * self.row_length
        if longest > self.max_tokens:
            raise InputError(
                f"the longest window needs {longest} positions, more than `max_tokens_per_micro_batch` "
                f"{self.max_tokens}; raise that or lower `max_length`"
            )

    def __len__(self) -> int:
        """The number of steps."""
        return -(-self.num_sentences // self.batch_size)

    @property
    def num_sentences(self) -> int:
        """Sentences of an epoch, repeated ones included."""
        return self.encoded.num_sentences if self.sentences is None else len(self.sentences)

    @cached_property
    def order(self) -> np.ndarray:
        """int32 [sentences], or int64: the sentences in the order of the epoch."""
        places = numbers(self.num_sentences)
        if self.seed is not None:
            if self.languages is not None and self.temperature != 1:
                drawn = draw_sentences(self.languages, self.drawn_of_languages, self.seed, self.epoch)
                places = drawn.astype(places.dtype)
            np.random.default_rng([self.seed, self.epoch]).shuffle(places)
        return places if self.sentences is None else self.sentences[places]

    @property
    def drawn_of_languages(self) -> np.ndarray:
        """int64 [languages]: sentences of each language in an epoch, repeated ones included."""
        assert self.languages is not None
        return apportion(np.bincount(self.languages) ** (1 / self.temperature), len(self.languages))

    def of_epoch(self, number: int) -> "EpochPlan":
        """The plan of another epoch.

        Args:
            number: Of the epoch, from 0.

        Returns:
            A plan of the same sentences in the order of that epoch.
        """
        return replace(self, epoch=number)

    def state(self, step: int) -> dict[str, Any]:
        """What a run that goes on needs beside the number of its step, which is nothing: the order is a pure function.

        Args:
            step: The last that was made.

        Returns:
            Plain numbers and texts for a checkpoint.
        """
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Makes the plan go on from there.

        Args:
            state: What `state` gave.
        """

    def __getitem__(self, step: int) -> Step:  # type: ignore[override]
        """One step: its sentences, and the micro-batches of each process.

        Args:
            step: Number of the step in the epoch, from 0.

        Returns:
            `sentences`, int64 [sentences]; `micro_batches[rank]`, equally many for each process; `num_labels` and
            `num_tokens`, scored labels and sub-tokens over all processes.

        Raises:
            IndexError: For a number below 0, or behind the last step.
        """
        if not 0 <= step < len(self):
            raise IndexError(f"step {step} of {len(self)}")
        sentences = self.order[step * self.batch_size : (step + 1) * self.batch_size]
        windows_of = self.encoded.windows_of(sentences)
        everything = [window for windows in windows_of for window in windows]
        lengths = dict(zip(everything, self.encoded.lengths(everything).tolist(), strict=True))
        tokens_of = [sum(lengths[window] for window in windows) for windows in windows_of]
        shares = [
            [window for sentence in share for window in windows_of[sentence]]
            for share in balance(tokens_of, self.num_processes)
        ]
        micro_batches = [self.split(windows, lengths) for windows in shares]
        # As many on every process: FSDP communicates in each forward, so nobody may run fewer.
        longest = max(map(len, micro_batches))
        filler = MicroBatch([[everything[0]]], self.row_length_of(lengths[everything[0]]), filler=True)
        return Step(
            sentences,
            [mine + [filler] * (longest - len(mine)) for mine in micro_batches],
            self.encoded.num_labels(everything),
            sum(tokens_of),
        )

    def __iter__(self) -> Iterator[Step]:
        """The steps in turn; each is made when it is reached."""
        return map(self.__getitem__, range(len(self)))

    def row_length_of(self, length: int) -> int:
        """Length of the row that a window of this length needs.

        Args:
            length: Sub-tokens of the window.

        Returns:
            The length itself where rows are padded; where they are packed, the next multiple of row_length.
        """
        return int(length) if self.row_length is None else -(-int(length) // self.row_length) * self.row_length

    def split(self, windows: Sequence[int], lengths: Mapping[int, int]) -> list[MicroBatch]:
        """One process's windows of a step as micro-batches of at most max_tokens positions, rows of one length.

        Args:
            windows: Numbers of the windows.
            lengths: Sub-tokens of each of them.

        Returns:
            Micro-batches that hold each window once, those with the longest rows first.
        """
        if self.row_length is None:
            return [
                MicroBatch([[window] for window in group], lengths[group[0]])
                for group in group_by_length(windows, lengths, self.max_tokens)
            ]
        by_length: dict[int, list[list[int]]] = {}
        for row, row_length in pack([lengths[window] for window in windows], self.row_length):
            by_length.setdefault(row_length, []).append([windows[i] for i in row])
        return [
            MicroBatch([rows[i] for i in part], row_length)
            for row_length, rows in sorted(by_length.items(), reverse=True)
            for part in np.array_split(np.arange(len(rows)), -(-len(rows) * row_length // self.max_tokens))
        ]


def apportion(weights: Sequence[float] | np.ndarray, total: int) -> np.ndarray:
    """int64 [weights]: whole numbers in proportion to the weights, `total` together."""
    shares = total * np.asarray(weights, np.float64) / np.sum(weights)
    whole = np.floor(shares).astype(np.int64)
    rest = total - whole.sum()  # goes to those that lose most by rounding
    whole[np.argsort(whole - shares, kind="stable")[:rest]] += 1
    return whole


def draw_sentences(languages: np.ndarray, drawn: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """int64 [sentences], rising: the sentences of an epoch, drawn[language] of each language.

    Each language goes round in an order of its own, epoch after epoch: its sentences are taken equally often, give or
    take one, and what an epoch leaves out comes in the next. languages: int [sentences].
    """
    parts = []
    for language, count in enumerate(drawn):
        own = np.flatnonzero(languages == language)
        order = np.random.default_rng([seed, language, 1]).permutation(own)
        parts.append(np.take(order, np.arange(epoch * count, (epoch + 1) * count), mode="wrap"))
    return np.sort(np.concatenate(parts))


def pack(lengths: Sequence[int], row_length: int) -> list[tuple[list[int], int]]:
    """First-fit decreasing: rows as (items, length of the row).

    An item longer than row_length opens a row of the next multiple, and shorter items fill what is left of it.
    """
    rows: list[list[int]] = []
    row_lengths: list[int] = []
    free: list[int] = []
    for item in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        length = lengths[item]
        row = next((r for r, space in enumerate(free) if space >= length), None)
        if row is None:
            row = len(rows)
            rows.append([])
            row_lengths.append(-(-length // row_length) * row_length)
            free.append(row_lengths[-1])
        rows[row].append(item)
        free[row] -= length
    return list(zip(rows, row_lengths, strict=True))


def group_by_length(windows: Sequence[int], lengths: Mapping[int, int], max_tokens: int) -> list[list[int]]:
    """Windows from long to short in groups: none shorter than half the group's longest, within max_tokens padded."""
    groups: list[list[int]] = []
    for window in sorted(windows, key=lambda w: (-lengths[w], w)):
        longest = lengths[groups[-1][0]] if groups else 0
        if groups and 2 * lengths[window] >= longest and (len(groups[-1]) + 1) * longest <= max_tokens:
            groups[-1].append(window)
        else:
            groups.append([window])
    return groups


def balance(weights: Sequence[int], num_shares: int) -> list[list[int]]:
    """Items in num_shares disjoint shares of nearly equal weight: heaviest first, each to the lightest share so far."""
    if num_shares == 1:
        return [list(range(len(weights)))]
    shares: list[list[int]] = [[] for _ in range(num_shares)]
    totals = [0] * num_shares
    for item in sorted(range(len(weights)), key=lambda i: (-weights[i], i)):
        lightest = totals.index(min(totals))
        shares[lightest].append(item)
        totals[lightest] += weights[item]
    return shares
