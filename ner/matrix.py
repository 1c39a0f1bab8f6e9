"""Results of many runs -> the cross-lingual F1 matrix: a row for each training, a column for each test language."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Row = dict[str, float | None]


@dataclass(frozen=True)
class Result:
    """One model on one split of one language.

    run: as it was named on the command line; trained_on: its languages, empty if unknown; max_train_sentences: if the
    training data was cut; scores: scoring -> what `Counts.scores` gives.
    """

    run: str
    trained_on: tuple[str, ...]
    max_train_sentences: int | None
    language: str
    split: str
    num_sentences: int
    scores: dict[str, dict[str, Any]]


def row_names(results: Sequence[Result], languages: Sequence[str]) -> dict[str, str]:
    """Run -> name of its row: what it was trained on; runs of the same name are told apart by their folder."""
    runs = {result.run: result for result in results}

    def name(result: Result) -> str:
        if not result.trained_on:
            return result.run
        everything = len(languages) > 2 and set(result.trained_on) == set(languages)
        label = "all" if everything else "+".join(result.trained_on)
        return f"{label} ({result.max_train_sentences:,})" if result.max_train_sentences else label

    names = {run: name(result) for run, result in runs.items()}
    taken = list(names.values())
    return {run: label if taken.count(label) == 1 else f"{label} [{run}]" for run, label in names.items()}


def f1_matrix(results: Sequence[Result], languages: Sequence[str], scoring: str) -> dict[str, Row]:
    """Row name -> language -> micro F1, of one split. Rows from few to many training languages.

    The row `each` is made where at least two runs were trained on a single language: each column from the run of its
    own language (the mean, if there are several), None where there is no such run.
    """
    names = row_names(results, languages)

    def place(result: Result) -> tuple[Any, ...]:
        order = [languages.index(lang) if lang in languages else len(languages) for lang in result.trained_on]
        return (not order, len(order), order, -(result.max_train_sentences or 1 << 60), result.run)

    matrix: dict[str, Row] = {}
    own: dict[str, list[float]] = {}
    ordered = sorted(results, key=place)
    for result in ordered:
        f1 = result.scores[scoring]["f1"]
        matrix.setdefault(names[result.run], dict.fromkeys(languages))[result.language] = f1
        if result.trained_on == (result.language,) and not result.max_train_sentences:
            own.setdefault(result.language, []).append(f1)
    if len(own) < 2:
        return matrix
    each: Row = {language: float(np.mean(own[language])) if language in own else None for language in languages}
    single = [names[result.run] for result in ordered if len(result.trained_on) == 1]
    rows = list(matrix.items())
    after = 1 + max(i for i, (name, _) in enumerate(rows) if name in single)
    return dict([*rows[:after], ("each", each), *rows[after:]])


def to_markdown(matrix: dict[str, Row]) -> str:
    """The matrix as a Markdown table, three decimals."""
    languages = list(next(iter(matrix.values())))
    lines = [["trained on", *languages], ["---"] + ["---:"] * len(languages)]
    lines += [
        [name, *("–" if row[lang] is None else f"{row[lang]:.3f}" for lang in languages)]  # noqa: RUF001
        for name, row in matrix.items()
    ]
    widths = [max(len(line[i]) for line in lines) for i in range(len(languages) + 1)]
    first, *others = widths
    return "\n".join(
        " | ".join([f"| {line[0]:<{first}}", *(f"{cell:>{w}}" for cell, w in zip(line[1:], others, strict=True))])
        + " |"
        for line in lines
    )


def to_csv(matrices: dict[str, dict[str, Row]]) -> str:
    """Split -> matrix as CSV: split, trained_on, then a column for each language; six decimals, empty where unknown."""
    languages = list(next(iter(next(iter(matrices.values())).values())))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["split", "trained_on", *languages])
    for split, matrix in matrices.items():
        for name, row in matrix.items():
            writer.writerow([split, name, *("" if row[lang] is None else f"{row[lang]:.6f}" for lang in languages)])
    return text.getvalue()


def type_report(results: Sequence[Result], languages: Sequence[str], scoring: str) -> str:
    """Precision, recall, F1 and support of each entity type, for every row and language, as a Markdown table."""
    names = row_names(results, languages)
    lines = ["| trained on | tested on | type | precision | recall | F1 | entities |", "|---|---|---|--:|--:|--:|--:|"]
    for result in results:
        scores = result.scores[scoring]
        rows = [*scores["per_type"].items(), ("all (micro)", scores), ("all (macro)", scores["macro"])]
        lines += [
            f"| {names[result.run]} | {result.language} | {kind} | {row['precision']:.3f} | {row['recall']:.3f} | "
            f"{row['f1']:.3f} | {row.get('support', '')} |"
            for kind, row in rows
        ]
    return "\n".join(lines)
