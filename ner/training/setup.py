"""What `build` of train.py sets up: the sentences as the encoder reads them, the plan of batches, the run folder."""

import copy
import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from accelerate import Accelerator
from datasets import Dataset, concatenate_datasets
from torch import Tensor
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import PreTrainedModel, PreTrainedTokenizerBase, get_scheduler

from ner.arguments import read_config, to_yaml
from ner.config import FREE_ON_RESUME, UNKNOWN_LICENSE, TrainConfig
from ner.config.augmentation import Augmentation
from ner.config.data import parse_shares
from ner.data.augmentation import augment
from ner.data.corpus import Corpus, Source, load_corpus, write_skipped
from ner.data.sampling import lay_end_to_end, sizes_of
from ner.data.streaming import check_splits, open_streams
from ner.errors import InputError
from ner.files import file_errors, write_atomic
from ner.inputs.batching import EpochPlan
from ner.inputs.buffers import BufferPlan, Stream
from ner.inputs.collators import Collator, PackedCollator, choose_collator
from ner.inputs.encoding import Encoded, encode
from ner.inputs.encoding_cache import encode_once
from ner.inputs.soft_targets import SoftEncoded, Unlabelled
from ner.modeling.loss import micro_batch_loss
from ner.runtime import main_process_first, of_everyone, say, start_trackers, wait_for_everyone, warn
from ner.training import checkpoint
from ner.training.class_weights import described, tag_weights
from ner.training.environment import checkout
from ner.training.optimization import parameter_groups
from ner.training.run_folder import Start, begin_run, check_resumable
from ner.training.selection import choose_validation
from ner.utils import numbers, progress_bar

Loss: TypeAlias = Callable[[Tensor, Tensor, Any, int], Tensor]  # as `micro_batch_loss`


@dataclass(frozen=True)
class Data:
    """What is trained and validated on, encoded for the model.

    order: int [sentences], the sentences of `train` in the order that epochs are drawn from; languages: int
    [sentences], the language of each of these, as a number, and behind these one for each part of the unlabelled text;
    sizes: how many annotated ones there are of each, without copies and unlabelled ones, which stand behind them;
    chosen: as of `choose_validation`; fingerprint: equal where all of it is; stream: where the sentences come from if
    they stream: there are none then, and `train` has some to validate on, for what is tried on a few.
    """

    corpus: Corpus
    train: Encoded
    order: np.ndarray
    validation: dict[str, Encoded]
    fingerprint: str
    languages: np.ndarray
    sizes: dict[str, int]
    chosen: dict[str, np.ndarray] | None
    stream: Stream | None = None

    def described(self) -> str:
        """What is trained on, for a message."""
        return (
            self.stream.described()
            if self.stream
            else (f"{sum(self.sizes.values()):,} sentences: {self.corpus.sizes(self.sizes)}")
        )


def read_corpus(config: TrainConfig) -> Corpus:
    """The sentences to train and validate on; to validate on alone, if the others stream. Raises InputError."""
    source = Source.of(config)
    if not config.stream_buffer:
        return load_corpus(source, config.train_on, ("train", "validation"))
    check_splits(source, config.train_on)
    return load_corpus(replace(source, sample=("all",)), config.train_on, ("validation",))


def annotated(config: TrainConfig, corpus: Corpus) -> tuple[Dataset, np.ndarray, np.ndarray]:
    """The annotated sentences to train on, their order, and the language of each, as of `lay_end_to_end`."""
    parts = {name: corpus[name]["train"] for name in config.train_on}
    return lay_end_to_end(parts, config.train_sizes, config.slice_seed)


