"""One process's measurements: what a training step is made of, encoding, evaluation. Prints a JSON object.

python -m tests.bench.stages UPDATES TEST_LANGUAGES FLAGS OF train.py    # languages joined by commas, or - for none
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch.utils.flop_counter import FlopCounterMode
from transformers.trainer_pt_utils import LengthGroupedSampler

import train
from ner import runtime
from ner.arguments import parse
from ner.config import TrainConfig
from ner.data.corpus import Source, load_corpus
from ner.evaluation.inference import evaluate
from ner.inputs.collators import collate, encoder_inputs, to_device
from ner.inputs.encoding import Encoded, encode
from ner.inputs.encoding_cache import encode_once
from ner.inputs.masks import compute_dtype
from ner.inputs.prefetch import prefetch
from ner.modeling.loss import micro_batch_loss
from ner.modeling.model import set_train_mode
from ner.modeling.pretrained import load_tokenizer
from ner.training.job import Job
from ner.training.optimization import clip_gradients, step_if_finite

WARM_UP = 5  # steps


class Stopwatch:
    """Seconds by stage. On a GPU it waits for the device at each end: stages add up, and hide no overlap."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def stages(config: TrainConfig, accelerator: Accelerator, job: Job, num_steps: int) -> dict[str, Any]:
    """The training loop, taken apart. Milliseconds are per step."""
    model, optimizer = accelerator.prepare(job.model, job.optimizer)
    set_train_mode(model)
    device = accelerator.device
    steps = prefetch(job.plan, job.collator, 0, 1, WARM_UP + num_steps, device, with_words=False)
    dtype = compute_dtype(accelerator.mixed_precision)
    watch = Stopwatch(device)
    tokens = positions = sentences = 0
    for number in range(1, WARM_UP + num_steps + 1):
        if number == WARM_UP + 1:
            watch = Stopwatch(device)
            tokens = positions = sentences = 0
        with watch.stage("wait for data"):
            step, batches = next(steps)
        for host_batch in batches:
            with watch.stage("to the device"):
                batch = to_device(host_batch, device)
                inputs = encoder_inputs(batch, job.collator, dtype)
            with watch.stage("forward"):
                loss = micro_batch_loss(model(**inputs).logits, batch["labels"], step.num_labels, 1)
            with watch.stage("backward"):
                accelerator.backward(loss)
        with watch.stage("clip"):
            norm = clip_gradients(accelerator, model, config.max_grad_norm)
        with watch.stage("optimizer"):
            step_if_finite(accelerator, optimizer, norm)
            optimizer.zero_grad()
        tokens += step.num_tokens
        positions += step.num_positions
        sentences += len(step.sentences)
    start = time.perf_counter()
    for micro_batch in step.micro_batches[0] * 20:
        collate(job.data.train, micro_batch, job.collator, with_words=False)
    collating = (time.perf_counter() - start) / 20
    with FlopCounterMode(display=False) as counter:
        for host_batch in batches:
            batch = to_device(host_batch, device)
            logits = model(**encoder_inputs(batch, job.collator, dtype)).logits
            accelerator.backward(micro_batch_loss(logits, batch["labels"], step.num_labels, 1))
    optimizer.zero_grad()
    milliseconds = {name: 1e3 * seconds / num_steps for name, seconds in watch.seconds.items()}
    return {
        "milliseconds": {**milliseconds, "collate (in the thread)": 1e3 * collating},
        "position_efficiency": tokens / positions,
        "tokens_per_sentence": tokens / sentences,
        "flops_per_position": counter.get_total_flops() / step.num_positions,
        "positions": int(max(m.num_positions for m in step.micro_batches[0])),
    }


def matmul_rate(model: torch.nn.Module, positions: int, dtype: torch.dtype) -> float:
    """FLOP/s that this machine reaches on the products of the model's linear layers, forward and backward, alone."""
    layers = [m for m in model.modules() if isinstance(m, torch.nn.Linear) and min(m.weight.shape) > 16]
    device = next(model.parameters()).device
    flops = seconds = 0.0
    for rows, columns in {tuple(layer.weight.shape) for layer in layers}:
        count = sum(tuple(layer.weight.shape) == (rows, columns) for layer in layers)
        inputs = torch.randn(positions, columns, device=device, dtype=dtype)
        weight = torch.randn(rows, columns, device=device, dtype=dtype)
        outputs = torch.randn(positions, rows, device=device, dtype=dtype)
        for product in (
            lambda i=inputs, w=weight: i @ w.T,
            lambda o=outputs, w=weight: o @ w,
            lambda o=outputs, i=inputs: o.T @ i,
        ):
            seconds += count * best_time(product, device)
            flops += count * 2 * positions * rows * columns
    return flops / seconds


