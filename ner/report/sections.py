"""The sections of the report page: matrix, errors, learning curves, training; and which gold tags may be wrong."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import Path

import pyarrow.compute as pc

from ner.analysis import views
from ner.analysis.label_errors import rank_label_errors
from ner.analysis.probing.files import Probing
from ner.analysis.token_losses import read, select
from ner.evaluation.learning_curve import Curve, summary
from ner.evaluation.matrix import Cells, Result, best_rows, f1_of_cells, row_names
from ner.report import plots
from ner.report.elements import Picture, Section, Table
from ner.report.error_sections import error_sections, places
from ner.report.probe_section import probe_section
from ner.report.sentence_data import Sentences
from ner.report.tables import by_size, title
from ner.training.log_entries import COLUMNS, read_evaluations

LIKELY = 20  # one sentence in so many is called a likely label error


def sections(
    cells: Mapping[str, Cells],
    curves: Mapping[str, Sequence[Curve]],
    results: Sequence[Result],
    languages: Sequence[str],
    scoring: str,
    sentences: Sentences,
    probing: Probing | None = None,
) -> list[Section]:
    """What evaluate.py found, for `ner.report.page`.

    cells, curves: of each split; sentences: with their token losses; probing: what probes found, if that is known.
    Plots are left out where matplotlib is not installed.
    """
    matrices = Section("Matrix", [matrix_table(part, title(split, scoring)) for split, part in cells.items()])
    found = [matrices, *error_sections(sentences, results, scoring)]
    if probing:
        found.append(probe_section(probing, [place for place, _ in places(sentences)]))
    if curves:
        content: list[str | Table | Picture] = [summary(curve) for part in curves.values() for curve in part]
        if plots.can_draw():
            plot = plots.svg(plots.learning_curves(curves), "curve", follows_scheme=True)
            content.append(Picture(plot, "F1 against annotated sentences, and the zero-shot levels"))
        for split, part in curves.items():
            content += [matrix_table(by_size(part), title(split, scoring))] if len(part) > 1 else []
        found.append(Section("Learning curve", content, wide=True))
    return found + training_sections(results, languages)


def training_sections(results: Sequence[Result], languages: Sequence[str]) -> list[Section]:
    """The evaluations of each run that has a log, with a plot where there are several; no section without any."""
    content: list[str | Table | Picture] = []
    for run, name in row_names(results, languages).items():
        if not (evaluations := read_evaluations(Path(run))):
            continue
        caption = f"{name} ({run}): scores of the validation sentences, and losses in nats"
        content.append(Table(COLUMNS, [list(astuple(each)) for each in evaluations], caption))
        if len(evaluations) > 1 and plots.can_draw():
            plot = plots.svg(plots.training_curves(evaluations), f"training {run}", follows_scheme=True)
            content.append(Picture(plot, f"Losses and F1 of {run} by epoch"))
    return [Section("Training", content, wide=True)] if content else []


def matrix_table(cells: Cells, caption: str) -> Table:
    """F1 as a heat map with its 95% intervals, the best of each column marked."""
    languages = list(next(iter(cells.values())))
    best = best_rows(f1_of_cells(cells))
    places = [(i, k, name, lang) for i, name in enumerate(cells) for k, lang in enumerate(languages, start=1)]
    found = {(i, k): cell for i, k, name, lang in places if (cell := cells[name][lang])}
    known = [cell.f1 for cell in found.values()]
    return Table(
        ["trained on", *languages],
        [[name, *(cell.f1 if cell else None for cell in row.values())] for name, row in cells.items()],
        f"{caption}; the best of each column is bold, below it the 95% interval",
        strong=frozenset((i, k) for i, k, name, lang in places if name in best[lang]),
        shades=(math.floor(10 * min(known)) / 10, math.ceil(10 * max(known) + 1e-9) / 10) if known else None,
        below={place: str(cell.interval) for place, cell in found.items() if cell.interval},
    )


def label_error_scores(losses: Path) -> dict[tuple[str, str, str, int], float]:
    """The twentieth of the sentences of each run, language and split whose gold tags are likeliest wrong, with scores.

    Keys are (run, language, split, sentence). A sentence of which no loss is known has no score.
    """
    table = read(losses)
    scores: dict[tuple[str, str, str, int], float] = {}
    parts = table.group_by(views.PLACE[:3], use_threads=False).aggregate([]).to_pylist()
    for part in parts:
        rows = select(table, **part)
        found = rank_label_errors(rows, -(-int(pc.sum(pc.equal(rows["word"], 0)).as_py()) // LIKELY))
        places = zip(*(found[name].to_pylist() for name in views.PLACE), strict=True)
        known = zip(places, found["label_error_score"].to_pylist(), strict=True)
        scores |= {place: score for place, score in known if math.isfinite(score)}
    return scores
