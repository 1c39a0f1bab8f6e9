"""Small things that several folders need: text tables, ragged arrays, progress bars, a thread that works ahead."""

import re
import threading
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from itertools import accumulate, chain, islice
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, TypeVar

import numpy as np
from tqdm import tqdm as plain

from ner.errors import harmless, printable

if TYPE_CHECKING:
    from accelerate import Accelerator

Item = TypeVar("Item")
Made = TypeVar("Made")
Layout: TypeAlias = Literal["ruled", "dashes", "compact"]

MEANT = re.compile(r"[\[\]`<>&]")  # what of a text Markdown takes for a link, an image, code or HTML
DASH = "–"  # noqa: RUF001
GAP = "  "  # between columns in a terminal
ROWS_PER_PART = 1 << 20  # of arrays on disk: bounds memory
NARROWEST = 12  # columns that cells get, however narrow the terminal is


def escape_line(text: str) -> str:
    """The text without what breaks a line, or a terminal obeys."""
    return harmless(text).replace("\n", "\\n").replace("\t", "\\t")


def cell(value: Any) -> str:
    """A cell of a table, which stays one: backslashes before a | are doubled, or it would not be escaped."""
    if isinstance(value, int):
        return f"{value:,}"
    # Looked at from the first backslash alone: from each of them, a long run takes its length squared.
    return re.sub(r"(?<!\\)(\\*)\|", r"\1\1\\|", escape_line(str(value)))


def quoted(text: str) -> str:
    """Text of others in a page that is shown as Markdown: on one line, and with no links, images or HTML of its own."""
    return MEANT.sub(lambda match: f"&#{ord(match[0])};", escape_line(text))


def code(text: str) -> str:
    """As code in Markdown."""
    return f"`{printable(text).replace('`', '')}`"


def table(
    header: Sequence[str],
    lines: Sequence[Sequence[Any]],
    *,
    right: Sequence[bool] | None = None,
    layout: Layout = "ruled",
) -> str:
    """A Markdown table.

    right: columns whose cells go to the right; None: those of whole numbers. layout: `ruled` and `dashes` are padded,
    so that they read as text too, with a rule as wide as the columns or of three dashes; `compact` is not padded.
    """
    head, *body = [[cell(value) for value in line] for line in (header, *lines)]
    if right is None:
        right = [bool(lines) and all(isinstance(line[i], int) for line in lines) for i in range(len(header))]
    dashes = ["---:" if to_right else "---" for to_right in right]
    measured = [head, dashes, *body] if layout == "dashes" else [head, *body]
    widths = [max(3, *(len(line[i]) for line in measured)) for i in range(len(header))]

    def padded(cells: Sequence[str]) -> Iterator[str]:
        for text, width, to_right in zip(cells, widths, right, strict=True):
            yield text.rjust(width) if to_right else text.ljust(width)

    def row(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cells if layout == "compact" else padded(cells)) + " |"

    if layout == "dashes":
        rule = row(dashes)
    else:
        spans = [3 if layout == "compact" else width + 2 for width in widths]
        marks = zip(spans, right, strict=True)
        rule = "|" + "|".join("-" * (span - 1) + ":" if to_right else "-" * span for span, to_right in marks) + "|"
    return "\n".join([row(head), rule, *map(row, body)])


def signed(value: float) -> str:
    """Three decimals and the sign, which 0 has none of."""
    text = f"{value:+.3f}"
    return "0.000" if text in ("+0.000", "-0.000") else text


