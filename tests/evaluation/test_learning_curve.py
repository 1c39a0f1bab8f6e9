import csv
import dataclasses
import io
import json
from typing import Any

import numpy as np
import pytest

from ner.config import BaselineConfig, TrainConfig
from ner.evaluation.learning_curve import Curve, crossings, curves, in_words, to_csv, to_markdown, to_plain, to_text
from ner.evaluation.matrix import Result
from ner.evaluation.metrics import ratios

SENTENCES = 400
GOLD = np.random.default_rng(0).poisson(1.4, SENTENCES)
RECIPE = TrainConfig().recipe()


def result(run, trained_on, size, recall, language="fr", seed=0, **changes):
    """A run that finds a share of the entities of 400 sentences and invents nothing."""
    correct = np.random.default_rng([seed, size]).binomial(GOLD, recall)
    counts = np.stack([correct, correct, GOLD], axis=1)
    row = ratios(counts.sum(axis=0))
    scores = {key: {**row, "macro": row} for key in ("default", "strict")}
    values = {
        "train_sentences": size,
        "recipe": RECIPE,
        "counts": np.stack([counts, counts])[:, :, None],  # of one type
        "content": "sentences",
        "annotated": size if trained_on == language else 0,
    } | changes
    limit = None if run == trained_on else size
    return Result(run, (trained_on,), limit, language, "test", SENTENCES, scores, **values)


FRENCH = [
    result("fr", "fr", 4580, 0.75),
    result("fr-250", "fr", 250, 0.05),
    result("fr-1000", "fr", 1000, 0.45),
    result("fr-2000", "fr", 2000, 0.62),
]
GERMAN = result("de", "de", 12580, 0.55)


def test_the_crossing_is_interpolated_in_log_sentences():
    sizes = np.array([100, 1000, 10000])
    f1 = np.array([[0.1, 0.3, 0.5], [0.1, 0.3, 0.5], [0.1, 0.3, 0.5], [0.1, 0.3, 0.5]])
    where = crossings(sizes, f1, np.array([0.4, 0.3, 0.1, 0.6]))
    np.testing.assert_allclose(where, [10**3.5, 1000, -np.inf, np.inf], rtol=1e-12)


def test_a_curve_that_falls_is_crossed_where_it_first_reaches_the_level():
    where = crossings(np.array([10, 100, 1000, 10000]), np.array([[0.0, 0.4, 0.1, 0.9]]), np.array([0.2]))
    assert where[0] == pytest.approx(10**1.5)


def test_a_curve_of_the_runs_on_one_language():
    (curve,), notes = curves([*FRENCH, GERMAN], "default")
    assert notes == []
    assert [point.train_sentences for point in curve.points] == [250, 1000, 2000, 4580]
    assert [point.runs for point in curve.points] == [("fr-250",), ("fr-1000",), ("fr-2000",), ("fr",)]
    assert curve.level is not None
    assert (curve.level.trained_on, curve.level.train_sentences, curve.level.runs) == ("de", 12580, ("de",))
    for point in (*curve.points, curve.level):
        assert point.interval.low < point.f1 < point.interval.high
    low, high = curve.points[1].f1, curve.points[2].f1
    share = (curve.level.f1 - low) / (high - low)
    assert curve.crossing == pytest.approx(1000 * 2**share)
    assert curve.crossing is not None
    assert curve.crossing_interval is not None
    assert 1000 < curve.crossing_interval.low < curve.crossing < curve.crossing_interval.high < 2500


def test_the_interval_of_the_crossing_is_paired():
    """A level that is the curve's own point, resampled with it, is reached exactly there in every resample."""
    same = result("de", "de", 12580, 0.5, counts=FRENCH[2].counts)
    same = dataclasses.replace(same, scores=FRENCH[2].scores)
    (curve,), _ = curves([*FRENCH, same], "default")
    assert curve.crossing_interval is not None
    limits = (curve.crossing, curve.crossing_interval.low, curve.crossing_interval.high)
    assert limits == (pytest.approx(1000), pytest.approx(1000), pytest.approx(1000))


def test_not_reached_and_below_the_smallest():
    (above,), _ = curves([*FRENCH, result("de", "de", 12580, 0.95)], "default")
    assert above.crossing == np.inf
    assert "not reached at 4,580 annotated sentences [not reached, not reached]" in to_markdown([above])
    (below,), _ = curves([*FRENCH, result("de", "de", 12580, 0.001)], "default")
    assert below.crossing == -np.inf
    assert "exceeded already at 250 annotated sentences [below the smallest, below" in to_markdown([below])
    assert in_words(1234.6) == "1,235"
    plain = json.loads(json.dumps(to_plain(above)))
    assert (plain["crossing"], plain["crossing_interval"]["high"]) == ("not reached", "not reached")


