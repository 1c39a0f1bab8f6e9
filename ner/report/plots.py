"""The matrix as a heat map, learning curves and trainings as plots, PNG and SVG, where matplotlib is installed.

The same numbers give the same files: no dates, no random ids.
"""

import importlib.util
import io
import math
from collections.abc import Container, Iterable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ner.errors import InputError
from ner.evaluation.bootstrap import Interval
from ner.evaluation.learning_curve import AVERAGES, Curve, Level, Point, outcome
from ner.evaluation.matrix import Average, Cells, best_rows, f1_of_cells
from ner.training.log_entries import Evaluation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MISSING = "matplotlib is not installed; pip install matplotlib, or the extra: pip install 'crosslingual-ner[report]'"
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")  # told apart by the colour-blind
MARKERS = "osD^vPXp"  # one more than colours: both together repeat late
INK = (
    "svg { color: #1c2127; fill: currentColor } "
    "@media (prefers-color-scheme: dark) { svg { color: #e4e7ea; fill: currentColor } }"
)
INCHES_PER_CHARACTER = 0.085
Y_LABELS = {"micro": "F1 (entities, micro average)", "macro": "F1 (macro: mean of the types)"}


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def check_can_draw() -> None:
    """Raises InputError without matplotlib."""
    if not can_draw():
        raise InputError(f"no plots: {MISSING}")


def save(figure: "Figure", folder: Path, name: str) -> list[str]:
    """Writes the figure as PNG and SVG; returns the names of the files."""
    figure.savefig(folder / f"{name}.png", dpi=160, metadata={"Software": None})
    (folder / f"{name}.svg").write_text(svg(figure, name), encoding="utf-8")
    return [f"{name}.png", f"{name}.svg"]


def svg(figure: "Figure", name: str, *, follows_scheme: bool = False) -> str:
    """The figure as SVG. name: what its ids come from; follows_scheme: what is black is light on a dark page."""
    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, transparent=follows_scheme)
    return with_scheme(text.getvalue()) if follows_scheme else text.getvalue()


def with_scheme(text: str) -> str:
    """An SVG file of matplotlib, which leaves out the colour of black text, with the ink of a light or a dark page."""
    text = text.replace("stroke: #000000", "stroke: currentColor").replace("fill: #000000", "fill: currentColor")
    start = text.index(">", text.index("<svg")) + 1
    return f"{text[:start]}<style>{INK}</style>{text[start:]}"


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
                color = text_color(image.cmap(image.norm(cell.f1)))
                weight = "bold" if name in best[language] else "normal"
                up = 0.14 if cell.interval else 0.0
                axes.text(x, y - up, f"{cell.f1:.3f}", ha="center", va="center", color=color, weight=weight)
                if cell.interval:
                    axes.text(x, y + 0.24, str(cell.interval), ha="center", va="center", color=color, fontsize=7)
    figure.colorbar(image, ax=list(panels), label="F1", shrink=0.9)
    return figure


def text_color(background: tuple[float, float, float, float]) -> str:
    """Black or white, what can be read on a colour. background: red, green, blue and alpha, from 0 to 1."""
    red, green, blue, _ = background
    return "white" if 0.3 * red + 0.59 * green + 0.11 * blue < 0.55 else "black"


def learning_curves(of_split: Mapping[str, Sequence[Curve]]) -> "Figure":
    """F1 against annotated sentences on a log axis, a line for each method with its 95% band.

    A column for each split and tested language; a row for micro F1 and one for macro F1. A method looks the same in all
    of them. Dashed: the zero-shot level, with its band. A single curve has micro F1 alone, and the thick bar on its
    level is the 95% interval of the crossing.
    """
    from matplotlib.figure import Figure

    columns: dict[tuple[str, str], list[Curve]] = {}
    for split, curves in of_split.items():
        for curve in curves:
            columns.setdefault((split, curve.language), []).append(curve)
    is_single = all(len(curves) == 1 for curves in of_split.values())
    averages = AVERAGES[:1] if is_single else AVERAGES
    methods = dict.fromkeys(curve.method for curves in columns.values() for curve in curves)
    styles = dict(zip(methods, zip(cycle(COLORS), cycle(MARKERS), strict=False), strict=False))
    width, height = (7.2, 4.3) if is_single else (max(4.0, 8.0 / len(columns)), 4.4)
    figure = Figure(layout="constrained")
    panels = figure.subplots(len(averages), len(columns), squeeze=False, sharex="col", sharey=True)
    for average, row in zip(averages, panels, strict=True):
        row[0].set_ylabel(Y_LABELS[average])
        for axes, curves in zip(row, columns.values(), strict=True):
            draw_panel(axes, curves, average, styles, is_single=is_single)
    for (split, language), axes in zip(columns, panels[0], strict=True):
        axes.set_title(f"Tested on {language}, {split}")
    for axes in panels[-1]:
        axes.set_xlabel("annotated sentences of the language (log axis)")
        if is_single:
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), frameon=False)
    lines_of_legend = 2 if is_single else draw_legend(figure, panels.flat, methods, width * len(columns))
    figure.set_size_inches(width * len(columns), height * len(averages) + 0.22 * lines_of_legend)
    return figure