def best_time(product: Callable[[], Any], device: torch.device) -> float:
    """Seconds of one call: the best of five groups of ten."""
    groups = []
    for _ in range(6):  # the first warms up
        start = time.perf_counter()
        for _ in range(10):
            product()
        if device.type == "cuda":
            torch.cuda.synchronize()
        groups.append((time.perf_counter() - start) / 10)
    return min(groups[1:])


def padded_efficiency(encoded: Encoded, batch_size: int, by_length: bool) -> float:
    """Real tokens over computed positions of the Trainer's batches: in random order, or grouped by length."""
    lengths = np.diff(encoded.offsets)
    if by_length:
        generator = torch.Generator().manual_seed(0)
        order = np.array(list(LengthGroupedSampler(batch_size, lengths=lengths.tolist(), generator=generator)))
    else:
        order = np.random.default_rng(0).permutation(len(lengths))
    batches = np.split(lengths[order], range(batch_size, len(order), batch_size))
    return float(lengths.sum() / sum(len(batch) * batch.max() for batch in batches))


def encoding_rates(config: TrainConfig, longest: int) -> dict[str, float]:
    """Sentences a second of `encode` (best of five), and of reading them back from the cache."""
    corpus = load_corpus(Source.of(config), config.train_on, ("train",))
    tokenizer = load_tokenizer(config.model)
    rows = corpus[config.train_on[0]]["train"]
    rates = {}
    encode_once(rows, tokenizer, corpus.tags, max_length=longest)
    for name, how in (("encode", encode), ("from the cache", encode_once)):
        seconds = []
        for _ in range(5):
            start = time.perf_counter()
            how(rows, tokenizer, corpus.tags, max_length=longest)
            seconds.append(time.perf_counter() - start)
        rates[name] = len(rows) / min(seconds)
    return rates


def evaluation_seconds(
    config: TrainConfig, accelerator: Accelerator, job: Job, languages: list[str], longest: int
) -> tuple[dict[str, float], dict[str, int]]:
    """Seconds that tagging and scoring take for each language's test sentences, encoded before, and their number."""
    corpus = load_corpus(Source.of(config), languages, ("test",))
    windows = {
        lang: encode_once(corpus[lang]["test"], job.tokenizer, job.data.corpus.tags, max_length=longest)
        for lang in languages
    }
    if job.trimmed:  # the whole table: test sentences use other rows
        table = torch.nn.Embedding.from_pretrained(job.trimmed.whole.to(accelerator.device))
        accelerator.unwrap_model(job.model).set_input_embeddings(table)
    seconds = {}
    for language in languages:
        start = time.perf_counter()
        evaluate(
            job.model,
            windows[language],
            job.collator,
            accelerator,
            job.data.corpus.tags,
            max_tokens=config.max_tokens_per_micro_batch,
        ).scores()
        seconds[language] = time.perf_counter() - start
    return seconds, {language: own.num_sentences for language, own in windows.items()}


def main() -> None:
    """The command line."""
    num_steps, languages = int(sys.argv[1]), [name for name in sys.argv[2].split(",") if name != "-"]
    config = parse(TrainConfig, sys.argv[3:], __doc__)
    accelerator = runtime.start_accelerator(config.mixed_precision)
    rates = encoding_rates(config, 512)  # before training, which leaves the heap in pieces
    job = train.build(config, accelerator)
    assert job is not None
    torch.manual_seed(config.seed)
    result = stages(config, accelerator, job, num_steps)
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(accelerator.mixed_precision, torch.float32)
    result["precision"] = accelerator.mixed_precision
    result["matmul_rate"] = matmul_rate(job.model, result["positions"], dtype)
    result["matmul_rate_fp32"] = matmul_rate(job.model, result["positions"], torch.float32)
    result["padded_efficiency"] = {
        name: padded_efficiency(job.data.train, config.batch_size, name == "grouped") for name in ("random", "grouped")
    }
    result["encoding"] = rates
    result["evaluation"], result["evaluation_sentences"] = {}, {}
    if languages:
        evaluated = evaluation_seconds(config, accelerator, job, languages, 512)
        result["evaluation"], result["evaluation_sentences"] = evaluated
    if accelerator.device.type == "cuda":
        result["device"] = torch.cuda.get_device_name()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