def test_the_zero_shot_level_is_that_of_the_largest_run_on_another_language():
    others = [result("it", "it", 1680, 0.3), GERMAN, result("en", "en", 1180, 0.6)]
    (curve,), _ = curves([*others, *FRENCH], "default")
    assert curve.level is not None
    assert curve.level.trained_on == "de"
    both = Result(
        "de+fr",
        ("de", "fr"),
        None,
        "fr",
        "test",
        SENTENCES,
        FRENCH[0].scores,
        17160,
        42,
        RECIPE,
        FRENCH[0].counts,
        "sentences",
    )
    (again,), _ = curves([both, *others, *FRENCH], "default")
    assert again.level == curve.level
    (alone,), _ = curves([both, *FRENCH], "default")
    assert alone.level is alone.crossing is None
    assert "no run on another single language" in to_markdown([alone])


def test_a_level_has_most_sentences_whatever_its_options_and_its_place():
    """A small run with the options of the curve is not it, and of equally large ones it is always the same."""
    few = result("it-250", "it", 250, 0.3, annotated=0)
    german = dataclasses.replace(GERMAN, recipe=dataclasses.replace(RECIPE, min_steps=500))
    english = dataclasses.replace(result("en", "en", 12580, 0.4), recipe=german.recipe)
    levels = []
    for runs in ([few, german, english, *FRENCH], [*reversed(FRENCH), english, german, few]):
        (curve,), _ = curves(runs, "default")
        assert curve.level is not None
        levels.append(curve.level.runs)
    assert levels == [("de",), ("de",)]


def test_a_run_that_goes_on_from_a_tagger_of_the_language_is_no_level():
    knows_french = dataclasses.replace(GERMAN, also_trained_on=("fr",))
    knows_both = dataclasses.replace(GERMAN, run="de-it", also_trained_on=("it",))
    (curve,), _ = curves([*FRENCH, knows_french, knows_both], "default")
    assert curve.level is None


def test_the_interval_of_a_crossing_does_not_depend_on_the_order_of_runs():
    """Three seeds for each point and three for the level, which vary each by itself."""
    points = [
        result(f"fr-{size}-{seed}", "fr", size, recall + seed / 20, seed=seed)
        for size, recall in ((100, 0.4), (1000, 0.65))
        for seed in range(3)
    ]
    points = [dataclasses.replace(r, max_train_sentences=r.train_sentences) for r in points]
    level = [result(f"de-{seed}", "de", 12580, 0.55 + seed / 20, seed=seed) for seed in range(3)]
    level = [dataclasses.replace(r, max_train_sentences=None) for r in level]
    intervals = []
    for runs in ([*points, *level], [*reversed(points), *level], [*points, *reversed(level)]):
        (curve,), _ = curves(runs, "default")
        assert [len(point.runs) for point in curve.points] == [3, 3]
        assert curve.crossing_interval is not None
        intervals.append((curve.crossing_interval.low, curve.crossing_interval.high))
    assert intervals[0] == intervals[1] == intervals[2]
    assert intervals[0][1] > 1.5 * intervals[0][0]


def test_seeds_of_one_size_are_a_point():
    second = result("fr-1000-b", "fr", 1000, 0.45, seed=1)
    (curve,), _ = curves([*FRENCH, second, GERMAN], "default")
    point = curve.points[1]
    assert point.runs == ("fr-1000", "fr-1000-b")
    assert point.f1 == pytest.approx(np.mean([r.scores["default"]["f1"] for r in (FRENCH[2], second)]))


def test_the_interval_holds_seeds_and_slices():
    """Runs that agree are as sure as their sentences are; of runs that do not, the interval is wider."""
    agree = [result(f"a{i}", "fr", 1000, 0.45, counts=FRENCH[2].counts) for i in range(3)]
    agree = [dataclasses.replace(r, scores=FRENCH[2].scores) for r in agree]
    differ = [result(f"b{i}", "fr", 2000, recall) for i, recall in enumerate((0.3, 0.5, 0.7))]
    (curve,), _ = curves([*FRENCH[:2], *agree, *differ, GERMAN], "default")
    (alone,), _ = curves([*FRENCH, GERMAN], "default")
    assert [len(point.runs) for point in curve.points] == [1, 3, 3, 1]
    assert curve.points[1].interval == alone.points[1].interval
    runs = [r.scores["default"]["f1"] for r in differ]
    low, high = curve.points[2].interval.low, curve.points[2].interval.high
    assert min(runs) - 0.05 < low < min(runs) + 0.05
    assert max(runs) - 0.05 < high < max(runs) + 0.05


