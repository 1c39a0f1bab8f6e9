"""Rows are tagged in blocks into a journal: by processes that share a file, or by one that has it alone."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from ner.data.faults import Fault
from ner.errors import InputError
from ner.tagging import files
from ner.tagging.document import Tag
from ner.tagging.files import Text
from ner.tagging.journal import Journal, check_sum

ROWS_PER_BLOCK = 512  # tagged by one process and written together


@dataclass(frozen=True)
class Share:
    """Which blocks of a file are this process's, which all processes take in turn; the first writes.

    gather: what each process puts into a list -> all of it, by rank, on each of them.
    """

    num_processes: int = 1
    index: int = 0
    gather: Callable[[list[Any]], list[Any]] = list

    def of(self, rows: Iterator[Text | Fault]) -> Iterator[Text | Fault]:
        """The rows of its blocks."""
        return (row for number, row in enumerate(rows) if number // ROWS_PER_BLOCK % self.num_processes == self.index)


ALONE = Share()


def pass_over(
    rows: Iterator[Text | Fault], journal: Journal, num_done: int, *, overwrite: bool
) -> tuple[int, Iterator[Text | Fault]]:
    """Reads the rows that the journal has. Returns how many of them the input still has, and its rows behind those.

    Raises InputError where a row is another than when it was begun, unless it may be overwritten.
    """
    for number, check in enumerate(islice(journal.checks(), num_done)):
        row = next(rows, None)
        if row is None or check_sum(files.sound(row).row) != check:
            if overwrite:
                return number, chain([] if row is None else [row], rows)
            raise InputError(
                f"{journal.file}: row {number + 1:,} of the input is another than when it was begun; `overwrite` tags "
                "the rows from there on again"
            )
    return num_done, rows


def tag_blocks(
    rows: Iterator[Text | Fault], journal: Journal, tag: Tag, *, as_words: bool, share: Share = ALONE
) -> Iterator[tuple[int, int]]:
    """Tags all rows into the journal. Yields how many rows and words that was, each time some are written.

    as_words: as of `row_of`. Raises InputError for a row that cannot be tagged, and OSError.
    """
    waiting: deque[Text] = deque()

    def contents() -> Iterator[str | list[str]]:
        for row in share.of(rows):
            waiting.append(files.sound(row))
            yield waiting[-1].content

    tagged_texts = tag(contents())
    while True:
        pairs = [(waiting.popleft(), tagged) for tagged in islice(tagged_texts, ROWS_PER_BLOCK)]
        lines = [(check_sum(text.row), files.to_json(files.row_of(text, tagged, as_words))) for text, tagged in pairs]
        # By rank, which is the input's order.
        blocks = share.gather([(lines, sum(len(tagged.words) for _, tagged in pairs))])
        if not any(block for block, _ in blocks):
            return
        if share.index == 0:
            journal.append(line for block, _ in blocks for line in block)
        yield sum(len(block) for block, _ in blocks), sum(words for _, words in blocks)
