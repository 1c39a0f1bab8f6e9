"""What an evaluation found, in sentences made from its numbers: languages, types, errors, and what zero-shot costs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ner.analysis import views
from ner.analysis.entity_scores import type_scores
from ner.evaluation.matrix import EACH, Cell, Cells, Result, row_names
from ner.report.error_sections import places
from ner.report.sentence_data import Sentences

Row = Mapping[str, Cell]


def best_run(cells: Mapping[str, Cells], results: Sequence[Result]) -> str | None:
    """The run of the highest mean F1 on the first split, among those whose rows are known for all languages.

    Of several runs in its row the first; None where no row is known for all languages.
    """
    split, matrix = next(iter(cells.items()))
    if not (rows := whole_rows(matrix)):
        return None
    name, row = best_row(rows)
    names = row_names([result for result in results if result.split == split], list(row))
    return next(run for run, of_run in names.items() if of_run == name)


def findings(cells: Mapping[str, Cells], run: str | None, sentences: Sentences) -> list[str]:
    """Four sentences on the first split, or fewer, where the runs do not show all of it. run: the `best_run`."""
    if run is None:
        return []
    split, matrix = next(iter(cells.items()))
    rows = whole_rows(matrix)
    words = next(words for place, words in places(sentences) if (place.run, place.split) == (run, split))
    found = [
        about_languages(*best_row(rows), split, len(rows)),
        about_types(words),
        about_errors(words),
        about_zero_shot(matrix),
    ]
    return [sentence for sentence in found if sentence]


def best_row(rows: Mapping[str, Row]) -> tuple[str, Row]:
    """That of the highest mean F1, the first of several."""
    name = max(rows, key=lambda name: mean_f1(rows[name]))
    return name, rows[name]


def whole_rows(matrix: Cells) -> dict[str, Row]:
    """The rows of runs that are known for all languages."""
    known = {name: {lang: cell for lang, cell in row.items() if cell} for name, row in matrix.items()}
    return {name: row for name, row in known.items() if name.split(", ")[0] != EACH and len(row) == len(matrix[name])}


def mean_f1(row: Row) -> float:
    """The mean over languages."""
    return float(np.mean([cell.f1 for cell in row.values()]))


def figure(cell: Cell) -> str:
    """F1 with its interval."""
    return f"{cell.f1:.3f} {cell.interval or ''}".strip()


def about_languages(name: str, row: Row, split: str, num_rows: int) -> str:
    """The best row, and its best and worst language."""
    trained = f"Trained on {name}" if num_rows == 1 else f"Of {num_rows} trainings, “{name}” is the best"
    ordered = sorted(row, key=lambda language: -row[language].f1)
    if len(ordered) == 1:
        return f"{trained}: F1 {figure(row[ordered[0]])} on {ordered[0]}, {split} sentences."
    first, last = ordered[0], ordered[-1]
    return (
        f"{trained}: mean F1 {mean_f1(row):.3f} over {len(ordered)} languages of the {split} sentences, "
        f"best on {first}, {figure(row[first])}, worst on {last}, {figure(row[last])}."
    )


def about_types(words: pa.Table) -> str:
    """The type of the lowest F1, and that of the highest. Empty where there is only one."""
    rows = [row for row in type_scores(words).to_pylist() if row["gold"]]
    if len(rows) < 2:
        return ""
    hardest, easiest = (pick(rows, key=lambda row: row["f1"]) for pick in (min, max))
    return (
        f"The hardest type is {hardest['type']}: F1 {hardest['f1']:.3f}, precision {hardest['precision']:.3f}, recall "
        f"{hardest['recall']:.3f}; {easiest['type']}, the easiest, has {easiest['f1']:.3f}."
    )


def about_errors(words: pa.Table) -> str:
    """The commonest error. Empty where there is none."""
    table = views.entity_errors(words)
    keys = ["kind", "gold_type", "predicted_type"]
    counted = table.group_by(keys, use_threads=False).aggregate([([], "count_all")]).to_pylist()
    errors = [row for row in counted if row["kind"] != "correct"]
    if not errors:
        return ""
    common = max(errors, key=lambda row: row["count_all"])
    total = sum(row["count_all"] for row in errors)
    count = common["count_all"]
    return f"The commonest error is {in_words(common)}: {count:,} of {total:,} errors ({count / total:.0%})."


def in_words(error: Mapping[str, Any]) -> str:
    """What an error is."""
    gold, predicted = error["gold_type"], error["predicted_type"]
    return {
        "missed": f"a missed {gold}",
        "spurious": f"a spurious {predicted}",
        "wrong type": f"a {gold} taken for {predicted}",
        "boundary error": f"a {gold} with wrong boundaries",
        "both wrong": f"a {gold} taken for {predicted}, with wrong boundaries",
    }[error["kind"]]


def about_zero_shot(matrix: Cells) -> str:
    """What the cheapest transfer from other languages costs. Empty where no run on the tested language is known."""
    gaps = {
        name: {language: cell for language, cell in row.items() if cell and cell.gap is not None}
        for name, row in matrix.items()
    }
    most = max(map(len, gaps.values()), default=0)
    if not most:
        return ""
    costs = {name: row for name, row in gaps.items() if len(row) == most}
    name = min(costs, key=lambda name: np.mean([cell.gap for cell in costs[name].values()]))
    parts = [
        f"{cell.gap:.3f} on {language}" + (f" {cell.gap_interval}" if cell.gap_interval else "")
        for language, cell in costs[name].items()
    ]
    return f"Zero-shot transfer from {name} costs F1 against training on the language itself: {', '.join(parts)}."
