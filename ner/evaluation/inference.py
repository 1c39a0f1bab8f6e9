"""A model over encoded sentences: the tag and the loss of every word, and the scores that follow."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any, Protocol

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from ner.evaluation.metrics import Counts, count
from ner.inputs.batching import EpochPlan, MicroBatch
from ner.inputs.collators import Collator, PackedCollator, encoder_inputs, to_device
from ner.inputs.encoding import IGNORED, Encoded
from ner.inputs.masks import compute_dtype
from ner.inputs.prefetch import prefetch
from ner.modeling.loss import token_loss
from ner.tags import TagSet, first_words

SENTENCES_PER_GROUP = 256  # enough that packed rows are full, few enough that memory is bounded by max_tokens


class Processes(Protocol):
    """Who shares the work: an Accelerator, or `Alone`."""

    @property
    def device(self) -> torch.device:
        """Where this process computes."""

    @property
    def num_processes(self) -> int:
        """How many there are."""

    @property
    def process_index(self) -> int:
        """Which of them this is."""

    @property
    def mixed_precision(self) -> str:
        """What the model computes in: no, fp16 or bf16."""


@dataclass(frozen=True)
class Alone:
    """One process that does all of it."""

    device: torch.device
    num_processes: int = 1
    process_index: int = 0
    mixed_precision: str = "no"


@dataclass(frozen=True)
class Predictions:
    """What a model says of every word of encoded sentences, one process's share of it.

    mine: bool [words], whose values are meaningful; each word is mine on one process
    tags: int64 [words], the most probable tag; O for a word without a sub-token
    losses: float32 [words], against the gold tag; nan for a word without a sub-token, as in what follows
    p_predicted: float32 [words], probability of the most probable tag
    entropy: float32 [words], of the distribution over tags, in nats
    probabilities: float32 [words, tags] of `predict` where they were asked for, else without columns
    """

    mine: np.ndarray
    tags: np.ndarray
    losses: np.ndarray
    p_predicted: np.ndarray
    entropy: np.ndarray
    probabilities: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    @property
    def p_gold(self) -> np.ndarray:
        """float32 [words]: probability of the gold tag."""
        return np.exp(-self.losses)


@torch.no_grad()  # not inference_mode: what FSDP2 keeps between calls would be of no use to training
def word_logits(
    model: nn.Module,
    encoded: Encoded,
    collator: Collator,
    processes: Processes,
    *,
    max_tokens: int,
    progress: Any = None,
) -> Iterator[tuple[MicroBatch, Tensor, Tensor]]:
    """This process's micro-batches, each with its words and their logits.

    Args:
        model: Returns `.logits`, [rows, tokens, tags], of what the collator makes. It must be on the device of
            `processes`, and is left in evaluation mode.
        encoded: Sentences as windows of sub-tokens.
        collator: Padded or packed batches, as suits the model.
        processes: An Accelerator, or `ner.evaluation.inference.Alone(device)` for one process that does all of it.
        max_tokens: Positions (padding included) in a micro-batch at most: bounds memory.
        progress: Called with the number of sentences done since the last call, over all processes.

    Yields:
        The micro-batch; int64 [rows, tokens], the word that is scored at each token, and the number of words where
        there is none; and the logits, float [rows, tokens, tags].

    Raises:
        InputError: If a window alone has more than max_tokens positions.
    """
    if any(module.training for module in model.modules()):  # to set them takes a while, for a short text
        model.eval()
    device = processes.device
    row_length = collator.row_length if isinstance(collator, PackedCollator) else None
    num_processes = processes.num_processes
    plan = EpochPlan(encoded, SENTENCES_PER_GROUP * num_processes, row_length, max_tokens, num_processes=num_processes)
    # One place more than there are words takes what belongs to no word: no host sync to find out which tokens count.
    nowhere = len(encoded.gold)
    rank, dtype = processes.process_index, compute_dtype(processes.mixed_precision)
    for step, batches in prefetch(plan, collator, rank, 1, len(plan), device, with_words=True):
        for micro_batch, batch in zip(step.micro_batches[rank], batches, strict=True):
            batch = to_device(batch, device)
            words = torch.where(batch["words"] < 0, nowhere, batch["words"])
            yield micro_batch, words, model(**encoder_inputs(batch, collator, dtype)).logits
        if progress:
            progress(len(step.sentences))


@torch.no_grad()
def predict(
    model: nn.Module,
    encoded: Encoded,
    collator: Collator,
    processes: Processes,
    *,
    outside: int,
    max_tokens: int,
    progress: Any = None,
    num_tags: int = 0,
    temperature: float = 1.0,
) -> Predictions:
    """Tags every word of this process's share of the sentences.

    Args:
        model: As of `word_logits`, as are encoded, collator, processes, max_tokens and progress.
        encoded: Sentences as windows of sub-tokens.
        collator: Padded or packed batches.
        processes: Who shares the work.
        outside: The tag id of a word that has no sub-token.
        max_tokens: Positions in a micro-batch at most.
        progress: Called with the number of sentences done since the last call.
        num_tags: Of the model, to keep the probability of each of them, too; 0 to keep none.
        temperature: Of probabilities and entropies, which are those of the logits divided by it. Losses are without.

    Returns:
        Tags, losses, probabilities and entropies of the words, each [words]; `mine` tells which words are this
        process's, and no other value is meaningful.

    Raises:
        InputError: If a window alone has more than max_tokens positions.
    """
    num_words = len(encoded.gold)
    gold = torch.from_numpy(np.append(encoded.gold, IGNORED)).to(processes.device)
    tags = torch.full((num_words + 1,), outside, device=processes.device)
    losses, p_predicted, entropy = torch.full((3, num_words + 1), torch.nan, device=processes.device)
    probabilities = torch.full((num_words + 1, num_tags), torch.nan, device=processes.device)
    mine = np.zeros(num_words, dtype=bool)
    for micro_batch, words, logits in word_logits(
        model, encoded, collator, processes, max_tokens=max_tokens, progress=progress
    ):
        tags[words] = logits.argmax(dim=-1)
        losses[words] = token_loss(logits, gold[words])
        log_p = (logits.float() / temperature).log_softmax(dim=-1)
        p = log_p.exp()
        p_predicted[words] = p.amax(dim=-1)
        entropy[words] = -(p * log_p).sum(dim=-1)
        if num_tags:
            probabilities[words] = p
        if not micro_batch.filler:
            for sentence in encoded.sentence[micro_batch.windows]:
                mine[encoded.word_offsets[sentence] : encoded.word_offsets[sentence + 1]] = True
    numbers = (tags, losses, p_predicted, entropy, probabilities)
    return Predictions(mine, *(values[:-1].cpu().numpy() for values in numbers))


@torch.no_grad()
def tag_probabilities(
    model: nn.Module, encoded: Encoded, collator: Collator, processes: Processes, *, num_tags: int, max_tokens: int
) -> Tensor:
    """The distribution over tags of every word: float32 [words, tags], on the device of `processes`.

    All zero for a word without a sub-token, and for one of another process's share. Arguments as of `word_logits`.
    """
    p = torch.zeros((len(encoded.gold) + 1, num_tags), device=processes.device)
    for _, words, logits in word_logits(model, encoded, collator, processes, max_tokens=max_tokens):
        p[words] = logits.float().softmax(dim=-1)
    return p[:-1]


def gather(predictions: Predictions, accelerator: Accelerator) -> Predictions:
    """Those of all processes, on each of them, without `probabilities`."""

    def whole(values: np.ndarray) -> np.ndarray:
        local = np.where(predictions.mine, values, np.zeros_like(values))  # each word is one process's: sums are exact
        return accelerator.reduce(torch.from_numpy(local).to(accelerator.device)).cpu().numpy()

    if accelerator.num_processes == 1:
        return predictions
    parts = (predictions.tags, predictions.losses, predictions.p_predicted, predictions.entropy)
    return Predictions(np.ones_like(predictions.mine), *map(whole, parts))


def score(
    predictions: Predictions,
    encoded: Encoded,
    accelerator: Accelerator,
    tags: TagSet,
    sentences: np.ndarray | None = None,
) -> Counts:
    """Counts over all sentences, each scored once at any number of processes. predictions: this process's share.

    sentences: bool [sentences], those that count; None for all.
    """
    mine = predictions.mine
    if sentences is not None:
        mine = mine & np.repeat(sentences, np.diff(encoded.word_offsets))
    sentence_start = first_words(encoded.word_offsets)
    local = count(encoded.gold[mine], predictions.tags[mine], sentence_start[mine], predictions.losses[mine], tags)
    whole = torch.tensor([local.words, local.correct_words, local.scored_words], device=accelerator.device)
    entities = torch.from_numpy(local.entities).to(accelerator.device)
    loss = torch.tensor(local.loss, dtype=torch.float64, device=accelerator.device)
    whole, entities, loss = (accelerator.reduce(part) for part in (whole, entities, loss))
    words, correct_words, scored_words = whole.tolist()
    return Counts(tags.types, entities.cpu().numpy(), words, correct_words, loss.item(), scored_words)


def evaluate(
    model: nn.Module,
    encoded: Encoded,
    collator: Collator,
    accelerator: Accelerator,
    tags: TagSet,
    *,
    max_tokens: int,
    progress: Any = None,
) -> Counts:
    """`score` of what the model predicts; arguments as in `predict`.

    Every sentence is scored once, at any number of processes. All processes must call it.

    Args:
        model: Returns `.logits`, [rows, tokens, tags]. It must be on the accelerator's device, and is left in
            evaluation mode.
        encoded: Sentences with gold tags, as windows of sub-tokens.
        collator: Padded or packed batches, as suits the model.
        accelerator: The processes that share the work.
        tags: The tags of model and gold.
        max_tokens: Positions (padding included) in a micro-batch at most: bounds memory.
        progress: Called with the number of sentences done since the last call, over all processes.

    Returns:
        Counts over all sentences, the same on each process.

    Raises:
        InputError: If a window alone has more than max_tokens positions.
    """
    predictions = predict(
        model, encoded, collator, accelerator, outside=tags.outside, max_tokens=max_tokens, progress=progress
    )
    return score(predictions, encoded, accelerator, tags)


def evaluate_languages(
    model: nn.Module,
    languages: Mapping[str, Encoded],
    collator: Collator,
    accelerator: Accelerator,
    tags: TagSet,
    *,
    max_tokens: int,
    progress: Any = None,
    chosen: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Any]:
    """`evaluate` of several languages: scores over all of their sentences together, and of each language.

    languages: sentences of each; chosen: bool [sentences] of each, those that the scores are over, and `whole` then has
    the scores over all, of the same predictions. Returns also the seconds that it took.
    """
    start = time.perf_counter()
    whole, part = {}, {}
    for name, windows in languages.items():
        settings: Any = {"outside": tags.outside, "max_tokens": max_tokens, "progress": progress}
        predictions = predict(model, windows, collator, accelerator, **settings)
        whole[name] = score(predictions, windows, accelerator, tags)
        if chosen:
            part[name] = score(predictions, windows, accelerator, tags, chosen[name])

    def scores(counts: Mapping[str, Counts]) -> dict[str, Any]:
        together = reduce(add, counts.values()).scores()
        return {**together, "languages": {name: each.scores() for name, each in counts.items()}}

    found = scores(whole)
    if chosen:
        sizes = {"sentences": sum(windows.num_sentences for windows in languages.values())}
        num_chosen = sum(int(sentences.sum()) for sentences in chosen.values())
        found = {**scores(part), "sentences": num_chosen, "whole": {**found, **sizes}}
    return {**found, "seconds": round(time.perf_counter() - start, 2)}
