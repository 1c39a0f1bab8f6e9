"""The sections of the report page: matrix, learning curves, scores by type, and what the token losses say."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from ner import errors, pictures
from ner.curve import Curve, summary
from ner.matrix import Cells, Result, best_rows, f1_of_cells, row_names
from ner.report import Picture, Section, Table
from ner.suspects import suspects
from ner.tables import title
from ner.token_losses import read

TOP = 20  # rows of long tables


def sections(
    cells: Mapping[str, Cells],
    curves: Mapping[str, Sequence[Curve]],
    results: Sequence[Result],
    languages: Sequence[str],
    scoring: str,
    losses: Path,
) -> list[Section]:
    """What evaluate.py found, for `ner.report`. cells, curves: of each split; losses: the file of token losses."""
    found = [Section(title(split, scoring), matrix_tables(part, split)) for split, part in cells.items()]
    if pictures.can_draw():
        found[0] = Section(
            found[0].heading,
            [*found[0].content, Picture(pictures.svg(pictures.heat_map(cells), "matrix"), "The same as a heat map, with 95% intervals.")],
        )
    if curves:
        text: list[str | Table | Picture] = [summary(curve) for part in curves.values() for curve in part]
        if pictures.can_draw():
            text.insert(0, Picture(pictures.svg(pictures.learning_curves(curves), "curve"), "F1 against training sentences."))
        found.append(Section("Learning curve", text))
    found.append(Section("By entity type", [type_table(results, languages, scoring)]))
    return found + error_sections(read(losses))


def matrix_tables(cells: Cells, split: str) -> list[str | Table | Picture]:
    """F1 with the best of each column marked, and its intervals."""
    languages = list(next(iter(cells.values())))
    best = best_rows(f1_of_cells(cells))
    strong = frozenset((i, k + 1) for i, name in enumerate(cells) for k, lang in enumerate(languages) if name in best[lang])
    f1 = Table(
        ["trained on", *languages],
        [[name, *(cell.f1 if cell else None for cell in row.values())] for name, row in cells.items()],
        "F1; the best of each column is bold",
        strong,
    )
    limits = [[str(cell.interval) if cell and cell.interval else None for cell in row.values()] for row in cells.values()]
    named = [[name, *row] for name, row in zip(cells, limits, strict=True)]
    return [f1, Table(["trained on", *languages], named, f"95% intervals, bootstrap over the {split} sentences")]


def type_table(results: Sequence[Result], languages: Sequence[str], scoring: str) -> Table:
    """Precision, recall and F1 of each type, for every run, split and language."""
    names = row_names(results, languages)
    rows = [
        [names[result.run], result.language, result.split, kind, own["precision"], own["recall"], own["f1"], own["support"]]
        for result in results
        for kind, own in result.scores[scoring]["per_type"].items()
    ]
    return Table(["trained on", "tested on", "split", "type", "precision", "recall", "F1", "entities"], rows)


def error_sections(table: pa.Table) -> list[Section]:
    """Losses, confusions and kinds of errors, over all that the table holds."""
    tags, types = errors.tag_confusion(table), errors.type_confusion(table)
    losses = [
        plain(view(table).slice(0, TOP), caption)
        for view, caption in (
            (errors.by_tag, "by gold tag"),
            (errors.by_language, "by language"),
            (errors.by_length, "by words in the sentence"),
            (errors.by_token, f"by first sub-token, the {TOP} of the highest sum"),
        )
    ]
    return [
        Section("Loss (nats)", losses),
        Section("Confusion", [confused(tags, "share of each gold tag (rows) predicted as (columns)"),
                              confused(types, "share of each gold type; last row and column: invented, missed")]),
        Section("Kinds of errors", [plain(errors.entity_kinds(table), "entities, by gold type; invented ones by predicted")]),
    ]  # fmt: skip


def plain(table: pa.Table, caption: str) -> Table:
    """A view as a table of the page."""
    rows = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    return Table(table.column_names, rows, caption)


def confused(confusion: errors.Confusion, caption: str) -> Table:
    """Shares, shaded."""
    rows = [[name, *map(float, shares)] for name, shares in zip(confusion.rows, confusion.shares, strict=True)]
    return Table(["gold", *confusion.columns], rows, caption, shaded=True)


def suspect_scores(losses: Path) -> dict[tuple[str, str, str, int], float]:
    """How suspect the gold tags of each sentence are: (run, language, split, sentence) -> score."""
    found = suspects(losses)
    places = zip(*(found[name].to_pylist() for name in errors.PLACE), strict=True)
    return dict(zip(places, found["suspicion"].to_pylist(), strict=True))
