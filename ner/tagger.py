"""Text -> entities: a trained token classifier as a function.

    tagger = Tagger.from_pretrained("runs/all")
    for entity in tagger("Jeff Dean ist ein Informatiker bei Google in Kalifornien"):
        print(entity.type, entity.text, entity.score)

`python -m ner.tagger --help` tags files, a terminal's lines, or a sentence.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import Literal, NamedTuple, overload

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from ner.ahead import ahead
from ner.collating import Collator, choose_collator
from ner.commands import TaggerConfig
from ner.encoding import load_tokenizer
from ner.faults import shorten
from ner.inference import Alone, predict
from ner.kernels import use_cpu_kernels
from ner.metrics import entities, first_words
from ner.model import load, max_positions
from ner.options import bad_input_ends_here, parse
from ner.runs import find_model
from ner.runtime import best_precision, start_accelerator
from ner.schemes import Converter, Names, collected_tags
from ner.spans import split_edges, split_offsets, split_spaces
from ner.tagging import print_tagged, tag_file
from ner.tags import OUTSIDE, TagSet
from ner.windows import Windows, chosen, encode_windows

Offsets = list[tuple[int, int]]  # first character and the one behind the last, of each word
CHARACTERS_PER_CHUNK = 100_000  # read at once: enough for full batches, few enough to bound memory
SPLITTERS = {"edges": split_edges, "punctuation": split_offsets, "spaces": split_spaces}
PROBE = (
    "Jeff Dean ist ein Informatiker bei Google in Kalifornien",
    "La Banque nationale suisse a son siège à Berne et à Zurich .",
    "Il Museo egizio",
    "Anna Keller plays for FC Basel",
)


class Entity(NamedTuple):
    """A named entity: whole words. text is that of the characters from start up to end; score is a probability."""

    type: str
    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True)
class Tagged:
    """A text and what the model says of it.

    words: first character and the one behind the last of each; tags: IOB2 names, one for each word;
    scores: float32 [words], probability of the predicted tag, nan for a word without a sub-token, which is O
    """

    text: str
    words: Offsets
    tags: list[str]
    scores: np.ndarray
    entities: list[Entity]


@dataclass(frozen=True)
class Tagger:
    """A token classifier and what it takes to run it. Made by `from_pretrained`.

    labels: the model's own, by id; split: a text's words; score: of an entity, from the probabilities of its words.
    """

    model: nn.Module
    tokenizer: PreTrainedTokenizerBase
    collator: Collator
    device: torch.device
    precision: str
    labels: tuple[str, ...]
    max_length: int
    max_tokens: int
    split: Callable[[str], Offsets]
    score: Literal["mean", "min"]

    @classmethod
    def from_pretrained(
        cls,
        name: str,
        *,
        checkpoint: Literal["best", "last"] = "best",
        device: str | torch.device | None = None,
        precision: Literal["auto", "no", "fp16", "bf16"] = "auto",
        words: Literal["edges", "punctuation", "spaces"] = "edges",
        score: Literal["mean", "min"] = "mean",
        max_tokens: int = 8192,
    ) -> "Tagger":
        """The tagger of a run of train.py, a model folder, or a Hub name of any token classifier.

        device: None for a GPU if there is one, else the CPU; precision: of the computation, the weights stay fp32
        words: what a text is split at: white space, and behind and before the marks at its edges; around every
            punctuation mark, as annotated text is read for training; or blanks alone, for words that are split already
        score: of an entity, mean or lowest probability of its words
        max_tokens: positions computed at once, which bounds memory
        Raises ValueError for a name without a model, and a tokenizer that does not align words.
        """
        source, trained = find_model(str(name), checkpoint)
        tokenizer = load_tokenizer(source)
        model = load(source).eval()
        where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        max_length = min(
            trained.max_length if trained and trained.max_length else 1 << 30, max_positions(model, tokenizer)
        )
        model.to(where)
        if where.type == "cpu":
            use_cpu_kernels(model)
        windows = encode_windows([text.split() for text in PROBE], tokenizer, max_length).encoded
        collator, _ = choose_collator(model, [windows[i] for i in range(len(windows))], "auto", row_length=64)
        labels = tuple(model.config.id2label[i] for i in range(model.config.num_labels))
        chosen_precision = best_precision() if precision == "auto" else precision
        return cls(
            model, tokenizer, collator, where, chosen_precision, labels, max_length, max_tokens, SPLITTERS[words], score
        )  # fmt: skip

    @overload
    def __call__(self, texts: str) -> list[Entity]: ...  # type: ignore[overload-overlap]  # a str is a Sequence[str]
    @overload
    def __call__(self, texts: Sequence[str] | Sequence[Sequence[str]]) -> list[list[Entity]]: ...
    def __call__(self, texts: str | Sequence[str] | Sequence[Sequence[str]]) -> list[Entity] | list[list[Entity]]:
        """The entities of a text, or of each text in order. A text may be a list of words, joined by blanks then."""
        if isinstance(texts, str):
            return next(self.tag([texts])).entities
        return [tagged.entities for tagged in self.tag(texts)]

    def tag(self, texts: Iterable[str | Sequence[str]]) -> Iterator[Tagged]:
        """Each text with its words, tags and entities, in order. Takes and gives a part at a time: any number of texts.

        A text may be a list of words, joined by blanks then. Raises TypeError for anything else, and UnicodeEncodeError
        (a ValueError) for half a surrogate pair.
        """
        for whole, windows in ahead(self.read, chunks(texts)):
            yield from self.tagged(whole, windows)

    def read(self, texts: Sequence[str | Sequence[str]]) -> tuple[list[tuple[str, Offsets]], Windows]:
        """Texts with the offsets of their words, and the windows that the model reads."""
        whole = [(text, self.split(text)) if isinstance(text, str) else join(text) for text in texts]
        words = [[text[start:end] for start, end in offsets] for text, offsets in whole]
        return whole, encode_windows(words, self.tokenizer, self.max_length)

    def tagged(self, whole: Sequence[tuple[str, Offsets]], windows: Windows) -> Iterator[Tagged]:
        """What the model says of texts that were read."""
        encoded = windows.encoded
        half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.precision)
        with torch.autocast(self.device.type, half, enabled=half is not None):
            said = predict(
                self.model, encoded, self.collator, Alone(self.device), outside=0, max_tokens=self.max_tokens
            )  # fmt: skip
        in_window, _ = self.converter(said.tags, first_words(encoded.word_offsets))
        keep = chosen(windows, goes_on=~self.tags.begins[in_window] & (in_window != self.tags.outside))

        text_offsets = np.cumsum([0, *(len(offsets) for _, offsets in whole)])
        text = np.repeat(windows.sentence, np.diff(encoded.word_offsets))
        word = (text_offsets[text] + windows.word)[keep]
        raw = np.full(text_offsets[-1], self.names.index(OUTSIDE))
        raw[word] = said.tags[keep]
        p = np.full(text_offsets[-1], np.nan, np.float32)
        p[word] = said.p_predicted[keep]
        is_first = first_words(text_offsets)
        ids, _ = self.converter(raw, is_first)
        start, end, kind = entities(ids, is_first, self.tags)
        combine = np.add if self.score == "mean" else np.minimum
        edges = np.stack([start, end], axis=1).ravel()
        scores = combine.reduceat(np.append(p, 0), edges)[::2] if len(edges) else p[:0]
        if self.score == "mean":
            scores = scores / (end - start)
        of_text = np.searchsorted(start, text_offsets)
        for i, (own, offsets) in enumerate(whole):
            first = text_offsets[i]
            mine = slice(of_text[i], of_text[i + 1])
            found = []
            for s, e, k, score in zip(start[mine] - first, end[mine] - first, kind[mine], scores[mine], strict=True):
                a, b = offsets[s][0], offsets[e - 1][1]
                found.append(Entity(self.tags.types[k], own[a:b], a, b, float(score)))
            place = slice(first, text_offsets[i + 1])
            yield Tagged(own, offsets, [self.tags.names[tag] for tag in ids[place]], p[place], found)

    def fingerprint(self) -> str:
        """A hash of all that what it says depends on."""
        settings = (self.labels, self.precision, self.max_length, self.split.__name__, self.score)
        whole = hashlib.sha256(repr((settings, self.tokenizer.backend_tokenizer.to_str())).encode())
        for weights in self.model.state_dict().values():
            whole.update(weights.cpu().contiguous().view(torch.uint8).numpy().data)
        return whole.hexdigest()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The model's labels, with O behind them if it is none of them."""
        return self.labels if OUTSIDE in self.labels else (*self.labels, OUTSIDE)

    @cached_property
    def tags(self) -> TagSet:
        """The IOB2 tags that its labels become."""
        return collected_tags(self.parts, self.names, {})

    @cached_property
    def parts(self) -> Names:
        """Its labels, taken apart; one without a prefix is a plain type even among others that have one."""
        return replace(Names.of(self.names), malformed=frozenset())

    @cached_property
    def converter(self) -> Converter:
        """Its labels -> IOB2, by the rules of `ner.schemes`."""
        return Converter(self.parts, {}, self.tags)


