"""Learning curves: F1 against annotated sentences, and where it reaches the zero-shot level of another language.

Runs that differ in nothing but the number of training sentences of the tested language (and seeds) are a curve, whether
they are trained on that language alone or on others too, which are as many in all of them. Its zero-shot level is F1 of
the run trained on another single language, the one with most sentences. Intervals are by bootstrap over
the test sentences, the same ones for all points and the level, and over runs where a point has several.
"""

import csv
import io
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ner.evaluation.bootstrap import Interval, interval
from ner.evaluation.matrix import Result, mean_f1, resample
from ner.utils import table

BELOW, NOT_REACHED = "below the smallest", "not reached"
TOGETHER = "cut together"
# Options that tell lines apart, in words; others by their names.
WORDS = {
    "model": "from {}",
    "epochs": "{} epochs",
    "max_steps": "{:,} steps",
    "min_steps": "min {:,} steps",
    "lr": "learning rate {:g}",
    "sampling_temperature": "temperature {:g}",
}


@dataclass(frozen=True)
class Point:
    """F1 at one number of annotated sentences: the mean over runs, which differ in their seed or slice.

    train_sentences: annotated ones of the tested language.
    """

    train_sentences: int
    f1: float
    interval: Interval
    runs: tuple[str, ...]


@dataclass(frozen=True)
class Level(Point):
    """F1 without a training sentence of the language. trained_on: the other language, of train_sentences sentences."""

    trained_on: str


@dataclass(frozen=True)
class Curve:
    """One recipe, tested on one language. name: what it was trained on, and how, in words; trained_on: languages.

    points: from few sentences to many; crossing: training sentences at which the curve first reaches the level,
    interpolated in log(sentences): -inf where its smallest point is there already, inf where no point is.
    level and crossing are None where no run on another single language is known.
    """

    name: str
    language: str
    trained_on: tuple[str, ...]
    points: tuple[Point, ...]
    level: Level | None
    crossing: float | None
    crossing_interval: Interval | None


def curves(results: Sequence[Result], scoring: str) -> tuple[list[Curve], list[str]]:
    """The curves that these results of one split hold, and notes on runs that make none.

    A curve is at least two numbers of annotated sentences. Runs of which these, their options or the counts are not
    known are left out.
    """
    samples = resample(results, scoring)
    known = [r for r in results if r.recipe and r.train_sentences and r.content and (r.run, r.language) in samples]
    lines: dict[Hashable, dict[Hashable, list[Result]]] = {}
    for result in known:
        if result.annotated:
            line = (result.language, result.baseline, result.trained_on, others(result))
            lines.setdefault(line, {}).setdefault((result.recipe, result.content), []).append(result)
    of_several: list[list[Result]] = []
    notes: list[str] = []
    for groups in lines.values():
        several = [group for group in groups.values() if len({r.annotated for r in group}) > 1]
        of_several += several
        if not several and len({r.annotated for group in groups.values() for r in group}) > 1:
            first = [group[0] for group in groups.values()]
            options = " ".join(differing(first)) or "test sentences"
            line_name = recipe_name(first[0], ())
            notes.append(f"no learning curve of {line_name}: its runs of several sizes differ in {options} too")
    names = line_names([group[0] for group in of_several])
    found = [
        curve(name, group, zero_shot(group[0], known), samples, scoring)
        for name, group in zip(names, of_several, strict=True)
    ]
    return found, notes


def others(result: Result) -> str:
    """How the languages that are not tested were cut: empty where they are whole, or there are none."""
    sizes = result.max_train_sentences or {}
    if not isinstance(sizes, dict):
        return TOGETHER if len(result.trained_on) > 1 else ""
    return ", ".join(f"{language}={size:,}" for language, size in sorted(sizes.items()) if language != result.language)


def recipe_name(result: Result, options: Sequence[str]) -> str:
    """What was trained on, and how: `de + fr (de=1,000), min 500 steps`. options: those to name, if given."""
    alone = result.trained_on == (result.language,)
    name = f"{result.language} alone" if alone else " + ".join(result.trained_on)
    name += f" ({cut})" if (cut := others(result)) else ""
    parts = [name, f"{result.baseline} baseline"] if result.baseline else [name]
    items = fields(result.recipe) if result.recipe else ()
    for item in sorted(items, key=lambda item: item.name != "model"):
        value = getattr(result.recipe, item.name)
        if item.name in options and value != item.default:
            parts.append(option_in_words(item.name, value))
    return ", ".join(parts)


