"""Learning curves: F1 against annotated sentences, and where it reaches the zero-shot level of another language.

Runs that differ in nothing but the number of training sentences of the tested language (and seeds) are a curve, whether
they are trained on that language alone or on others too, which are as many in all of them. Its zero-shot level is F1 of
the run trained on another single language, the one with most sentences. Intervals are by bootstrap over
the test sentences, the same ones for all points and the level, and over runs where a point has several.
"""

import csv
import io
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ner.evaluation.bootstrap import Interval, interval
from ner.evaluation.line_names import differing, line_names, others, recipe_name
from ner.evaluation.matrix import Average, Result, Samples, mean_f1, named, resample
from ner.utils import table

AVERAGES: tuple[Average, ...] = ("micro", "macro")
BELOW, NOT_REACHED = "below the smallest", "not reached"


@dataclass(frozen=True)
class Point:
    """F1 at one number of annotated sentences: the mean over runs, which differ in their seed or slice.

    train_sentences: annotated ones of the tested language; f1: micro average; macro_f1: mean F1 of the entity types.
    """

    train_sentences: int
    f1: float
    interval: Interval
    macro_f1: float
    macro_interval: Interval
    runs: tuple[str, ...]


@dataclass(frozen=True)
class Level(Point):
    """F1 without a training sentence of the language. trained_on: the other language, of train_sentences sentences.

    name: in words, for a place that shows which language is tested.
    """

    trained_on: str
    name: str


@dataclass(frozen=True)
class Curve:
    """One recipe, tested on one language. name: what it was trained on, and how, in words; trained_on: languages.

    method: the name where the language is shown beside it, the same for curves of several languages.
    points: from few sentences to many; crossing: training sentences at which the curve first reaches the level,
    interpolated in log(sentences): -inf where its smallest point is there already, inf where no point is.
    level and crossing are None where no run on another single language is known.
    """

    name: str
    method: str
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
    samples: dict[Average, Samples] = {name: resample(results, scoring, name) for name in AVERAGES}
    known = [
        r for r in results if r.recipe and r.train_sentences and r.content and (r.run, r.language) in samples["micro"]
    ]
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
            of_line = [group[0] for group in groups.values()]
            options = " ".join(differing(of_line)) or "test sentences"
            line_name = recipe_name(of_line[0], None)
            notes.append(f"no learning curve of {line_name}: its runs of several sizes differ in {options} too")
    first = [group[0] for group in of_several]
    names = zip(line_names(first), line_names(first, beside_language=True), of_several, strict=True)
    found = [
        curve((name, method), group, zero_shot(group[0], known), samples, scoring) for name, method, group in names
    ]
    levels = {(c.language, c.level.name, c.level.runs) for c in found if c.level}
    ambiguous = {place for place, count in Counter(level[:2] for level in levels).items() if count > 1}
    return [level_told_apart(c) if c.level and (c.language, c.level.name) in ambiguous else c for c in found], notes


def level_told_apart(curve: Curve) -> Curve:
    """The curve, its level named with the first run of it."""
    assert curve.level
    return replace(curve, level=replace(curve.level, name=f"{curve.level.name} [{curve.level.runs[0]}]"))


def zero_shot(result: Result, known: Sequence[Result]) -> list[Result]:
    """The runs that give the zero-shot level: trained on another single language, the one with most sentences.

    Of as many, those with the options of the curve, then the first by language and by what `training` they are of.
    The level of an encoder's curve is an encoder's, that of a CRF's a CRF's. Seeds of one training come together.
    """
    elsewhere = [
        r
        for r in known
        if r.language == result.language
        and r.content == result.content
        and r.baseline == result.baseline
        and len(r.knows) == 1
        and result.language not in r.knows
    ]
    if not elsewhere:
        return []
    first = min(elsewhere, key=lambda r: (-(r.train_sentences or 0), r.recipe != result.recipe, r.trained_on, r.run))
    return in_order(r for r in elsewhere if r.training == first.training)


def in_order(results: Iterable[Result]) -> list[Result]:
    """By seed and name, however they were named on the command line: which of them a resample draws depends on it."""
    return sorted(results, key=lambda result: (result.seed or 0, result.run))


def curve(
    names: tuple[str, str],
    group: Sequence[Result],
    level: Sequence[Result],
    samples: Mapping[Average, Samples],
    scoring: str,
) -> Curve:
    """The curve of these results on one language.

    names: of the curve, and of its method; level: results that give the zero-shot level, possibly none.
    """

    def drawn(members: Sequence[Result], average: Average = "micro") -> np.ndarray:
        """float64 [resamples]: the mean F1 of resampled runs, on the same resampled sentences whatever the members.

        Points of as many runs draw the same places, where runs of one seed stand: their slices are nested. The level
        draws its own.
        """
        of_runs = np.stack([samples[average][member.run, member.language] for member in members])
        rng = np.random.default_rng(1 if members is level else 0)
        chosen = rng.integers(len(members), size=of_runs.shape)
        return np.take_along_axis(of_runs, chosen, axis=0).mean(axis=0)

    def about(members: Sequence[Result]) -> dict[str, Any]:
        """The fields of a point but for its sentences."""
        return {
            "f1": mean_f1(members, scoring),
            "interval": interval(drawn(members)),
            "macro_f1": mean_f1(members, scoring, "macro"),
            "macro_interval": interval(drawn(members, "macro")),
            "runs": tuple(result.run for result in members),
        }

    sizes = sorted({size for result in group if (size := result.annotated)})
    at = [[result for result in in_order(group) if result.annotated == size] for size in sizes]
    points = tuple(Point(size, **about(members)) for size, members in zip(sizes, at, strict=True))
    line = (*names, group[0].language, group[0].trained_on, points)
    if not level:
        return Curve(*line, None, None, None)
    trained_on = level[0].trained_on[0]
    base = Level(
        level[0].train_sentences or 0,
        **about(level),
        trained_on=trained_on,
        name=named(f"zero-shot from {trained_on}", level[0].baseline),
    )
    where = crossings(np.array(sizes), np.array([[point.f1 for point in points]]), np.array([base.f1]))
    resampled = crossings(np.array(sizes), np.stack([drawn(members) for members in at], axis=1), drawn(level))
    return Curve(*line, base, float(where[0]), interval(resampled))


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
        [
            curve.name,
            curve.language,
            point.train_sentences,
            *(f"{point.f1:.3f}", str(point.interval), f"{point.macro_f1:.3f}", str(point.macro_interval)),
            len(point.runs),
        ]
        for curve in curves
        for point in curve.points
    ]
    limits = "95% interval"
    header = ["trained on", "tested on", "annotated sentences", "F1", limits, "macro F1", limits, "runs"]
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
    f1 = [f"{name}{end}" for name in ("f1", "macro_f1") for end in ("", "_low", "_high")]
    writer.writerow(
        ["split", "curve", "kind", "trained_on", "sentences", "sentences_low", "sentences_high", *f1, "runs"]
    )

    def row(split: str, curve: Curve, kind: str, trained_on: str, point: Point) -> list[Any]:
        scores = ((point.f1, point.interval), (point.macro_f1, point.macro_interval))
        f1 = (f"{value:.6f}" for score, limits in scores for value in (score, limits.low, limits.high))
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
                    [split, curve.name, "crossing", trained_on, *sentences, f"{curve.level.f1:.6f}", *[""] * 6]
                )
    return text.getvalue()
