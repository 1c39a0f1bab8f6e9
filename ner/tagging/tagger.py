"""Text -> entities: a trained token classifier as a function.

tagger = Tagger.from_pretrained("runs/all")
for entity in tagger("Jeff Dean ist ein Informatiker bei Google in Kalifornien"):
print(entity.type, entity.text, entity.score)
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ner.data.tag_schemes import ParsedLabels, SchemeConverter, collected_tags
from ner.evaluation.inference import Alone, predict
from ner.inputs.collators import Collator, choose_collator
from ner.modeling.calibration import UNCHANGED, Calibration, calibration_of
from ner.modeling.cpu_kernels import use_cpu_kernels
from ner.modeling.model import max_positions
from ner.modeling.pretrained import load_config, load_token_classifier, load_tokenizer
from ner.runtime import best_precision, choose_attention
from ner.tagging.assembly import TaggedWords, results
from ner.tagging.document import Entity, TaggedText
from ner.tagging.splitting import Segmented, chunks, segmented
from ner.tagging.windows import Windows, chosen, encode_windows
from ner.tags import OUTSIDE, TagSet, first_words, labels_of
from ner.training.run_folder import find_encoder
from ner.utils import ahead, offsets_of

PROBE = (
    "Jeff Dean ist ein Informatiker bei Google in Kalifornien",
    "La Banque nationale suisse a son siège à Berne et à Zurich .",
    "Il Museo egizio",
    "Anna Keller plays for FC Basel",
)


@dataclass(frozen=True)
class Tagger:
    """A token classifier and what it takes to run it. Made by `from_pretrained`.

    Called with texts, it returns their entities; `tag` yields words, tags and scores too.

    Attributes:
        model: The token classifier, in evaluation mode.
        tokenizer: Its fast tokenizer.
        collator: Packed batches where a probe finds the same logits, else padded ones.
        device: Where it computes.
        precision: Of the computation: no, fp16 or bf16.
        labels: The model's own labels, by id, of any tag scheme.
        max_length: Longest window in sub-tokens.
        max_tokens: Positions computed at once.
        words: How a text is taken apart: edges, punctuation or spaces.
        score: Score of an entity: mean or min.
        probabilities: Whether the probability of every label is kept, for every word.
        min_score: Entities of a lower score are left out.
        calibration: Of scores, as `ner calibrate` fitted it; no tag depends on it.
    """

    model: nn.Module
    tokenizer: PreTrainedTokenizerBase
    collator: Collator
    device: torch.device
    precision: str
    labels: tuple[str, ...]
    max_length: int
    max_tokens: int
    words: Literal["edges", "punctuation", "spaces"]
    score: Literal["mean", "min"]
    probabilities: bool = False
    min_score: float = 0.0
    calibration: Calibration = UNCHANGED

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        checkpoint: Literal["best", "last", "average"] = "best",
        device: str | torch.device | None = None,
        precision: Literal["auto", "no", "fp16", "bf16"] = "auto",
        words: Literal["edges", "punctuation", "spaces"] = "edges",
        score: Literal["mean", "min"] = "mean",
        max_length: int = 128,
        max_tokens: int = 8192,
        probabilities: bool = False,
        min_score: float = 0.0,
    ) -> "Tagger":
        """The tagger of a run of train.py, a model folder, or a Hub name of any token classifier.

        Args:
            name: Run folder, model folder or Hub name.
            checkpoint: Which model of a run folder: the best one on validation, or the last.
            device: None for a GPU if there is one, else the CPU.
            precision: Of the computation, the weights stay fp32. `auto` is the fastest that the hardware computes
                natively, or what ACCELERATE_MIXED_PRECISION names.
            words: How a text is taken apart: `edges`, in sentences, and in words at white space and between a word and
                the marks at its ends; `punctuation`, the same at every mark, as annotated text is read for training;
                `spaces`, one sentence, in words at blanks, tabs and line breaks, for text that is split already. A list
                of words is one sentence, too.
            score: Of an entity, mean or lowest probability of its words.
            max_length: Longest window in sub-tokens; a longer sentence becomes windows that overlap. The limits of the
                training and of the encoder count, too.
            max_tokens: Positions computed at once, which bounds memory.
            probabilities: Keep the probability of every label, for every word: `TaggedText.probabilities`.
            min_score: Leave out entities of a lower score; their words are O then.

        Returns:
            The tagger, its model on the device and in evaluation mode.

        Raises:
            InputError: For a name without a model, a model that cannot be loaded, and as `of_model`.
        """
        source, trained = find_encoder(str(name), checkpoint)
        labels = labels_of(load_config(source, "model"), source)
        tokenizer = load_tokenizer(source)
        return cls.of_model(
            load_token_classifier(source),
            tokenizer,
            labels,
            device=device,
            precision=precision,
            words=words,
            score=score,
            max_length=min(max_length, trained.max_length or max_length) if trained else max_length,
            max_tokens=max_tokens,
            probabilities=probabilities,
            min_score=min_score,
        )

    @classmethod
    def of_model(
        cls,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        labels: tuple[str, ...],
        *,
        device: str | torch.device | None = None,
        precision: Literal["auto", "no", "fp16", "bf16"] = "auto",
        words: Literal["edges", "punctuation", "spaces"] = "edges",
        score: Literal["mean", "min"] = "mean",
        max_length: int = 128,
        max_tokens: int = 8192,
        probabilities: bool = False,
        min_score: float = 0.0,
    ) -> "Tagger":
        """The tagger of a token classifier in memory.

        Args:
            model: The token classifier, which is put on the device and into evaluation mode.
            tokenizer: Its tokenizer.
            labels: Its labels, by id.
            device: As of `from_pretrained`, as are the others.
            precision: Of the computation.
            words: How a text is taken apart.
            score: Of an entity.
            max_length: Longest window in sub-tokens, within the encoder's limit.
            max_tokens: Positions computed at once.
            probabilities: Keep the probability of every label.
            min_score: Leave out entities of a lower score.

        Returns:
            The tagger.

        Raises:
            InputError: For a tokenizer that does not align words, and `score` min where means are calibrated.
        """
        longest = min(max_length, max_positions(model, tokenizer))
        where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        model.eval().to(where)
        choose_attention(where)
        if where.type == "cpu":
            use_cpu_kernels(model)
        windows = encode_windows([text.split() for text in PROBE], tokenizer, longest).encoded
        collator, _ = choose_collator(model, [windows[i] for i in range(len(windows))], "auto", row_length=64)
        return cls(
            model=model,
            tokenizer=tokenizer,
            collator=collator,
            device=where,
            precision=best_precision(where.type) if precision == "auto" else precision,
            labels=labels,
            max_length=longest,
            max_tokens=max_tokens,
            words=words,
            score=score,
            probabilities=probabilities,
            min_score=min_score,
            calibration=calibration_of(model.config, model.name_or_path, score),
        )

    @overload
    def __call__(self, texts: str) -> list[Entity]: ...  # type: ignore[overload-overlap]  # a str is a Sequence[str]
    @overload
    def __call__(self, texts: Sequence[str] | Sequence[Sequence[str]]) -> list[list[Entity]]: ...
    def __call__(self, texts: str | Sequence[str] | Sequence[Sequence[str]]) -> list[Entity] | list[list[Entity]]:
        """The entities of a text, or of each text in order. A text may be a list of words, joined by blanks then.

        Args:
            texts: A text, a list of texts, or a list of lists of words. A list of str is a list of texts.

        Returns:
            The entities of the one text, or a list of entities for each text.

        Raises:
            TypeError: For what is neither a text nor a list of words.
            UnicodeEncodeError: For half a surrogate pair; it is a ValueError.
        """
        if isinstance(texts, str):
            return next(self.tag([texts])).entities
        return [tagged.entities for tagged in self.tag(texts)]

    def tag(self, texts: Iterable[str | Sequence[str]]) -> Iterator[TaggedText]:
        """Each text with its words, tags and entities, in order. Takes and gives a part at a time: any number of texts.

        Args:
            texts: Texts. A text may be a list of words, joined by blanks then.

        Yields:
            One result for each text, in order.

        Raises:
            TypeError: For what is neither a text nor a list of words.
            UnicodeEncodeError: For half a surrogate pair; it is a ValueError.
            InputError: If a window alone has more than max_tokens positions.
        """
        for whole, windows in ahead(self.read, chunks(texts)):
            yield from self.tagged(whole, windows)

    def read(self, texts: Sequence[str | Sequence[str]]) -> tuple[list[Segmented], Windows]:
        """Texts in sentences and words, and the windows that the model reads.

        Args:
            texts: Texts, or lists of words.

        Returns:
            The parts and windows that `tagged` takes.
        """
        parts = [segmented(text, self.words) for text in texts]
        sentences = [
            [text[start:end] for start, end in words[first:last]]
            for text, words, starts in parts
            for first, last in pairwise([*starts, len(words)])
        ]
        return parts, encode_windows(sentences, self.tokenizer, self.max_length)

    def tagged(self, parts: Sequence[Segmented], windows: Windows) -> Iterator[TaggedText]:
        """What the model says of texts that were read.

        Args:
            parts: The texts in sentences and words.
            windows: Their windows; both are what `read` returns.

        Yields:
            One result for each text, in order.
        """
        half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.precision)
        with torch.autocast(self.device.type, half, enabled=half is not None):
            predictions = predict(
                self.model,
                windows.encoded,
                self.collator,
                Alone(self.device, mixed_precision=self.precision),
                outside=0,
                max_tokens=self.max_tokens,
                num_tags=len(self.labels) if self.probabilities else 0,
                temperature=self.calibration.temperature,
            )
        in_window, _ = self.converter(predictions.tags, first_words(windows.encoded.word_offsets))
        keep = chosen(windows, goes_on=~self.tags.begins[in_window] & (in_window != self.tags.outside))

        offsets = offsets_of([len(part.words) for part in parts])
        num_words = offsets[-1]
        starts = [offset + start for part, offset in zip(parts, offsets, strict=False) for start in part.starts]
        first = np.array(starts, dtype=np.int64)
        word = (np.repeat(first[windows.sentence], np.diff(windows.encoded.word_offsets)) + windows.word)[keep]
        labels, p = np.full(num_words, self.names.index(OUTSIDE)), np.full(num_words, np.nan, np.float32)
        labels[word], p[word] = predictions.tags[keep], predictions.p_predicted[keep]
        distributions = np.full((num_words, predictions.probabilities.shape[1]), np.nan, np.float32)
        distributions[word] = predictions.probabilities[keep]
        is_first = first_words(np.append(first, num_words))
        ids, _ = self.converter(labels, is_first)
        tagged = TaggedWords(ids, is_first, p, self.labels if self.probabilities else (), distributions)
        yield from results(parts, tagged, self.tags, self.score, self.calibration, self.min_score)

    def fingerprint(self) -> str:
        """A hash of all that what it says depends on.

        Returns:
            SHA-256 in hexadecimal, of weights, tokenizer and settings.
        """
        settings: tuple[Any, ...] = (self.labels, self.precision, self.max_length, self.words, self.score)
        settings += ("probabilities",) if self.probabilities else ()
        changed = (self.calibration, self.min_score)
        settings += changed if changed != (UNCHANGED, 0.0) else ()
        whole = hashlib.sha256(repr((settings, self.tokenizer.backend_tokenizer.to_str())).encode())
        for weights in self.model.state_dict().values():
            whole.update(weights.cpu().contiguous().view(torch.uint8).numpy().data)
        return whole.hexdigest()

    def __getstate__(self) -> dict[str, Any]:
        """Its fields, and nothing that was computed of them since: equal taggers are pickled, and hashed, alike."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The model's labels, with O behind them if it is none of them."""
        return self.labels if OUTSIDE in self.labels else (*self.labels, OUTSIDE)

    @cached_property
    def tags(self) -> TagSet:
        """The IOB2 tags that its labels become."""
        return collected_tags(self.parts, self.names, {})

    @cached_property
    def parts(self) -> ParsedLabels:
        """Its labels, taken apart; one without a prefix is a plain type even among others that have one."""
        return replace(ParsedLabels.of(self.names), malformed=frozenset())

    @cached_property
    def converter(self) -> SchemeConverter:
        """Its labels -> IOB2, by the rules of `ner.data.tag_schemes`."""
        return SchemeConverter(self.parts, {}, self.tags)
