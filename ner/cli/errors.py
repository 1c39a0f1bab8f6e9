"""Shows what a table of token losses says about a tagger's errors, as Markdown.

    ner errors reports/token_losses.parquet --by tag language --top 5
    ner errors reports/token_losses.parquet --by word --order mean --ascending --min-count 50
    ner errors reports/token_losses.parquet --kinds --confusion
    ner errors reports/token_losses.parquet --scores --lengths --histogram
    ner errors reports/token_losses.parquet --plots reports/errors
    ner errors reports/token_losses.parquet --sentences total --language fr
    ner errors reports/token_losses.parquet --containing Bern
    ner errors reports/token_losses.parquet --sentences total --top 3 --aligned

The file is what `evaluate.py --token-losses` writes. Losses are in nats.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from ner.analysis.entity_scores import scores_by_entity_length, scores_by_sentence_length, type_scores
from ner.analysis.token_losses import select
from ner.analysis.views import (
    VIEWS,
    By,
    Confusion,
    LossHistogram,
    containing,
    entity_kinds,
    loss_histogram,
    ordered,
    sentences,
    tag_confusion,
    type_confusion,
)
from ner.arguments import command, echo, exit_on_input_error, flag, not_above_zero, option, parse
from ner.data.annotation_forms import entity_text
from ner.data.folds import FOLD
from ner.errors import InputError, listed, shorten
from ner.files import file_errors
from ner.utils import escape_line, interlinear
from ner.utils import table as markdown

NOT_SCORED = "-"
VIEW_OPTIONS = ("by", "histogram", "scores", "lengths", "kinds", "confusion", "plots")


@dataclass(frozen=True)
class WhichOptions:
    """which part of the table"""

    file: str = option("", "token_losses.parquet of evaluate.py --token-losses", metavar="FILE", positional=True)
    run: str | None = option(None, "this run alone", metavar="NAME")
    language: str | None = option(None, "this language alone", metavar="NAME")
    split: str | None = option(None, "this split alone", metavar="NAME")
    top: int = option(10, "rows of a table", metavar="N")


@dataclass(frozen=True)
class ErrorsOptions:
    """what to show"""

    by: tuple[Literal["token", "word", "tag", "language", "length"], ...] = option((), "losses by each of these")
    order: Literal["sum", "mean"] | None = option(
        None, "--by in the order of this loss (sum; lengths: from short to long)"
    )
    ascending: bool = option(False, "--by and sentences from the lowest loss on: what the tagger is surest of")
    min_count: int = option(1, "--by without what stands for fewer words", metavar="N")
    histogram: bool = option(False, "losses of the words of each gold tag, counted in bins")
    scores: bool = option(False, "precision, recall and F1 of each entity type")
    lengths: bool = option(False, "precision, recall and F1 by length of sentences, and of entities")
    kinds: bool = option(False, "kinds of entity errors")
    confusion: bool = option(False, "gold against predicted tags and entity types")
    sentences: Literal["total", "mean"] | None = option(None, "sentences of the highest loss")
    containing: str | None = option(None, "sentences that hold this word or sub-token", metavar="TEXT")
    aligned: bool = option(
        False, "these sentences in columns as wide as the terminal: each sub-token with its tags and loss"
    )
    plots: str | None = option(
        None, "folder for the confusion of tags and of entity types as heat maps, PNG and SVG", metavar="FOLDER"
    )


@dataclass(frozen=True)
class ErrorsConfig(ErrorsOptions, WhichOptions):
    """Everything that decides what `ner errors` shows."""

    def __post_init__(self) -> None:
        problems = not_above_zero(self, "top", "min_count")
        shows_sentences = bool(self.sentences or self.containing)
        if not (shows_sentences or any(getattr(self, name) for name in VIEW_OPTIONS)):
            names = [*VIEW_OPTIONS, "sentences", "containing"]
            problems.append(f"nothing to show: give {', '.join(map(flag, names[:-1]))} or {flag(names[-1])}")
        if self.aligned and not shows_sentences:
            problems.append("--aligned is a way to show sentences; give --sentences or --containing")
        if self.ascending and not (self.by or shows_sentences):
            problems.append("--ascending is an order of losses; give --by, --sentences or --containing")
        problems += [
            f"{flag(name)} is about the groups of --by; give --by"
            for name, given in (("order", self.order is not None), ("min_count", self.min_count > 1))
            if given and not self.by
        ]
        if problems:
            raise InputError("\n".join(problems))


def to_markdown(table: pa.Table, top: int | None = None) -> str:
    """The first rows of a view as Markdown, fractions with three decimals."""
    rows = zip(*(column.to_pylist() for column in table.slice(0, top).columns), strict=True)
    return markdown(
        table.column_names, [[f"{cell:.3f}" if isinstance(cell, float) else cell for cell in row] for row in rows]
    )


def confusion_to_markdown(confusion: Confusion) -> str:
    """Shares of each row with three decimals, and how many cases it has."""
    rows = zip(confusion.rows, confusion.shares, confusion.counts.sum(axis=1), strict=True)
    return markdown(
        ["gold", *confusion.columns, "count"],
        [[name, *(f"{share:.3f}" for share in shares), int(count)] for name, shares, count in rows],
    )


def histogram_to_markdown(histogram: LossHistogram) -> str:
    """How many words of each gold tag have a loss in each bin, and how many there are; tags without any left out."""
    edges = [f"{edge:g}" for edge in histogram.edges]
    bins = [*(f"{start} - {end}" for start, end in pairwise(edges)), f"{edges[-1]} or more"]
    rows = zip(histogram.tags, histogram.counts.tolist(), strict=True)
    return markdown(["tag", *bins, "count"], [[tag, *counts, sum(counts)] for tag, counts in rows if any(counts)])


def sentences_to_markdown(table: pa.Table) -> str:
    """Rows of `sentence_table`: losses, words, and the gold and predicted entities where they differ."""
    lines = []
    for row in table.to_pylist():
        gold, predicted = (entity_text(row["words"], row[side]) for side in ("gold", "predicted"))
        place = [row["language"], str(row["sentence"]), f"{row['total']:.2f}", f"{row['mean']:.2f}"]
        lines.append([*place, " ".join(row["words"]), gold, predicted if predicted != gold else "the same"])
    return markdown(["language", "sentence", "total", "mean", "words", "gold", "predicted"], lines)


def sentences_to_columns(table: pa.Table, width: int) -> str:
    """Rows of `sentence_table`, sub-tokens in columns: word, tags and loss where they are scored. width: in columns."""
    names = ["word", "sub-token", "gold", "predicted", "loss"]
    parts = [f"{NOT_SCORED} is not scored: a sub-token behind the first of its word"]
    for row in table.to_pylist():
        title = f"{row['language']} {row['sentence']}: total loss {row['total']:.2f}, mean {row['mean']:.2f}"
        parts += [escape_line(title), interlinear(names, positions(row), width)]
    return "\n\n".join(parts)


def positions(row: dict[str, Any]) -> Iterator[tuple[str, list[list[str]]]]:
    """Each word of a row of `sentence_table`, and the cells of its sub-tokens; a word without any has one position."""
    columns = (row[name] for name in ("words", "sub_tokens", "gold", "predicted", "losses"))
    for word, pieces, gold, predicted, loss in zip(*columns, strict=True):
        first, *others = pieces or [""]
        scored = [first, gold, predicted, "" if loss is None else f"{loss:.2f}"]
        yield word, [scored, *([piece, *[NOT_SCORED] * 3] for piece in others)]


def cut(file: str, run: str | None, language: str | None, split: str | None) -> pa.Table:
    """`select` of one run and one split. Raises InputError where the file holds several and none is named.

    The split `fold` may be of several runs: each of them was tested on the sentences that it had left out.
    """
    table = select(file, run=run, language=language, split=split)
    for name in ("split",) if pc.unique(table["split"]).to_pylist() == [FOLD] else ("run", "split"):
        if len(there := pc.unique(table[name]).to_pylist()) > 1:
            raise InputError(f"{file} holds the {name}s {listed(there)}; name one: --{name} {there[0]}")
    return table


def save_plots(table: pa.Table, folder: Path) -> list[str]:
    """Writes the plots; returns the names of the files. Raises OSError."""
    from ner.report import plots
    from ner.report.confusion_plot import confusion

    folder.mkdir(parents=True, exist_ok=True)
    return [
        *plots.save(confusion({"Tags": tag_confusion(table)}), folder, "confusion-tags"),
        *plots.save(confusion({"Entity types": type_confusion(table)}), folder, "confusion-types"),
    ]


def groups(table: pa.Table, name: str, options: ErrorsConfig) -> tuple[str, str]:
    """Title and table of losses by one of --by."""
    order = options.order or ("sum" if options.ascending else None)
    found = ordered(VIEWS[name](table), order, ascending=options.ascending, min_count=options.min_count)
    title = f"Loss by {name} (nats)"
    if order:
        title += f", {'lowest' if options.ascending else 'highest'} {order} first"
    if options.min_count > 1:
        title += f", of {options.min_count:,} words or more"
    return title, to_markdown(found, options.top)


def of_sentences(table: pa.Table, options: ErrorsConfig) -> tuple[str, str]:
    """Title and text of the sentences that are asked for."""
    by: By = options.sentences or "total"
    title = f"by {by} loss{', lowest first' if options.ascending else ''}"
    if options.containing:
        found = containing(table, options.containing, by, ascending=options.ascending)
        title = f"{len(found):,} sentences with {shorten(options.containing)}, {title}"
        found = found.slice(0, options.top)
    else:
        found = sentences(table, by, options.top, ascending=options.ascending)
        title = f"Sentences {title}"
    if options.aligned:
        return title, sentences_to_columns(found, shutil.get_terminal_size().columns)
    return title, sentences_to_markdown(found)


def sections(table: pa.Table, options: ErrorsConfig) -> Iterator[tuple[str, str]]:
    """Title and text of everything that is asked for, but the plots."""
    for name in options.by:
        yield groups(table, name, options)
    if options.histogram:
        yield "Words of each gold tag, by loss (nats)", histogram_to_markdown(loss_histogram(table))
    if options.scores:
        yield "Entities by type", to_markdown(type_scores(table))
    if options.lengths:
        yield "Entities by words in the sentence", to_markdown(scores_by_sentence_length(table))
        yield "Entities by their words", to_markdown(scores_by_entity_length(table))
    if options.kinds:
        yield "Entities, and kinds of errors", to_markdown(entity_kinds(table))
    if options.confusion:
        yield "Tags: share of each gold tag", confusion_to_markdown(tag_confusion(table))
        yield "Entities: share of each gold type", confusion_to_markdown(type_confusion(table))
    if options.containing or options.sentences:
        yield of_sentences(table, options)


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """The command `ner errors`."""
    with exit_on_input_error():
        options = parse(ErrorsConfig, arguments, __doc__)
        if options.plots:
            from ner.report import plots

            plots.check_can_draw()
        table = cut(options.file, options.run, options.language, options.split)
        parts = [f"{title}\n\n{text}" for title, text in sections(table, options)]
        if options.plots:
            with file_errors(options.plots):
                names = save_plots(table, Path(options.plots))
            parts.append(f"written: {options.plots}/{', '.join(names)}")
    echo("\n\n".join(parts))