def encode_data(
    config: TrainConfig,
    accelerator: Accelerator,
    corpus: Corpus,
    tokenizer: PreTrainedTokenizerBase,
    longest: int,
    unlabelled: Unlabelled | None = None,
) -> Data:
    """Words and tags -> sub-tokens and labels. longest: window that the encoder takes, in sub-tokens."""
    if config.max_length and config.max_length > longest:
        raise InputError(f"`max_length` {config.max_length}: {config.model} takes {longest} sub-tokens at most")

    def encoded(dataset: Any, title: str) -> Encoded:
        with progress_bar(accelerator, title, " sentences", total=len(dataset)) as bar:
            return encode_once(
                dataset,
                tokenizer,
                corpus.tags,
                max_length=config.max_length or longest,
                label_tokens=config.label_tokens,
                progress=bar.update,
            )

    def validation_sentences() -> dict[str, Encoded]:
        return {name: encoded(corpus[name]["validation"], f"encode {name} validation") for name in config.train_on}

    if config.stream_buffer:
        with main_process_first(accelerator):
            validation = validation_sentences()
        stream = open_stream(config, accelerator, corpus, tokenizer, config.max_length or longest)
        content = [*(part.fingerprint() for part in validation.values()), stream.fingerprint()]
        chosen = choose_validation(config, {}, {name: part.num_sentences for name, part in validation.items()})
        nothing = numbers(0)
        return Data(
            corpus, next(iter(validation.values())), nothing, validation, " ".join(content), nothing, {}, chosen, stream
        )
    sentences, order, languages = annotated(config, corpus)
    sizes = sizes_of(languages, config.train_on)
    with main_process_first(accelerator):
        if config.augment:
            in_order = sentences.select(order, keep_in_memory=True)  # copies depend on it
            augmented = augment(in_order, languages, config.augment, config.seed)
            sentences, languages = augmented.sentences, augmented.languages
            order = numbers(len(sentences))
            corpus = replace(corpus, notes=(*corpus.notes, augmented.note))
        if unlabelled:
            order = np.append(order, len(sentences) + numbers(len(unlabelled.sentences)))
            sentences = concatenate_datasets([sentences, unlabelled.sentences])
            languages = np.append(languages, len(config.train_on) + unlabelled.part)
        train = encoded(sentences, "encode train")
        if unlabelled:
            train = SoftEncoded.of(train, unlabelled.probabilities, config.certainty_power)
        validation = validation_sentences()
    content = [part.fingerprint() for part in (train, *validation.values())]
    fingerprint = " ".join([*content, hashlib.sha256(order.astype(np.int64).data).hexdigest()])
    chosen = choose_validation(config, sizes, {name: part.num_sentences for name, part in validation.items()})
    return Data(corpus, train, order, validation, fingerprint, languages, sizes, chosen)


