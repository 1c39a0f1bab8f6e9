import csv
import dataclasses
import io
import json
import re
from typing import Any

import numpy as np
import pytest

from ner.config import BaselineConfig, TrainConfig
from ner.evaluation.bootstrap import f1_interval
from ner.evaluation.matrix import Result, best_rows, f1_cells, f1_of_cells, row_names
from ner.evaluation.metrics import Counts, ratios
from ner.report.tables import (
    csv_rows,
    to_csv,
    to_latex,
    to_markdown,
    to_plain,
    to_text,
    type_report,
    types_to_csv,
    types_to_text,
)

LANGUAGES = ("de", "fr", "it")


def result(run, trained_on, language, f1, limit=None):
    ratios = {"precision": f1, "recall": f1, "f1": f1}
    scores = {
        **ratios,
        "support": 3,
        "macro": ratios,
        "weighted": ratios,
        "per_type": {"PER": {**ratios, "support": 3}},
    }
    return Result(run, trained_on, limit, language, "test", 10, {"default": scores})


def results(run, trained_on, *f1, limit=None):
    return [result(run, trained_on, language, value, limit) for language, value in zip(LANGUAGES, f1, strict=True)]


ALL = [
    *results("runs/all", LANGUAGES, 0.8, 0.9, 0.85),
    *results("runs/de+fr", ("de", "fr"), 0.81, 0.88, 0.7),
    *results("runs/fr", ("fr",), 0.5, 0.87, 0.6),
    *results("runs/de", ("de",), 0.82, 0.6, 0.5),
    *results("runs/fr-250", ("fr",), 0.1, 0.2, 0.15, limit=250),
]


def f1_matrix(results, languages, scoring):
    return f1_of_cells(f1_cells(results, languages, scoring))


def test_rows_are_named_and_ordered_by_what_was_trained_on():
    matrix = f1_matrix(ALL, LANGUAGES, "default")
    assert list(matrix) == ["de", "fr", "fr (250)", "each", "de+fr", "all"]
    assert matrix["de"] == {"de": 0.82, "fr": 0.6, "it": 0.5}


def test_each_takes_every_language_from_its_own_run():
    matrix = f1_matrix(ALL, LANGUAGES, "default")
    assert matrix["each"] == {"de": 0.82, "fr": 0.87, "it": None}
    again = [*ALL, *results("runs/de-2", ("de",), 0.84, 0.6, 0.5)]
    assert f1_matrix(again, LANGUAGES, "default")["each"]["de"] == 0.83
    assert "each" not in f1_matrix([r for r in ALL if r.run != "runs/fr"], LANGUAGES, "default")


def test_a_run_that_goes_on_from_a_tagger_knows_its_languages():
    """`fr` after `de`: on German that is no zero-shot transfer, and on French not the run on French alone."""
    second = [
        dataclasses.replace(r, recipe=TrainConfig(model="runs/de/best").recipe(), also_trained_on=("de",))
        for r in results("runs/de-then-fr", ("fr",), 0.7, 0.9, 0.65)
    ]
    italian = results("runs/it", ("it",), 0.4, 0.45, 0.8)
    cells = f1_cells([*ALL, *italian, *second], LANGUAGES, "default")
    gaps = {name: {language: cell and cell.gap for language, cell in row.items()} for name, row in cells.items()}
    assert gaps["fr [runs/de-then-fr]"] == {"de": None, "fr": None, "it": pytest.approx(0.8 - 0.65)}
    assert gaps["fr [runs/fr]"]["de"] == pytest.approx(0.82 - 0.5)
    assert f1_of_cells(cells)["each"]["fr"] == 0.87


def test_runs_of_the_same_training_are_told_apart():
    again = [*results("a", ("de",), 1, 1, 1), *results("b", ("de",), 0, 0, 0), *results("hub/x", (), 0, 0, 0)]
    assert row_names(again, LANGUAGES) == {"a": "de [a]", "b": "de [b]", "hub/x": "hub/x"}
    assert list(f1_matrix(again, LANGUAGES, "default")) == ["de [a]", "de [b]", "hub/x"]


