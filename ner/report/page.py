"""The page: one HTML file that opens from disk with no network: findings, tables, plots and a browser of sentences."""

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from ner.files import write_atomic
from ner.report.elements import Section, section_html
from ner.report.flip_data import FlipTable
from ner.report.sentence_data import LabelErrorScores, Sentences, pack, read

MAX_SENTENCES = 100_000  # about 15 MB; browsers on phones take a few times that


def write_report(
    file: Path,
    table: Any,
    *,
    title: str,
    findings: Sequence[str] = (),
    sections: Sequence[Section] = (),
    run: str | None = None,
    label_errors: LabelErrorScores | None = None,
    max_sentences: int | None = MAX_SENTENCES,
    flips: FlipTable | None = None,
) -> None:
    """Writes the page. table: of token losses; a pyarrow table, a Parquet file of evaluate.py --token-losses, or read.

    findings: sentences that stand first. sections: what stands before the sentences; their views are of runs, splits
    and languages of the table. run: the one that is chosen at first, None for the first of the table. label_errors:
    score of each sentence (run, language, split, number) whose gold may be wrong; without them the page has no filter
    for them. max_sentences: in the browser; of more, those of the greatest total loss. flips: entities that probes
    flipped; without them the page has no filter for them.
    Raises InputError that says what is wrong with the table.
    """
    sentences = table if isinstance(table, Sentences) else read(table)
    total = len(sentences.number)
    shown = total if max_sentences is None else min(total, max_sentences)
    about = f"{shown:,} sentences, {len(sentences.words):,} words."
    if shown < total:
        about = f"{shown:,} of {total:,} sentences: those of the greatest total loss."
    data = base64.b64encode(pack(sentences, label_errors, max_sentences, flips)).decode("ascii")
    style, script = read_part("base.css") + read_part("page.css"), read_part("page.js")
    page = Template(read_part("page.html")).substitute(
        policy=content_policy(style, script),
        title=escape(title),
        run=escape(run or ""),
        findings=findings_html(findings),
        style=style,
        script=script,
        contents="".join(
            f'<li><a href="#s{i}">{escape(section.heading)}</a></li>' for i, section in enumerate(sections)
        ),
        sections="\n".join(section_html(section, f"s{i}", run) for i, section in enumerate(sections)),
        about=escape(about),
        data=data,
    )
    write_atomic(file, page)


def findings_html(findings: Sequence[str]) -> str:
    """The list that stands first, nothing without any."""
    items = "".join(f"<li>{escape(finding)}</li>" for finding in findings)
    return f'<ul id="findings">{items}</ul>' if items else ""


def read_part(name: str) -> str:
    """A file of assets/."""
    return files("ner.report").joinpath("assets", name).read_text(encoding="utf-8")


def content_policy(style: str, script: str) -> str:
    """A Content-Security-Policy: this inline style and script, images in the page itself, and nothing else."""
    policy = {
        "default-src": "'none'",
        "style-src": source_hash(style),
        "script-src": source_hash(script),
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in policy.items())


def source_hash(text: str) -> str:
    """The source of a Content-Security-Policy that allows this inline text and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"
