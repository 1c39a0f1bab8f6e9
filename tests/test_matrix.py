import csv
import io

from ner.matrix import Result, f1_matrix, row_names, to_csv, to_markdown, type_report

LANGUAGES = ("de", "fr", "it")


def result(run, trained_on, language, f1, limit=None):
    ratios = {"precision": f1, "recall": f1, "f1": f1}
    scores = {**ratios, "support": 3, "macro": ratios, "per_type": {"PER": {**ratios, "support": 3}}}
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


def test_runs_of_the_same_training_are_told_apart():
    again = [*results("a", ("de",), 1, 1, 1), *results("b", ("de",), 0, 0, 0), *results("hub/x", (), 0, 0, 0)]
    assert row_names(again, LANGUAGES) == {"a": "de [a]", "b": "de [b]", "hub/x": "hub/x"}
    assert list(f1_matrix(again, LANGUAGES, "default")) == ["de [a]", "de [b]", "hub/x"]


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