def option_in_words(name: str, value: Any) -> str:
    """An option that was given: `min 500 steps`; of a path the last two parts."""
    if name in ("model", "data"):
        value = "/".join(Path(value).parts[-2:])
    if name in WORDS:
        return WORDS[name].format(value)
    text = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return name.replace("_", " ") + ("" if value is True else f" {text}")


def line_names(lines: Sequence[Result]) -> list[str]:
    """A name for each line, by its first run: its recipe in words, with the options in which lines differ."""
    options = differing([line for line in lines if not line.baseline])
    names = [recipe_name(line, options) for line in lines]
    for more in (", tested on {0.language}", " [{0.run}]"):
        texts: dict[str, set[str]] = {}
        for name, line in zip(names, lines, strict=True):
            texts.setdefault(name, set()).add(more.format(line))
        names = [
            name + more.format(line) if len(texts[name]) > 1 else name for name, line in zip(names, lines, strict=True)
        ]
    return names


def differing(results: Sequence[Result]) -> list[str]:
    """Options that are not the same in the recipes of all."""
    recipes = [result.recipe for result in results if result.recipe]
    names = dict.fromkeys(item.name for recipe in recipes for item in fields(recipe))
    return [name for name in names if len({getattr(recipe, name, None) for recipe in recipes}) > 1]


def zero_shot(result: Result, known: Sequence[Result]) -> list[Result]:
    """The runs that give the zero-shot level: trained on another single language, on as many sentences as there are.

    The level of an encoder's curve is an encoder's, that of a CRF's a CRF's.
    Those with the options of the curve come first. Seeds of one training come together.
    """
    elsewhere = [
        r
        for r in known
        if r.language == result.language
        and r.content == result.content
        and r.baseline == result.baseline
        and len(r.trained_on) == 1
        and result.language not in r.trained_on
    ]
    if not elsewhere:
        return []
    first = max(elsewhere, key=lambda r: (r.recipe == result.recipe, r.train_sentences or 0))
    return [r for r in elsewhere if r.training == first.training]


def curve(
    name: str,
    group: Sequence[Result],
    level: Sequence[Result],
    samples: dict[tuple[str, str], np.ndarray],
    scoring: str,
) -> Curve:
    """The curve of these results on one language. level: results that give the zero-shot level, possibly none."""

    def drawn(members: Sequence[Result]) -> np.ndarray:
        """float64 [resamples]: the mean F1 of resampled runs, on the same resampled sentences whatever the members."""
        of_runs = np.stack([samples[member.run, member.language] for member in members])
        chosen = np.random.default_rng(0).integers(len(members), size=of_runs.shape)
        return np.take_along_axis(of_runs, chosen, axis=0).mean(axis=0)

    def runs(members: Sequence[Result]) -> tuple[str, ...]:
        return tuple(result.run for result in members)

    sizes = sorted({size for result in group if (size := result.annotated)})
    at = [[result for result in group if result.annotated == size] for size in sizes]
    points = tuple(
        Point(size, mean_f1(members, scoring), interval(drawn(members)), runs(members))
        for size, members in zip(sizes, at, strict=True)
    )
    about = (name, group[0].language, group[0].trained_on, points)
    if not level:
        return Curve(*about, None, None, None)
    base = Level(
        level[0].train_sentences or 0,
        mean_f1(level, scoring),
        interval(drawn(level)),
        runs(level),
        level[0].trained_on[0],
    )
    where = crossings(np.array(sizes), np.array([[point.f1 for point in points]]), np.array([base.f1]))
    resampled = crossings(np.array(sizes), np.stack([drawn(members) for members in at], axis=1), drawn(level))
    return Curve(*about, base, float(where[0]), interval(resampled))


