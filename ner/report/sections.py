"""The sections of the report page: matrix, learning curves, scores by type, and what the token losses say."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from ner.analysis import views
from ner.analysis.label_errors import rank_label_errors
from ner.analysis.token_losses import read, select
from ner.evaluation.learning_curve import Curve, summary
from ner.evaluation.matrix import Cells, Result, best_rows, f1_of_cells, row_names
from ner.evaluation.metrics import RATIOS
from ner.report import plots
from ner.report.page import Picture, Section, Table
from ner.report.tables import TYPE_COLUMNS, by_size, title, type_rows
from ner.training.log_entries import COLUMNS, read_evaluations

TOP = 20  # rows of long tables
LIKELY = 20  # one sentence in so many is called a likely label error


def sections(
    cells: Mapping[str, Cells],
    curves: Mapping[str, Sequence[Curve]],
    results: Sequence[Result],
    languages: Sequence[str],
    scoring: str,
    losses: Path,
) -> list[Section]:
    """What evaluate.py found, for `ner.report.page`. cells, curves: of each split; losses: the file of token losses.

    Pictures are left out where matplotlib is not installed.
    """
    found = [Section(title(split, scoring), matrix_tables(part, split)) for split, part in cells.items()]
    if plots.can_draw():
        heat_map = plots.svg(plots.heat_map(cells), "matrix")
        found.append(Section("Heat map", [Picture(heat_map, "F1 of each row and column, with its 95% interval")]))
    if curves:
        content: list[str | Table | Picture] = [summary(curve) for part in curves.values() for curve in part]
        if plots.can_draw():
            plot = plots.svg(plots.learning_curves(curves), "curve")
            content.append(Picture(plot, "F1 against annotated sentences, and the zero-shot levels"))
        for split, part in curves.items():
            content += matrix_tables(by_size(part), split) if len(part) > 1 else []
        found.append(Section("Learning curve", content))
    found += training_sections(results, languages)
    return [*found, Section("By entity type", [type_table(results, languages, scoring)]), *error_sections(read(losses))]


def training_sections(results: Sequence[Result], languages: Sequence[str]) -> list[Section]:
    """The evaluations of each run that has a log, with a plot where there are several; no section without any."""
    content: list[str | Table | Picture] = []
    for run, name in row_names(results, languages).items():
        if not (evaluations := read_evaluations(Path(run))):
            continue
        caption = f"{name} ({run}): scores of the validation sentences, and losses in nats"
        content.append(Table(COLUMNS, [list(astuple(each)) for each in evaluations], caption))
        if len(evaluations) > 1 and plots.can_draw():
            plot = plots.svg(plots.training_curves(evaluations), f"training {run}")
            content.append(Picture(plot, f"Losses and F1 of {run} by epoch"))
    return [Section("Training", content)] if content else []


def matrix_tables(cells: Cells, split: str) -> list[Table]:
    """F1 with the best of each column marked, and its intervals."""
    languages = list(next(iter(cells.values())))
    best = best_rows(f1_of_cells(cells))
    places = [(i, k, name, lang) for i, name in enumerate(cells) for k, lang in enumerate(languages, start=1)]
    strong = frozenset((i, k) for i, k, name, lang in places if name in best[lang])
    f1 = [[name, *(cell.f1 if cell else None for cell in row.values())] for name, row in cells.items()]
    limits = [
        [name, *(str(cell.interval) if cell and cell.interval else None for cell in row.values())]
        for name, row in cells.items()
    ]
    header = ["trained on", *languages]
    caption = f"95% intervals, by bootstrap over the {split} sentences"
    return [Table(header, f1, "F1; the best of each column is bold", strong), Table(header, limits, caption)]


def type_table(results: Sequence[Result], languages: Sequence[str], scoring: str) -> Table:
    """Precision, recall and F1 of each type and their averages, for every run, split and language."""
    names = row_names(results, languages)
    rows = [
        [
            names[result.run],
            result.language,
            result.split,
            type_ or f"all ({average})",
            *(scores[key] for key in RATIOS),
            scores["support"],
        ]
        for result in results
        for type_, average, scores in type_rows(result, scoring)
    ]
    return Table(["trained on", "tested on", "split", *TYPE_COLUMNS[2:]], rows)


def error_sections(table: pa.Table) -> list[Section]:
    """Losses, confusions and kinds of errors, over all that the table holds."""
    losses = {
        "by gold tag": views.by_tag,
        "by language": views.by_language,
        "by words in the sentence": views.by_length,
        f"by first sub-token, the {TOP} of the highest sum": views.by_token,
    }
    confusions = {
        "share of each gold tag (rows) that is predicted as (columns)": views.tag_confusion,
        "share of each gold type; last column missed, last row spurious": views.type_confusion,
    }
    kinds = plain(views.entity_kinds(table), "entities by gold type, spurious ones by predicted type")
    return [
        Section("Loss (nats)", [plain(view(table).slice(0, TOP), caption) for caption, view in losses.items()]),
        Section("Confusion", [confused(view(table), caption) for caption, view in confusions.items()]),
        Section("Kinds of errors", [kinds]),
    ]


def plain(table: pa.Table, caption: str) -> Table:
    """A view as a table of the page."""
    return Table(table.column_names, list(zip(*(column.to_pylist() for column in table.columns), strict=True)), caption)


def confused(confusion: views.Confusion, caption: str) -> Table:
    """Shares, shaded."""
    rows = [(name, *shares.tolist()) for name, shares in zip(confusion.rows, confusion.shares, strict=True)]
    return Table(["gold", *confusion.columns], rows, caption, shaded=True)


def label_error_scores(losses: Path) -> dict[tuple[str, str, str, int], float]:
    """The twentieth of the sentences of each run, language and split whose gold tags are likeliest wrong, with scores.

    Keys are (run, language, split, sentence).
    """
    table = read(losses)
    scores: dict[tuple[str, str, str, int], float] = {}
    parts = table.group_by(views.PLACE[:3], use_threads=False).aggregate([]).to_pylist()
    for part in parts:
        rows = select(table, **part)
        found = rank_label_errors(rows, -(-int(pc.sum(pc.equal(rows["word"], 0)).as_py()) // LIKELY))
        places = zip(*(found[name].to_pylist() for name in views.PLACE), strict=True)
        scores |= dict(zip(places, found["label_error_score"].to_pylist(), strict=True))
    return scores
