"""Writes the embedded corpus and a small encoder, to try everything without data and without a network.

    ner demo demo        # demo/corpus: sentences in de, fr, it, en; demo/encoder: a tokenizer and random weights

Sentences are made from templates and names of Switzerland and its neighbours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers.utils import logging

from ner.arguments import command, echo, exit_on_input_error, option, parse
from ner.data.synthetic import write_corpus, write_encoder
from ner.files import file_errors


@dataclass(frozen=True)
class DemoOptions:
    """demo"""

    folder: str = option("", "where to write corpus/ and encoder/", metavar="FOLDER", positional=True)


@dataclass(frozen=True)
class DemoConfig(DemoOptions):
    """Everything that decides what `ner demo` writes."""


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """The command `ner demo`."""
    logging.disable_progress_bar()
    with exit_on_input_error():
        folder = Path(parse(DemoConfig, arguments, __doc__).folder)
        with file_errors(folder):
            write_corpus(folder / "corpus")
            write_encoder(folder / "encoder")
    echo(f"written: {folder / 'corpus'}, {folder / 'encoder'}")
