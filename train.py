"""Fine-tunes a pretrained encoder as a named-entity tagger: `accelerate launch train.py --help`.

parse -> build -> fit. `fit` is the whole training loop.
"""

import contextlib
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import reduce
from operator import add
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase, get_scheduler

from ner import runtime
from ner.batching import EpochPlan
from ner.collating import Collator, PackedCollator, choose_collator, collate, to_device
from ner.config import TrainConfig, parse_interval
from ner.corpus import Source, load_corpus, write_skipped
from ner.encoding import Encoded, encode, load_tokenizer
from ner.inference import evaluate
from ner.loss import update_loss
from ner.metrics import Counts
from ner.model import build_model, decay_groups, freeze, max_positions, save_model, training_mode
from ner.options import bad_input_ends_here, parse, to_yaml
from ner.sampling import join_languages, parse_sample
from ner.tags import TagSet


@dataclass(frozen=True)
class Job:
    """What is trained, on what, and how often."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    tags: TagSet
    train: Encoded
    validation: dict[str, Encoded]
    collator: Collator
    plan: EpochPlan
    optimizer: Optimizer
    scheduler: LRScheduler
    num_updates: int
    evaluate_every: int


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the script. arguments: of the command line, None for sys.argv."""
    with bad_input_ends_here():
        config = parse(TrainConfig, arguments, __doc__)
        accelerator = runtime.start_accelerator(config.mixed_precision, config.trackers, config.folder)
        job = build(config, accelerator)
    set_seed(config.seed, device_specific=True)  # after the head's weights, so that ranks differ in dropout alone
    fit(config, accelerator, job)
    accelerator.end_training()


def build(config: TrainConfig, accelerator: Accelerator) -> Job:
    """Everything the loop needs, checked before it starts. Raises ValueError for what can not work."""
    if any(config.folder.glob("*")) and not config.overwrite:
        raise ValueError(f"{config.folder} is not empty; give another --output, or --overwrite to replace the run")
    with accelerator.local_main_process_first():  # one process fills the caches, the others read them
        corpus = load_corpus(Source.of(config), config.train_on, ("train", "validation"))
        tokenizer = load_tokenizer(config.model)
    sentences = join_languages([corpus[lang]["train"] for lang in config.train_on], config.max_train_sentences)

    model = build_model(config.model, corpus.tags, config.seed)
    freeze(model, body=config.freeze == "body", num_layers=config.freeze_layers)
    longest = max_positions(model, tokenizer)
    if config.max_length and config.max_length > longest:
        raise ValueError(f"--max-length {config.max_length}: {config.model} takes {longest} sub-tokens at most")

    def encoded(dataset: Any, title: str) -> Encoded:
        with tqdm(total=len(dataset), desc=title, unit=" sentences", disable=not accelerator.is_main_process) as bar:
            return encode(
                dataset, tokenizer, corpus.tags, max_length=config.max_length or longest,
                label_tokens=config.label_tokens, progress=bar.update,
            )  # fmt: skip

    train = encoded(sentences, "encode train")
    validation = {lang: encoded(corpus[lang]["validation"], f"encode {lang} validation") for lang in config.train_on}
    model.to(accelerator.device)
    collator, reason = choose_collator(
        model, [train[i] for i in range(min(16, len(train)))], config.packing, config.row_length
    )
    row_length = config.row_length if isinstance(collator, PackedCollator) else None
    plan = EpochPlan(
        train, config.batch_size, row_length, config.max_tokens_per_micro_batch, config.seed,
        num_processes=accelerator.num_processes,
    )  # fmt: skip
    for windows in validation.values():
        replace(plan, encoded=windows)  # raises where a window does not fit

    num_updates = config.max_updates or config.epochs * len(plan)
    fused = accelerator.device.type in ("cpu", "cuda")
    optimizer = AdamW(decay_groups(model, config.weight_decay), lr=config.lr, fused=fused)
    warmup = config.warmup * num_updates if config.warmup < 1 else config.warmup
    scheduler = get_scheduler(config.schedule, optimizer, round(warmup), num_updates)
    every, unit = parse_interval(config.evaluate_every, "--evaluate-every")

    resolved = replace(
        config,
        output=str(config.folder),
        sample=corpus.source.sample,
        data_config=corpus.source.data_config,
        packing="off" if row_length is None else "on",
        mixed_precision=accelerator.mixed_precision,
    )
    accelerator.wait_for_everyone()  # all have seen the folder as it was
    if accelerator.is_main_process:
        config.folder.mkdir(parents=True, exist_ok=True)
        for leftover in ("log.jsonl", "metrics.json"):  # of the run that is replaced
            (config.folder / leftover).unlink(missing_ok=True)
        for leftover in ("best", "last"):
            shutil.rmtree(config.folder / leftover, ignore_errors=True)
        (config.folder / "config.yaml").write_text(to_yaml(resolved), encoding="utf-8")
        write_skipped([corpus], config.folder / "skipped.jsonl")
    options = {
        key: value if isinstance(value, int | float | str) else str(value) for key, value in asdict(resolved).items()
    }
    accelerator.init_trackers("ner", config=options)
    for note in corpus.notes:
        runtime.say(accelerator, f"note: {note}")
    shares = parse_sample(corpus.source.sample)
    kept = [f"{lang} {len(corpus[lang]['train']):,}" + (f" (share {shares[lang]:g})" if lang in shares else "")
            for lang in config.train_on]  # fmt: skip
    runtime.say(accelerator, f"training on {train.num_sentences:,} sentences: {', '.join(kept)}")
    runtime.say(accelerator, f"{reason}; precision: {accelerator.mixed_precision}; device: {accelerator.device}")
    return Job(
        model, tokenizer, corpus.tags, train, validation, collator, plan, optimizer, scheduler, num_updates,
        every if unit == "updates" else every * len(plan),
    )  # fmt: skip