def test_single_languages_that_were_cut_are_named_with_their_sizes():
    cut = [
        *results("few", ("de", "fr"), 0, 0, 0, limit={"fr": 100}),
        *results("more", ("de", "fr"), 0, 0, 0, limit={"fr": 1000}),
        *results("alone", ("fr",), 0, 0, 0, limit={"fr": 250}),
        *results("joined", LANGUAGES, 0, 0, 0, limit={"fr": 100, "it": 50}),
    ]
    names = ["de+fr", "de+fr (fr=1,000)", "de+fr (fr=100)", "all (fr=100 it=50)", "fr (250) [alone]"]
    cells = f1_cells([*cut, *ALL], LANGUAGES, "default")
    assert [name for name in cells if name in names] == ["fr (250) [alone]", *names[:-1]]


def test_two_languages_together_are_not_called_all():
    assert row_names(results("x", ("de", "fr"), 0, 0, 0), ("de", "fr")) == {"x": "de+fr"}


def test_markdown_and_csv_hold_the_same_numbers():
    matrix = f1_matrix(ALL, LANGUAGES, "default")
    lines = to_markdown(matrix).splitlines()
    assert lines[0].split() == "| trained on | de | fr | it |".split()
    assert [cell.strip() for cell in lines[5].strip("|").split("|")] == ["each", "0.820", "0.870", "–"]  # noqa: RUF001
    rows = list(csv.DictReader(io.StringIO(to_csv({"test": matrix}))))
    assert rows[3] == {"split": "test", "trained_on": "each", "de": "0.820000", "fr": "0.870000", "it": ""}


def test_type_report():
    report = type_report(ALL, LANGUAGES, "default")
    assert "| de+fr | it | PER | 0.700 | 0.700 | 0.700 | 3 |" in report


# PER: 1 correct of 2 predicted and 4 gold; LOC: 3 of 3 and 3; ORG: 0 of 1 and 0; no MISC. All: 4 of 6 and 7.
TYPED = Counts(
    types=("PER", "LOC", "ORG", "MISC"),
    entities=np.array([[[1, 2, 4], [3, 3, 3], [0, 1, 0], [0, 0, 0]]] * 2),
    words=20,
    correct_words=15,
    loss=5.0,
    scored_words=10,
)
OF_TYPES = [
    ("PER", "", "0.500000", "0.250000", "0.333333", "4"),
    ("LOC", "", "1.000000", "1.000000", "1.000000", "3"),
    ("ORG", "", "0.000000", "0.000000", "0.000000", "0"),
    ("", "micro", "0.666667", "0.571429", "0.615385", "7"),
    ("", "macro", "0.500000", "0.416667", "0.444444", "7"),
    ("", "weighted", "0.714286", "0.571429", "0.619048", "7"),  # F1: (4 / 3 + 3) / 7
]


def test_types_and_their_averages():
    """The same numbers as text and as CSV, which tells a type from an average."""
    typed = Result("runs/a", ("de",), None, "fr", "test", 9, {"default": TYPED.scores()}, baseline="CRF")
    of_split = {"test": [typed], "dev": [dataclasses.replace(typed, run="a,b", split="dev")]}
    rows = list(csv.DictReader(io.StringIO(types_to_csv(of_split, LANGUAGES, "default"))))
    place = {"split": "test", "run": "runs/a", "trained_on": "de, CRF", "tested_on": "fr"}
    names = ("type", "average", "precision", "recall", "f1", "support")
    assert rows[:6] == [{**place, **dict(zip(names, row, strict=True))} for row in OF_TYPES]
    assert [row["run"] for row in rows[6:]] == ["a,b"] * 6
    text = types_to_text(of_split, LANGUAGES, "default")
    assert text.startswith("By entity type, test (default scoring)\n\n| trained on | tested on | type |")
    assert "\n\nBy entity type, dev (default scoring)\n\n" in text
    assert "| de, CRF | fr | PER | 0.500 | 0.250 | 0.333 | 4 |\n" in text
    assert "| de, CRF | fr | all (macro) | 0.500 | 0.417 | 0.444 | 7 |\n" in text
    assert "| de, CRF | fr | all (weighted) | 0.714 | 0.571 | 0.619 | 7 |\n" in text
    padded = types_to_text({"test": [typed]}, LANGUAGES, "default", "ruled").split("\n")[2:]
    assert len({len(line) for line in padded}) == 1