def open_stream(
    config: TrainConfig, accelerator: Accelerator, corpus: Corpus, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> Stream:
    """The training sentences as a stream, which stands at its beginning. Raises InputError."""
    assert config.stream_buffer
    own = copy.deepcopy(tokenizer)  # used in a thread, while the other is saved with a model
    encode_buffer = partial(
        encode, tokenizer=own, tags=corpus.tags, max_length=max_length, label_tokens=config.label_tokens
    )
    streams = open_streams(corpus, config.train_on, config.seed, partial(warn, accelerator))
    shares = parse_shares(config.stream_shares, config.train_on)
    return Stream(streams, shares, config.stream_buffer, encode_buffer)


def plan_batches(
    config: TrainConfig, accelerator: Accelerator, model: PreTrainedModel, data: Data
) -> tuple[Collator, EpochPlan | BufferPlan, str]:
    """How sentences become tensors, which ones make each step, and why the rows are packed or padded."""
    probe = [data.train[i] for i in range(min(16, len(data.train)))]
    row_length = config.row_length_on(accelerator.device.type)
    collator, why = choose_collator(model, probe, config.packing, row_length)
    plan = EpochPlan(
        data.train,
        config.batch_size,
        row_length if isinstance(collator, PackedCollator) else None,
        config.max_tokens_per_micro_batch,
        config.seed,
        num_processes=accelerator.num_processes,
        sentences=data.order,
        languages=data.languages,
        temperature=config.sampling_temperature,
    )
    for windows in data.validation.values():
        replace(plan, encoded=windows, sentences=None, languages=None)  # raises where a window does not fit
    if config.sampling_temperature != 1:
        groups = [*data.sizes, *(f"unlabelled {name}" for name in config.unlabelled)]
        drawn = zip(groups, plan.drawn_of_languages, strict=True)
        say(accelerator, "sentences drawn in an epoch: " + ", ".join(f"{name} {count:,}" for name, count in drawn))
    return collator, BufferPlan(data.stream, plan) if data.stream else plan, why


def make_loss(config: TrainConfig, accelerator: Accelerator, data: Data) -> Loss:
    """The loss of a micro-batch: `micro_batch_loss`, with the weights of `--class-weights`."""
    if not config.tag_weights:
        return micro_batch_loss
    weights = tag_weights(config.tag_weights, data.train, data.corpus.tags)
    say(accelerator, f"class weights: {described(weights.tolist(), data.corpus.tags)}")
    return partial(micro_batch_loss, tag_weights=torch.from_numpy(weights).to(accelerator.device))


def build_optimizer(
    config: TrainConfig, accelerator: Accelerator, model: PreTrainedModel, num_steps: int
) -> tuple[Optimizer, LRScheduler]:
    """AdamW, and the learning rate of each of these steps."""
    fused = accelerator.device.type in ("cpu", "cuda")
    optimizer = AdamW(parameter_groups(model, config.weight_decay), lr=config.lr, fused=fused)
    warmup = config.warmup * num_steps if config.warmup < 1 else config.warmup
    return optimizer, get_scheduler(config.schedule, optimizer, round(warmup), num_steps)


def open_run_folder(
    config: TrainConfig, accelerator: Accelerator, start: Start, data: Data, *, is_packed: bool
) -> bool:
    """Makes the run folder this run's: the last that can fail before training. False for a run that is finished.

    Writes config.yaml, with what `auto` was resolved to, and skipped.jsonl; starts the trackers. Raises InputError for
    options that would change the result of a run that goes on.
    """
    resolved = replace(
        config,
        output=str(config.folder),
        sample=data.corpus.source.sample,
        data_config=data.corpus.source.data_config,
        augment=Augmentation.parse(config.augment).items,
        augment_unlabelled=Augmentation.parse(config.augment_unlabelled).items,
        packing="on" if is_packed else "off",
        row_length=str(config.row_length_on(accelerator.device.type)),
        mixed_precision=accelerator.mixed_precision,
        push_to_hub=None,  # was asked for once: --config of this run must not replace what is on the Hub
        push_private=False,
        push_dry_run=False,
    )
    if start.stored:
        stored = read_config(TrainConfig, start.stored / checkpoint.CONFIG)
        why = {}
        if config.row_length == "auto":
            device = accelerator.device.type
            why["row_length"] = (
                f"what auto is on {device}; `row_length` {stored.row_length} goes on with rows as they were"
            )
        check_resumable(asdict(resolved), asdict(stored), FREE_ON_RESUME, start.stored, data.fingerprint, why)
    if data.stream and not start.resume_from:
        of_everyone(data.stream.check)  # which is a process's own trouble, where it cannot fetch
    wait_for_everyone()  # all have seen the folder as it was
    if start.is_finished:
        say(accelerator, f"{config.folder}: this run is finished")
        if config.license != UNKNOWN_LICENSE and accelerator.is_main_process:
            write_atomic(config.folder / checkpoint.CONFIG, to_yaml(replace(stored, license=config.license)))
        return False
    start_trackers(accelerator, asdict(resolved))  # from here on the folder changes
    if accelerator.is_main_process:
        with file_errors(config.folder):
            begin_run(config.folder, to_yaml(resolved), is_new=not start.resume_from)
            write_skipped([data.corpus], config.folder / "skipped.jsonl")
        checkout()  # the code as it is now, for the end of the run
    for note in data.corpus.notes:
        say(accelerator, f"note: {note}")
    return True
