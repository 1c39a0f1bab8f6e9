"""Shows what is in a data set, and converts it.

    ner corpus data/panx --list
    ner corpus data/panx --languages de fr
    ner corpus data/panx --languages de --splits train --sentence 2
    ner corpus data/panx --model xlm-roberta-base --plots reports/panx
    ner corpus data/tweets.conll.gz --languages de --to-parquet data/tweets

A table of languages by splits, and the tags with their ids. For each language: sentences, words and entities of each
split, percentiles of length, tag scheme and illegal tags, sentences that stand in two splits, frequent entities, and a
sentence. Rows that cannot be used are listed by file and line. --to-parquet writes all of it as a folder that --data
reads.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from datasets import disable_progress_bars

from ner.arguments import command, echo, exit_on_input_error, flag, named_twice, not_above_zero, option, parse
from ner.config import ReadingOptions
from ner.data.arrow_store import TAGS, flat_column
from ner.data.contents import Contents, list_contents
from ner.data.corpus import Corpus, Source, load_corpus, to_parquet, write_skipped
from ner.data.summary import describe, entity_counts, sentence_table, size_table, tag_table
from ner.errors import InputError, printable
from ner.files import file_errors
from ner.utils import table

if TYPE_CHECKING:
    from ner.inputs.sub_token_stats import SubTokenStats


@dataclass(frozen=True)
class CorpusOptions:
    """corpus"""

    data: str = option("", "as in train.py", metavar="NAME", positional=True)
    languages: tuple[str, ...] | None = option(None, "languages to read (all)", metavar="LANG")
    splits: tuple[str, ...] | None = option(None, "splits to read (all)", metavar="SPLIT")
    to_parquet: str | None = option(None, "new folder in Hub layout to write all of it to", metavar="FOLDER")


@dataclass(frozen=True)
class ViewOptions:
    """what to show"""

    list: bool = option(False, "languages, configs and splits alone, by name: no sentence is loaded")
    sentence: int | None = option(
        None, "this sentence alone (from 0) of one language and split: words, tags and ids in columns", metavar="N"
    )
    model: tuple[str, ...] = option(
        (), "encoders: lengths in their sub-tokens against their limits, and what they do not know", metavar="NAME"
    )
    plots: str | None = option(
        None, "folder for plots of entity types and sentence lengths by language, PNG and SVG", metavar="FOLDER"
    )


@dataclass(frozen=True)
class CorpusConfig(CorpusOptions, ViewOptions, ReadingOptions):
    """Everything that decides what `ner corpus` shows."""

    sample: tuple[str, ...] = option(("all",), "as in train.py", metavar="SHARE")

    def __post_init__(self) -> None:
        problems = not_above_zero(self, "validation_fraction")
        problems += named_twice(self, "languages", "splits", paths=("model",))
        if self.sentence is not None and not (len(self.languages or ()) == len(self.splits or ()) == 1):
            problems.append("--sentence needs one language and one split: --languages de --splits train")
        others = [name for name in ("model", "plots", "to_parquet") if getattr(self, name)]
        if self.list and (others or self.sentence is not None):
            problems.append(f"--list loads no sentence; leave out {flag((*others, 'sentence')[0])}")
        if self.sentence is not None and others:
            problems.append(f"--sentence shows a sentence alone; leave out {flag(others[0])}")
        if problems:
            raise InputError("\n".join(problems))


def contents_to_text(data: str, contents: Contents) -> str:
    """The names of what a data set has: a table of its languages, and the configs of no language."""
    title = f"{data}: {len(contents.languages):,} languages"
    if contents.configs:
        title += f", {len(contents.configs):,} configs (those of languages: {contents.pattern})"
    if not contents.is_whole:
        title += "; the Hub was not reached: these are in the cache"
    columns = {
        "language": list(contents.languages),
        "config": list(contents.languages.values()) if contents.configs else [],
        "splits": [", ".join(contents.splits[language]) for language in contents.languages] if contents.splits else [],
    }
    known = {name: cells for name, cells in columns.items() if cells}
    parts = [title]
    if contents.languages:
        parts.append(table(list(known), list(zip(*known.values(), strict=True))))
    if others := [printable(config) for config in contents.configs if config not in contents.languages.values()]:
        parts.append(textwrap.fill(f"other configs: {', '.join(others)}", 120, break_on_hyphens=False))
    return "\n\n".join(parts)


def load_stats(corpus: Corpus, names: Sequence[str]) -> list[str]:
    """A section for each encoder: the sub-tokens of every language and split. Raises InputError."""
    if not names:
        return []
    import transformers

    from ner.inputs.sub_token_stats import sub_token_stats
    from ner.modeling.model import load_max_positions
    from ner.modeling.pretrained import load_tokenizer

    transformers.utils.logging.set_verbosity_error()
    sections = []
    for name in names:
        tokenizer = load_tokenizer(name)
        limit = load_max_positions(name, tokenizer)
        stats = {
            (language, split): sub_token_stats(part, tokenizer)
            for language, splits in corpus.languages.items()
            for split, part in splits.items()
        }
        sections.append(f"# Sub-tokens of {name}\n\n{stats_to_markdown(stats, limit)}")
    return sections


def stats_to_markdown(stats: "dict[tuple[str, str], SubTokenStats]", limit: int) -> str:
    """Two tables: lengths of sentences against the limit of the encoder, and pieces of words."""
    lengths, pieces = [], []
    for (language, split), part in stats.items():
        several = part.num_split(limit)
        share = f"{several / max(len(part.lengths), 1):.2%}"
        lengths.append([language, split, len(part.lengths), *part.percentiles(), several, share])
        pieces.append(
            [
                language,
                split,
                part.num_words,
                part.num_sub_tokens,
                f"{part.sub_tokens_per_word:.2f}",
                part.num_unknown,
                f"{part.share_unknown:.3%}",
                part.num_bare_words,
            ]
        )
    top = ["50%", "90%", "95%", "99%", "max"]
    head = ["language", "split", "words", "sub-tokens", "per word", "unknown", "share", "words without any"]
    return "\n\n".join(
        [
            f"Sub-tokens of a sentence, special tokens included; the encoder takes {limit:,}",
            table(
                ["language", "split", "sentences", *top, "several windows", "share"],
                lengths,
                right=[False, False, *[True] * 8],
            ),
            "Sub-tokens of words; unknown: pieces that are not in the vocabulary",
            table(head, pieces, right=[False, False, *[True] * 6]),
        ]
    )


def save_plots(corpus: Corpus, folder: Path) -> list[str]:
    """Writes the plots; returns the names of the files. Raises OSError."""
    from ner.report import corpus_plots, plots

    splits = dict.fromkeys(split for parts in corpus.languages.values() for split in parts)
    parts = {
        split: {language: own[split] for language, own in corpus.languages.items() if split in own} for split in splits
    }
    counts = {split: {lang: entity_counts(part) for lang, part in own.items()} for split, own in parts.items()}
    lengths = {split: {lang: flat_column(part, TAGS)[1] for lang, part in own.items()} for split, own in parts.items()}
    folder.mkdir(parents=True, exist_ok=True)
    return [
        *plots.save(corpus_plots.type_bars(counts), folder, "entity_types"),
        *plots.save(corpus_plots.length_histogram(lengths), folder, "sentence_lengths"),
    ]


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """The command `ner corpus`."""
    disable_progress_bars()
    with exit_on_input_error():
        options = parse(CorpusConfig, arguments, __doc__)
        if options.list:
            contents = list_contents(options.data, options.languages, options.data_config)
            echo(contents_to_text(options.data, contents))
            return
        if options.plots:
            from ner.report import plots

            plots.check_can_draw()
        corpus = load_corpus(Source.of(options), options.languages, options.splits)
        if options.sentence is not None:
            (language,), (split,) = options.languages or (), options.splits or ()
            shown = sentence_table(corpus[language][split], options.sentence)
            echo(f"{language}, {split}, sentence {options.sentence:,}\n\n{shown}")
            return
        sections = load_stats(corpus, options.model)
        names = []
        if options.plots:
            with file_errors(options.plots):
                names = save_plots(corpus, Path(options.plots))
        if options.to_parquet:
            with file_errors(options.to_parquet):
                to_parquet(corpus, Path(options.to_parquet))
    echo("Sentences, and each language's share of the column\n")
    echo(f"{size_table(corpus.languages)}\n\n{tag_table(corpus.tags)}\n")
    for language, splits in corpus.languages.items():
        stats = {split: corpus.stats[language, split] for split in splits if (language, split) in corpus.stats}
        echo(f"# {language}\n\n{describe(splits, stats)}\n")
    for section in sections:
        echo(f"{section}\n")
    for note in corpus.notes:
        echo(f"note: {note}")
    if names:
        echo(f"written: {options.plots}/{', '.join(names)}")
    if options.to_parquet:
        write_skipped([corpus], Path(options.to_parquet) / "skipped.jsonl")
        echo(f"written: {options.to_parquet}; --data {options.to_parquet} reads it")
