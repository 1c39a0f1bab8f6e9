"""The sentences that the report page begins with."""

import dataclasses

import pyarrow as pa
import pytest

from ner.evaluation.bootstrap import Interval
from ner.evaluation.matrix import Cell, Cells, f1_cells
from ner.report.findings import about_errors, about_types, about_zero_shot, best_run, findings
from ner.report.sentence_data import read
from tests.evaluation.test_matrix import result
from tests.report.losses import losses

LANGUAGES = ("de", "fr")
MIXED = ["Bern/B-LOC/B-LOC/0 Thun/B-LOC/O/1 Chur/B-LOC/O/1", "Anna/B-PER/B-PER/0 mag/O/B-PER/1 Novartis/B-ORG/B-LOC/1"]


def run(name: str, trained_on, **f1: float):
    return [result(name, trained_on, language, value) for language, value in f1.items()]


RESULTS = [
    *run("runs/de", ("de",), de=0.875, fr=0.5),
    *run("runs/fr", ("fr",), de=0.25, fr=0.75),
    *run("runs/all", ("de", "fr"), de=0.75, fr=0.8125),
]
WORDS = pa.concat_tables(
    [losses(*MIXED, run=name, language=lang) for name in ("runs/all", "runs/de") for lang in LANGUAGES]
)


def without_intervals(results, scoring="default"):
    return {
        "test": {
            name: {
                lang: cell and dataclasses.replace(cell, interval=None, gap_interval=None) for lang, cell in row.items()
            }
            for name, row in f1_cells(results, LANGUAGES, scoring).items()
        }
    }


def test_four_sentences_from_the_numbers():
    assert findings(without_intervals(RESULTS), "runs/all", read(WORDS)) == [
        "Of 3 trainings, “de+fr” is the best: mean F1 0.781 over 2 languages of the test sentences, best on fr, 0.812, "
        "worst on de, 0.750.",
        # In two languages: LOC 2 correct of 6 gold and 4 predicted ones, PER 2 of 2 and 4, ORG none of 2.
        "The hardest type is ORG: F1 0.000, precision 0.000, recall 0.000; PER, the easiest, has 0.667.",
        "The commonest error is a missed LOC: 4 of 8 errors (50%).",
        "Zero-shot transfer from de costs F1 against training on the language itself: 0.250 on fr.",
    ]


def test_the_best_run_is_that_of_the_highest_mean():
    results = [*RESULTS, *run("runs/all-2", ("de", "fr"), de=0.75, fr=0.75)]
    assert best_run(without_intervals(RESULTS), RESULTS) == "runs/all"
    assert best_run(without_intervals(results), results) == "runs/all"


def test_a_single_run_on_one_language():
    results = run("runs/de", ("de",), de=0.875)
    cells: dict[str, Cells] = {"test": {"de": {"de": Cell(0.875, (0.875,), Interval(0.8, 0.9))}}}
    words = losses("Bern/B-LOC/B-LOC/0 ist/O/O/0")
    assert findings(cells, best_run(cells, results), read(words)) == [
        "Trained on de: F1 0.875 [0.800, 0.900] on de, test sentences."
    ]


@pytest.mark.parametrize(
    ("sentence", "error"),
    [
        ("Bern/B-LOC/O/1", "a missed LOC"),
        ("Bern/O/B-PER/1", "a spurious PER"),
        ("Bern/B-LOC/B-ORG/1", "a LOC taken for ORG"),
        ("Bad/B-LOC/B-LOC/1 Ragaz/I-LOC/O/1", "a LOC with wrong boundaries"),
        ("Bad/B-LOC/B-ORG/1 Ragaz/I-LOC/O/1", "a LOC taken for ORG, with wrong boundaries"),
    ],
)
def test_errors_in_words(sentence, error):
    assert (
        about_errors(losses(sentence, "Anna/B-PER/B-PER/0")) == f"The commonest error is {error}: 1 of 1 errors (100%)."
    )
    assert about_errors(losses("Anna/B-PER/B-PER/0")) == ""


def test_what_is_not_known_is_not_said():
    assert about_types(losses("Bern/B-LOC/B-LOC/0 Anna/O/B-PER/0")) == ""  # one type of gold entities
    assert about_zero_shot(f1_cells(run("runs/de", ("de",), de=0.5, fr=0.5), LANGUAGES, "default")) == ""
    incomplete = f1_cells([*run("runs/de", ("de",), de=0.5), *run("runs/fr", ("fr",), fr=0.5)], LANGUAGES, "default")
    assert findings({"test": incomplete}, None, read(WORDS)) == []
    assert best_run({"test": incomplete}, []) is None


def test_the_cheapest_transfer_is_named_with_its_interval():
    def cell(f1: float, gap: float | None = None) -> Cell:
        return Cell(f1, (f1,), None, gap, None if gap is None else Interval(gap - 0.1, gap + 0.1))

    matrix: Cells = {
        "de": {"de": cell(0.8), "fr": cell(0.5, 0.3), "it": cell(0.6, 0.1)},
        "en": {"de": cell(0.4, 0.4), "fr": cell(0.6, 0.2), "it": cell(0.5, 0.2)},
        "fr": {"de": cell(0.6, 0.2), "fr": cell(0.8), "it": None},
    }
    assert about_zero_shot(matrix) == (
        "Zero-shot transfer from en costs F1 against training on the language itself: "
        "0.400 on de [0.300, 0.500], 0.200 on fr [0.100, 0.300], 0.200 on it [0.100, 0.300]."
    )
