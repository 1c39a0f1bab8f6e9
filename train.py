"""Fine-tunes a pretrained encoder as a named-entity tagger: `accelerate launch train.py --help`.

parse -> build -> fit. `fit` is the whole training loop.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial, reduce
from operator import add
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import PreTrainedModel, PreTrainedTokenizerBase, get_scheduler

from ner import runtime
from ner.arguments import FAILED, bad_input_ends_here, command, parse, read_config, to_yaml
from ner.config import FREE_ON_RESUME, UNKNOWN_LICENSE, TrainConfig, parse_interval
from ner.data.corpus import Source, load_corpus, write_skipped
from ner.data.sampling import join_languages, parse_sample
from ner.errors import InputError, one_line
from ner.evaluation.inference import evaluate
from ner.evaluation.metrics import Counts
from ner.files import file_errors, write_json, write_whole
from ner.inputs.batching import EpochPlan
from ner.inputs.collators import Collator, PackedCollator, choose_collator, to_device
from ner.inputs.encoding import Encoded, encode_once
from ner.inputs.prefetch import feed
from ner.modeling.cpu_kernels import use_cpu_kernels
from ner.modeling.embedding_trimming import Vocabulary, trim
from ner.modeling.loss import update_loss
from ner.modeling.model import build_model, compile_layers, freeze, max_positions, save_model, training_mode
from ner.modeling.pretrained import load_tokenizer
from ner.sharing.hub import repositories, share
from ner.sharing.run_record import hub_names
from ner.tags import TagSet
from ner.training import checkpoint
from ner.training.checkpointer import Keeper, Progress
from ner.training.metrics_log import JsonLinesLog
from ner.training.optimization import clip, decay_groups, step_if_finite
from ner.training.run_folder import begin_run, check_same, find_start, held
from ner.training.signals import STOPPED, StoppedError, Stopper
from ner.training.state import NOT_WRITTEN
from ner.utils import tqdm


@dataclass(frozen=True)
class Job:
    """What is trained, on what, and how often.

    resume_from: the commit that the run goes on from; vocabulary: the rows of the embedding table that are trained,
    None for all; notes: what reading the data met; facts: of the data and the encoder, for metrics.json;
    loss: of a micro-batch, as `update_loss`.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    tags: TagSet
    train: Encoded
    validation: dict[str, Encoded]
    collator: Collator
    plan: EpochPlan
    optimizer: Optimizer
    scheduler: LRScheduler
    num_steps: int
    evaluate_every: int
    resume_from: Path | None
    fingerprint: str
    vocabulary: Vocabulary | None
    notes: tuple[str, ...]
    facts: dict[str, Any]
    loss: Callable[[Tensor, Tensor, int, int], Tensor] = update_loss


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the script. arguments: of the command line, None for sys.argv."""
    stopper = Stopper()
    with stopper.listening(), contextlib.ExitStack() as stack:
        with bad_input_ends_here():
            config = parse(TrainConfig, arguments, __doc__)
            repositories(config, [config.folder])  # raises for what could not be uploaded
            accelerator = runtime.start_accelerator(config.mixed_precision, config.trackers, config.folder)
            stack.enter_context(held(config.folder, accelerator))
            job = build(config, accelerator)
        status = 0
        try:
            if job:
                set_seed(config.seed, device_specific=True)  # after the head's weights: ranks differ in dropout alone
                status = fit(config, accelerator, job, stopper)
        except (ArithmeticError, *NOT_WRITTEN) as error:
            runtime.say(accelerator, f"train.py: {one_line(error)}")
            status = FAILED
        accelerator.end_training()
        if not status and accelerator.is_main_process:
            status = share(config, config.folder, accelerator)
    if status:
        sys.exit(status)


def build(
    config: TrainConfig,
    accelerator: Accelerator,
    make_model: Callable[[str, TagSet, int], PreTrainedModel] | None = None,
) -> Job | None:
    """Everything the loop needs, checked before it starts; None for a run that is finished.

    make_model: of a name, tags and seed, for a head of one's own; None: `build_model`. Raises InputError for what can
    not work.
    """
    start = find_start(config.folder, config.resume, config.overwrite, accelerator)
    with accelerator.local_main_process_first():  # one process fills the caches, the others read them
        corpus = load_corpus(Source.of(config), config.train_on, ("train", "validation"))
        tokenizer = load_tokenizer(config.model)
    sentences = join_languages([corpus[lang]["train"] for lang in config.train_on], config.max_train_sentences)

    make_model = make_model or partial(build_model, allow_pickle=config.allow_pickle)
    model = make_model(config.model, corpus.tags, config.seed)
    freeze(model, body=config.freeze == "body", num_layers=config.freeze_layers)
    longest = max_positions(model, tokenizer)
    if config.max_length and config.max_length > longest:
        raise InputError(f"--max-length {config.max_length}: {config.model} takes {longest} sub-tokens at most")

    def encoded(dataset: Any, title: str) -> Encoded:
        with tqdm(total=len(dataset), desc=title, unit=" sentences", disable=not accelerator.is_main_process) as bar:
            return encode_once(
                dataset, tokenizer, corpus.tags, max_length=config.max_length or longest,
                label_tokens=config.label_tokens, progress=bar.update,
            )  # fmt: skip

    with accelerator.local_main_process_first():
        train = encoded(sentences, "encode train")
        validation = {
            name: encoded(corpus[name]["validation"], f"encode {name} validation") for name in config.train_on
        }
    fingerprint = " ".join(part.fingerprint() for part in (train, *validation.values()))
    vocabulary = trim(model, [train, *validation.values()])
    if vocabulary:
        train = vocabulary.encoded(train)
        validation = {lang: vocabulary.encoded(part) for lang, part in validation.items()}
    model.to(accelerator.device)
    if accelerator.device.type == "cpu":
        use_cpu_kernels(model)
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

    if config.compile:
        compile_layers(model)
    num_steps = config.max_steps or config.epochs * len(plan)
    fused = accelerator.device.type in ("cpu", "cuda")
    optimizer = AdamW(decay_groups(model, config.weight_decay), lr=config.lr, fused=fused)
    warmup = config.warmup * num_steps if config.warmup < 1 else config.warmup
    scheduler = get_scheduler(config.schedule, optimizer, round(warmup), num_steps)
    every, unit = parse_interval(config.evaluate_every, "--evaluate-every")

    resolved = replace(
        config,
        output=str(config.folder),
        sample=corpus.source.sample,
        data_config=corpus.source.data_config,
        packing="off" if row_length is None else "on",
        mixed_precision=accelerator.mixed_precision,
        push_to_hub=None,  # was asked for once: --config of this run must not replace what is on the Hub
        push_private=False,
        push_dry_run=False,
    )
    if start.stored:
        then = read_config(TrainConfig, start.stored / "config.yaml")
        check_same(asdict(resolved), asdict(then), FREE_ON_RESUME, start.stored, fingerprint)
    accelerator.wait_for_everyone()  # all have seen the folder as it was
    if start.is_finished:
        runtime.say(accelerator, f"{config.folder}: this run is finished")
        if config.license != UNKNOWN_LICENSE and accelerator.is_main_process:
            write_whole(config.folder / "config.yaml", to_yaml(replace(then, license=config.license)))
        return None
    runtime.start_trackers(accelerator, asdict(resolved))  # the last that can fail: from here on the folder changes
    if accelerator.is_main_process:
        with file_errors(config.folder):
            begin_run(config.folder, to_yaml(resolved), is_new=not start.resume_from)
            write_skipped([corpus], config.folder / "skipped.jsonl")
    for note in corpus.notes:
        runtime.say(accelerator, f"note: {note}")
    shares = parse_sample(corpus.source.sample)
    kept = [f"{lang} {len(corpus[lang]['train']):,}" + (f" (share {shares[lang]:g})" if lang in shares else "")
            for lang in config.train_on]  # fmt: skip
    runtime.say(accelerator, f"training on {train.num_sentences:,} sentences: {', '.join(kept)}")
    runtime.say(accelerator, f"{reason}; precision: {accelerator.mixed_precision}; device: {accelerator.device}")
    if vocabulary:
        used = f"{len(vocabulary.used):,} of {len(vocabulary.whole):,}"
        runtime.say(accelerator, f"embedding table: {used} rows are used")
    return Job(
        model, tokenizer, corpus.tags, train, validation, collator, plan, optimizer, scheduler, num_steps,
        every if unit == "steps" else every * len(plan), start.resume_from, fingerprint, vocabulary, corpus.notes,
        {"sentences": {lang: len(corpus[lang]["train"]) for lang in config.train_on}, "hub": hub_names(config)},
    )  # fmt: skip


def fit(config: TrainConfig, accelerator: Accelerator, job: Job, stopper: Stopper | None = None) -> int:
    """The training loop. Writes best/, last/, log.jsonl and metrics.json; returns the exit status."""
    # The scheduler is not prepared: Accelerate would step it once per process.
    model, optimizer = accelerator.prepare(job.model, job.optimizer)
    every = parse_interval(config.checkpoint_every, "--checkpoint-every", "em")
    keeper = Keeper(
        config.folder, accelerator, model, optimizer, job.scheduler, job.fingerprint, every, len(job.plan), config.keep
    )
    progress, meter = keeper.go_on(job.resume_from)
    log = JsonLinesLog(config.folder / "log.jsonl", accelerator, progress.step)
    if job.notes and not job.resume_from:
        log.write({"step": 0, "notes": job.notes})
    stopper = stopper or Stopper()
    stopper.attach(accelerator)
    rank = accelerator.process_index
    steps = feed(job.plan, job.collator, rank, progress.step + 1, job.num_steps, accelerator.device)
    training_mode(model)
    bar = tqdm(total=job.num_steps, initial=progress.step, desc="train", unit=" steps",
               disable=not accelerator.is_main_process)  # fmt: skip
    with bar, stopper.listening():
        first = progress.step + (not evaluation_is_due(job, progress))  # an evaluation that was stopped comes first
        for number in range(first, job.num_steps + 1):
            point = {"step": number, "epoch": round(number / len(job.plan), 4)}

            if number > progress.step:
                step, batches = next(steps)
                loss = torch.zeros((), device=accelerator.device)
                for position, batch in enumerate(batches, start=1):
                    batch = to_device(batch, accelerator.device)
                    labels = batch.pop("labels")
                    del batch["words"]
                    is_last = position == len(batches)  # ranks exchange gradients once per step
                    with contextlib.nullcontext() if is_last else accelerator.no_sync(model):
                        share = job.loss(
                            model(**batch).logits, labels, step.num_labels, accelerator.num_processes
                        )  # fmt: skip
                        accelerator.backward(share)
                    loss += share.detach()
                grad_norm = clip(accelerator, model, config.max_grad_norm)
                lr = job.scheduler.get_last_lr()[0]
                is_finite = step_if_finite(accelerator, optimizer, grad_norm)
                optimizer.zero_grad()
                job.scheduler.step()  # by the step's number, whether or not it changed the weights
                meter.add(number, step, loss, is_finite)
                progress.step = number
                bar.update()
                if number % config.log_every == 0 or number == job.num_steps:  # host sync: here only
                    log.write_bad(meter.read_bad())
                    log.write({**point, **meter.read(), "lr": lr, "grad_norm": float(grad_norm)})
                    if meter.bad_in_a_row >= config.max_bad_steps:
                        raise ArithmeticError(
                            f"{config.folder}: {meter.bad_in_a_row} steps in a row had a gradient that is not "
                            "finite; log.jsonl has their sentences. Lower --lr, or train in bf16; commits are intact"
                        )

            if evaluation_is_due(job, progress):
                with meter.paused(), contextlib.suppress(StoppedError):
                    scores = validate(config, accelerator, model, job, stopper)
                    log.write({**point, "validation": scores})
                    bar.set_postfix(f1=f"{scores['f1']:.4f}")
                    progress.evaluated = number
                    progress.evaluations_since_best += 1
                    if scores["f1"] > progress.best["f1"]:
                        progress.best, progress.evaluations_since_best = {**point, **scores}, 0
                        keeper.wait()  # what it writes may name the best model so far, which is kept then
                        save(config, accelerator, model, job, "best", number)
                training_mode(model)
                if progress.evaluations_since_best == config.patience:
                    runtime.say(accelerator, f"stopped: {config.patience} evaluations without a better validation F1")
                    break

            stop, commit = stopper.agree(keeper.is_due(number))
            if stop or commit:
                log.write_bad(meter.read_bad())
                keeper.commit(progress, meter)
            is_written = keeper.log_written(log, point, wait_for_it=stop)
            if stop:
                outcome = "committed; --resume auto goes on" if is_written else "and not committed"
                runtime.say(accelerator, f"{config.folder}: stopped by a signal after step {number}, {outcome}")
                return STOPPED if is_written else FAILED

    keeper.log_written(log, {"step": progress.step}, wait_for_it=True)
    save(config, accelerator, model, job, "last", progress.step)
    metrics = {"steps": progress.step, "train_sentences": job.train.num_sentences,
               **job.facts, **meter.totals(), "best": progress.best}  # fmt: skip
    if accelerator.is_main_process:
        write_json(config.folder / "metrics.json", metrics)
    runtime.say(accelerator, f"{config.folder}: validation F1 {progress.best['f1']:.4f} at step "
                f"{progress.best['step']}, {metrics['training_seconds']:.0f} s of training")  # fmt: skip
    return 0


def evaluation_is_due(job: Job, progress: Progress) -> bool:
    """Whether the validation sentences are to be scored now."""
    number = progress.step
    return number > progress.evaluated and (number % job.evaluate_every == 0 or number == job.num_steps)


def validate(
    config: TrainConfig, accelerator: Accelerator, model: torch.nn.Module, job: Job, stopper: Stopper
) -> dict[str, Any]:
    """Validation scores: over all training languages' sentences together, and of each language. Raises StoppedError."""
    start = time.perf_counter()
    counts: dict[str, Counts] = {
        language: evaluate(
            model, windows, job.collator, accelerator, job.tags, max_tokens=config.max_tokens_per_micro_batch,
            progress=stopper.check,
        )
        for language, windows in job.validation.items()
    }  # fmt: skip
    together = reduce(add, counts.values()).scores()
    languages = {language: own.scores() for language, own in counts.items()}
    return {**together, "languages": languages, "seconds": round(time.perf_counter() - start, 2)}


def save(config: TrainConfig, accelerator: Accelerator, model: torch.nn.Module, job: Job, name: str, step: int) -> None:
    """Writes the model folder best/ or last/ of the run. The best one before stays until no commit needs it."""
    state = accelerator.get_state_dict(model)  # of a sharded model, all processes gather it
    if accelerator.is_main_process:
        state = job.vocabulary.state(state) if job.vocabulary else state
        plain = accelerator.unwrap_model(model)
        checkpoint.commit(
            config.folder / name,
            lambda folder: save_model(folder, plain, job.tokenizer, state),
            facts={"step": step},
            keep_old=name == "best",
        )
        checkpoint.prune_models(config.folder)


if __name__ == "__main__":
    main()
