"""Shows how the tokenizers of encoders split a text, one below the other.

    ner tokens --model xlm-roberta-base bert-base-multilingual-cased --text "Jack Sparrow loves New York!"
    ner tokens --model xlm-roberta-base --text "Jack Sparrow loves New York!" --show text stages tokenizer
    ner tokens --model xlm-roberta-base --data data/panx --language de --sentence 7
    ner tokens --model xlm-roberta-base --text "Jack Sparrow loves New York!" --tag

words: a table of the sub-tokens of words, the word that each belongs to, and whether it is labelled in training; of a
sentence of a data set with tags, and with labels as training has them (-100: ignored). text: what the tokenizer makes
of the text by itself, beside the words that ner splits it into, and the way back. stages: normaliser, pre-tokenizer,
model and post-processor. tokenizer: its vocabulary, its limit and its special tokens. --tag: what the encoder with an
untrained head says of the words, as at the first step of a training.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from datasets import Dataset, disable_progress_bars
from transformers import PreTrainedTokenizerBase

from ner.arguments import command, echo, exit_on_input_error, flag, not_given, option, parse
from ner.config import ReadingOptions
from ner.data.arrow_store import TAGS, WORDS, tag_set
from ner.data.corpus import Source, load_corpus
from ner.data.summary import sentence_at
from ner.data.words import split_offsets
from ner.errors import InputError
from ner.inputs import inspection
from ner.inputs.encoding import IGNORED, WHOLE
from ner.modeling.model import load_max_positions
from ner.modeling.pretrained import load_tokenizer
from ner.tags import TagSet
from ner.utils import table

SLOW = "no fast tokenizer: it has no stages, and does not say which characters or word a sub-token belongs to"
TRAIN = "train"
BETWEEN = " · "  # parts of a text


@dataclass(frozen=True)
class TokensOptions:
    """tokens"""

    model: tuple[str, ...] = option((), "encoders: Hub names or local folders", metavar="NAME")
    text: str = option("", "text to split", metavar="TEXT")
    show: tuple[Literal["words", "text", "stages", "tokenizer", "all"], ...] = option(
        ("words",), "sub-tokens of the words, or of the text by itself; stages; facts of the tokenizer; all of it"
    )
    label_tokens: Literal["first", "all"] = option("first", "as in train.py")
    tag: bool = option(
        False, "also tag the words with an untrained head, of the tags of --data, of --tags, or else PER, ORG and LOC"
    )


@dataclass(frozen=True)
class SentenceOptions:
    """a sentence of a data set in the place of --text"""

    data: str = option("", "as in train.py", metavar="NAME")
    language: str | None = option(None, "its language", metavar="LANG")
    split: str | None = option(None, "its split (train)", metavar="SPLIT")
    sentence: int | None = option(None, "its number, from 0 (0)", metavar="N")


@dataclass(frozen=True)
class TokensConfig(TokensOptions, SentenceOptions, ReadingOptions):
    """Everything that decides what `ner tokens` shows."""

    sample: tuple[str, ...] = option(("all",), "as in train.py", metavar="SHARE")

    def __post_init__(self) -> None:
        problems = not_given(self, "model")
        if not self.text and not self.data:
            problems.append("--text is needed, or --data with --language")
        if self.text and self.data:
            problems.append("--text and --data: give one of them")
        if self.data:
            problems += not_given(self, "language")
        else:
            of_data = [name for name in ("language", "split", "sentence") if getattr(self, name) is not None]
            problems += [f"{flag(name)} needs --data" for name in of_data]
        if problems:
            raise InputError("\n".join(problems))

    @property
    def views(self) -> Sequence[str]:
        """What to show, in order."""
        return tuple(VIEWS) if "all" in self.show else tuple(dict.fromkeys(self.show))


@dataclass(frozen=True)
class Shown:
    """What is shown of a tokenizer. sentence: of a data set, None for a text of the user's."""

    name: str
    tokenizer: PreTrainedTokenizerBase
    text: str
    sentence: Dataset | None
    label_tokens: Literal["first", "all"]

    @cached_property
    def limit(self) -> int:
        """The longest input of the encoder, in sub-tokens. Raises InputError for a broken config."""
        return load_max_positions(self.name, self.tokenizer)


