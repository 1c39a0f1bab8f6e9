"""Linear probes by layer, and maps of entities, as pictures."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ner.analysis.encoder.entity_map import EntityVectors, principal_components
from ner.analysis.encoder.layer_scores import LayerScore, Task
from ner.analysis.encoder.linear_probe import ProbeScore
from ner.report.plots import COLORS, MARKERS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANEL = (2.9, 1.7)  # inches
MAP = 3.4  # inches, each side of a map
BEFORE = "dimgrey"


class Measure(NamedTuple):
    """A row of the picture. key: of a `ProbeScore`."""

    task: Task
    key: str
    label: str


MEASURES = (
    Measure("tag", "macro_f1", "tag:\nmacro F1"),
    Measure("tag", "selectivity", "tag:\nselectivity"),
    Measure("type", "accuracy", "entity type:\naccuracy"),
    Measure("type", "selectivity", "entity type:\nselectivity"),
)


def layer_curves(scores: Sequence[LayerScore], fine_tuned: Mapping[str, bool], names: Mapping[str, str]) -> "Figure":
    """Scores of probes by layer: a column for each tested language, a row for each measure.

    Args:
        scores: At least one.
        fine_tuned: Name of each encoder -> whether it is fine-tuned. Before fine-tuning: dashed and grey.
        names: Name of each encoder -> how the legend names it.

    Returns:
        The figure; layer 0 is the embeddings.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    languages = list(dict.fromkeys(score.language for score in scores))
    measures = [measure for measure in MEASURES if any(score.task == measure.task for score in scores)]
    figure = Figure(
        figsize=(PANEL[0] * max(len(languages), 2) + 0.6, PANEL[1] * len(measures) + 0.7), layout="constrained"
    )
    panels = figure.subplots(len(measures), len(languages), squeeze=False, sharex=True, sharey="row")
    for measure, row in zip(measures, panels, strict=True):
        row[0].set_ylabel(measure.label)
        for axes, language in zip(row, languages, strict=True):
            of_panel = [score for score in scores if (score.task, score.language) == (measure.task, language)]
            draw_curves(axes, of_panel, measure.key, fine_tuned, names)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.grid(alpha=0.3)
    for language, axes in zip(languages, panels[0], strict=True):
        axes.set_title(f"Tested on {language}")
    for axes in panels[-1]:
        axes.set_xlabel("layer (0: embeddings)")
    handles = {
        label: handle for axes in panels.flat for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=2, frameon=False)
    return figure


def draw_curves(
    axes: Any, scores: Sequence[LayerScore], key: str, fine_tuned: Mapping[str, bool], names: Mapping[str, str]
) -> None:
    """A line for each encoder in one panel."""
    styles = zip(cycle(COLORS), cycle(MARKERS), strict=False)
    for name, is_fine_tuned in fine_tuned.items():
        color, marker = next(styles) if is_fine_tuned else (BEFORE, "")
        points = {score.layer: value(score.score, key) for score in scores if score.encoder == name}
        if points:
            line = f"{marker}-" if is_fine_tuned else "--"
            axes.plot(list(points), list(points.values()), line, color=color, markersize=3.5, label=names[name])


def value(score: ProbeScore, key: str) -> float:
    """A number of a score by its name."""
    return float(getattr(score, key))


def entity_maps(maps: Mapping[str, EntityVectors]) -> "Figure":
    """Entities in the two directions of their greatest variance: a row for each encoder, by type and by language.

    Args:
        maps: Title of each row -> its entities, at least three.

    Returns:
        The figure. The axes name the share of the variance that they show; a row has axes of its own.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2 * MAP, MAP * len(maps) + 0.4), layout="constrained")
    panels = figure.subplots(len(maps), 2, squeeze=False)
    for (title, entities), (by_type, by_language) in zip(maps.items(), panels, strict=True):
        points, shares = principal_components(entities.vectors)
        draw_points(by_type, points, entities.types, entities.type_names)
        draw_points(by_language, points, entities.languages, entities.language_names)
        by_type.set_title(f"{title}: by type", fontsize=10)
        by_language.set_title(f"{title}: by language", fontsize=10)
        by_type.set_ylabel(f"{shares[1]:.0%} of the variance")
        for axes in (by_type, by_language):
            axes.set_xlabel(f"{shares[0]:.0%} of the variance")
            axes.set_xticks([])
            axes.set_yticks([])
    return figure


def draw_points(axes: Any, points: np.ndarray, classes: np.ndarray, names: Sequence[str]) -> None:
    """Points in the colour of their class, in an order that hides no class behind another."""
    palette = [color for color, _ in zip(cycle(COLORS), names, strict=False)]
    order = np.random.default_rng(0).permutation(len(points))
    colors = [palette[classes[i]] for i in order]
    axes.scatter(points[order, 0], points[order, 1], s=7, c=colors, alpha=0.65, linewidths=0)
    for i in np.unique(classes):
        axes.scatter([], [], s=20, color=palette[i], label=names[i])
    axes.legend(fontsize=8, framealpha=0.8, handletextpad=0.1, borderpad=0.3)