def chunks(texts: Iterable[str | Sequence[str]]) -> Iterator[list[str | Sequence[str]]]:
    """The texts in lists of about CHARACTERS_PER_CHUNK."""
    chunk: list[str | Sequence[str]] = []
    size = 0
    for text in texts:
        chunk.append(text)
        size += 1 + (len(text) if isinstance(text, str) else sum(map(len, text)))
        if size >= CHARACTERS_PER_CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def join(words: Sequence[str]) -> tuple[str, Offsets]:
    """Words joined by blanks, and their offsets. Raises TypeError for what is no list of words."""
    if not isinstance(words, Sequence) or not all(isinstance(word, str) for word in words):
        raise TypeError(f"{shorten(words)} is neither a text nor a list of words")
    ends = list(accumulate(len(word) + 1 for word in words))
    return " ".join(words), [(end - 1 - len(word), end - 1) for word, end in zip(words, ends, strict=True)]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line of this module."""
    with bad_input_ends_here():
        config = parse(TaggerConfig, arguments, __doc__)
        accelerator = start_accelerator(config.mixed_precision)
        tagger = Tagger.from_pretrained(
            config.run, checkpoint=config.checkpoint, device=accelerator.device,
            precision=accelerator.mixed_precision, words=config.words, score=config.score, max_tokens=config.max_tokens,
        )  # fmt: skip
        if config.output:
            tag_file(config, tagger, accelerator)
        elif accelerator.is_main_process:
            print_tagged(config, tagger)


if __name__ == "__main__":
    main()