def aligned(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table of rows (name and cells) by what they were trained on; cells to the right."""
    return table(["trained on", *columns], rows, right=[False, *(True for _ in columns)], layout="dashes")


class Span(NamedTuple):
    """A word over its positions, in columns of a terminal. cells: of each position; widths: likewise."""

    word: str
    cells: Sequence[Sequence[str]]
    widths: Sequence[int]

    @property
    def width(self) -> int:
        """Columns of all positions, and what is between them."""
        return sum(self.widths) + len(GAP) * (len(self.widths) - 1)


def interlinear(names: Sequence[str], words: Iterable[tuple[str, Sequence[Sequence[str]]]], width: int) -> str:
    """Words, and rows of cells that stand below them, in blocks of lines no wider than a terminal.

    names: of the rows, the first that of the words; words: each with the cells of its positions (of its sub-tokens),
    which are one for each row below it; width: of the terminal, in columns. A word stands above its positions. What
    does not print is shown as escapes, and what is wider than a block is cut.
    """
    margin = max(map(text_width, names)) + len(GAP)
    room = max(width - margin, NARROWEST)
    blocks: list[list[Span]] = []
    taken = room
    for word, positions in words:
        for span in spans(printable(word), [list(map(printable, cells)) for cells in positions], room):
            taken += len(GAP) + span.width
            if taken > room:
                blocks.append([])
                taken = span.width
            blocks[-1].append(span)

    def line(name: str, cells: Iterable[str]) -> str:
        return (fitted(name, margin) + GAP.join(cells)).rstrip()

    def rows(block: Sequence[Span]) -> Iterator[str]:
        yield line(names[0], (fitted(span.word, span.width) for span in block))
        for row, name in enumerate(names[1:]):
            columns = (
                (cells[row], wide) for span in block for cells, wide in zip(span.cells, span.widths, strict=True)
            )
            yield line(name, (fitted(text, wide) for text, wide in columns))

    return "\n\n".join("\n".join(rows(block)) for block in blocks)


def spans(word: str, positions: Sequence[Sequence[str]], room: int) -> Iterator[Span]:
    """The word over its positions; over the first of them, and the others behind it, if they take more than `room`."""
    widths = [min(room, max(map(text_width, cells))) for cells in positions]
    start = 0
    while start < len(positions):
        ends = accumulate(width + len(GAP) for width in widths[start:])
        end = start + max(1, sum(taken - len(GAP) <= room for taken in ends))
        span = Span("" if start else word, positions[start:end], widths[start:end])
        lacking = min(text_width(span.word), room) - span.width
        yield span._replace(widths=[*span.widths[:-1], span.widths[-1] + max(0, lacking)])
        start = end


def text_width(text: str) -> int:
    """Columns of a terminal that a text takes which has nothing but printable characters."""
    return sum(map(character_width, text))


def character_width(character: str) -> int:
    """Columns of a terminal: 0 for a mark on the character before it, 2 for a wide one of East Asia, 1 for others."""
    is_mark = unicodedata.category(character) in ("Mn", "Me")
    if is_mark or "\u1160" <= character <= "\u11ff":  # vowels and final consonants in the block of a Korean syllable
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def fitted(text: str, width: int) -> str:
    """The text in exactly so many columns of a terminal, 3 or more: with blanks behind it, or cut, with dots."""
    if text_width(text) > width:
        ends = accumulate(map(character_width, text))
        text = text[: sum(end <= width - 3 for end in ends)] + "..."
    return text + " " * (width - text_width(text))


def offsets_of(lengths: np.ndarray | Sequence[int]) -> np.ndarray:
    """int64 [rows + 1]: where each row begins among the elements of all, and the end. lengths: elements of each row."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def rows_of(lengths: np.ndarray) -> np.ndarray:
    """int64 [elements]: the row that each element is in. lengths: int64 [rows]."""
    return np.repeat(np.arange(len(lengths)), lengths)


def numbers(size: int) -> np.ndarray:
    """0, 1, 2 ...: int32 [size], int64 where that is too small."""
    return np.arange(size, dtype=np.min_scalar_type(-max(size, 1 << 16)))


def in_parts(array: np.ndarray) -> Iterator[np.ndarray]:
    """The rows of an array on disk, in memory, a bounded number at a time."""
    for start in range(0, len(array), ROWS_PER_PART):
        yield np.ascontiguousarray(array[start : start + ROWS_PER_PART])


def ranges(start: np.ndarray | int, lengths: np.ndarray) -> np.ndarray:
    """int64 [elements]: for each row the numbers from its start on, as many as its length.

    start: int64 [rows], or 0 for the place of each element in its row; lengths: int64 [rows].
    """
    offsets = offsets_of(lengths)
    return np.repeat(start - offsets[:-1], lengths) + np.arange(offsets[-1])


class tqdm(plain):  # type: ignore[type-arg]  # noqa: N801  # it stands where that one would
    """tqdm, but for its description and the like."""

    def __str__(self) -> str:
        return escape_line(super().__str__())


def progress_bar(accelerator: "Accelerator", title: str, unit: str, **settings: Any) -> tqdm:
    """A progress bar of the main process; settings: as of tqdm."""
    return tqdm(desc=title, unit=unit, disable=not accelerator.is_main_process, **settings)


def ahead(make: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
    """make(item) of every item in turn; that of the next item is made in a thread meanwhile. Raises what make does.

    Behind one that raises, none is made: it may take as long, and to the same end; nor is one when the caller has had
    enough. A single item takes no thread.
    """
    rest = iter(items)
    first = list(islice(rest, 2))
    if len(first) < 2:
        yield from map(make, first)
        return
    waiting: deque[Future[Made]] = deque()
    is_over = threading.Event()

    def attempt(item: Item) -> Made:
        if is_over.is_set():
            raise CancelledError
        try:
            return make(item)
        except BaseException:
            is_over.set()
            raise

    with ThreadPoolExecutor(1) as pool:
        try:
            for item in chain(first, rest):
                waiting.append(pool.submit(attempt, item))
                if len(waiting) == 2:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            is_over.set()