def crossings(sizes: np.ndarray, f1: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Where each curve first reaches its level, from below, linear in log(sentences): float64 [curves].

    sizes: int64 [points], rising; f1: float64 [curves, points]; level: float64 [curves].
    -inf where the first point is there already, inf where no point is.
    """
    reached = f1 >= level[:, None]
    after = reached.argmax(axis=1)  # 0 where none is
    before = np.maximum(after - 1, 0)
    rows = np.arange(len(f1))
    low, high = f1[rows, before], f1[rows, after]
    share = (level - low) / np.where(high > low, high - low, 1.0)
    x = np.log(sizes)
    where = np.exp(x[before] + share * (x[after] - x[before]))
    return np.select([reached[:, 0], ~reached.any(axis=1)], [-np.inf, np.inf], where)


def in_words(sentences: float) -> str:
    """A crossing as text."""
    if np.isinf(sentences):
        return NOT_REACHED if sentences > 0 else BELOW
    return f"{sentences:,.0f}"


def outcome(curve: Curve) -> str:
    """Where the curve reaches its zero-shot level, with the interval where it does; nothing without a level."""
    if curve.crossing is None or curve.crossing_interval is None:
        return ""
    if np.isposinf(curve.crossing):
        return f"not reached at {curve.points[-1].train_sentences:,}"
    if np.isneginf(curve.crossing):
        return f"exceeded already at {curve.points[0].train_sentences:,}"
    return f"reached at {in_words(curve.crossing)} {between(curve.crossing_interval)}"


def between(limits: Interval) -> str:
    """The limits of a crossing as text."""
    return f"[{in_words(limits.low)}, {in_words(limits.high)}]"


def summary(curve: Curve) -> str:
    """The zero-shot level and the crossing, in words."""
    if curve.level is None or curve.crossing_interval is None:
        return f"{curve.name}: no run on another single language, so no zero-shot level"
    level = curve.level
    text = f"{curve.name}: zero-shot from {level.trained_on} ({level.train_sentences:,} sentences) {level.f1:.3f} "
    text += f"{level.interval}, {outcome(curve)}"
    is_open = not np.isfinite(curve.crossing or 0.0)
    return text + " annotated sentences" + (f" {between(curve.crossing_interval)}" if is_open else "")


def to_markdown(curves: Sequence[Curve]) -> str:
    """Points, zero-shot levels and crossings of one split, in Markdown."""
    lines = [
        [curve.name, curve.language, point.train_sentences, f"{point.f1:.3f}", str(point.interval), len(point.runs)]
        for curve in curves
        for point in curve.points
    ]
    header = ["trained on", "tested on", "annotated sentences", "F1", "95% interval", "runs"]
    return table(header, lines) + "\n\n" + "\n".join(f"- {summary(curve)}" for curve in curves)


def to_text(of_split: Mapping[str, Sequence[Curve]]) -> str:
    """The curves of all splits in Markdown, with headings."""
    return "\n\n".join(f"Learning curve, {split}\n\n{to_markdown(curves)}" for split, curves in of_split.items())


def to_plain(curve: Curve) -> dict[str, Any]:
    """The curve as JSON takes it: a crossing is a number, or says that it is below the smallest, or not reached."""

    def plain(sentences: float | None) -> float | str | None:
        return sentences if sentences is None or np.isfinite(sentences) else in_words(sentences)

    limits = curve.crossing_interval
    return asdict(curve) | {
        "crossing": plain(curve.crossing),
        "crossing_interval": {"low": plain(limits.low), "high": plain(limits.high)} if limits else None,
    }


def to_csv(of_split: Mapping[str, Sequence[Curve]]) -> str:
    """A row for each point, zero-shot level and crossing.

    sentences: annotated ones of the language; of a crossing, and its limits, inf where not reached, -inf below the
    smallest point.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow("split curve kind trained_on sentences sentences_low sentences_high f1 f1_low f1_high runs".split())

    def row(split: str, curve: Curve, kind: str, trained_on: str, point: Point) -> list[Any]:
        f1 = (f"{value:.6f}" for value in (point.f1, point.interval.low, point.interval.high))
        return [split, curve.name, kind, trained_on, point.train_sentences, "", "", *f1, len(point.runs)]

    for split, curves in of_split.items():
        for curve in curves:
            trained_on = "+".join(curve.trained_on)
            writer.writerows(row(split, curve, "point", trained_on, point) for point in curve.points)
            if curve.level and curve.crossing is not None and curve.crossing_interval:
                writer.writerow(row(split, curve, "zero-shot", curve.level.trained_on, curve.level))
                limits = (curve.crossing, curve.crossing_interval.low, curve.crossing_interval.high)
                sentences = (f"{value:.1f}" for value in limits)
                writer.writerow(
                    [split, curve.name, "crossing", trained_on, *sentences, f"{curve.level.f1:.6f}", "", "", ""]
                )
    return text.getvalue()
