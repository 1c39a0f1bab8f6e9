"""Shows what a table of token losses says about a tagger's errors, as Markdown.

    ner errors reports/token_losses.parquet --by tag language --top 5
    ner errors reports/token_losses.parquet --kinds --confusion
    ner errors reports/token_losses.parquet --sentences total --language fr
    ner errors reports/token_losses.parquet --containing Bern
    ner errors reports/token_losses.parquet --sentences total --top 3 --aligned

The file is what `evaluate.py --token-losses` writes. Losses are in nats.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from ner.analysis.review import entity_text
from ner.analysis.token_losses import select
from ner.analysis.views import VIEWS, By, Confusion, containing, entity_kinds, sentences, tag_confusion, type_confusion
from ner.arguments import command, echo, exit_on_input_error, not_above_zero, option, parse
from ner.data.folds import FOLD
from ner.errors import InputError, listed, shorten
from ner.utils import escape_line, interlinear
from ner.utils import table as markdown

NOT_SCORED = "-"


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
    kinds: bool = option(False, "kinds of entity errors")
    confusion: bool = option(False, "gold against predicted tags and entity types")
    sentences: Literal["total", "mean"] | None = option(None, "sentences of the highest loss")
    containing: str | None = option(None, "sentences that hold this word or sub-token", metavar="TEXT")
    aligned: bool = option(
        False, "these sentences in columns as wide as the terminal: each sub-token with its tags and loss"
    )


@dataclass(frozen=True)
class ErrorsConfig(ErrorsOptions, WhichOptions):
    """Everything that decides what `ner errors` shows."""

    def __post_init__(self) -> None:
        problems = not_above_zero(self, "top")
        if not (self.by or self.kinds or self.confusion or self.sentences or self.containing):
            problems.append("nothing to show: give --by, --kinds, --confusion, --sentences or --containing")
        if self.aligned and not (self.sentences or self.containing):
            problems.append("--aligned is a way to show sentences; give --sentences or --containing")
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


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """The command `ner errors`."""
    with exit_on_input_error():
        options = parse(ErrorsConfig, arguments, __doc__)
        table = cut(options.file, options.run, options.language, options.split)
    by: By = options.sentences or "total"
    width = shutil.get_terminal_size().columns

    def shown(found: pa.Table) -> str:
        return sentences_to_columns(found, width) if options.aligned else sentences_to_markdown(found)

    parts = [(f"Loss by {name} (nats)", to_markdown(VIEWS[name](table), options.top)) for name in options.by]
    if options.kinds:
        parts.append(("Entities, and kinds of errors", to_markdown(entity_kinds(table))))
    if options.confusion:
        parts.append(("Tags: share of each gold tag", confusion_to_markdown(tag_confusion(table))))
        parts.append(("Entities: share of each gold type", confusion_to_markdown(type_confusion(table))))
    if options.containing:
        found = containing(table, options.containing, by)
        title = f"{len(found):,} sentences with {shorten(options.containing)}, by {by} loss"
        parts.append((title, shown(found.slice(0, options.top))))
    elif options.sentences:
        parts.append((f"Sentences by {by} loss", shown(sentences(table, by, options.top))))
    echo("\n\n".join(f"{title}\n\n{text}" for title, text in parts))
