"""Attention weights as one HTML file that opens from disk with no network: layer and head are chosen in it."""

import base64
import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from ner.analysis.encoder.attention import Attention
from ner.files import write_atomic
from ner.report.page import content_policy, read_part

CELL = 22  # pixels
LETTER = 8.5  # pixels that a character of a label takes, at most
SCALE = 65_535  # a weight of 1 in the data


def write_attention_page(file: Path, maps: Mapping[str, Attention], text: str) -> None:
    """Writes the page. Without JavaScript it shows the mean over the heads of the last layer of each encoder.

    maps: how each encoder is named -> its attention, the one that is shown first being the last; text: that it is of.
    Raises OSError.
    """
    style, script = read_part("base.css") + read_part("attention.css"), read_part("attention.js")
    shown_first = list(maps)[::-1]
    figures = [map_html(name, maps[name], f"m{i}") for i, name in enumerate(shown_first)]
    data = [plain(name, maps[name]) for name in shown_first]
    page = Template(read_part("attention.html")).substitute(
        policy=content_policy(style, script),
        text=escape(text),
        style=style,
        script=script,
        maps="\n".join(figures),
        data=json.dumps(data, ensure_ascii=False).replace("<", "\\u003c"),
    )
    write_atomic(file, page)


def plain(name: str, attention: Attention) -> dict[str, Any]:
    """What the page's script reads. shape: layers, heads and sub-tokens."""
    shape = attention.weights.shape[:3]
    return {"name": name, "shape": shape, "pieces": attention.pieces, "weights": packed(attention)}


def packed(attention: Attention) -> str:
    """The weights as base64 of 16-bit numbers, little-endian: layer, head, row, column."""
    whole = np.round(attention.weights * SCALE).clip(0, SCALE).astype("<u2")
    return base64.b64encode(whole.tobytes()).decode("ascii")


def map_html(name: str, attention: Attention, id_: str) -> str:
    """A heat map: a row for each sub-token that takes, a column for each that it takes from. id_: of the element."""
    pieces, weights = attention.pieces, attention.mean_of_last_layer
    margin = round(LETTER * max(map(len, pieces))) + 8
    size = margin + CELL * len(pieces) + 4
    layers, heads = attention.weights.shape[:2]
    shown = f"layer {layers} of {layers}, mean of {heads} heads"
    columns, rows, cells = [], [], []
    for i, piece in enumerate(pieces):
        middle = margin + CELL * (i + 0.5)
        label = escape(piece)
        columns.append(f'<text transform="translate({middle + 4:g} {margin - 6}) rotate(-90)">{label}</text>')
        rows.append(f'<text class="row" x="{margin - 6}" y="{middle + 4:g}">{label}</text>')
        for k, weight in enumerate(weights[i].tolist()):
            place = f'x="{margin + CELL * k}" y="{margin + CELL * i}" width="{CELL - 1}" height="{CELL - 1}"'
            title = f"{label} from {escape(pieces[k])}: {weight:.3f}"
            opacity = min(max(weight, 0.0), 1.0) ** 0.5
            cells.append(f'<rect {place} fill-opacity="{opacity:.3f}"><title>{title}</title></rect>')
    return (
        f'<figure id="{id_}"><figcaption><bdi>{escape(name)}</bdi>: <span>{shown}</span></figcaption>\n'
        f'<div class="scroll" role="region" aria-label="Attention of {escape(name)}" tabindex="0">'
        f'<svg viewBox="0 0 {size} {size}" width="{size}" height="{size}">\n'
        f'<g class="labels">{"".join(columns)}{"".join(rows)}</g>\n<g class="cells">{"".join(cells)}</g>\n'
        "</svg></div></figure>"
    )
