"""Confusion matrices as heat maps."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ner.analysis.views import Confusion
from ner.report.plots import INCHES_PER_CHARACTER, text_color
from ner.utils import DASH

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL = 0.5  # inches


def confusion(confusions: Mapping[str, Confusion]) -> "Figure":
    """Shares of each row as coloured cells, from 0 to 1: gold on the y axis, predicted on the x axis.

    Args:
        confusions: Title of a panel -> what it shows; at least one.

    Returns:
        The figure, the panels side by side. Behind the name of each row stands how many cases it has; a row without
        any has dashes.
    """
    from matplotlib.figure import Figure

    widths = [CELL * len(each.columns) + label_width(each) for each in confusions.values()]
    names = [name for each in confusions.values() for name in each.columns]
    height = CELL * max(len(each.rows) for each in confusions.values())
    figure = Figure(
        figsize=(sum(widths) + 1.0, height + INCHES_PER_CHARACTER * max(map(len, names)) + 0.8), layout="constrained"
    )
    panels = figure.subplots(1, len(confusions), squeeze=False, width_ratios=widths)[0]
    for axes, (title, each) in zip(panels, confusions.items(), strict=True):
        image = draw_panel(axes, each)
        axes.set_title(title)
    figure.colorbar(image, ax=list(panels), label="share of the row", shrink=0.9)
    return figure


def draw_panel(axes: Any, confusion: Confusion) -> Any:
    """The cells of one matrix; returns the image, which a colour bar is made of."""
    cases = confusion.counts.sum(axis=1)
    shares = np.where(cases[:, None] > 0, confusion.shares, np.nan)
    image = axes.imshow(shares, cmap="YlGnBu", vmin=0, vmax=1)
    axes.set_xticks(range(len(confusion.columns)), confusion.columns, rotation=90)
    axes.set_yticks(range(len(confusion.rows)), row_labels(confusion))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("gold")
    for (y, x), share in np.ndenumerate(shares):
        color, text = ("grey", DASH) if np.isnan(share) else (text_color(image.cmap(image.norm(share))), f"{share:.2f}")
        axes.text(x, y, text, ha="center", va="center", color=color, fontsize=8)
    return image


def row_labels(confusion: Confusion) -> list[str]:
    """Names of rows, with their numbers of cases."""
    return [f"{name} ({cases:,})" for name, cases in zip(confusion.rows, confusion.counts.sum(axis=1), strict=True)]


def label_width(confusion: Confusion) -> float:
    """Inches that the labels of the rows take, with the label of the axis."""
    return INCHES_PER_CHARACTER * max(map(len, row_labels(confusion))) + 0.4
