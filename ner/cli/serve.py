"""Opens a page in the browser where text is tagged as you type.

    ner serve runs/all runs/de

The page is served on 127.0.0.1 alone. A second run can stand beside the first, with what only one of them finds. Needs
the extra [serve].
"""

import contextlib
import importlib.util
import time
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import transformers

from ner.arguments import command, exit_on_input_error, named_twice, option, parse
from ner.errors import InputError
from ner.tagging.app import MISSING, build_page, serving
from ner.tagging.server import listen
from ner.tagging.tagger import Tagger


@dataclass(frozen=True)
class ServeOptions:
    """page"""

    runs: tuple[str, ...] = option(
        (), "run folders of train.py, model folders, or Hub names of token classifiers", metavar="RUN", positional=True
    )
    checkpoint: Literal["best", "last", "average"] = option("best", "which model of a run folder")
    words: Literal["edges", "punctuation", "spaces"] = option(
        "edges",
        "what text is split at: white space and the marks at its edges, every mark, or blanks, tabs and line breaks",
    )
    score: Literal["mean", "min"] = option("mean", "of an entity, from the probabilities of its words")
    port: int = option(0, "of 127.0.0.1; 0: one that is free", metavar="N")
    no_browser: bool = option(False, "open no browser; the page's address is printed")


@dataclass(frozen=True)
class ServeConfig(ServeOptions):
    """Everything that decides what `ner serve` shows."""

    def __post_init__(self) -> None:
        problems = named_twice(self, paths=("runs",))
        if not 0 <= self.port <= 65535:
            problems.append(f"--port {self.port} must be from 0 to 65535")
        if problems:
            raise InputError("\n".join(problems))


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """The command `ner serve`."""
    with exit_on_input_error():
        config = parse(ServeConfig, arguments, __doc__)
        if importlib.util.find_spec("gradio") is None:
            raise InputError(MISSING)
        transformers.utils.logging.disable_progress_bar()
        listener = listen(config.port)
        taggers = {
            name: Tagger.from_pretrained(
                name, checkpoint=config.checkpoint, words=config.words, score=config.score, probabilities=True
            )
            for name in config.runs
        }
    with serving(build_page(taggers), listener) as address:
        print(f"{address}  Ctrl-C ends it.", flush=True)
        if not config.no_browser:
            webbrowser.open(address)
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(0.5)  # briefly: a Ctrl-C just before it begins is taken when it ends
