"""Shows what is in a data set, and converts it.

    ner corpus data/panx --languages de fr
    ner corpus data/tweets.conll.gz --languages de --to-parquet data/tweets

For each language: sentences, words and entities of each split, percentiles of length, tag scheme and illegal tags,
sentences that stand in two splits, frequent entities, and a sentence. Rows that can not be used are listed by file and
line. --to-parquet writes all of it as a folder that --data reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets import disable_progress_bars

from ner.arguments import command, echo, exit_on_input_error, named_twice, not_above_zero, option, parse
from ner.config import ReadingOptions
from ner.data.corpus import Source, load_corpus, to_parquet, write_skipped
from ner.data.summary import describe
from ner.errors import InputError
from ner.files import file_errors


@dataclass(frozen=True)
class CorpusOptions:
    """corpus"""

    data: str = option("", "as in train.py", metavar="NAME", positional=True)
    languages: tuple[str, ...] | None = option(None, "languages to read (all)", metavar="LANG")
    splits: tuple[str, ...] | None = option(None, "splits to read (all)", metavar="SPLIT")
    to_parquet: str | None = option(None, "new folder in Hub layout to write all of it to", metavar="FOLDER")


@dataclass(frozen=True)
class CorpusConfig(CorpusOptions, ReadingOptions):
    """Everything that decides what `ner corpus` shows."""

    sample: tuple[str, ...] = option(("all",), "as in train.py", metavar="SHARE")

    def __post_init__(self) -> None:
        problems = not_above_zero(self, "validation_fraction") + named_twice(self, "languages", "splits")
        if problems:
            raise InputError("\n".join(problems))


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """The command `ner corpus`."""
    disable_progress_bars()
    with exit_on_input_error():
        options = parse(CorpusConfig, arguments, __doc__)
        corpus = load_corpus(Source.of(options), options.languages, options.splits)
        if options.to_parquet:
            with file_errors(options.to_parquet):
                to_parquet(corpus, Path(options.to_parquet))
    for language, splits in corpus.languages.items():
        stats = {split: corpus.stats[language, split] for split in splits if (language, split) in corpus.stats}
        echo(f"# {language}\n\n{describe(splits, stats)}\n")
    for note in corpus.notes:
        echo(f"note: {note}")
    if options.to_parquet:
        write_skipped([corpus], Path(options.to_parquet) / "skipped.jsonl")
        echo(f"written: {options.to_parquet}; --data {options.to_parquet} reads it")
