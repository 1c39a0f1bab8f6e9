"""What the report page is made of, and its HTML: tables, pictures, histograms, and the sections that hold them.

Everything that comes from data is escaped. No element has a style of its own, which the page's policy would refuse.
"""

import base64
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TypeAlias

from ner.utils import signed

Cell: TypeAlias = str | int | float | None
Limits: TypeAlias = tuple[float, float]

STEPS = 10  # shades of a cell
DIFFERENCE_STEPS, DIFFERENCE_STEP = 5, 0.05  # shades of a loss, and of a gain: the strongest is that of 0.25 and more
BAR_STEPS = 20  # widths of a bar
BAR_HEIGHT = 48  # of the highest bar of a histogram, in pixels
BAR_WIDTH = 24


@dataclass(frozen=True)
class Table:
    """Rows of text and numbers. Columns without text go to the right; None is an unknown number.

    strong: (row, column) of cells to mark, such as the best of their column; shades: cells that are floats are shaded
    from the first of these numbers to the second; below: small text below a cell; bars: names of columns whose numbers
    are drawn as bars, the column's greatest being the longest; differences: names of columns whose numbers are shown
    with their sign, and shaded: red a loss, blue a gain.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    strong: frozenset[tuple[int, int]] = frozenset()
    shades: Limits | None = None
    below: Mapping[tuple[int, int], str] = field(default_factory=dict)
    bars: Collection[str] = ()
    differences: Collection[str] = ()


@dataclass(frozen=True)
class Histogram:
    """A histogram for each name, on a log scale that all of them share.

    edges: where the bins begin, the last one without an end; counts: of each name, of each bin.
    """

    names: Sequence[str]
    edges: Sequence[float]
    counts: Sequence[Sequence[int]]
    caption: str = ""


@dataclass(frozen=True)
class Picture:
    """An SVG file's text. description: what it shows, for those who do not see it."""

    svg: str
    description: str
    caption: str = ""


Content: TypeAlias = Sequence[str | Table | Histogram | Picture]


@dataclass(frozen=True)
class Place:
    """What a reader of the page chooses: a run, a split, and a language; None for all languages of the two."""

    run: str
    split: str
    language: str | None = None


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it; text is a paragraph.

    content: the same whatever is chosen; views: the content of each place. wide: takes the width of the page.
    """

    heading: str
    content: Content = ()
    views: Mapping[Place, Content] = field(default_factory=dict)
    wide: bool = False


def section_html(section: Section, name: str, run: str | None = None) -> str:
    """The HTML of a section. name: its id; run: whose view is there at first, the first run's if None.

    All views are templates.
    """
    style = as_class(["wide"] if section.wide else [])
    parts = [f'<section id="{name}"{style}>', f"<h2>{escape(section.heading)}</h2>"]
    if section.content:
        parts.append(f'<div class="content">{content_html(section.content)}</div>')
    views = {place: content_html(content) for place, content in section.views.items()}
    if views:
        first = next((place for place in views if place.run == run), next(iter(views)))
        parts.append(f'<div class="content view">{views[first]}</div>')
    parts += [f'<template data-place="{escape(place_json(place))}">{html}</template>' for place, html in views.items()]
    return "\n".join([*parts, "</section>"])


def place_json(place: Place) -> str:
    """What the page's script looks a place up by, as its JSON.stringify writes it."""
    return json.dumps([place.run, place.split, place.language or ""], ensure_ascii=False, separators=(",", ":"))


def content_html(content: Content) -> str:
    """The HTML of what stands below a heading."""
    parts = []
    for each in content:
        if isinstance(each, Table):
            parts.append(table_html(each))
        elif isinstance(each, Histogram):
            parts.append(histogram_html(each))
        elif isinstance(each, Picture):
            parts.append(picture_html(each))
        else:
            parts.append(f"<p>{escape(each)}</p>")
    return "\n".join(parts)


