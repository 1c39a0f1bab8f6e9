"""What a tokenizer does with a text or a sentence, in the order of its stages, and with the labels of training."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from datasets import ClassLabel, Dataset, Features, Value
from datasets import List as ListOf
from transformers import PreTrainedTokenizerBase

from ner.data.arrow_store import TAGS, WORDS
from ner.data.words import split_words
from ner.errors import InputError, shorten
from ner.inputs.encoding import WHOLE, check_alignment, encode, tokenized
from ner.tags import OUTSIDE, TagSet


class SubToken(NamedTuple):
    """A sub-token of a sentence of words. word: its number, None for special tokens; label: id of a tag, or -100."""

    piece: str
    id: int
    word: int | None
    label: int


class RawSubToken(NamedTuple):
    """A sub-token of a text. start, end: its characters, None for special tokens and where it is not known."""

    piece: str
    id: int
    start: int | None
    end: int | None


@dataclass(frozen=True)
class Stage:
    """What a stage of a tokenizer makes of a text.

    Attributes:
        name: normaliser, pre-tokenizer, model or post-processor.
        kind: Its class, with those that it is composed of; None for a tokenizer without this stage.
        result: The text, in the parts that it is in behind this stage.
    """

    name: str
    kind: str | None
    result: tuple[str, ...]


def check_text(text: str) -> None:
    """Raises InputError for halves of surrogate pairs: bytes of a command line that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"`text` {shorten(text)} is not Unicode: give it in UTF-8") from error


def untagged(text: str) -> Dataset:
    """The words of a text as a sentence whose tags are all O.

    Args:
        text: Text, split into words as annotated text is.

    Returns:
        A dataset of one row, with `tokens` and `ner_tags`.

    Raises:
        InputError: For a text without words, or that is not Unicode.
    """
    check_text(text)
    words = split_words(text)
    if not words:
        raise InputError(f"`text` {shorten(text)} has no words")
    return untagged_rows([words])


def untagged_rows(sentences: Sequence[list[str]]) -> Dataset:
    """Sentences of words whose tags are all O.

    Args:
        sentences: The words of each.

    Returns:
        A dataset with `tokens` and `ner_tags`.
    """
    features = Features({WORDS: ListOf(Value("string")), TAGS: ListOf(ClassLabel(names=[OUTSIDE]))})
    return Dataset.from_dict({WORDS: list(sentences), TAGS: [[0] * len(words) for words in sentences]}, features)


def labelled_windows(
    sentence: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    tags: TagSet,
    *,
    max_length: int = WHOLE,
    label_tokens: Literal["first", "all"] = "first",
) -> list[list[SubToken]]:
    """The windows of a sentence as training reads them.

    Args:
        sentence: A dataset of one row.
        tokenizer: A fast tokenizer, made by `load_tokenizer`.
        tags: The tags that labels are ids of.
        max_length: Longest window in sub-tokens, special tokens included.
        label_tokens: As of `encode`.

    Returns:
        The sub-tokens of each window. The label is -100 where there is none: at special tokens, at further sub-tokens
        of a word, and at words that another window has with more context.

    Raises:
        InputError: As `encode` does.
    """
    encoded = encode(sentence, tokenizer, tags, max_length=max_length, label_tokens=label_tokens)
    _, local, _, _ = tokenized([sentence[WORDS][:]], tokenizer, max_length)
    pieces = tokenizer.convert_ids_to_tokens(encoded.input_ids.tolist())
    words = [None if np.isnan(word) else int(word) for word in local]
    rows = [*map(SubToken, pieces, encoded.input_ids.tolist(), words, encoded.labels.tolist())]
    return [rows[start:end] for start, end in zip(encoded.offsets[:-1], encoded.offsets[1:], strict=True)]


def raw_sub_tokens(text: str, tokenizer: PreTrainedTokenizerBase) -> list[RawSubToken]:
    """The sub-tokens of a text that is given to the tokenizer whole, not word by word, with special tokens.

    Args:
        text: Any text.
        tokenizer: A tokenizer of transformers; of a slow one, the characters are not known.

    Returns:
        The sub-tokens in their order.

    Raises:
        InputError: For a text that is not Unicode.
    """
    check_text(text)
    if not tokenizer.is_fast:
        ids = tokenizer(text, verbose=False)["input_ids"]
        return [RawSubToken(piece, i, None, None) for piece, i in zip(pieces_of(ids, tokenizer), ids, strict=True)]
    encoding = plain_backend(tokenizer).encode(text)
    return [
        RawSubToken(piece, i, *((None, None) if is_special else span))
        for piece, i, is_special, span in zip(
            encoding.tokens, encoding.ids, encoding.special_tokens_mask, encoding.offsets, strict=True
        )
    ]


