"""The F1 matrix as text: Markdown, CSV, JSON and LaTeX."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ner.evaluation.bootstrap import Interval
from ner.evaluation.learning_curve import Curve, Point
from ner.evaluation.matrix import Cell, Cells, Result, Row, best_rows, f1_of_cells, row_names
from ner.evaluation.metrics import RATIOS
from ner.utils import DASH, Layout, aligned, escape_line, table

TYPE_COLUMNS = ("trained on", "tested on", "type", "precision", "recall", "F1", "entities")

LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: "\\" + character for character in "&%$#_{}"},
}


def to_text(of_split: Mapping[str, Cells], scoring: str) -> str:
    """The matrices of all splits and what belongs to them, in Markdown, with headings."""
    return "\n\n".join(tables(cells, title(split, scoring)) for split, cells in of_split.items())


def title(split: str, scoring: str) -> str:
    """What the numbers are."""
    return f"F1 on {escape_line(split)} (entities, micro average, {scoring} scoring)"


def to_markdown(matrix: dict[str, Row], best: dict[str, set[str]] | None = None) -> str:
    """The matrix as a Markdown table, three decimals. best: of `best_rows`, printed bold."""

    def text(name: str, language: str) -> str:
        f1 = matrix[name][language]
        shown = DASH if f1 is None else f"{f1:.3f}"
        return f"**{shown}**" if best and name in best[language] else shown

    languages = list(next(iter(matrix.values())))
    return aligned(languages, [[name, *(text(name, lang) for lang in languages)] for name in matrix])


def by_size(curves: Sequence[Curve]) -> Cells:
    """Zero-shot levels and methods (rows) by language and number of annotated sentences (columns, like `fr 100`)."""
    sizes: dict[str, set[int]] = {}
    for curve in curves:
        sizes.setdefault(curve.language, set()).update(point.train_sentences for point in curve.points)
    levels: dict[str, dict[tuple[str, int], Point]] = {}
    methods: dict[str, dict[tuple[str, int], Point]] = {}
    for curve in curves:
        points = {(curve.language, point.train_sentences): point for point in curve.points}
        methods.setdefault(curve.method, {}).update(points)
        if curve.level:
            everywhere = {(curve.language, size): curve.level for size in sizes[curve.language]}
            levels.setdefault(curve.level.name, {}).update(everywhere)
    places = [(language, size) for language, of_language in sizes.items() for size in sorted(of_language)]

    def cell(point: Point | None) -> Cell | None:
        return Cell(point.f1, (), point.interval) if point else None

    rows = (levels | methods).items()
    return {name: {f"{lang} {size:,}": cell(row.get((lang, size))) for lang, size in places} for name, row in rows}


def sizes_to_text(of_split: Mapping[str, Sequence[Curve]], scoring: str) -> str:
    """Methods by number of annotated sentences in Markdown, of each split that has several curves."""
    return "\n\n".join(
        tables(
            by_size(curves),
            f"{title(split, scoring)}, by annotated sentences of the tested language",
            "95% intervals (bootstrap over test sentences and runs)",
        )
        for split, curves in of_split.items()
        if len(curves) > 1
    )


def tables(cells: Cells, heading: str, about_intervals: str = "95% intervals (bootstrap over test sentences)") -> str:
    """The matrix and what belongs to it (intervals, spread over runs, gaps), as far as it is known, in Markdown."""
    matrix = f1_of_cells(cells)
    languages = list(next(iter(matrix.values())))

    def view(of_cell: Callable[[Cell], str]) -> str:
        rows = [[name, *(of_cell(c) if c else "" for c in row.values())] for name, row in cells.items()]
        rows = [[name, *(text or DASH for text in texts)] for name, *texts in rows if any(texts)]
        return aligned(languages, rows) if rows else ""

    parts = {
        heading: to_markdown(matrix, best_rows(matrix)),
        about_intervals: view(lambda c: str(c.interval or "")),
        "Standard deviation over the runs of a row [lowest, highest] (runs)": view(
            lambda c: "" if c.spread is None else f"{c.spread:.3f} {Interval(min(c.runs), max(c.runs))} ({len(c.runs)})"
        ),
        "Zero-shot gap: F1 of the run trained on the language alone, minus the row's [95% interval]": view(
            lambda c: "" if c.gap is None else f"{c.gap:.3f} {c.gap_interval or ''}".strip()
        ),
    }
    return "\n\n".join(f"{name}\n\n{text}" for name, text in parts.items() if text)


def to_csv(matrices: Mapping[str, dict[str, Row]]) -> str:
    """Split -> matrix as CSV: split, trained_on, then what the rows hold; six decimals, empty where unknown."""
    columns = list(next(iter(next(iter(matrices.values())).values())))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["split", "trained_on", *columns])
    for split, matrix in matrices.items():
        for name, row in matrix.items():
            values = (row[key] for key in columns)
            writer.writerow(
                [split, name, *("" if v is None else v if isinstance(v, int) else f"{v:.6f}" for v in values)]
            )
    return text.getvalue()


def csv_rows(cells: Cells) -> dict[str, Row]:
    """Rows for `to_csv`: F1 of each language, then its limits, its number of runs, their spread, and the gap."""
    return {
        name: {lang: cell.f1 if cell else None for lang, cell in row.items()}
        | {
            f"{lang}_{key}": value
            for lang, cell in row.items()
            for key, value in (
                ("low", cell.interval.low if cell and cell.interval else None),
                ("high", cell.interval.high if cell and cell.interval else None),
                ("runs", len(cell.runs) if cell else None),
                ("spread", cell.spread if cell else None),
                ("gap", cell.gap if cell else None),
            )
        }
        for name, row in cells.items()
    }


def to_plain(of_split: Mapping[str, Cells]) -> dict[str, Any]:
    """The matrices as JSON takes them: `f1`, all there is about each cell, and the best rows of each column."""
    matrices = {split: f1_of_cells(cells) for split, cells in of_split.items()}
    whole = {
        split: {
            name: {lang: asdict(cell) | {"spread": cell.spread} if cell else None for lang, cell in row.items()}
            for name, row in cells.items()
        }
        for split, cells in of_split.items()
    }
    best = {s: {lang: sorted(rows) for lang, rows in best_rows(matrix).items()} for s, matrix in matrices.items()}
    return {"f1": matrices, "cells": whole, "best": best}


def to_latex(of_split: Mapping[str, Cells], scoring: str) -> str:
    """A table of package booktabs for each split: F1, its interval small beside it, best of a column bold."""
    parts = []
    for split, cells in of_split.items():
        languages = list(next(iter(cells.values())))
        best = best_rows(f1_of_cells(cells))
        rows = [
            [escape(name), *(latex_cell(row[lang], name in best[lang]) for lang in languages)]
            for name, row in cells.items()
        ]
        parts.append(latex_table(["trained on", *map(escape, languages)], rows, escape(title(split, scoring))))
    return "\n\n".join(parts)


def latex_cell(cell: Cell | None, is_best: bool) -> str:
    """F1 and its interval."""
    if cell is None:
        return "--"
    shown = rf"\textbf{{{cell.f1:.3f}}}" if is_best else f"{cell.f1:.3f}"
    return shown + (rf" {{\scriptsize {cell.interval}}}" if cell.interval else "")


def escape(text: str) -> str:
    """Text in which no character means something to LaTeX."""
    return "".join(LATEX.get(character, character) for character in escape_line(text))


def latex_table(header: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    """A table environment; cells are LaTeX already. The first column to the left, the others to the right."""
    lines = [" & ".join(row) + r" \\" for row in (header, *rows)]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )


def types_to_text(
    of_split: Mapping[str, Sequence[Result]], languages: Sequence[str], scoring: str, layout: Layout = "compact"
) -> str:
    """`type_report` of each split, with headings."""
    return "\n\n".join(
        f"By entity type, {escape_line(split)} ({scoring} scoring)\n\n{type_report(part, languages, scoring, layout)}"
        for split, part in of_split.items()
    )


def type_report(results: Sequence[Result], languages: Sequence[str], scoring: str, layout: Layout = "compact") -> str:
    """Precision, recall, F1 and support of each entity type, for every run and language, as a Markdown table."""
    labels = run_labels(results, languages)
    lines = [
        [
            labels[result.run],
            result.language,
            type_ or f"all ({average})",
            *(f"{row[key]:.3f}" for key in RATIOS),
            row["support"],
        ]
        for result in results
        for type_, average, row in type_rows(result, scoring)
    ]
    return table(TYPE_COLUMNS, lines, right=[False] * 3 + [True] * 4, layout=layout)


def type_rows(result: Result, scoring: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Type, average, scores: of each type that occurs, which is no average, and then of the averages over all types."""
    scores = result.scores[scoring]
    total = {"support": scores["support"]}
    averages = {"micro": scores, "macro": total | scores["macro"], "weighted": total | scores["weighted"]}
    of_types = [(type_, "", row) for type_, row in scores["per_type"].items()]
    return of_types + [("", average, row) for average, row in averages.items()]


def run_labels(results: Sequence[Result], languages: Sequence[str]) -> dict[str, str]:
    """Run -> name of its row in the matrix; of several runs in a row, with the run."""
    names = row_names(results, languages)
    count = Counter(names.values())
    is_alone = {run: count[name] == 1 or name.endswith("]") for run, name in names.items()}
    return {run: name if is_alone[run] else f"{name} [{run}]" for run, name in names.items()}


def types_to_csv(of_split: Mapping[str, Sequence[Result]], languages: Sequence[str], scoring: str) -> str:
    """`type_report` of all splits as CSV, six decimals; an average has its name in its column, and no type."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["split", "run", "trained_on", "tested_on", "type", "average", *RATIOS, "support"])
    for split, results in of_split.items():
        names = row_names(results, languages)
        for result in results:
            place = [split, result.run, names[result.run], result.language]
            for type_, average, row in type_rows(result, scoring):
                ratios = [f"{row[key]:.6f}" for key in RATIOS]
                writer.writerow([*place, type_, average, *ratios, row["support"]])
    return text.getvalue()
