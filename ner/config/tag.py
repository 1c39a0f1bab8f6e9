"""The options of `ner tag`."""

from dataclasses import dataclass
from typing import Literal

from ner.arguments import not_above_zero, option
from ner.config.options import PrecisionOptions
from ner.errors import InputError

FOUND = ("entities", "ner_tags", "scores")  # fields of what is written


@dataclass(frozen=True)
class TagOptions:
    """tag"""

    run: str = option(
        "", "run folder of train.py, model folder, or Hub name of any token classifier", metavar="RUN", positional=True
    )
    text: tuple[str, ...] = option((), "texts to tag, instead of a file's or the terminal's lines", metavar="TEXT")
    input: tuple[str, ...] = option(
        (),
        "file to tag: .txt (a text a line), .jsonl and .parquet (with `text` or `tokens`), .conll .conllu .tsv "
        ".bio (a word a line), .gz too; or several, or a folder of them; without it the lines of standard input",
        metavar="FILE",
    )
    column: str | None = option(
        None, "field of JSON Lines and Parquet that holds the text, or the words", metavar="NAME"
    )
    output: str | None = option(
        None,
        "file to write, .jsonl, .parquet or .conll, or the folder for several; without it the text, entities marked. "
        "Killed, it goes on after its last whole row",
        metavar="FILE",
    )
    shard_format: Literal["jsonl", "parquet", "conll"] | None = option(
        None, "of the files in the folder --output, jsonl where it is not given"
    )
    table: bool = option(False, "print words in columns as wide as the terminal: sub-tokens, tag, probability")
    probabilities: bool = option(
        False, "every label's probability for every word, in the .jsonl of --output, or the columns of --table"
    )
    overwrite: bool = option(
        False,
        "replace the output that is there, and of an unfinished one the rows that another model, other options or "
        "another input made; in a folder, such files. Stopped, the same command goes on",
    )
    checkpoint: Literal["best", "last", "average"] = option("best", "which model of a run folder")
    words: Literal["edges", "punctuation", "spaces"] = option(
        "edges",
        "how a text is taken apart: edges, in sentences and words, marks at the ends of words by themselves; "
        "punctuation, the same with every mark, as annotated text is read for training; spaces, at blanks, tabs and "
        "line breaks alone",
    )
    score: Literal["mean", "min"] = option("mean", "an entity's score, of the probabilities of its words")
    min_score: float = option(
        0.0, "leave out entities of a lower score; `ner calibrate` says which score gives which precision", metavar="X"
    )
    max_length: int = option(
        128, "longest window in sub-tokens; longer sentences become windows that overlap", metavar="N"
    )
    max_tokens_per_micro_batch: int = option(
        8192, "positions (padding included) computed at once: bounds memory", metavar="N"
    )


@dataclass(frozen=True)
class UncertainOptions:
    """sentences to annotate next"""

    uncertain: int | None = option(
        None,
        "write only so many sentences to --output, each once, with the entities that are found: those the tagger is "
        "least sure of, and that are unlike each other",
        metavar="N",
    )
    uncertainty: Literal["total", "mean"] = option(
        "total", "of a sentence: total, the entropies of its words added up; mean, per word, which likes short ones"
    )
    annotated: tuple[str, ...] = option(
        (), "files of sentences that are not chosen again, in any format that --data reads", metavar="FILE"
    )
    format: Literal["jsonl", "label-studio", "argilla", "doccano", "prodigy"] = option(
        "jsonl", "of --output: jsonl, words and tags to edit; or for the import of an annotation tool"
    )


@dataclass(frozen=True)
class TagConfig(TagOptions, UncertainOptions, PrecisionOptions):
    """Everything that decides what `ner tag` does."""

    def __post_init__(self) -> None:
        problems = not_above_zero(self, "uncertain", "max_length", "max_tokens_per_micro_batch")
        if not 0 <= self.min_score <= 1:
            problems.append(f"--min-score is {self.min_score:g}; scores are between 0 and 1")
        if self.text and (self.input or self.output):
            problems.append("--text prints its texts; it goes without --input and --output")
        if self.table and self.output:
            problems.append("--table prints; it goes without --output")
        if self.probabilities and not self.uncertain and not self.table and not self.writes_json_lines():
            problems.append("--probabilities needs --table, or an --output that ends in .jsonl")
        if self.column in FOUND and self.output and not self.uncertain:
            reason = "what is found is written to a field of this name; give it another one in the input"
            problems.append(f"--column {self.column}: {reason}")
        problems += self.wrong_selection()
        if problems:
            raise InputError("\n".join(problems))

    def writes_json_lines(self) -> bool:
        """Whether the output is JSON Lines: a file of that name, or a folder of them."""
        if (self.output or "").endswith((".parquet", ".conll")):
            return False
        return bool(self.output) and (str(self.output).endswith(".jsonl") or self.shard_format in (None, "jsonl"))

    def wrong_selection(self) -> list[str]:
        """What is wrong with the options of `UncertainOptions`."""
        names = ("uncertainty", "annotated", "format")
        if not self.uncertain:
            given = [name for name in names if getattr(self, name) != getattr(UncertainOptions, name)]
            return [f"--{name} goes with --uncertain" for name in given]
        problems = [] if self.output else ["--uncertain needs --output, the file to annotate"]
        if self.probabilities:
            problems.append("--probabilities goes without --uncertain, which writes entities")
        return problems
