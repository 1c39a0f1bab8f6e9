"""What evaluate.py prints and writes: matrices, learning curves, comparisons, plots, and the HTML report."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ner.data.arrow_store import WORDS
from ner.data.corpus import Corpus
from ner.evaluation import comparison, learning_curve
from ner.evaluation.comparison import LabelPair
from ner.evaluation.matrix import Result, f1_cells
from ner.files import to_json, write_atomic, write_json
from ner.report import plots, tables
from ner.report.page import write_report
from ner.report.sections import label_error_scores, sections
from ner.tags import Scoring

LabelPairs = Mapping[tuple[str, str, str], LabelPair]  # of a run, split and language


@dataclass(frozen=True)
class Written:
    """What there is to print. text: for standard output; files: that were written; notes: for standard error."""

    text: str
    files: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def write_results(
    folder: Path | None,
    results: Sequence[Result],
    splits: Sequence[str],
    languages: Sequence[str],
    scoring: Scoring,
    losses: Path | None = None,
    *,
    report: bool = False,
) -> Written:
    """Matrices and learning curves as text and, into a folder, as tables, plots and report.html.

    losses: the file of token losses, if there is one; report: whether there is to be a report of it. Raises OSError.
    """
    of_split = {split: [result for result in results if result.split == split] for split in splits}
    cells = {split: f1_cells(part, languages, scoring) for split, part in of_split.items()}
    found = {split: learning_curve.curves(part, scoring) for split, part in of_split.items()}
    curves = {split: of_one for split, (of_one, _) in found.items() if of_one}
    remarks = dict.fromkeys(f"note: {note}" for _, of_one in found.values() for note in of_one)
    matrix_text, curve_text = tables.to_text(cells, scoring), learning_curve.to_text(curves)
    text = "\n\n".join(filter(None, [matrix_text, curve_text, *remarks]))
    if folder is None:
        return Written(text)
    types = [f"By entity type, {s}\n\n{tables.type_report(p, languages, scoring)}" for s, p in of_split.items()]
    content = {"scoring": scoring, **tables.to_plain(cells), "results": [result.plain() for result in results]}
    texts = {
        "matrix.md": "\n\n".join([matrix_text, *types]),
        "matrix.csv": tables.to_csv({split: tables.csv_rows(part) for split, part in cells.items()}),
        "matrix.json": to_json(content),
        "matrix.tex": tables.to_latex(cells, scoring),
    }
    if curves:
        plain = {split: [learning_curve.to_plain(one) for one in part] for split, part in curves.items()}
        texts |= {"curve.md": curve_text, "curve.csv": learning_curve.to_csv(curves), "curve.json": to_json(plain)}
    for name, content_of_file in texts.items():
        write_atomic(folder / name, content_of_file.rstrip() + "\n")
    written = Written(text, list(texts))
    if plots.can_draw():
        written.files.extend(plots.save(plots.heat_map(cells), folder, "matrix"))
        written.files.extend(plots.save(plots.learning_curves(curves), folder, "curve") if curves else [])
    else:
        written.notes.append(f"no pictures: {plots.MISSING}")
    if losses:
        written.files.append(losses.name)
    if losses and report:
        write_report(
            folder / "report.html",
            losses,
            title="Named entities: matrix, errors, sentences",
            sections=sections(cells, curves, results, languages, scoring, losses),
            label_errors=label_error_scores(losses),
        )
        written.files.append("report.html")
    return written


def write_comparison(
    folder: Path | None,
    names: tuple[str, str],
    splits: Sequence[str],
    languages: Sequence[str],
    scoring: Scoring,
    corpus: Corpus,
    pairs: LabelPairs,
) -> Written:
    """The comparison of two runs on each split, and into a folder compare.md and compare.json. Raises OSError."""
    one, two = names
    compared = [
        comparison.comparison(
            names,
            split,
            {language: (pairs[one, split, language], pairs[two, split, language]) for language in languages},
            {language: corpus[language][split][WORDS] for language in languages},
            scoring,
        )
        for split in splits
    ]
    text = "\n\n".join(comparison.to_markdown(of_split) for of_split in compared)
    if folder is None:
        return Written(text)
    write_atomic(folder / "compare.md", text + "\n")
    write_json(folder / "compare.json", {of_split.split: asdict(of_split) for of_split in compared})
    return Written(text, ["compare.md", "compare.json"])
