"""Shows the sentences whose gold tags are most likely wrong, the likeliest first.

    ner label-errors reports/token_losses.parquet --top 20

The file is what `evaluate.py --token-losses` writes. Losses are in nats.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ner.analysis.label_errors import rank_label_errors
from ner.arguments import command, echo, exit_on_input_error, not_above_zero, parse
from ner.cli.errors import WhichOptions, cut, sentences_to_markdown
from ner.errors import InputError


@dataclass(frozen=True)
class LabelErrorsConfig(WhichOptions):
    """Everything that decides what `ner label-errors` shows."""

    def __post_init__(self) -> None:
        if problems := not_above_zero(self, "top"):
            raise InputError("\n".join(problems))


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """The command `ner label-errors`."""
    with exit_on_input_error():
        options = parse(LabelErrorsConfig, arguments, __doc__)
        table = cut(options.file, options.run, options.language, options.split)
    echo(sentences_to_markdown(rank_label_errors(table, options.top)))