def words_view(shown: Shown) -> str:
    """Sub-tokens of words and their labels; of a sentence of a data set, a table for each window."""
    if shown.sentence is not None:
        return labelled_view(shown, shown.sentence)
    sentence = inspection.untagged(shown.text)
    words = sentence[0][WORDS]
    (tokens,) = inspection.labelled_windows(
        sentence, shown.tokenizer, tag_set(sentence), label_tokens=shown.label_tokens
    )
    return table(
        ["sub-token", *(token.piece for token in tokens)],
        [
            ["word", *("" if token.word is None else f"{token.word} {words[token.word]}" for token in tokens)],
            ["label", *("" if token.label == IGNORED else "yes" for token in tokens)],
        ],
    )


def labelled_view(shown: Shown, sentence: Dataset) -> str:
    """Words, tags, sub-tokens and labels of a sentence, a line for each sub-token."""
    tags = tag_set(sentence)
    row = sentence[0]
    windows = inspection.labelled_windows(
        sentence, shown.tokenizer, tags, max_length=min(shown.limit, WHOLE), label_tokens=shown.label_tokens
    )
    parts = []
    for number, tokens in enumerate(windows, 1):
        lines = []
        for piece, token_id, word, label in tokens:
            place = ["", ""] if word is None else [f"{word} {row[WORDS][word]}", tags.names[row[TAGS][word]]]
            lines.append([*place, piece, str(token_id), str(label), "" if label == IGNORED else tags.names[label]])
        title = f"Window {number} of {len(windows)}\n\n" if len(windows) > 1 else ""
        names = ["word", "tag", "sub-token", "id", "label id", "label"]
        parts.append(title + table(names, lines, right=[name in ("id", "label id") for name in names]))
    return "\n\n".join(parts)


def text_view(shown: Shown) -> str:
    """The text as the tokenizer splits it, beside the words of ner, and the way back to text."""
    tokens = inspection.raw_sub_tokens(shown.text, shown.tokenizer)
    words = [(i, start, end) for i, (start, end) in enumerate(split_offsets(shown.text))]
    lines = []
    for piece, token_id, start, end in tokens:
        characters = "" if start is None or end is None else shown.text[start:end]
        inside = [
            f"{i} {shown.text[first:last]}"
            for i, first, last in words
            if start is not None and end is not None and first < end and start < last
        ]
        lines.append([piece, str(token_id), characters, ", ".join(inside)])
    back = inspection.decoded(shown.text, shown.tokenizer)
    return "\n\n".join(
        [
            table(["sub-token", "id", "characters", "words of ner"], lines, right=[False, True, False, False]),
            f"text:    {shown.text!r}\ndecoded: {back!r}\nequal:   {'yes' if back == shown.text else 'no'}",
        ]
    )


def stages_view(shown: Shown) -> str:
    """What each stage makes of the text."""
    lines = []
    for stage in inspection.stages(shown.text, shown.tokenizer):
        kind = stage.kind or "none: the text goes through as it is"
        lines.append([stage.name, kind, BETWEEN.join(stage.result)])
    parts = [table(["stage", "class", "result"], lines), f"template: {' '.join(inspection.template(shown.tokenizer))}"]
    if added := inspection.added_tokens(shown.text, shown.tokenizer):
        parts.append(f"note: the text holds {', '.join(added)}, cut out before the first stage as it is")
    return "\n\n".join(parts)