def test_runs_of_other_options_are_no_curve_and_it_is_said():
    other = dataclasses.replace(RECIPE, lr=1e-3, epochs=9)
    found, notes = curves([FRENCH[0], dataclasses.replace(FRENCH[1], recipe=other), GERMAN], "default")
    assert found == []
    assert notes == ["no learning curve of fr alone: its runs of several sizes differ in epochs lr too"]
    found, _ = curves([*FRENCH, *(dataclasses.replace(r, run=r.run + "x", recipe=other) for r in FRENCH)], "default")
    assert [curve.name for curve in found] == ["fr alone", "fr alone, 9 epochs, learning rate 0.001"]


def joined(run, annotated, recall, cut=None, **changes):
    """A run on German and that many French sentences. cut: as it was given."""
    values = {"train_sentences": 12580 + annotated, "annotated": annotated} | changes
    one = result(run, "de", annotated, recall, **values)
    return dataclasses.replace(one, trained_on=("de", "fr"), max_train_sentences=cut)


JOINED = [
    joined("de+fr-50", 50, 0.6, {"fr": 50}),
    joined("de+fr-250", 250, 0.7, {"fr": 250}),
    joined("de+fr", 4580, 0.8),
]


def test_runs_on_other_languages_too_are_a_curve_of_the_tested_one():
    found, notes = curves([*FRENCH, *JOINED, GERMAN], "default")
    assert notes == []
    assert [(curve.name, curve.language, curve.trained_on) for curve in found] == [
        ("fr alone", "fr", ("fr",)),
        ("de + fr", "fr", ("de", "fr")),
    ]
    assert [point.train_sentences for point in found[1].points] == [50, 250, 4580]
    assert [curve.level.runs for curve in found if curve.level] == [("de",), ("de",)]
    assert found[1].crossing == -np.inf
    assert "| de + fr | fr | 250 |" in " ".join(to_markdown(found).split())
    rows = list(csv.DictReader(io.StringIO(to_csv({"test": found}))))
    assert {row["trained_on"] for row in rows if row["curve"] == "de + fr"} == {"de+fr", "de"}  # of points and level
    few = [dataclasses.replace(r, run=r.run + "x", max_train_sentences={"de": 1000, "fr": r.annotated}) for r in JOINED]
    assert [curve.name for curve in curves([*few, *JOINED], "default")[0]] == ["de + fr (de=1,000)", "de + fr"]


def test_a_number_of_joined_sentences_is_a_curve_of_each_language():
    both = [joined(f"j{n}", n, recall, 2 * n) for n, recall in ((50, 0.5), (500, 0.7))]
    german = [dataclasses.replace(r, language="de") for r in both]
    found, _ = curves([*both, *german], "default")
    assert [curve.name for curve in found] == [f"de + fr (cut together), tested on {lang}" for lang in ("fr", "de")]


def test_lines_are_named_by_the_options_in_which_they_differ():
    recipes = {
        "fr alone": RECIPE,
        "fr alone, min 500 steps": dataclasses.replace(RECIPE, min_steps=500),
        "fr alone, from de/best, learning rate 0.0002": dataclasses.replace(RECIPE, model="runs/de/best", lr=2e-4),
        "fr alone, cuda graphs": dataclasses.replace(RECIPE, cuda_graphs=True),
        "fr alone, label tokens all": dataclasses.replace(RECIPE, label_tokens="all"),
        "fr alone, max validation sentences train": dataclasses.replace(RECIPE, max_validation_sentences=("train",)),
    }
    runs = [dataclasses.replace(r, run=r.run + n, recipe=recipe) for n, recipe in recipes.items() for r in FRENCH]
    crf = [dataclasses.replace(r, run=r.run + "c", recipe=BaselineConfig(), baseline="CRF") for r in FRENCH]
    found, _ = curves([*runs, *crf, GERMAN], "default")
    assert [curve.name for curve in found] == [*recipes, "fr alone, CRF baseline"]
    elsewhere = [dataclasses.replace(r, run=r.run + "x", content="others") for r in FRENCH]
    found, _ = curves([*FRENCH, *elsewhere], "default")
    assert [curve.name for curve in found] == ["fr alone [fr]", "fr alone [frx]"]


