"""Shows the sentences whose gold tags are most likely wrong, the likeliest first, or writes them to be corrected.

    ner label-errors reports/token_losses.parquet --top 20
    ner label-errors reports/token_losses.parquet --top 100 --output review.jsonl

The first file is what `evaluate.py --token-losses` writes. Losses are in nats. In the second, correct `ner_tags`, or
set `drop` to true, and give it to train.py and evaluate.py as --corrections.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow.compute as pc

from ner.analysis.label_errors import rank_label_errors
from ner.analysis.review import review
from ner.arguments import command, echo, exit_on_input_error, not_above_zero, option, parse
from ner.cli.errors import WhichOptions, cut, sentences_to_markdown
from ner.data.annotation_forms import to_text
from ner.errors import InputError
from ner.files import file_errors, write_atomic


@dataclass(frozen=True)
class ReviewOptions:
    """a file to correct"""

    output: str | None = option(None, "write the sentences to this new file", metavar="FILE")
    format: Literal["jsonl", "label-studio", "argilla", "doccano", "prodigy"] = option(
        "jsonl", "of --output: to edit, or for the import of an annotation tool"
    )


@dataclass(frozen=True)
class LabelErrorsConfig(WhichOptions, ReviewOptions):
    """Everything that decides what `ner label-errors` shows."""

    def __post_init__(self) -> None:
        if problems := not_above_zero(self, "top"):
            raise InputError("\n".join(problems))


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """The command `ner label-errors`."""
    with exit_on_input_error():
        options = parse(LabelErrorsConfig, arguments, __doc__)
        if options.output and Path(options.output).exists():
            raise InputError(f"`output` {options.output} is there, and may hold somebody's work; name a new file")
        found = rank_label_errors(cut(options.file, options.run, options.language, options.split), options.top)
        found = found.filter(pc.is_finite(found["label_error_score"]))
        if not len(found):
            raise InputError(
                f"{options.file}: no loss of these sentences is known, as of a dictionary and of files that another "
                "system has tagged; name a run that has losses: `run`"
            )
        if not options.output:
            echo(sentences_to_markdown(found))
            return
        rows = review(found, options.format)
        with file_errors(options.output):
            write_atomic(Path(options.output), to_text(rows, options.format))
    echo(f"{options.output}: {len(rows):,} sentences to review")