GOLD = np.random.default_rng(0).poisson(1.4, (len(LANGUAGES), 300))
RECIPE = TrainConfig().recipe()


def run(name, trained_on, *recall, seed=42, recipe=RECIPE):
    """Results of a run that finds a share of the entities of 300 sentences of each language, and invents nothing."""
    results = []
    for language, gold, share in zip(LANGUAGES, GOLD, recall, strict=True):
        correct = np.random.default_rng([seed, *map(ord, name + language)]).binomial(gold, share)
        counts = np.stack([correct, correct, gold], axis=1)
        row = ratios(counts.sum(axis=0))
        scores = {**row, "macro": row, "weighted": row, "per_type": {"PER": row}}
        results.append(
            Result(
                name,
                trained_on,
                None,
                language,
                "test",
                300,
                {"default": scores, "strict": scores},
                1000,
                seed,
                recipe,
                np.stack([counts, counts])[:, :, None],  # of one type
                "sentences of " + language,
            )
        )
    return results


OF_SEEDS = [
    *run("a", ("de",), 0.8, 0.5, 0.4),
    *run("b", ("de",), 0.8, 0.5, 0.4, seed=43),
    *run("fr", ("fr",), 0.4, 0.7, 0.6),
    *run("de+fr", ("de", "fr"), 0.8, 0.7, 0.65),
]


def f1_of(results, name, language):
    return next(r.scores["default"]["f1"] for r in results if (r.run, r.language) == (name, language))


def test_seeds_of_a_row_are_averaged_with_their_spread():
    cells: Any = f1_cells(OF_SEEDS, LANGUAGES, "default")
    assert list(cells) == ["de", "fr", "each", "de+fr"]
    runs = [f1_of(OF_SEEDS, name, "it") for name in "ab"]
    cell = cells["de"]["it"]
    assert cell is not None
    assert cell.runs == tuple(runs)
    assert runs[0] != runs[1]
    assert cell.f1 == pytest.approx(np.mean(runs))
    assert cell.spread == pytest.approx(np.std(runs, ddof=1))
    assert cells["fr"]["it"].spread is None
    text = to_text({"test": cells}, "default")
    assert f"{cell.spread:.3f} [{min(runs):.3f}, {max(runs):.3f}] (2)" in text
    assert cells["each"]["de"] == cells["de"]["de"]


def test_what_makes_a_row_is_everything_but_seed_and_place():
    config = TrainConfig(train_on=("fr",), max_train_sentences=("9",), seed=7, output="elsewhere", keep=5, lr=1e-3)
    assert config.recipe() == TrainConfig(lr=1e-3).recipe()
    assert TrainConfig(slice_seed=7).recipe() == TrainConfig().recipe()
    assert BaselineConfig(slice_seed=7).recipe() == BaselineConfig().recipe()
    of_one, of_another, of_two = (TrainConfig(unlabelled=("fr",), teacher=tuple(names)) for names in ("a", "b", "ab"))
    assert of_one.recipe() == of_another.recipe() != of_two.recipe()
    assert config.recipe() != TrainConfig(lr=1e-4).recipe()
    other = run("b", ("de",), 0.8, 0.5, 0.4, recipe=dataclasses.replace(RECIPE, lr=1.0))
    assert row_names([*OF_SEEDS[:3], *other], LANGUAGES) == {"a": "de [a]", "b": "de [b]"}


def test_a_cell_has_the_interval_of_its_sentences():
    cells: Any = f1_cells(OF_SEEDS, LANGUAGES, "default")
    counts: Any = OF_SEEDS[6].counts
    assert (OF_SEEDS[6].run, OF_SEEDS[6].language) == ("fr", "de")
    assert cells["fr"]["de"].interval == f1_interval(counts[0, :, 0])
    mean = cells["de"]["de"]
    assert mean.interval.low < mean.f1 < mean.interval.high
    counts = OF_SEEDS[0].counts
    alone = f1_interval(counts[0, :, 0])
    assert mean.interval.high - mean.interval.low < alone.high - alone.low  # the mean of two runs is steadier
    unknown: Any = f1_cells(ALL, LANGUAGES, "default")
    assert unknown["de"]["de"].interval is None


