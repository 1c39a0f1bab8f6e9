"""Small things that several folders need: text tables, progress bars, a thread that works ahead."""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from tqdm import tqdm as plain

from ner.errors import harmless

if TYPE_CHECKING:
    from accelerate import Accelerator

Item = TypeVar("Item")
Made = TypeVar("Made")

MEANT = re.compile(r"[\[\]`<>&]")  # what of a text Markdown takes for a link, an image, code or HTML
DASH = "–"  # noqa: RUF001


def aligned(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table of rows (name and cells) that reads as text too; cells to the right."""
    head, *body = [[cell(text) for text in line] for line in (["trained on", *columns], *rows)]
    lines = [head, ["---"] + ["---:"] * len(columns), *body]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns) + 1)]
    first, *others = widths
    return "\n".join(
        " | ".join([f"| {line[0]:<{first}}", *(f"{cell:>{w}}" for cell, w in zip(line[1:], others, strict=True))])
        + " |"
        for line in lines
    )


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


def table(header: Sequence[str], lines: Sequence[Sequence[Any]]) -> str:
    """A Markdown table, padded so that it reads as text too; numbers to the right."""
    head, *cells = [[cell(one) for one in line] for line in (header, *lines)]
    right = [all(isinstance(line[i], int) for line in lines) and bool(lines) for i in range(len(header))]
    widths = [max(3, *(len(line[i]) for line in (head, *cells))) for i in range(len(header))]

    def one(line: Sequence[str]) -> str:
        padded = (c.rjust(w) if r else c.ljust(w) for c, w, r in zip(line, widths, right, strict=True))
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "|".join("-" * (w + 1) + ":" if r else "-" * (w + 2) for w, r in zip(widths, right, strict=True)) + "|"
    return "\n".join([one(head), rule, *map(one, cells)])


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
