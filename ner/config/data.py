"""Groups of options about data: where sentences come from, and which of them are trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ner.arguments import option
from ner.errors import InputError, shorten

Sizes: TypeAlias = int | dict[str, int] | None  # sentences of all languages joined, or of single ones; None: all
MOST_FOLDS = 100


@dataclass(frozen=True)
class ReadingOptions:
    """data"""

    data_config: str = option(
        "auto", "config of a language in Hub layout; auto: PAN-X.{lang} or {lang}, or the only one", metavar="PATTERN"
    )
    columns: str = option(
        "auto",
        "columns of words and tags: word=1,tag=2 counts from 0 in column files and names them elsewhere; auto: "
        "tokens and ner_tags, or the first column that is no running number and the last",
        metavar="COLUMNS",
    )
    tags: tuple[str, ...] | None = option(
        None, "tag names in the order of their ids, for data that has ids without names", metavar="TAG"
    )
    map_tags: str | None = option(None, "entity types to read as others, or as O: MISC=O,GPE=LOC", metavar="OLD=NEW")
    on_bad_row: Literal["stop", "skip"] = option(
        "stop", "rows that cannot be used: stop and report them all, or skip them and write them to skipped.jsonl"
    )
    validation_fraction: float | None = option(
        None, "share of the training sentences to validate on, where there is no validation split", metavar="X"
    )
    sample: tuple[str, ...] = option(
        ("auto",),
        "share of every split to keep, after shuffle(seed=0): de=0.5 fr=0.1 (other languages whole); swiss: "
        "de=0.629 fr=0.229 it=0.084 en=0.059, the published corpus; all: everything; auto: swiss for PAN-X, else all",
        metavar="SHARE",
    )
    corrections: str | None = option(
        None, "reviewed sentences of ner label-errors --output: their tags replace those of the data", metavar="FILE"
    )
    fold: str | None = option(
        None,
        "leave out the I-th of K parts of the training sentences, which evaluate.py --splits fold tests on",
        metavar="I/K",
    )


@dataclass(frozen=True)
class DataOptions(ReadingOptions):
    """data"""

    data: str = option(
        "google/xtreme",
        "a Hub name, a folder in Hub layout or of {lang}/{split}.jsonl, a path that holds {lang} and {split}, or a "
        "file; JSON Lines, CoNLL columns, CSV or Parquet by the name's ending, .gz too",
        metavar="NAME",
    )


@dataclass(frozen=True)
class TrainingDataOptions(DataOptions):
    """data"""

    train_on: tuple[str, ...] = option(("de",), "languages to train on, joined and shuffled", metavar="LANG")
    max_train_sentences: tuple[str, ...] | None = option(
        None,
        "train on the first N sentences after shuffle(seed=SLICE_SEED): of all languages joined (250), or of single "
        "ones, the others whole (fr=100 it=100)",
        metavar="N",
    )
    slice_seed: int = option(
        42, "of the shuffle behind --max-train-sentences: each seed gives other sentences", metavar="N"
    )
    augment: tuple[str, ...] = option(
        (),
        "copies to train on beside the sentences: mentions=2 (of each sentence with an entity, with other mentions of "
        "the same type and language) case=0.2 (of this share of the sentences, in lower or upper case) asides=0.5 (of "
        "this share, with an aside in brackets outside of entities)",
        metavar="KIND=X",
    )

    @property
    def train_sizes(self) -> Sizes:
        """What `max_train_sentences` asks for. Raises InputError for what makes no sense."""
        return parse_sizes(self.max_train_sentences or (), "--max-train-sentences", self.train_on)


def parse_sizes(texts: Sequence[str], name: str, languages: Sequence[str]) -> Sizes:
    """`("250",)` -> 250, `("fr=100", "it=50")` -> {"fr": 100, "it": 50}. Raises InputError. name: of the flag."""
    sizes: dict[str, int] = {}
    for text in texts:
        language, is_named, number = text.rpartition("=")
        if not (number.isdecimal() and len(number) < 19 and int(number) and bool(language) == bool(is_named)):
            raise InputError(f"{name} {shorten(text)}: give a number above 0, or one of single languages, like fr=100")
        if language and language not in languages:
            raise InputError(
                f"{name} {shorten(text)}: {shorten(language)} is none of the languages to train on, "
                + " ".join(languages)
            )
        if language in sizes and language:
            raise InputError(f"{name} names one twice: {shorten(' '.join(texts))}")
        sizes[language] = int(number)
    if "" not in sizes:
        return sizes or None
    if len(texts) > 1:
        how = "a number cuts all languages joined; give one, or sizes like fr=100"
        raise InputError(f"{name} {shorten(' '.join(texts))}: {how}")
    return sizes[""]


@dataclass(frozen=True)
class StreamOptions:
    """streaming"""

    stream_buffer: int | None = option(
        None,
        "stream the training sentences, for data that is larger than the disk: a file of them after the other is "
        "fetched, read and deleted, and the next N sentences are shuffled; needs --max-steps",
        metavar="N",
    )
    stream_shares: tuple[str, ...] = option(
        (), "sentences of each language in a buffer, in proportion: de=3 fr=1 (alike)", metavar="LANG=X"
    )


@dataclass(frozen=True)
class TeacherOptions:
    """unlabelled text"""

    unlabelled: tuple[str, ...] = option(
        (),
        "train on a teacher's tag probabilities of this text, too: files that `ner tag` reads (fr.txt, it.jsonl, "
        "fr=news.txt), or languages of --data, whose training sentences outside --sample are taken without tags",
        metavar="FILE|LANG",
    )
    teacher: tuple[str, ...] = option(
        (), "runs, model folders or Hub names of taggers with the tags of --data; the mean of several", metavar="RUN"
    )
    certainty_power: float = option(
        1.0, "a word of unlabelled text counts by the teacher's highest probability to this power", metavar="X"
    )
    augment_unlabelled: tuple[str, ...] = option(
        (), "copies of unlabelled sentences, as of --augment, with the teacher's targets", metavar="WHAT"
    )


def parse_shares(texts: Sequence[str], languages: Sequence[str]) -> dict[str, float]:
    """`("de=3", "fr=1")` -> {"de": 3, "fr": 1}; without any, 1 of each language. Raises InputError."""
    shares: dict[str, float] = {}
    for text in texts:
        language, _, number = text.partition("=")
        try:
            share = float(number)
        except ValueError:
            share = -1
        if not 0 < share < float("inf"):
            raise InputError(f"--stream-shares {shorten(text)}: give a language and a number above 0, like de=3")
        if language in shares:
            raise InputError(f"--stream-shares names one twice: {shorten(' '.join(texts))}")
        shares[language] = share
    if shares and set(shares) != set(languages):
        raise InputError(
            f"--stream-shares {shorten(' '.join(texts))}: give one for each language to train on, {' '.join(languages)}"
        )
    return shares or dict.fromkeys(languages, 1.0)


def parse_fold(text: str | None) -> tuple[int, int] | None:
    """`2/5` -> (2, 5), None -> None. Raises InputError for anything else."""
    if text is None:
        return None
    number, _, count = text.partition("/")
    numbers = [int(part) for part in (number, count) if part.isdecimal() and len(part) < 4]
    if len(numbers) != 2 or not 1 <= numbers[0] <= numbers[1] or not 2 <= numbers[1] <= MOST_FOLDS:
        raise InputError(f"`fold` {shorten(text)}: give I/K, like 2/5, with K from 2 to {MOST_FOLDS}")
    return numbers[0], numbers[1]