def test_what_most_lines_have_is_not_named():
    """Where names tell apart without it; the same method has one name beside each language."""
    few: dict[str, Any] = {"model": "models/small", "min_steps": 300}
    augmented: dict[str, Any] = {"model": "models/small", "augment": ("case=0.2",)}

    def lines(lang: str) -> list[Result]:
        taught = augmented | {"unlabelled": (f"{lang}=text.txt",), "teacher": ("1",)}
        by_several = taught | {"teacher": ("1", "2")}
        alone = [few, few | {"model": "runs/de/best"}]
        runs = [
            result(f"{lang}-{i}-{n}", lang, n, 0.5, lang, recipe=dataclasses.replace(RECIPE, **options))
            for i, options in enumerate(alone)
            for n in (50, 100)
        ]
        for i, options in enumerate([few | {"min_steps": None}, augmented, taught, by_several]):
            recipe = dataclasses.replace(RECIPE, **options)
            joined_runs = [joined(f"{lang}+{i}-{n}", n, 0.6, {lang: n}, recipe=recipe) for n in (50, 100)]
            runs += [dataclasses.replace(r, trained_on=("de", lang), language=lang) for r in joined_runs]
        return runs

    found, _ = curves([*lines("fr"), *lines("it")], "default")
    methods = [
        "alone, min 300 steps",
        "alone, from de/best, min 300 steps",
        "with de",
        "with de, augment case=0.2",
        "with de, unlabelled text, augment case=0.2",
        "with de, unlabelled text, 2 teachers, augment case=0.2",
    ]
    assert [curve.method for curve in found if curve.language == "fr"] == methods
    assert [curve.method for curve in found if curve.language == "it"] == methods
    assert [curve.name for curve in found][:3] == [
        "fr alone, min 300 steps",
        "fr alone, from de/best, min 300 steps",
        "de + fr",
    ]


def test_levels_of_one_name_are_told_apart():
    other = dataclasses.replace(RECIPE, lr=1e-3)
    again = [dataclasses.replace(r, run=r.run + "x", recipe=other) for r in (*FRENCH, GERMAN)]
    found, _ = curves([*FRENCH, GERMAN, *again], "default")
    names = [curve.level.name for curve in found if curve.level]
    assert names == ["zero-shot from de [de]", "zero-shot from de [dex]"]
    (curve,), _ = curves([*FRENCH, GERMAN], "default")
    assert curve.level is not None
    assert curve.level.name == "zero-shot from de"


def test_macro_f1_is_the_mean_of_the_types():
    """Of two types, one never found: half the F1, with half the interval."""
    halved = []
    for r in FRENCH:
        assert r.counts is not None
        none = r.counts * [0, 0, 1]
        scores = {key: {**row, "macro": {"f1": row["f1"] / 2}} for key, row in r.scores.items()}
        halved.append(dataclasses.replace(r, counts=np.concatenate([r.counts, none], axis=2), scores=scores))
    (whole,), _ = curves(FRENCH, "default")
    (half,), _ = curves(halved, "default")
    for one, two in zip(whole.points, half.points, strict=True):
        assert (one.macro_f1, one.macro_interval) == (one.f1, one.interval)  # of one type
        assert two.macro_f1 == pytest.approx(one.f1 / 2)
        assert two.macro_interval.low == pytest.approx(one.interval.low / 2)
        assert two.macro_interval.high == pytest.approx(one.interval.high / 2)
    (row, *_) = csv.DictReader(io.StringIO(to_csv({"test": [half]})))
    assert float(row["macro_f1"]) == pytest.approx(half.points[0].macro_f1, abs=1e-6)


def test_runs_of_which_too_little_is_known_are_left_out():
    assert curves([GERMAN, FRENCH[0]], "default") == ([], [])
    assert curves([dataclasses.replace(r, train_sentences=None) for r in FRENCH], "default") == ([], [])
    assert curves([dataclasses.replace(r, annotated=None) for r in FRENCH], "default") == ([], [])
    assert curves([dataclasses.replace(r, counts=None) for r in FRENCH], "default") == ([], [])


def test_text_and_csv_hold_the_same_numbers():
    found, _ = curves([*FRENCH, GERMAN], "default")
    (curve,) = found
    text = to_text({"test": found})
    rows = list(csv.DictReader(io.StringIO(to_csv({"test": found}))))
    assert [row["kind"] for row in rows] == ["point"] * 4 + ["zero-shot", "crossing"]
    assert isinstance(curve, Curve)
    for row, point in zip(rows, curve.points, strict=False):
        assert (int(row["sentences"]), float(row["f1"])) == (point.train_sentences, pytest.approx(point.f1, abs=1e-6))
        assert f"{point.f1:.3f} | {point.interval}" in text
    assert float(rows[-1]["sentences"]) == pytest.approx(curve.crossing, abs=0.1)
    assert f"reached at {float(rows[-1]['sentences']):,.0f} [" in text
    assert (rows[-2]["trained_on"], rows[-2]["sentences"]) == ("de", "12580")
