"""Calibration as tables and as a plot: how sure a tagger is, and how often it is right."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ner.evaluation.bootstrap import Interval
from ner.evaluation.calibration import Assessment, PrecisionRecall, Reliability
from ner.report.plots import COLORS
from ner.utils import DASH, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def to_markdown(of_language: Mapping[str, Assessment], min_score: float | None, precision: float) -> str:
    """Expected calibration errors, and precision and recall of the entities that are sure enough.

    min_score: None where no score gives entities this precision.
    """
    errors = [
        [name, *(f"{each.error:.4f}" for pair in (found.words, found.entities) for each in pair)]
        for name, found in of_language.items()
    ]
    header = ["tested on", "words: before", "after", "entities: before", "after"]
    parts = ["Expected calibration error (15 bins)", table(header, errors, right=[False] + [True] * 4)]
    if min_score is None:
        parts.append(f"No score gives the entities that it was fitted on a precision of {precision:g}.")
        return "\n\n".join(parts)
    rows = [
        [name, type_, *with_intervals(kept), percent(found.whole[type_].precision), percent(found.whole[type_].recall)]
        for name, found in of_language.items()
        for type_, kept in found.kept.items()
    ]
    header = ["tested on", "type", "precision", "recall", "of all: precision", "recall"]
    parts.append(f"Entities with a score of {min_score:.4f} or more, for a precision of {precision:g}, 95% intervals")
    return "\n\n".join([*parts, table(header, rows, right=[False] * 2 + [True] * 4)])


def with_intervals(found: PrecisionRecall) -> list[str]:
    """Precision and recall, each as a cell."""
    pairs = ((found.precision, found.precision_interval), (found.recall, found.recall_interval))
    return [percent(value) if value != value else f"{percent(value)} {interval}" for value, interval in pairs]


def percent(value: float) -> str:
    """Three decimals, a dash for what is not known."""
    return DASH if value != value else f"{value:.3f}"


def to_plain(found: Assessment) -> dict[str, Any]:
    """What JSON takes of it."""
    pairs = {"words": found.words, "entities": found.entities}
    parts = {"kept": found.kept, "all": found.whole}
    return {
        **{name: {"before": of_bins(before), "after": of_bins(after)} for name, (before, after) in pairs.items()},
        **{name: {type_: of_entities(each) for type_, each in by_type.items()} for name, by_type in parts.items()},
    }


def of_entities(found: PrecisionRecall) -> dict[str, Any]:
    """Numbers, and the ends of their intervals."""
    return {
        "precision": none_if_nan(found.precision),
        "precision_interval": ends(found.precision_interval),
        "recall": none_if_nan(found.recall),
        "recall_interval": ends(found.recall_interval),
    }


def ends(interval: Interval | None) -> list[float] | None:
    """Lowest and highest."""
    return [interval.low, interval.high] if interval else None


def of_bins(found: Reliability) -> dict[str, Any]:
    """The error, and what it is made of."""
    bins = {name: getattr(found, name).tolist() for name in ("count", "confidence", "accuracy")}
    return {"expected_calibration_error": found.error, **bins}


def none_if_nan(value: float) -> float | None:
    """JSON has no nan."""
    return None if value != value else value


def reliability_plot(of_language: Mapping[str, Assessment]) -> "Figure":
    """Accuracy of entities against their score, before and after; a panel for each language, which share their axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.9 * len(of_language) + 0.6, 3.4), layout="constrained")
    panels = figure.subplots(1, len(of_language), squeeze=False, sharex=True, sharey=True)[0]
    for axes, (name, found) in zip(panels, of_language.items(), strict=True):
        axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle=":")
        for label, each, color, marker in zip(("before", "after"), found.entities, COLORS, "os", strict=False):
            there = each.count > 0
            x, y, label = each.confidence[there], each.accuracy[there], f"{label}: error {each.error:.3f}"
            axes.plot(x, y, f"{marker}-", color=color, markersize=4, label=label)
        axes.set_title(f"Tested on {name}")
        axes.set_xlabel("score of entities")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_aspect("equal")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, loc="upper left", fontsize=8)
    panels[0].set_ylabel("share that is right")
    return figure