def tokenizer_view(shown: Shown) -> str:
    """Vocabulary, limits, special tokens."""
    longest = inspection.longest_input(shown.tokenizer)
    special = shown.tokenizer.num_special_tokens_to_add()
    limit = "no limit" if shown.limit >= WHOLE else f"{shown.limit:,} sub-tokens"
    facts = [
        ["class", type(shown.tokenizer).__name__],
        ["fast", "yes" if shown.tokenizer.is_fast else "no"],
        ["vocabulary", f"{len(shown.tokenizer):,} pieces, added tokens included"],
        ["longest input, as the tokenizer says", "no limit" if longest is None else f"{longest:,} sub-tokens"],
        ["longest input of the encoder", f"{limit}, {special} of them special"],
    ]
    special_tokens = [[role, piece, str(i)] for role, piece, i in inspection.special_tokens(shown.tokenizer)]
    roles = table(["special token", "piece", "id"], special_tokens, right=[False, False, True])
    return f"{table(['tokenizer', ''], facts)}\n\n{roles}"


def untrained_view(shown: Shown, tags: TagSet) -> str:
    """The probabilities that an untrained head gives the tags of each word, and how far they are from chance."""
    from ner.tagging.rendering import word_table
    from ner.tagging.untrained import untrained_tagger
    from ner.tagging.windows import sub_tokens

    tagger = untrained_tagger(shown.name, tags, device="cpu", precision="no", probabilities=True)
    (tagged,) = tagger.tag([shown.text if shown.sentence is None else shown.sentence[0][WORDS]])
    p = tagged.probabilities[~np.isnan(tagged.scores)]
    entropy = float(-(p * np.log(np.maximum(p, 1e-30))).sum(axis=-1).mean()) if len(p) else 0.0
    words = [tagged.text[start:end] for start, end in tagged.words]
    width = shutil.get_terminal_size().columns
    return "\n\n".join(
        [
            f"Untrained head: a probability for each of {len(words)} words and {len(tags)} tags; mean entropy "
            f"{entropy:.3f} nats, of {np.log(len(tags)):.3f} where all tags are alike",
            word_table(tagged, sub_tokens(words, shown.tokenizer), width),
        ]
    )


def tags_of(config: TokensConfig, sentence: Dataset | None) -> TagSet:
    """The tags of an untrained head. Raises InputError."""
    if sentence is not None:
        return tag_set(sentence)
    return TagSet(config.tags) if config.tags else TagSet.collect(f"B-{type_}" for type_ in ("PER", "ORG", "LOC"))


VIEWS: dict[str, Callable[[Shown], str]] = {
    "words": words_view,
    "text": text_view,
    "stages": stages_view,
    "tokenizer": tokenizer_view,
}
NEED_FAST = ("words", "stages")


def section(shown: Shown, views: Sequence[str]) -> str:
    """All views of a tokenizer. Raises InputError if it has none of those that are asked for, and as they do."""
    is_fast = shown.tokenizer.is_fast
    if not is_fast and set(views) <= set(NEED_FAST):
        raise InputError(f"{shown.name}: {SLOW}; --show text tokenizer shows the rest, and training cannot use it")
    parts = [VIEWS[view](shown) for view in views if is_fast or view not in NEED_FAST]
    return "\n\n".join([shown.name, *parts, *([] if is_fast else [f"note: {SLOW}"])])


def find_sentence(config: TokensConfig) -> Dataset | None:
    """The sentence of the data set that is asked for, None for a text. Raises InputError."""
    if not config.data:
        return None
    language, split = str(config.language), config.split or TRAIN
    corpus = load_corpus(Source.of(config), (language,), (split,))
    return sentence_at(corpus[language][split], config.sentence or 0)


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """The command `ner tokens`."""
    disable_progress_bars()
    with exit_on_input_error():
        config = parse(TokensConfig, arguments, __doc__)
        sentence = find_sentence(config)
        text = config.text if sentence is None else " ".join(sentence[0][WORDS])
        sections = []
        for name in config.model:
            shown = Shown(name, load_tokenizer(name), text, sentence, config.label_tokens)
            sections.append(section(shown, config.views))
            if config.tag:
                sections.append(untrained_view(shown, tags_of(config, sentence)))
    if sentence is not None:
        echo(f"{config.language}, {config.split or TRAIN}, sentence {config.sentence or 0:,}\n")
    for part in sections:
        echo(f"{part}\n")
