"""The options of the commands `python -m ner...`: one frozen dataclass each, a line of documentation a field."""

from dataclasses import dataclass
from typing import Literal

from ner.arguments import option
from ner.config import EvaluationDataOptions, PrecisionOptions, ReadingOptions, named_twice, not_above_zero
from ner.errors import InputError


@dataclass(frozen=True)
class CorpusOptions:
    """corpus"""

    data: str = option("", "as in train.py", metavar="NAME", positional=True)
    languages: tuple[str, ...] | None = option(None, "languages to read (all)", metavar="LANG")
    splits: tuple[str, ...] | None = option(None, "splits to read (all)", metavar="SPLIT")
    to_parquet: str | None = option(None, "new folder in Hub layout to write all of it to", metavar="FOLDER")


@dataclass(frozen=True)
class CorpusConfig(CorpusOptions, ReadingOptions):
    """Everything that decides what `python -m ner.data.corpus` shows."""

    sample: tuple[str, ...] = option(("all",), "as in train.py", metavar="SHARE")

    def __post_init__(self) -> None:
        problems = not_above_zero(self, "validation_fraction") + named_twice(self, "languages", "splits")
        if problems:
            raise InputError("\n".join(problems))


@dataclass(frozen=True)
class TaggerOptions:
    """tagger"""

    run: str = option(
        "", "run folder of train.py, model folder, or Hub name of any token classifier", metavar="RUN", positional=True
    )
    text: tuple[str, ...] = option((), "texts to tag, instead of a file's or the terminal's lines", metavar="TEXT")
    input: str | None = option(
        None, "file to tag: .txt (a text a line), .jsonl and .parquet (with `text` or `tokens`), .conll .conllu .tsv "
        ".bio (a word a line), .gz too; without it the lines of standard input", metavar="FILE",
    )  # fmt: skip
    column: str | None = option(
        None, "field of JSON Lines and Parquet that holds the text, or the words", metavar="NAME"
    )
    output: str | None = option(
        None, "file to write, .jsonl, .parquet or .conll; without it the text, entities marked. Killed, it goes on "
        "after its last whole row", metavar="FILE",
    )  # fmt: skip
    overwrite: bool = option(False, "replace the output that is there, or begin an unfinished one again")
    checkpoint: Literal["best", "last"] = option("best", "which model of a run folder")
    words: Literal["edges", "punctuation", "spaces"] = option(
        "edges", "how a text is taken apart: edges, in sentences and words, marks at the ends of words by themselves; "
        "punctuation, the same with every mark, as annotated text is read for training; spaces, at blanks alone",
    )  # fmt: skip
    score: Literal["mean", "min"] = option("mean", "an entity's score, of the probabilities of its words")
    max_length: int = option(
        128, "longest window in sub-tokens; longer sentences become windows that overlap", metavar="N"
    )
    max_tokens_per_micro_batch: int = option(
        8192, "positions (padding included) computed at once: bounds memory", metavar="N"
    )


@dataclass(frozen=True)
class TaggerConfig(TaggerOptions, PrecisionOptions):
    """Everything that decides what `python -m ner.tagging.tagger` does."""

    def __post_init__(self) -> None:
        problems = not_above_zero(self, "max_length", "max_tokens_per_micro_batch")
        if self.text and (self.input or self.output):
            problems.append("--text prints its texts; it goes without --input and --output")
        if problems:
            raise InputError("\n".join(problems))


@dataclass(frozen=True)
class ExportOptions:
    """export"""

    run: str = option(
        "", "run folder of train.py, model folder, or Hub name of a token classifier", metavar="RUN", positional=True
    )
    format: Literal["onnx", "onnx-int8"] = option(
        "onnx", "onnx: model.onnx, in fp32; onnx-int8: model_quantized.onnx beside it, in 8 bits"
    )
    checkpoint: Literal["best", "last"] = option("best", "which model of a run folder")
    output: str | None = option(None, "folder to write (RUN/onnx)", metavar="FOLDER")
    overwrite: bool = option(False, "replace the export that is in the folder")


@dataclass(frozen=True)
class CheckOptions:
    """check: the sentences that must be tagged as PyTorch tags them"""

    languages: tuple[str, ...] | None = option(
        None, "languages of the sentences (those that the run was trained on)", metavar="LANG"
    )
    split: str = option("validation", "split of the sentences", metavar="SPLIT")
    max_sentences: int = option(1000, "the first N of each language", metavar="N")
    max_tokens_per_micro_batch: int = option(8192, "positions in a batch, padding included", metavar="N")


@dataclass(frozen=True)
class ExportConfig(ExportOptions, CheckOptions, EvaluationDataOptions):
    """Everything that decides what `python -m ner.sharing.onnx` writes."""

    on_bad_row: Literal["stop", "skip"] | None = option(None, "as in train.py")

    def __post_init__(self) -> None:
        problems = not_above_zero(self, "max_sentences", "max_tokens_per_micro_batch") + named_twice(self, "languages")
        if problems:
            raise InputError("\n".join(problems))


@dataclass(frozen=True)
class WidgetOptions:
    """page"""

    runs: tuple[str, ...] = option(
        (), "run folders of train.py, model folders, or Hub names of token classifiers", metavar="RUN",
        positional=True,
    )  # fmt: skip
    checkpoint: Literal["best", "last"] = option("best", "which model of a run folder")
    words: Literal["edges", "punctuation", "spaces"] = option(
        "edges", "what text is split at: white space and the marks at its edges, every mark, or blanks alone"
    )
    score: Literal["mean", "min"] = option("mean", "of an entity, from the probabilities of its words")
    port: int = option(0, "of 127.0.0.1; 0: one that is free", metavar="N")
    no_browser: bool = option(False, "open no browser; the page's address is printed")


@dataclass(frozen=True)
class WidgetConfig(WidgetOptions):
    """Everything that decides what `python -m ner.tagging.app` shows."""

    def __post_init__(self) -> None:
        problems = named_twice(self, "runs")
        if not 0 <= self.port <= 65535:
            problems.append(f"--port {self.port} must be from 0 to 65535")
        if problems:
            raise InputError("\n".join(problems))
