"""Shows how the tokenizers of encoders split a text, one below the other.

    ner tokens --model xlm-roberta-base bert-base-multilingual-cased --text "Jack Sparrow loves New York!"

A table of the sub-tokens, the word that each belongs to, and whether it is labelled in training.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from datasets import ClassLabel, Dataset, Features, Value
from datasets import List as ListOf
from transformers import PreTrainedTokenizerBase

from ner.arguments import command, echo, exit_on_input_error, not_given, option, parse
from ner.data.arrow_store import TAGS, WORDS
from ner.data.words import split_words
from ner.errors import InputError
from ner.inputs.encoding import IGNORED, encode
from ner.modeling.pretrained import load_tokenizer
from ner.tags import OUTSIDE, TagSet
from ner.utils import table


@dataclass(frozen=True)
class TokensOptions:
    """tokens"""

    model: tuple[str, ...] = option((), "encoders: Hub names or local folders", metavar="NAME")
    text: str = option("", "text to split", metavar="TEXT")
    label_tokens: Literal["first", "all"] = option("first", "as in train.py")


@dataclass(frozen=True)
class TokensConfig(TokensOptions):
    """Everything that decides what `ner tokens` shows."""

    def __post_init__(self) -> None:
        if problems := not_given(self, "model", "text"):
            raise InputError("\n".join(problems))


def show(tokenizer: PreTrainedTokenizerBase, text: str, label_tokens: Literal["first", "all"]) -> str:
    """A table of the text's sub-tokens, the word that each belongs to, and whether it is labelled in training.

    Words are split as those of annotated text (`ner.data.words`). Raises InputError for a text without words, and as
    `encode` does.
    """
    words = split_words(text)
    if not words:
        raise InputError(f"--text {text!r} has no words")
    tags = TagSet((OUTSIDE,))
    features = Features({WORDS: ListOf(Value("string")), TAGS: ListOf(ClassLabel(names=list(tags.names)))})
    sentence = Dataset.from_dict({WORDS: [words], TAGS: [[tags.outside] * len(words)]}, features)
    encoded = encode(sentence, tokenizer, tags, max_length=10**6, label_tokens=label_tokens)
    word_ids = tokenizer(words, is_split_into_words=True, max_length=10**6, truncation=True).word_ids()
    pieces = tokenizer.convert_ids_to_tokens(encoded.input_ids.tolist())
    return table(
        ["sub-token", *pieces],
        [
            ["word", *("" if word is None else f"{word} {words[word]}" for word in word_ids)],
            ["label", *("" if label == IGNORED else "yes" for label in encoded.labels.tolist())],
        ],
    )


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """The command `ner tokens`."""
    with exit_on_input_error():
        config = parse(TokensConfig, arguments, __doc__)
        tables = [show(load_tokenizer(name), config.text, config.label_tokens) for name in config.model]
    for name, text in zip(config.model, tables, strict=True):
        echo(f"{name}\n\n{text}\n")
