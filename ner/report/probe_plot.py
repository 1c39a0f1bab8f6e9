"""Outcomes of probes as a heat map: probes by languages, a panel for each run."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ner.analysis.probing.probing import Outcome
from ner.analysis.probing.tables import by_run
from ner.report.plots import INCHES_PER_CHARACTER, text_color
from ner.utils import DASH, signed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL = (0.75, 0.3)  # inches
LEAST = 0.1  # the colours reach so far at least: small differences stay pale


def probe_map(outcomes: Sequence[Outcome]) -> "Figure":
    """Differences as coloured cells: red is a loss, blue a gain, pale is neither.

    Args:
        outcomes: Of any runs, languages and probes; at least one.

    Returns:
        The figure, with the runs side by side. A probe that changed no sentence, or was not asked, has a dash.
    """
    from matplotlib.figure import Figure

    runs = by_run(outcomes)
    names = list(dict.fromkeys(label(outcome) for outcome in outcomes))
    languages = list(dict.fromkeys(outcome.language for outcome in outcomes))
    label_width = INCHES_PER_CHARACTER * max(map(len, names)) + 0.2
    title_width = INCHES_PER_CHARACTER * max(map(len, runs)) + 0.2
    width = max(CELL[0] * len(languages), title_width)
    figure = Figure(figsize=(width * len(runs) + label_width + 1.2, CELL[1] * len(names) + 1.0), layout="constrained")
    panels = figure.subplots(1, len(runs), squeeze=False, sharey=True)[0]
    most = max(LEAST, *(abs(outcome.difference) for outcome in outcomes), 0)
    for axes, (run, of_run) in zip(panels, runs.items(), strict=True):
        image = draw_panel(axes, of_run, names, languages, most)
        axes.set_title(run, fontsize=9)
    panels[0].set_yticks(range(len(names)), names)
    figure.colorbar(image, ax=list(panels), label="difference", shrink=0.9)
    return figure


def label(outcome: Outcome) -> str:
    """The name of a row."""
    return outcome.probe if outcome.measure == "F1" else f"{outcome.probe} (recall)"


def draw_panel(
    axes: Any, outcomes: Sequence[Outcome], names: Sequence[str], languages: Sequence[str], most: float
) -> Any:
    """The cells of a run; returns the image, which a colour bar is made of."""
    values = np.full((len(names), len(languages)), np.nan)
    for outcome in outcomes:
        if outcome.changed:
            values[names.index(label(outcome)), languages.index(outcome.language)] = outcome.difference
    image = axes.imshow(values, cmap="RdBu", vmin=-most, vmax=most, aspect="auto")
    axes.set_xticks(range(len(languages)), languages)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for (y, x), value in np.ndenumerate(values):
        color, text = ("grey", DASH) if np.isnan(value) else (text_color(image.cmap(image.norm(value))), signed(value))
        axes.text(x, y, text, ha="center", va="center", color=color, fontsize=8)
    return image
