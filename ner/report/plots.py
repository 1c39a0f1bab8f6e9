"""The matrix as a heat map and learning curves as a plot, PNG and SVG, with matplotlib where it is installed.

The same numbers give the same files: no dates, no random ids.
"""

import importlib.util
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ner.evaluation.learning_curve import Curve, outcome
from ner.evaluation.matrix import Cells, best_rows, f1_of_cells

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MISSING = "matplotlib is not installed; pip install matplotlib, or the extra: pip install 'crosslingual-ner[report]'"
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")  # told apart by the colour-blind
INCHES_PER_CHARACTER = 0.085


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def save(figure: "Figure", folder: Path, name: str) -> list[str]:
    """Writes the figure as PNG and SVG; returns the names of the files."""
    figure.savefig(folder / f"{name}.png", dpi=160, metadata={"Software": None})
    (folder / f"{name}.svg").write_text(svg(figure, name), encoding="utf-8")
    return [f"{name}.png", f"{name}.svg"]


def svg(figure: "Figure", name: str) -> str:
    """The figure as SVG. name: what its ids come from."""
    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()


def heat_map(matrices: Mapping[str, Cells]) -> "Figure":
    """Split -> matrix as coloured cells with F1 and its interval, best of a column bold; a panel for each split."""
    from matplotlib.figure import Figure

    cells = next(iter(matrices.values()))
    languages = list(next(iter(cells.values())))
    names = list(cells)
    label_width = INCHES_PER_CHARACTER * max(map(len, names)) + 0.4
    width = label_width + 1.1 * len(languages)
    figure = Figure(figsize=(width * len(matrices) + 0.9, 0.46 * len(names) + 1.1), layout="constrained")
    panels: Sequence[Any] = figure.subplots(1, len(matrices), squeeze=False)[0]
    known = [c.f1 for part in matrices.values() for row in part.values() for c in row.values() if c]
    low = math.floor(10 * min(known)) / 10
    high = max(math.ceil(10 * max(known)) / 10, low + 0.1)
    for axes, (split, part) in zip(panels, matrices.items(), strict=True):
        best = best_rows(f1_of_cells(part))
        values = [[cell.f1 if cell else math.nan for cell in row.values()] for row in part.values()]
        image = axes.imshow(values, cmap="YlGnBu", vmin=low, vmax=high, aspect="auto")
        axes.set_xticks(range(len(languages)), languages)
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_xticks([i - 0.5 for i in range(1, len(languages))], minor=True)
        axes.set_yticks([i - 0.5 for i in range(1, len(names))], minor=True)
        axes.grid(which="minor", color="white", linewidth=2)
        axes.tick_params(which="minor", length=0)
        axes.set_xlabel("tested on")
        axes.set_ylabel("trained on")
        axes.set_title(f"F1 on {split}")
        for y, (name, row) in enumerate(part.items()):
            for x, (language, cell) in enumerate(row.items()):
                if cell is None:
                    axes.text(x, y, "–", ha="center", va="center", color="grey")  # noqa: RUF001
                    continue
                red, green, blue, _ = image.cmap(image.norm(cell.f1))
                color = "white" if 0.3 * red + 0.59 * green + 0.11 * blue < 0.55 else "black"
                weight = "bold" if name in best[language] else "normal"
                up = 0.14 if cell.interval else 0.0
                axes.text(x, y - up, f"{cell.f1:.3f}", ha="center", va="center", color=color, weight=weight)
                if cell.interval:
                    axes.text(x, y + 0.24, str(cell.interval), ha="center", va="center", color=color, fontsize=7)
    figure.colorbar(image, ax=list(panels), label="F1", shrink=0.9)
    return figure


def learning_curves(of_split: Mapping[str, Sequence[Curve]]) -> "Figure":
    """F1 against annotated sentences on a log axis, a line for each curve with its 95% band; a panel for each split.

    Dashed: the zero-shot level, with its band; the thick bar on it is the 95% interval of the crossing.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    lines_of_legend = 2 * max(map(len, of_split.values()))
    figure = Figure(figsize=(7.2 * len(of_split), 4.3 + 0.22 * lines_of_legend), layout="constrained")
    panels: Sequence[Any] = figure.subplots(1, len(of_split), squeeze=False, sharey=True)[0]
    for axes, (split, curves) in zip(panels, of_split.items(), strict=True):
        axes.set_xscale("log")
        sizes = sorted({point.train_sentences for curve in curves for point in curve.points})
        for curve, color in zip(curves, COLORS * len(curves), strict=False):
            x = [point.train_sentences for point in curve.points]
            axes.fill_between(
                x,
                [point.interval.low for point in curve.points],
                [point.interval.high for point in curve.points],
                color=color,
                alpha=0.2,
                linewidth=0,
            )
            axes.plot(
                x,
                [point.f1 for point in curve.points],
                "o-",
                color=color,
                markersize=5,
                label=curve.name,
                clip_on=False,
            )
            if curve.level:
                label = f"{curve.name}: zero-shot from {curve.level.trained_on}, {outcome(curve)}"
                axes.axhspan(curve.level.interval.low, curve.level.interval.high, color=color, alpha=0.1, linewidth=0)
                axes.axhline(curve.level.f1, color=color, linestyle="--", linewidth=1.3, label=label)
                draw_crossing(axes, curve, color)
        axes.xaxis.set_major_locator(FixedLocator(apart(sizes)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("annotated sentences of the language (log axis)")
        axes.set_ylabel("F1 (entities, micro average)")
        axes.set_title(f"Tested on {' and '.join(dict.fromkeys(curve.language for curve in curves))}, {split}")
        axes.set_ylim(0, 1)
        axes.grid(alpha=0.3)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), frameon=False)
    return figure


def draw_crossing(axes: Any, curve: Curve, color: str) -> None:
    """Marks where the curve reaches its level, if it does; the bar, its 95% interval, ends where the points do."""
    level, crossing, limits = curve.level, curve.crossing, curve.crossing_interval
    if level is None or crossing is None or limits is None or not math.isfinite(crossing):
        return
    first, last = curve.points[0].train_sentences, curve.points[-1].train_sentences
    low = min(max(limits.low, first), crossing)
    high = max(min(limits.high, last), crossing)
    axes.errorbar(
        crossing,
        level.f1,
        xerr=[[crossing - low], [high - crossing]],
        fmt="D",
        color="black",
        ecolor=color,
        markerfacecolor=color,
        elinewidth=3,
        capsize=5,
        capthick=2,
        markersize=6,
        zorder=3,
    )


def apart(sizes: Sequence[int]) -> list[int]:
    """Those sizes whose labels have room on a log axis; the last one always."""
    kept: list[int] = []
    for size in reversed(sizes):
        if not kept or kept[-1] / size > 1.25:
            kept.append(size)
    return kept[::-1]
