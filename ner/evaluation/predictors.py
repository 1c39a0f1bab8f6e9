"""Where a run's predictions come from: an encoder, a baseline, a file. Who tests runs need not know which."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from accelerate import Accelerator
from datasets import Dataset
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ner.config import BatchOptions
from ner.data.arrow_store import TAGS, flat_column, tag_set
from ner.evaluation.inference import Predictions, gather, predict
from ner.evaluation.runs import Run, content_key
from ner.evaluation.tested import ANYWHERE, Place, Predictor, Progress, Tested
from ner.inputs.collators import Collator, choose_collator
from ner.inputs.encoding import Encoded
from ner.inputs.encoding_cache import encode_once
from ner.modeling.baselines import Baseline, load_baseline, sentences
from ner.modeling.cpu_kernels import use_cpu_kernels
from ner.modeling.model import load_tagger, max_positions
from ner.modeling.pretrained import load_tokenizer
from ner.tags import TagSet

SENTENCES_PER_STEP = 100  # of progress
EncodedCache: TypeAlias = dict[tuple[object, ...], Encoded]  # runs of one encoder share its sub-tokens


def load_predictor(run: Run, config: BatchOptions, accelerator: Accelerator, cache: EncodedCache) -> Predictor:
    """What tags for a run. cache: of this program. Raises InputError for a model that cannot be loaded."""
    if run.is_tagged_file:
        return run.tagged_file
    if method := run.baseline:
        return BaselinePredictor(load_baseline(Path(run.model), method))
    model, tags = load_tagger(run.model)
    tokenizer = load_tokenizer(run.model)
    longest = run.max_length or max_positions(model, tokenizer)
    model.to(accelerator.device)
    if accelerator.device.type == "cpu":
        use_cpu_kernels(model)
    return EncoderPredictor(model, tokenizer, tags, longest, config, accelerator, cache)


@dataclass
class EncoderPredictor:
    """A token classifier, its sentences shared by all processes."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    tags: TagSet
    max_length: int
    config: BatchOptions
    accelerator: Accelerator
    cache: EncodedCache
    how: str = ""
    ready: tuple[nn.Module, Collator] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.vocabulary = self.tokenizer.backend_tokenizer.to_str()

    def test(
        self, rows: Dataset, progress: Progress, place: Place = ANYWHERE, *, probabilities: bool = False
    ) -> Tested:
        """As of `Predictor`. probabilities: those of all tags are kept, which takes a process that does all."""
        key = (self.vocabulary, self.max_length, self.tags, content_key(rows))
        if key not in self.cache:
            self.cache[key] = encode_once(rows, self.tokenizer, self.tags, max_length=self.max_length)
        windows = self.cache[key]
        model, collator = self.ready = self.ready or self.prepare(windows)
        share = predict(
            model,
            windows,
            collator,
            self.accelerator,
            outside=self.tags.outside,
            max_tokens=self.config.max_tokens_per_micro_batch,
            progress=progress,
            num_tags=len(self.tags) if probabilities else 0,
        )
        whole = gather(share, self.accelerator)
        return Tested(windows.gold, windows.word_offsets, whole, sub_tokens_of(windows, self.tokenizer))

    def prepare(self, windows: Encoded) -> tuple[nn.Module, Collator]:
        """The model as the accelerator runs it, and how its batches are made."""
        probe = [windows[i] for i in range(min(16, len(windows)))]  # in full precision: before `prepare_model`
        row_length = self.config.row_length_on(self.accelerator.device.type)
        collator, reason = choose_collator(self.model, probe, self.config.packing, row_length)
        self.how = f"{reason}; precision: {self.accelerator.mixed_precision}"
        return self.accelerator.prepare_model(self.model, evaluation_mode=True), collator


def sub_tokens_of(encoded: Encoded, tokenizer: PreTrainedTokenizerBase) -> Callable[[int, int], pa.ListArray]:
    """The sub-tokens of words, as `Tested` has them."""
    ids = np.unique(encoded.input_ids)
    pieces = pa.array(tokenizer.convert_ids_to_tokens(ids.tolist()), pa.string())

    def of_words(first: int, end: int) -> pa.ListArray:
        offsets = np.concatenate([[0], np.cumsum(encoded.num_sub_tokens[first:end])]).astype(np.int32)
        texts = pieces.take(pa.array(np.searchsorted(ids, encoded.sub_tokens(first, end))))
        return pa.ListArray.from_arrays(pa.array(offsets), texts)

    return of_words


@dataclass(frozen=True)
class BaselinePredictor:
    """A baseline, which tags in seconds: every process all of it."""

    model: Baseline
    how: str = ""

    @property
    def tags(self) -> TagSet:
        """What it predicts."""
        return self.model.tags

    def test(self, rows: Dataset, progress: Progress, place: Place = ANYWHERE) -> Tested:
        """As of `Predictor`. Losses and the like are of the marginal probabilities; nan where there are none."""
        own_ids, num_words = flat_column(rows, TAGS)
        offsets = np.concatenate([[0], np.cumsum(num_words, dtype=np.int64)])
        gold = self.tags.ids_of(tag_set(rows))[own_ids]
        predicted = np.empty(len(gold), dtype=np.int64)
        numbers = np.full((3, len(gold)), np.nan, dtype=np.float32)
        for number, (words, _) in enumerate(sentences(rows)):
            span = slice(offsets[number], offsets[number + 1])
            predicted[span], p = self.model.tag(words)
            if p is not None:
                numbers[:, span] = of_probabilities(p, gold[span], predicted[span])
            if (number + 1) % SENTENCES_PER_STEP == 0:
                progress(SENTENCES_PER_STEP)
        progress(len(rows) % SENTENCES_PER_STEP)
        return Tested(gold, offsets, Predictions(np.ones(len(gold), dtype=bool), predicted, *numbers))


def of_probabilities(p: np.ndarray, gold: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, ...]:
    """Loss, probability of the predicted tag, entropy: float64 [words] each. p: float64 [words, tags].

    gold, predicted: int64 [words]. A tag that was in no training sentence has probability 0: its loss stays finite, 87.
    """
    words = np.arange(len(gold))
    log_p = np.log(np.maximum(p, np.finfo(np.float32).tiny))
    return -log_p[words, gold], p[words, predicted], -(p * log_p).sum(axis=1)