def test_the_gap_to_the_run_on_the_language_alone():
    cells: Any = f1_cells(OF_SEEDS, LANGUAGES, "default")
    cell = cells["fr"]["de"]
    assert cell.gap == pytest.approx(cells["de"]["de"].f1 - cell.f1)
    assert cell.gap_interval.low < cell.gap < cell.gap_interval.high
    assert cells["de"]["fr"].gap == pytest.approx(cells["fr"]["fr"].f1 - cells["de"]["fr"].f1)
    for trained_in in (cells["de"]["de"], cells["de+fr"]["de"], cells["each"]["fr"]):
        assert trained_in.gap is None
    assert cells["fr"]["it"].gap is None  # no run on Italian alone
    elsewhere = [dataclasses.replace(r, content="others") if r.run == "fr" else r for r in OF_SEEDS]
    unpaired: Any = f1_cells(elsewhere, LANGUAGES, "default")
    assert unpaired["fr"]["de"].gap_interval is None


def test_the_best_of_a_column_is_bold():
    matrix = f1_matrix(ALL, LANGUAGES, "default")
    assert best_rows(matrix) == {"de": {"de", "each"}, "fr": {"all"}, "it": {"all"}}
    lines = [line.split() for line in to_markdown(matrix, best_rows(matrix)).splitlines()]
    assert lines[2] == "| de | **0.820** | 0.600 | 0.500 |".split()
    assert "**" not in to_text({"test": f1_cells(run("a", ("de",), 0.5, 0.5, 0.5), LANGUAGES, "default")}, "default")


def test_json_and_csv_hold_the_cells():
    cells: Any = f1_cells(OF_SEEDS, LANGUAGES, "default")
    plain = json.loads(json.dumps(to_plain({"test": cells})))
    cell = cells["de"]["fr"]
    assert plain["cells"]["test"]["de"]["fr"] == {
        "f1": cell.f1,
        "runs": list(cell.runs),
        "interval": {"low": cell.interval.low, "high": cell.interval.high},
        "gap": cell.gap,
        "gap_interval": {"low": cell.gap_interval.low, "high": cell.gap_interval.high},
        "spread": cell.spread,
    }
    assert plain["f1"]["test"]["de"]["fr"] == cell.f1
    assert plain["cells"]["test"]["each"]["it"] is None
    assert set(plain["best"]["test"]) == set(LANGUAGES)
    row = next(csv.DictReader(io.StringIO(to_csv({"test": csv_rows(cells)}))))
    assert list(row)[:5] == ["split", "trained_on", *LANGUAGES]
    assert [float(row[f"fr_{key}"]) for key in ("low", "high", "runs", "spread", "gap")] == pytest.approx(
        [cell.interval.low, cell.interval.high, 2, cell.spread, cell.gap], abs=1e-6
    )
    json.dumps([result.plain() for result in OF_SEEDS])


def test_latex_escapes_what_means_something_to_it():
    results = [*run("50%_a&b\\{x}~^#$", (), 0.5, 0.6, 0.7), *run("de", ("de",), 0.8, 0.5, 0.4)]
    text = to_latex({"test": f1_cells(results, LANGUAGES, "default")}, "default")
    name = r"50\%\_a\&b\textbackslash{}\{x\}\textasciitilde{}\textasciicircum{}\#\$ &"
    assert name in text
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")]
    rows = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert [len(re.findall(r"(?<!\\)&", row)) for row in rows] == [3, 3]
    assert rows[0].startswith(r"de & \textbf{")
    assert r"{\scriptsize [" in rows[0]
    assert text.count("{") == text.count("}")


def test_the_type_report_tells_seeds_apart():
    report = type_report(OF_SEEDS, LANGUAGES, "default")
    assert "| de [a] | it | PER |" in report
    assert "| de [b] | it | PER |" in report
