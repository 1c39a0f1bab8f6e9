"""The page: one HTML file that opens from disk with no network, with tables, pictures and a browser of sentences."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from ner.files import write_atomic
from ner.report.sentence_data import LabelErrorScores, pack, read

MAX_SENTENCES = 100_000  # about 15 MB; browsers on phones take a few times that

Cell = str | int | float | None


@dataclass(frozen=True)
class Table:
    """Rows of text and numbers. Columns without text go to the right; None is an unknown number.

    strong: (row, column) of cells to mark, such as the best of their column; shaded: cells that are floats are shares
    from 0 to 1 and shaded by it.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    strong: frozenset[tuple[int, int]] = frozenset()
    shaded: bool = False


@dataclass(frozen=True)
class Picture:
    """An SVG file's text. description: what it shows, for those who do not see it."""

    svg: str
    description: str
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it; text is a paragraph."""

    heading: str
    content: Sequence[str | Table | Picture]


def write_report(
    file: Path,
    table: Any,
    *,
    title: str,
    sections: Sequence[Section] = (),
    label_errors: LabelErrorScores | None = None,
    max_sentences: int | None = MAX_SENTENCES,
) -> None:
    """Writes the page. table: of token losses, a pyarrow table or a Parquet file of evaluate.py --token-losses.

    label_errors: score of each sentence (run, language, split, number) whose gold may be wrong; without them the page
    has no filter for them. max_sentences: in the browser; of more, those of the greatest total loss.
    Raises InputError that says what is wrong with the table.
    """
    sentences = read(table)
    total = len(sentences.number)
    shown = total if max_sentences is None else min(total, max_sentences)
    about = f"{shown:,} sentences, {len(sentences.words):,} words."
    if shown < total:
        about = f"{shown:,} of {total:,} sentences: those of the greatest total loss."
    data = base64.b64encode(pack(sentences, label_errors, max_sentences)).decode("ascii")
    style, script = read_part("page.css"), read_part("page.js")
    policy = {
        "default-src": "'none'",
        "style-src": source_hash(style),
        "script-src": source_hash(script),
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    page = Template(read_part("page.html")).substitute(
        policy="; ".join(f"{name} {value}" for name, value in policy.items()),
        title=escape(title),
        style=style,
        script=script,
        contents="".join(
            f'<li><a href="#s{i}">{escape(section.heading)}</a></li>' for i, section in enumerate(sections)
        ),
        sections="\n".join(section_html(section, f"s{i}") for i, section in enumerate(sections)),
        about=escape(about),
        data=data,
    )
    write_atomic(file, page)


def read_part(name: str) -> str:
    """A file of assets/."""
    return files("ner.report").joinpath("assets", name).read_text(encoding="utf-8")


def source_hash(text: str) -> str:
    """The source of a Content-Security-Policy that allows this inline text and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"


def section_html(section: Section, name: str) -> str:
    """The HTML of a section. name: its id."""
    parts = [f'<section id="{name}">', f"<h2>{escape(section.heading)}</h2>"]
    for content in section.content:
        if isinstance(content, Table):
            parts.append(table_html(content))
        elif isinstance(content, Picture):
            parts.append(picture_html(content))
        else:
            parts.append(f"<p>{escape(content)}</p>")
    return "\n".join([*parts, "</section>"])


def table_html(table: Table) -> str:
    """The HTML of a table, in a box that scrolls sideways where the screen is narrow."""
    numeric = [
        bool(table.rows) and not any(isinstance(row[i], str) for row in table.rows) for i in range(len(table.header))
    ]
    head = [
        f'<th scope="col"{as_class(["number"] if is_numeric else [])}>{escape(name)}</th>'
        for name, is_numeric in zip(table.header, numeric, strict=True)
    ]
    lines = [f"<tr>{''.join(head)}</tr></thead><tbody>"]
    for i, row in enumerate(table.rows):
        cells = []
        for k, (cell, is_numeric) in enumerate(zip(row, numeric, strict=True)):
            names = ["number"] if is_numeric else []
            if table.shaded and isinstance(cell, float) and cell == cell:
                names.append(f"shade{min(max(round(cell * 10), 0), 10)}")
            text = f"<strong>{cell_text(cell)}</strong>" if (i, k) in table.strong else cell_text(cell)
            tag, scope = ("th", ' scope="row"') if k == 0 and not is_numeric else ("td", "")
            cells.append(f"<{tag}{scope}{as_class(names)}>{text}</{tag}>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    caption = f"<caption>{escape(table.caption)}</caption>" if table.caption else ""
    label = escape(table.caption or ", ".join(table.header))
    body = "\n".join(lines)
    return (
        f'<div class="scroll" role="region" aria-label="{label}" tabindex="0"><table>{caption}<thead>{body}\n'
        "</tbody></table></div>"
    )


def as_class(names: Sequence[str]) -> str:
    """The attribute with these names of styles, nothing without any."""
    return f' class="{" ".join(names)}"' if names else ""


def cell_text(cell: Cell) -> str:
    """A cell, escaped: thousands apart, three decimals, a dash for what is unknown."""
    if cell is None or cell != cell:
        return "–"  # noqa: RUF001
    if isinstance(cell, str):
        return f"<bdi>{escape(cell)}</bdi>"
    return f"{cell:.3f}" if isinstance(cell, float) else f"{cell:,}"


def picture_html(picture: Picture) -> str:
    """The HTML of a picture. As an image's data, whatever the SVG holds runs nothing and loads nothing."""
    data = base64.b64encode(picture.svg.encode()).decode("ascii")
    caption = f"<figcaption>{escape(picture.caption)}</figcaption>" if picture.caption else ""
    image = f'<img src="data:image/svg+xml;base64,{data}" alt="{escape(picture.description)}">'
    return f"<figure>{image}{caption}</figure>"
