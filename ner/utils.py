"""Small things that several folders need: text tables, ragged arrays, progress bars, a thread that works ahead."""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

import numpy as np
from tqdm import tqdm as plain

from ner.errors import harmless

if TYPE_CHECKING:
    from accelerate import Accelerator

Item = TypeVar("Item")
Made = TypeVar("Made")
Layout: TypeAlias = Literal["ruled", "dashes", "compact"]

MEANT = re.compile(r"[\[\]`<>&]")  # what of a text Markdown takes for a link, an image, code or HTML
DASH = "–"  # noqa: RUF001


def escape_line(text: str) -> str:
    """The text without what breaks a line, or a terminal obeys."""
    return harmless(text).replace("\n", "\\n").replace("\t", "\\t")


def cell(value: Any) -> str:
    """A cell of a table, which stays one: backslashes before a | are doubled, or it would not be escaped."""
    if isinstance(value, int):
        return f"{value:,}"
    return re.sub(r"(\\*)\|", r"\1\1\\|", escape_line(str(value)))


def quoted(text: str) -> str:
    """Text of others in a page that is shown as Markdown: on one line, and with no links, images or HTML of its own."""
    return MEANT.sub(lambda match: f"&#{ord(match[0])};", escape_line(text))


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


def aligned(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table of rows (name and cells) by what they were trained on; cells to the right."""
    return table(["trained on", *columns], rows, right=[False, *(True for _ in columns)], layout="dashes")


def offsets_of(lengths: np.ndarray | Sequence[int]) -> np.ndarray:
    """int64 [rows + 1]: where each row begins among the elements of all, and the end. lengths: elements of each row."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def rows_of(lengths: np.ndarray) -> np.ndarray:
    """int64 [elements]: the row that each element is in. lengths: int64 [rows]."""
    return np.repeat(np.arange(len(lengths)), lengths)


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
    """make(item) of every item in turn; that of the next item is made in a thread meanwhile. Raises what make does."""
    waiting: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(1) as pool:
        for item in items:
            waiting.append(pool.submit(make, item))
            if len(waiting) == 2:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
