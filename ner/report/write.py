"""What evaluate.py prints and writes: matrices, learning curves, comparisons, plots, and the HTML report."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ner.analysis.probing.files import Probing
from ner.data.arrow_store import WORDS
from ner.data.corpus import Corpus
from ner.evaluation import comparison, learning_curve
from ner.evaluation.comparison import Comparison, LabelPair
from ner.evaluation.learning_curve import Curve
from ner.evaluation.matrix import Cells, Result, f1_cells
from ner.files import to_json, write_atomic, write_json
from ner.report import plots, tables
from ner.report.findings import best_run, findings
from ner.report.page import write_report
from ner.report.probe_section import flip_table
from ner.report.sections import label_error_scores, sections
from ner.report.sentence_data import read
from ner.tags import Scoring

LabelPairs = Mapping[tuple[str, str, str], LabelPair]  # of a run, split and language


@dataclass(frozen=True)
class Summary:
    """Results as matrices and learning curves, of each split. text: all of it, to be printed."""

    results: Sequence[Result]
    of_split: dict[str, list[Result]]
    languages: Sequence[str]
    scoring: Scoring
    cells: dict[str, Cells]
    curves: dict[str, list[Curve]]
    text: str


def summarize(
    results: Sequence[Result],
    splits: Sequence[str],
    languages: Sequence[str],
    scoring: Scoring,
    *,
    by_type: bool = False,
) -> Summary:
    """Matrices and learning curves, with their intervals; a split without curves has none.

    by_type: whether scores by entity type are printed, too.
    """
    of_split = {split: [result for result in results if result.split == split] for split in splits}
    cells = {split: f1_cells(part, languages, scoring) for split, part in of_split.items()}
    found = {split: learning_curve.curves(part, scoring) for split, part in of_split.items()}
    curves = {split: split_curves for split, (split_curves, _) in found.items() if split_curves}
    notes = dict.fromkeys(f"note: {note}" for _, split_notes in found.values() for note in split_notes)
    types = tables.types_to_text(of_split, languages, scoring, "ruled") if by_type else ""
    parts = (tables.to_text(cells, scoring), types, curve_text(curves, scoring), *notes)
    text = "\n\n".join(filter(None, parts))
    return Summary(
        results=results, of_split=of_split, languages=languages, scoring=scoring, cells=cells, curves=curves, text=text
    )


def curve_text(curves: Mapping[str, Sequence[Curve]], scoring: Scoring) -> str:
    """Learning curves in Markdown: methods by size where there are several, then every point."""
    return "\n\n".join(filter(None, (tables.sizes_to_text(curves, scoring), learning_curve.to_text(curves))))


def write_summary(
    folder: Path, summary: Summary, losses: Path | None = None, *, report: bool = False, probing: Probing | None = None
) -> list[str]:
    """Writes tables, plots where they can be drawn, and report.html. Returns the names of the files. Raises OSError.

    losses: the file of token losses, if there is one; report: whether there is to be a report of it; probing: what
    probes found, for the report.
    """
    cells, curves, languages, scoring = summary.cells, summary.curves, summary.languages, summary.scoring
    by_type = (summary.of_split, languages, scoring)
    content = {"scoring": scoring, **tables.to_plain(cells), "results": [result.plain() for result in summary.results]}
    texts = {
        "matrix.md": f"{tables.to_text(cells, scoring)}\n\n{tables.types_to_text(*by_type)}",
        "matrix.csv": tables.to_csv({split: tables.csv_rows(part) for split, part in cells.items()}),
        "matrix.json": to_json(content),
        "matrix.tex": tables.to_latex(cells, scoring),
        "types.csv": tables.types_to_csv(*by_type),
    }
    if curves:
        plain = {split: [learning_curve.to_plain(curve) for curve in part] for split, part in curves.items()}
        texts |= {
            "curve.md": curve_text(curves, scoring),
            "curve.csv": learning_curve.to_csv(curves),
            "curve.json": to_json(plain),
        }
    for name, text in texts.items():
        write_atomic(folder / name, text.rstrip() + "\n")
    names = list(texts)
    if plots.can_draw():
        names += plots.save(plots.heat_map(cells), folder, "matrix")
        names += plots.save(plots.learning_curves(curves), folder, "curve") if curves else []
    if losses:
        names.append(losses.name)
    if losses and report:
        sentences, run = read(losses), best_run(cells, summary.results)
        write_report(
            folder / "report.html",
            sentences,
            title="Named entities: what was found",
            findings=findings(cells, run, sentences),
            run=run,
            sections=sections(cells, curves, summary.results, languages, scoring, sentences, probing),
            label_errors=label_error_scores(losses) or None,  # else what is about them is hidden
            flips=flip_table(probing) if probing else None,
        )
        names.append("report.html")
    return names


def compare_runs(
    names: tuple[str, str],
    splits: Sequence[str],
    languages: Sequence[str],
    scoring: Scoring,
    corpus: Corpus,
    pairs: LabelPairs,
) -> list[Comparison]:
    """Two runs compared on each split."""
    first, second = names
    return [
        comparison.comparison(
            names,
            split,
            {language: (pairs[first, split, language], pairs[second, split, language]) for language in languages},
            {language: corpus[language][split][WORDS] for language in languages},
            scoring,
        )
        for split in splits
    ]


def write_comparison(folder: Path, compared: Sequence[Comparison], text: str) -> list[str]:
    """Writes compare.md, of that text, and compare.json. Returns the names of the files. Raises OSError."""
    write_atomic(folder / "compare.md", text + "\n")
    write_json(folder / "compare.json", {of_split.split: asdict(of_split) for of_split in compared})
    return ["compare.md", "compare.json"]