def fit(config: TrainConfig, accelerator: Accelerator, job: Job) -> dict[str, Any]:
    """The training loop. Writes best/, last/, log.jsonl and metrics.json; returns the metrics."""
    # The scheduler is not prepared: Accelerate would step it once per process.
    model, optimizer = accelerator.prepare(job.model, job.optimizer)
    log = runtime.JsonLinesLog(config.folder / "log.jsonl", accelerator)
    meter = runtime.Meter(accelerator)
    best: dict[str, Any] = {"f1": -1.0}
    evaluations_since_best = 0
    plan = job.plan
    training_mode(model)
    with tqdm(total=job.num_updates, desc="train", unit=" updates", disable=not accelerator.is_main_process) as bar:
        for number in range(1, job.num_updates + 1):
            epoch, index = divmod(number - 1, len(plan))
            if epoch != plan.epoch:
                plan = replace(plan, epoch=epoch)
            update = plan[index]

            loss = torch.zeros((), device=accelerator.device)
            micro_batches = update.micro_batches[accelerator.process_index]
            for position, micro_batch in enumerate(micro_batches, start=1):
                batch = to_device(collate(job.train, micro_batch, job.collator), accelerator.device)
                labels = batch.pop("labels")
                del batch["words"]
                is_last = position == len(micro_batches)  # ranks exchange gradients once per update
                with contextlib.nullcontext() if is_last else accelerator.no_sync(model):
                    share = update_loss(
                        model(**batch).logits, labels, update.num_labels, accelerator.num_processes
                    )  # fmt: skip
                    accelerator.backward(share)
                loss += share.detach()
            grad_norm = accelerator.clip_grad_norm_(model.parameters(), config.max_grad_norm)
            lr = job.scheduler.get_last_lr()[0]
            optimizer.step()
            optimizer.zero_grad()
            if not accelerator.optimizer_step_was_skipped:  # fp16: the gradient overflowed, the scale is lowered
                job.scheduler.step()
            meter.add(update, loss)
            bar.update()

            progress = {"update": number, "epoch": round(number / len(plan), 4)}
            if number % config.log_every == 0 or number == job.num_updates:
                point = {**progress, **meter.read(), "lr": lr, "grad_norm": float(grad_norm)}  # host sync: here only
                log.write(point)
                bar.set_postfix(loss=f"{point['loss']:.3f}", refresh=False)
            if number % job.evaluate_every == 0 or number == job.num_updates:
                with meter.paused():
                    scores = validate(config, accelerator, model, job)
                    log.write({**progress, "validation": scores})
                    bar.set_postfix(f1=f"{scores['f1']:.4f}")
                    if scores["f1"] > best["f1"]:
                        best, evaluations_since_best = {**progress, **scores}, 0
                        save(config, accelerator, model, job, "best")
                    else:
                        evaluations_since_best += 1
                training_mode(model)
                if evaluations_since_best == config.patience:
                    runtime.say(accelerator, f"stopped: {config.patience} evaluations without a better validation F1")
                    break

    save(config, accelerator, model, job, "last")
    metrics = {"updates": number, "train_sentences": job.train.num_sentences, **meter.totals(), "best": best}
    if accelerator.is_main_process:
        runtime.write_json(config.folder / "metrics.json", metrics)
    runtime.say(accelerator, f"{config.folder}: validation F1 {best['f1']:.4f} at update {best['update']}, "
                f"{metrics['training_seconds']:.0f} s of training")  # fmt: skip
    return metrics


def validate(config: TrainConfig, accelerator: Accelerator, model: torch.nn.Module, job: Job) -> dict[str, Any]:
    """Validation scores: over all training languages' sentences together, and of each language."""
    start = time.perf_counter()
    counts: dict[str, Counts] = {
        language: evaluate(
            model, windows, job.collator, accelerator, job.tags, max_tokens=config.max_tokens_per_micro_batch
        )
        for language, windows in job.validation.items()
    }
    together = reduce(add, counts.values()).scores()
    languages = {language: own.scores() for language, own in counts.items()}
    return {**together, "languages": languages, "seconds": round(time.perf_counter() - start, 2)}


def save(config: TrainConfig, accelerator: Accelerator, model: torch.nn.Module, job: Job, name: str) -> None:
    """Writes the model folder best/ or last/ of the run."""
    state = accelerator.get_state_dict(model)  # of a sharded model, all processes gather it
    if accelerator.is_main_process:
        save_model(config.folder / name, accelerator.unwrap_model(model), job.tokenizer, state)


if __name__ == "__main__":
    main()