def table_html(table: Table) -> str:
    """The HTML of a table, in a box that scrolls sideways where the screen is narrow."""
    numeric = [
        bool(table.rows) and not any(isinstance(row[i], str) for row in table.rows) for i in range(len(table.header))
    ]
    longest = {name: greatest([row[i] for row in table.rows]) for i, name in enumerate(table.header)}
    head = [
        f'<th scope="col"{as_class(["number"] if is_numeric else [])}>{escape(name)}</th>'
        for name, is_numeric in zip(table.header, numeric, strict=True)
    ]
    lines = [f"<tr>{''.join(head)}</tr></thead><tbody>"]
    for i, row in enumerate(table.rows):
        cells = []
        for k, (cell, is_numeric) in enumerate(zip(row, numeric, strict=True)):
            names = ["number"] if is_numeric else []
            names += shade(cell, table.shades) if table.shades else []
            names += bar(cell, longest[table.header[k]]) if table.header[k] in table.bars else []
            text = cell_text(cell)
            if table.header[k] in table.differences and isinstance(cell, float) and is_known(cell):
                names += difference_shade(cell)
                text = signed(cell)
            text = f"<strong>{text}</strong>" if (i, k) in table.strong else text
            text += f"<small>{escape(table.below[i, k])}</small>" if (i, k) in table.below else ""
            tag, scope = ("th", ' scope="row"') if k == 0 and not is_numeric else ("td", "")
            cells.append(f"<{tag}{scope}{as_class(names)}>{text}</{tag}>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    caption = f"<caption>{escape(table.caption)}</caption>" if table.caption else ""
    label = escape(table.caption or ", ".join(table.header))
    body = "\n".join(lines)
    kind = as_class(["heat"] if table.shades or table.differences else [])
    return (
        f'<div class="scroll" role="region" aria-label="{label}" tabindex="0"><table{kind}>{caption}<thead>{body}\n'
        "</tbody></table></div>"
    )


def as_class(names: Sequence[str]) -> str:
    """The attribute with these names of styles, nothing without any."""
    return f' class="{" ".join(names)}"' if names else ""


def is_known(cell: Cell) -> bool:
    """Whether it is a number."""
    return isinstance(cell, int | float) and not math.isnan(cell)


def greatest(cells: Sequence[Cell]) -> float:
    """The greatest number of a column, 0 without any."""
    return max((float(cell) for cell in cells if isinstance(cell, int | float) and is_known(cell)), default=0.0)


def shade(cell: Cell, limits: Limits) -> list[str]:
    """The style of a cell by how far it is from the first limit to the second."""
    if not isinstance(cell, float) or not is_known(cell):
        return []
    low, high = limits
    return [f"shade{min(max(round(STEPS * (cell - low) / (high - low)), 0), STEPS)}"]


def difference_shade(value: float) -> list[str]:
    """The style of a cell with a difference; none of one that is below half a step."""
    step = min(round(abs(value) / DIFFERENCE_STEP), DIFFERENCE_STEPS)
    return [f"{'fall' if value < 0 else 'rise'}{step}"] if step else []


def bar(cell: Cell, longest: float) -> list[str]:
    """The style of a cell with a bar, as a share of the longest."""
    if not isinstance(cell, int | float) or not is_known(cell) or longest <= 0:
        return []
    return [f"bar{min(max(round(BAR_STEPS * cell / longest), 0), BAR_STEPS)}"]


def cell_text(cell: Cell) -> str:
    """A cell, escaped: thousands apart, three decimals, a dash for what is unknown."""
    if cell is None or cell != cell:
        return "–"  # noqa: RUF001
    if isinstance(cell, str):
        return f"<bdi>{escape(cell)}</bdi>"
    return f"{cell:,.3f}" if isinstance(cell, float) else f"{cell:,}"


def histogram_html(histogram: Histogram) -> str:
    """The HTML of histograms side by side. What a bar stands for is shown where it is pointed at."""
    ends = [*(f"{start:g} to {end:g}" for start, end in zip(histogram.edges, histogram.edges[1:], strict=False))]
    bins = [*ends, f"{histogram.edges[-1]:g} and more"]
    top = math.log1p(max((count for row in histogram.counts for count in row), default=0)) or 1.0
    figures = [
        histogram_svg(name, bins, [math.log1p(count) / top for count in row], row, histogram.edges)
        for name, row in zip(histogram.names, histogram.counts, strict=True)
    ]
    caption = f'<p class="caption">{escape(histogram.caption)}</p>' if histogram.caption else ""
    return f'<div class="spread">{caption}<div class="histograms">{"".join(figures)}</div></div>'


def histogram_svg(
    name: str, bins: Sequence[str], heights: Sequence[float], counts: Sequence[int], edges: Sequence[float]
) -> str:
    """The figure of one histogram. heights: from 0 to 1."""
    width = BAR_WIDTH * len(bins)
    known = [f"{label}: {count:,}" for label, count in zip(bins, counts, strict=True)]
    bars = [
        f'<rect x="{BAR_WIDTH * i + 1}" y="{BAR_HEIGHT * (1 - height) + 2:.1f}" width="{BAR_WIDTH - 2}" '
        f'height="{BAR_HEIGHT * height:.1f}"><title>{label}</title></rect>'
        for i, (height, label) in enumerate(zip(heights, known, strict=True))
    ]
    labels = [f'<text x="{BAR_WIDTH * i}" y="{BAR_HEIGHT + 15}">{edge:g}</text>' for i, edge in enumerate(edges)]
    description = escape(f"{name}: {'; '.join(known)}")
    return (
        f"<figure><figcaption><bdi>{escape(name)}</bdi> {sum(counts):,}</figcaption>"
        f'<svg viewBox="0 0 {width} {BAR_HEIGHT + 18}" role="img" aria-label="{description}">'
        f"{''.join(bars)}{''.join(labels)}</svg></figure>"
    )


def picture_html(picture: Picture) -> str:
    """The HTML of a picture. As an image's data, whatever the SVG holds runs nothing and loads nothing."""
    data = base64.b64encode(picture.svg.encode()).decode("ascii")
    caption = f"<figcaption>{escape(picture.caption)}</figcaption>" if picture.caption else ""
    image = f'<img src="data:image/svg+xml;base64,{data}" alt="{escape(picture.description)}">'
    return f"<figure>{image}{caption}</figure>"