def pieces_of(ids: list[int], tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The pieces of these ids."""
    return [str(piece) for piece in tokenizer.convert_ids_to_tokens(ids)]


def decoded(text: str, tokenizer: PreTrainedTokenizerBase) -> str:
    """The text that the tokenizer makes of the sub-tokens of a text, special tokens left out.

    Args:
        text: Any text.
        tokenizer: A tokenizer of transformers.

    Returns:
        The text again, or what normalisation and unknown pieces left of it.
    """
    ids = [token.id for token in raw_sub_tokens(text, tokenizer)]
    return str(tokenizer.decode(ids, skip_special_tokens=True))


def stages(text: str, tokenizer: PreTrainedTokenizerBase) -> list[Stage]:
    """The four stages of a fast tokenizer: normaliser, pre-tokenizer, model, post-processor.

    Args:
        text: Any text. Added tokens in it (`added_tokens`) are cut out before the first stage.
        tokenizer: A fast tokenizer.

    Returns:
        What each stage makes of what the one before has left.

    Raises:
        InputError: For a slow tokenizer, which has no stages, and for a text that is not Unicode.
    """
    check_text(text)
    check_alignment(tokenizer)
    backend = plain_backend(tokenizer)
    plain = backend.normalizer.normalize_str(text) if backend.normalizer else text
    parts = [part for part, _ in backend.pre_tokenizer.pre_tokenize_str(plain)] if backend.pre_tokenizer else [plain]
    return [
        Stage("normaliser", kind_of(backend.normalizer), (plain,)),
        Stage("pre-tokenizer", kind_of(backend.pre_tokenizer), tuple(parts)),
        Stage("model", type(backend.model).__name__, tuple(backend.encode(text, add_special_tokens=False).tokens)),
        Stage("post-processor", kind_of(backend.post_processor), tuple(backend.encode(text).tokens)),
    ]


def added_tokens(text: str, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The special and other added tokens that stand in a text, and are not split.

    Args:
        text: Any text.
        tokenizer: A tokenizer of transformers.

    Returns:
        Each of them once, in the order of their ids.
    """
    return [token.content for _, token in sorted(tokenizer.added_tokens_decoder.items()) if token.content in text]


def template(tokenizer: PreTrainedTokenizerBase) -> tuple[str, ...]:
    """The special tokens around a text, and `$A` in its place: `("<s>", "$A", "</s>")`.

    Args:
        tokenizer: A fast tokenizer.

    Returns:
        What the post-processor makes.
    """
    backend = plain_backend(tokenizer)
    inner, whole = backend.encode("a", add_special_tokens=False), backend.encode("a")
    places = range(len(whole.ids) - len(inner.ids) + 1)
    before = next(i for i in places if whole.ids[i : i + len(inner.ids)] == inner.ids)
    return (*whole.tokens[:before], "$A", *whole.tokens[before + len(inner.ids) :])


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> list[tuple[str, str, int]]:
    """The special tokens of a tokenizer.

    Args:
        tokenizer: A tokenizer of transformers.

    Returns:
        The role of each (`cls_token` and the like, `extra` for others), the token, and its id.
    """
    by_role = [(role, token) for role, token in tokenizer.special_tokens_map.items() if isinstance(token, str)]
    named = {token for _, token in by_role}
    by_role += [("extra", token) for token in tokenizer.all_special_tokens if token not in named]
    return [(role, token, int(tokenizer.convert_tokens_to_ids(token))) for role, token in by_role]  # type: ignore[arg-type]


def longest_input(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The longest input that a tokenizer says its model takes.

    Args:
        tokenizer: A tokenizer of transformers.

    Returns:
        Sub-tokens, special tokens included; None for a tokenizer that knows no limit.
    """
    return int(tokenizer.model_max_length) if tokenizer.model_max_length < WHOLE else None


def plain_backend(tokenizer: PreTrainedTokenizerBase) -> Any:
    """The tokenizer behind transformers' own, set up as that does it, without truncation and padding."""
    backend = tokenizer.backend_tokenizer
    backend.encode_special_tokens = tokenizer.split_special_tokens
    backend.no_truncation()
    backend.no_padding()
    return backend


def kind_of(component: Any) -> str | None:
    """The class of a stage, with those that a sequence is composed of: `Sequence(NFKC, Replace)`."""
    if component is None:
        return None
    name = type(component).__name__
    state = json.loads(component.__getstate__())
    parts: list[dict[str, Any]] = next(
        (state[key] for key in ("normalizers", "pretokenizers", "processors") if key in state), []
    )
    return f"{name}({', '.join(part['type'] for part in parts)})" if parts else name
