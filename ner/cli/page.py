"""Writes an HTML report to browse the sentences of a table of token losses.

    ner page reports/token_losses.parquet --output reports/sentences.html

One file that needs no network: errors and losses of each run, split and language, and the sentences, with filters by
type, error and text. `evaluate.py --report` writes it together with the matrix, the learning curve and the training.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ner.arguments import command, echo, exit_on_input_error, not_above_zero, not_given, option, parse
from ner.errors import InputError
from ner.files import file_errors
from ner.report.error_sections import error_sections
from ner.report.page import MAX_SENTENCES, write_report
from ner.report.sentence_data import read


@dataclass(frozen=True)
class PageOptions:
    """page"""

    table: str = option("", "token_losses.parquet of evaluate.py --token-losses", metavar="FILE", positional=True)
    output: str = option("", "the HTML file to write", metavar="FILE")
    title: str = option("Token losses", "of the page", metavar="TEXT")
    max_sentences: int = option(MAX_SENTENCES, "of more, those of the greatest total loss", metavar="N")


@dataclass(frozen=True)
class PageConfig(PageOptions):
    """Everything that decides what `ner page` writes."""

    def __post_init__(self) -> None:
        if problems := not_given(self, "output") + not_above_zero(self, "max_sentences"):
            raise InputError("\n".join(problems))


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """The command `ner page`."""
    with exit_on_input_error():
        config = parse(PageConfig, arguments, __doc__)
        output = Path(config.output)
        with file_errors(output):
            sentences = read(config.table)
            sections = error_sections(sentences)
            write_report(output, sentences, title=config.title, sections=sections, max_sentences=config.max_sentences)
    echo(f"written: {output}")
