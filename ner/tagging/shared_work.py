"""Processes share shards: each checks some, takes its part of what is left, and all hear how it ended."""

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from accelerate import Accelerator

from ner.data.faults import SHOWN
from ner.errors import InputError, single_line
from ner.files import HeldError
from ner.runtime import gathered, warn
from ner.tagging.shards import INPUT, Checked, Job, Shard, check, divided, tag_shard
from ner.utils import progress_bar, tqdm

BYTES_PER_READ = 1 << 20
LOOK_EVERY = 1.0  # seconds, and ten times as long as a look takes


@dataclass
class Done:
    """What a process has done. problems: a message for each shard that is left; failure: of the system, else empty."""

    rows: int = 0
    words: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)
    failure: str = ""


@dataclass(frozen=True)
class Summary:
    """What all processes have done.

    shards: how many are whole; kept: those of them that were so before; total: rows of the whole ones; rows, words:
    tagged now; seconds: of the slowest process; problems, failures: messages.
    """

    shards: int
    kept: int
    total: int
    rows: int
    words: int
    seconds: float
    problems: list[str]
    failures: list[str]


class Progress:
    """How many rows of unfinished shards are done, whoever does them: their files tell.

    So a process needs no word from the others, which may be on other machines, or of another program.
    """

    def __init__(self, shards: Sequence[tuple[Shard, Checked]], job: Job, finished: int) -> None:
        self.job = job
        self.waiting = {shard.output.name: (shard, checked) for shard, checked in shards}
        self.folder = shards[0][0].output.parent if shards else Path()
        self.finished = finished
        self.read: dict[str, tuple[int, int]] = {}  # bytes and lines of each journal
        self.next_look = 0.0

    def rows(self) -> int:
        """Rows in finished shards and journals."""
        if not self.waiting:
            return self.finished
        names = {entry.name for entry in os.scandir(self.folder)}
        in_journals = 0
        for name, (shard, checked) in list(self.waiting.items()):
            if shard.journal.file.name in names:
                in_journals += self.in_journal(shard)
            elif shard.record.name in names and self.is_made(shard, checked):
                self.finished += checked.rows
                del self.waiting[name]
        return self.finished + in_journals

    def is_made(self, shard: Shard, checked: Checked) -> bool:
        """Whether the record is of this work, and not of what is overwritten."""
        made_by = self.job.settings | {INPUT: checked.digest}
        return (shard.made_by() or {}).items() >= made_by.items()

    def in_journal(self, shard: Shard) -> int:
        """Rows of the journal; what was read before is not read again."""
        size, lines = self.read.get(shard.output.name, (0, 0))
        try:
            with shard.journal.file.open("rb") as journal:
                if os.fstat(journal.fileno()).st_size < size:  # it was begun again
                    size = lines = 0
                journal.seek(size)
                while part := journal.read(BYTES_PER_READ):
                    size += len(part)
                    lines += part.count(b"\n")
        except FileNotFoundError:
            return 0  # finished just now; the next look finds its record
        self.read[shard.output.name] = size, lines
        return max(lines - 1, 0)

    def show(self, bar: tqdm) -> None:
        """Moves the bar, unless it was a moment ago."""
        start = time.monotonic()
        if bar.disable or start < self.next_look:
            return
        bar.update(self.rows() - bar.n)
        end = time.monotonic()
        self.next_look = end + max(LOOK_EVERY, 10 * (end - start))


def tag_shards(shards: Sequence[Shard], job: Job, accelerator: Accelerator) -> Summary:
    """Tags what is not done of the shards. Called by all processes, each of which has the same shards.

    A shard that cannot be tagged is left for the end. Raises InputError if one was made with another model or other
    options: then nothing is tagged. Raises ConnectionError if another process has ended too early.
    """
    processes, index = accelerator.num_processes, accelerator.process_index
    with progress_bar(accelerator, "check", " shards", total=len(shards[index::processes]), leave=False) as bar:
        checked = []
        for shard in shards[index::processes]:
            checked.append(check(shard, job))
            bar.update()
    by_process = gathered(checked, lambda: None)
    found = [by_process[place % processes][place // processes] for place in range(len(shards))]
    if others := [one.problem for one in found if one.is_others]:
        what = "were made with another model, or other options; nothing is tagged, name another `output`"
        raise InputError(problems_of(others, f"{len(others):,} of {len(shards):,} shards {what}"))
    problems = [one.problem for one in found if one.problem]
    if problems:
        head = f"{len(problems):,} of {len(shards):,} shards cannot be tagged; the others are, first"
        warn(accelerator, problems_of(problems, head))

    kept = [one for one in found if one.is_done]
    left = [(shard, one) for shard, one in zip(shards, found, strict=True) if not one.is_done and not one.problem]
    mine = divided([one.rows for _, one in left], processes)[index]
    total = sum(one.rows for one in found)
    progress = Progress(left, job, finished=sum(one.rows for one in kept))
    with progress_bar(accelerator, "tag", " rows", total=total, initial=progress.rows()) as bar:
        done = work([left[place] for place in mine], job, lambda: progress.show(bar))
        everyone = gathered(done, lambda: progress.show(bar))
        bar.update(progress.rows() - bar.n)
    problems += [problem for one in everyone for problem in one.problems]
    return Summary(
        shards=len(kept) + len(left) - len(progress.waiting),
        kept=len(kept),
        total=progress.finished,
        rows=sum(one.rows for one in everyone),
        words=sum(one.words for one in everyone),
        seconds=max(one.seconds for one in everyone),
        problems=problems,
        failures=[one.failure for one in everyone if one.failure],
    )


def work(shards: Sequence[tuple[Shard, Checked]], job: Job, show: Callable[[], None]) -> Done:
    """Tags the shards of this process, those last that another program holds. show: called after each block."""
    done, start = Done(), time.perf_counter()

    def tell(rows: int, words: int) -> None:
        done.rows += rows
        done.words += words
        show()

    waiting = deque((shard, checked, False) for shard, checked in shards)
    while waiting and not done.failure:
        shard, checked, is_second_try = waiting.popleft()
        try:
            tag_shard(shard, checked.digest, job, tell)
        except HeldError as error:
            if is_second_try:
                done.problems.append(str(error))
            else:
                waiting.append((shard, checked, True))
        except InputError as error:
            done.problems.append(str(error))
        except OSError as error:  # a disk that is full is so for the next shard, too
            done.failure = f"{shard.output}: {single_line(error)}"
    done.seconds = time.perf_counter() - start
    return done


def problems_of(problems: Sequence[str], head: str) -> str:
    """A message for each, below a head; those behind the first are counted."""
    shown = [f"  {line}" for problem in problems[:SHOWN] for line in problem.splitlines()]
    more = [f"  and {len(problems) - SHOWN:,} more"] if len(problems) > SHOWN else []
    return "\n".join([f"{head}:", *shown, *more])