def training_curves(evaluations: Sequence[Evaluation]) -> "Figure":
    """Losses of training and validation, and F1 of the validation sentences, by epoch."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 2.6), layout="constrained")
    losses, scores = figure.subplots(1, 2)
    epochs = [each.epoch for each in evaluations]
    lines = {"training": [each.train_loss for each in evaluations], "validation": [each.loss for each in evaluations]}
    for (label, values), color, marker in zip(lines.items(), COLORS, MARKERS, strict=False):
        if known := [math.nan if value is None else value for value in values if set(values) != {None}]:
            losses.plot(epochs, known, f"{marker}-", color=color, markersize=4, label=label)
    scores.plot(epochs, [each.f1 for each in evaluations], f"{MARKERS[1]}-", color=COLORS[1], markersize=4)
    for axes, title in ((losses, "Loss (nats)"), (scores, "F1 on validation")):
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
    losses.set_ylim(bottom=0)
    losses.legend(frameon=False)
    return figure


def draw_panel(
    axes: Any, curves: Sequence[Curve], average: Average, styles: Mapping[str, tuple[str, str]], *, is_single: bool
) -> None:
    """The curves of one language. styles: colour and marker of each method."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.set_xscale("log")
    levels: dict[Level, list[Curve]] = {}
    for curve in curves:
        color, marker = styles[curve.method]
        x = [point.train_sentences for point in curve.points]
        f1, limits = zip(*(score(point, average) for point in curve.points), strict=True)
        low, high = [each.low for each in limits], [each.high for each in limits]
        label = curve.name if is_single else curve.method
        axes.fill_between(x, low, high, color=color, alpha=0.2 if is_single else 0.13, linewidth=0)
        axes.plot(x, f1, f"{marker}-", color=color, markersize=5, label=label, clip_on=False)
        if curve.level:
            levels.setdefault(curve.level, []).append(curve)
        if is_single:
            draw_crossing(axes, curve, color)
    for level, of_level in levels.items():
        level_f1, level_limits = score(level, average)
        is_own = len(of_level) == 1 and (is_single or len(levels) > 1)
        color = styles[of_level[0].method][0] if is_own else "dimgrey"
        label = f"{of_level[0].name}: {level.name}, {outcome(of_level[0])}" if is_single else level.name
        axes.axhspan(level_limits.low, level_limits.high, color=color, alpha=0.1, linewidth=0)
        axes.axhline(level_f1, color=color, linestyle="--", linewidth=1.3, label=label)
    sizes = sorted({point.train_sentences for curve in curves for point in curve.points})
    axes.xaxis.set_major_locator(FixedLocator(apart(sizes)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(0, 1)
    axes.grid(alpha=0.3)


def draw_legend(figure: "Figure", panels: Iterable[Any], methods: Container[str], width: float) -> int:
    """One legend below all panels, the methods first. width: of the figure, in inches. Returns its number of lines."""
    handles: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    labels = sorted(handles, key=lambda label: label not in methods)
    columns = max(1, int(width / (INCHES_PER_CHARACTER * max(map(len, labels)) + 0.5)))
    figure.legend(
        [handles[label] for label in labels], labels, loc="outside lower center", ncols=columns, frameon=False
    )
    return -(-len(labels) // columns)


def score(point: Point, average: Average) -> tuple[float, Interval]:
    """F1 of a point, and its interval."""
    return (point.f1, point.interval) if average == "micro" else (point.macro_f1, point.macro_interval)


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
