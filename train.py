"""Fine-tunes a pretrained encoder as a named-entity tagger.

    accelerate launch train.py --train-on de --output runs/de
    accelerate launch train.py --train-on de fr it en --output runs/all --resume auto

`fit` is the whole training loop.
"""

import contextlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor
from transformers import PreTrainedModel

from ner.arguments import BAD_INPUT, FAILED, command, exit_on_input_error, parse, with_flags
from ner.config import TrainConfig
from ner.errors import InputError, single_line
from ner.evaluation.inference import evaluate_languages
from ner.files import write_json
from ner.inputs.collators import PackedCollator, encoder_inputs, to_device
from ner.inputs.masks import compute_dtype
from ner.inputs.prefetch import prefetch
from ner.modeling.cpu_kernels import use_cpu_kernels
from ner.modeling.embedding_trimming import trim_embedding
from ner.modeling.head import match_head
from ner.modeling.model import build_model, compile_layers, freeze, max_positions, set_train_mode
from ner.modeling.pretrained import load_tokenizer
from ner.runtime import end, main_process_first, say, start_accelerator
from ner.sharing.hub import repositories, share
from ner.sharing.run_record import run_facts
from ner.tagging.teacher import teach
from ner.training.averaging import RunningMean
from ner.training.checkpointer import Checkpointer, Progress
from ner.training.cuda_graphs import Batch, Compute, CudaGraphs, make_recorder
from ner.training.distributed import prepare, settle_buckets
from ner.training.job import Job
from ner.training.metrics_log import DivergedError, JsonLinesLog, Meter, Metrics
from ner.training.optimization import clip_gradients, step_if_finite
from ner.training.run_folder import find_start, held
from ner.training.selection import choice_of_whole, selection_note
from ner.training.setup import build_optimizer, encode_data, make_loss, open_run_folder, plan_batches, read_corpus
from ner.training.signals import STOPPED, EvaluationStoppedError, PreemptedError, SignalHandler
from ner.training.state import NOT_WRITTEN
from ner.utils import progress_bar, tqdm


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the script. arguments: of the command line, None for sys.argv."""
    signals = SignalHandler()
    with signals.listening(), contextlib.ExitStack() as stack:
        with exit_on_input_error():  # one message and status 2; any other exception keeps its traceback
            config = parse(TrainConfig, arguments, __doc__)
            repositories(config, [config.folder])  # raises for what could not be uploaded
            accelerator = start_accelerator(config.mixed_precision, config.trackers, config.folder)
            stack.enter_context(held(config.folder, accelerator))
            job = build(config, accelerator)
        status = 0
        try:
            if job:  # else --resume auto found a finished run
                set_seed(config.seed, device_specific=True)  # after the head's weights: ranks differ in dropout alone
                fit(config, accelerator, job, signals)
        except PreemptedError as stop:
            remedy = "; --resume auto goes on" if stop.is_written else ""
            say(accelerator, f"{config.folder}: {stop}{remedy}")
            status = STOPPED if stop.is_written else FAILED
        except (DivergedError, *NOT_WRITTEN) as error:
            say(accelerator, f"train.py: {single_line(error)}")
            status = FAILED
        except InputError as error:  # in a stream, which is read as it goes on; what was done is checkpointed
            say(accelerator, f"train.py: {with_flags(str(error))}")
            status = BAD_INPUT
        end(accelerator, status if status != STOPPED else 0)  # all processes stop together, and fail alone
        if not status and accelerator.is_main_process:
            status = share(config, config.folder, accelerator)
    if status:
        sys.exit(status)


def build(
    config: TrainConfig, accelerator: Accelerator, make_model: Callable[..., PreTrainedModel] | None = None
) -> Job | None:
    """Everything the loop needs, checked before it starts; None for a run that is finished.

    make_model: of a name, tags and seed, for a head of one's own; None: `build_model`. Raises InputError.
    """
    recorder = make_recorder(accelerator) if config.cuda_graphs else None
    start = find_start(config.folder, config.resume, config.overwrite, accelerator, config.models)
    with main_process_first(accelerator):  # one process fills the caches, the others read them
        corpus = read_corpus(config)
        tokenizer = load_tokenizer(config.model)
    unlabelled = teach(config, accelerator, corpus)  # None without a teacher
    if not make_model and (match := match_head(config.model, corpus.tags)):
        say(accelerator, f"{config.model}: a tagger already; {match}")
    make_model = make_model or partial(build_model, allow_pickle=config.allow_pickle)
    model = make_model(config.model, corpus.tags, config.seed)
    freeze(model, encoder=config.freeze == "encoder", num_layers=config.freeze_layers)

    data = encode_data(config, accelerator, corpus, tokenizer, max_positions(model, tokenizer), unlabelled)
    texts = [data.train, *data.validation.values()]  # of a stream nobody knows what comes
    trimmed = None if data.stream else trim_embedding(model, texts)  # None: all rows stay
    model.to(accelerator.device)
    if accelerator.device.type == "cpu":
        use_cpu_kernels(model)
    collator, plan, why = plan_batches(config, accelerator, model, data)
    if config.compile:
        compile_layers(model)
    num_steps, evaluate_every = config.plan_steps(len(plan))
    optimizer, scheduler = build_optimizer(config, accelerator, model, num_steps)
    loss = make_loss(config, accelerator, data)
    if not open_run_folder(config, accelerator, start, data, is_packed=isinstance(collator, PackedCollator)):
        return None
    say(accelerator, f"training on {data.described()}")
    say(accelerator, f"{why}; precision: {accelerator.mixed_precision}; device: {accelerator.device}")
    if trimmed:
        say(accelerator, f"embedding table: {len(trimmed.used):,} of {len(trimmed.whole):,} rows are used")
    return Job(
        model=model,
        tokenizer=tokenizer,
        data=data,
        collator=collator,
        plan=plan,
        optimizer=optimizer,
        scheduler=scheduler,
        num_steps=num_steps,
        evaluate_every=evaluate_every,
        trimmed=trimmed,
        resume_from=start.resume_from,
        recorder=recorder,
        loss=loss,
    )


@dataclass(frozen=True)
class Loop:
    """What the parts of a step share."""

    config: TrainConfig
    accelerator: Accelerator
    job: Job
    model: torch.nn.Module
    progress: Progress
    meter: Meter
    log: JsonLinesLog
    checkpointer: Checkpointer
    signals: SignalHandler
    bar: tqdm


def forward_backward(
    accelerator: Accelerator, job: Job, model: torch.nn.Module, batch: Batch, num_labels: int | Tensor, is_last: bool
) -> Tensor:
    """Forward and backward of a micro-batch: adds its gradient, and returns its share of the step's loss.

    num_labels: of the whole step; is_last: processes exchange the gradients behind the step's last micro-batch.
    """
    inputs = encoder_inputs(batch, job.collator, compute_dtype(accelerator.mixed_precision))
    with contextlib.nullcontext() if is_last else accelerator.no_sync(model):
        loss = job.loss(model(**inputs).logits, batch["labels"], num_labels, accelerator.num_processes)
        accelerator.backward(loss)
    return loss.detach()


def fit(config: TrainConfig, accelerator: Accelerator, job: Job, signals: SignalHandler | None = None) -> Metrics:
    """The training loop. Writes best/, last/, average/, log.jsonl and metrics.json; returns what is in metrics.json.

    Raises PreemptedError when a signal has stopped it, and DivergedError.
    """
    model, optimizer = prepare(accelerator, job.model, job.optimizer, ddp=job.recorder is None)
    average = RunningMean(config, accelerator.unwrap_model(model), job.num_steps)
    checkpointer = Checkpointer(
        config, accelerator, model, optimizer, job.scheduler, average, job.data.fingerprint, job.plan
    )
    progress, meter = checkpointer.restore(job.resume_from)
    log = JsonLinesLog(config.folder / "log.jsonl", accelerator, progress.step)
    if job.data.corpus.notes and not job.resume_from:
        log.write({"step": 0, "notes": job.data.corpus.notes})
    signals = signals or SignalHandler()
    signals.attach(accelerator)
    bar = progress_bar(accelerator, "train", " steps", total=job.num_steps, initial=progress.step)
    loop = Loop(config, accelerator, job, model, progress, meter, log, checkpointer, signals, bar)
    # The order of the data is a pure function of seed and epoch: a run that goes on reads nothing that was done.
    rank, device = accelerator.process_index, accelerator.device
    steps = prefetch(job.plan, job.collator, rank, progress.step + 1, job.num_steps, device, with_words=False)
    accumulate: Compute = partial(forward_backward, accelerator, job, model)
    if job.recorder:  # --cuda-graphs: the same, recorded once for each shape of micro-batch
        accumulate = CudaGraphs(accelerator, accumulate, model.parameters(), job.recorder)
    set_train_mode(model)
    if job.resume_from:
        settle_buckets(accelerator, model, job, accumulate, progress.step)
    with bar, signals.listening(), checkpointer.kept_on_bad_input(progress, meter, log):
        if job.evaluation_is_due(progress):  # the run before was stopped within this evaluation
            evaluate_and_keep_best(loop)
            checkpointer.after_step(job.point(progress.step), progress, meter, log, signals)

        for number in range(progress.step + 1, job.num_steps + 1):
            if progress.evaluations_since_best == config.patience:
                say(accelerator, f"stopped: {config.patience} evaluations without a better validation F1")
                break

            # 1. Gradient accumulation. Each micro-batch adds its sum of token losses over the number of labels in the
            #    whole step, on all processes: the gradient is the same however the step is split.
            step, micro_batches = next(steps)
            loss = torch.zeros((), device=device)
            for position, batch in enumerate(micro_batches, start=1):
                is_last = position == len(micro_batches)  # processes exchange gradients once a step
                loss += accumulate(to_device(batch, device), step.num_labels, is_last)

            # 2. Clip and step. A gradient that is not finite changes nothing; that is decided on the device.
            grad_norm = clip_gradients(accelerator, model, config.max_grad_norm)
            lr = float(job.scheduler.get_last_lr()[0])
            is_finite = step_if_finite(accelerator, optimizer, grad_norm)
            optimizer.zero_grad()
            job.scheduler.step()  # by the step's number, whether or not it changed the weights
            average.after_step(number)  # --average on: within the last part, every few steps
            meter.add(number, step, loss, is_finite)
            progress.step = number
            bar.update()

            # 3. Log. The only place where the host waits for the device.
            if number % config.log_every == 0 or number == job.num_steps:
                log.write_metrics(job.point(number), meter, lr, grad_norm, config.max_bad_steps)

            # 4. Evaluate, and keep the best model.
            if job.evaluation_is_due(progress):
                evaluate_and_keep_best(loop)

            # 5. Checkpoint when one is due, or when a signal has come to any process; then leave (PreemptedError).
            checkpointer.after_step(job.point(number), progress, meter, log, signals)
    return finish(loop)


def validate(loop: Loop) -> Metrics:
    """Scores of the validation sentences. Raises EvaluationStoppedError."""
    data, collator, most = loop.job.data, loop.job.collator, loop.config.max_tokens_per_micro_batch
    parts, check = (data.validation, collator, loop.accelerator, data.corpus.tags), loop.signals.check
    return evaluate_languages(loop.model, *parts, max_tokens=most, progress=check, chosen=data.chosen)


def evaluate_and_keep_best(loop: Loop) -> None:
    """Scores the validation sentences, and writes best/ where F1 is higher than before.

    Stopped by a signal it leaves everything as it was: the run that goes on evaluates first.
    """
    job, progress = loop.job, loop.progress
    point = job.point(progress.step)
    with loop.meter.paused(), contextlib.suppress(EvaluationStoppedError):
        scores = validate(loop)
        loop.log.write_evaluation(point, scores, loop.meter)
        loop.bar.set_postfix(f1=f"{scores['f1']:.4f}")
        progress.evaluated = progress.step
        progress.evaluations_since_best += 1
        choice = choice_of_whole(progress.best, {**point, **scores})  # where --max-validation-sentences are fewer
        if scores["f1"] > progress.best["f1"]:
            progress.best, progress.evaluations_since_best = {**point, **scores}, 0
            loop.checkpointer.save_model("best", job.tokenizer, job.trimmed, progress.step)
        progress.best |= choice
    set_train_mode(loop.model)


def write_average(loop: Loop) -> Metrics:
    """Writes average/; returns its validation scores. Raises PreemptedError when a signal has stopped that."""
    job, point, average = loop.job, loop.job.point(loop.progress.step), loop.checkpointer.average
    try:
        with loop.meter.paused(), average.applied():
            averaged = {"average": {"weights": average.count, **validate(loop)}}
            loop.checkpointer.save_model("average", job.tokenizer, job.trimmed, loop.progress.step)
    except EvaluationStoppedError:  # the run that goes on has nothing left to do but this
        loop.checkpointer.after_step(point, loop.progress, loop.meter, loop.log, loop.signals)
    loop.log.write({**point, **averaged})
    return averaged


def finish(loop: Loop) -> Metrics:
    """Writes average/, last/ and metrics.json, which says that the run is finished; returns what is in it."""
    config, progress = loop.config, loop.progress
    loop.checkpointer.log_written(loop.log, {"step": progress.step}, wait_for_it=True)
    averaged = write_average(loop) if loop.checkpointer.average.count else {}
    loop.checkpointer.save_model("last", loop.job.tokenizer, loop.job.trimmed, progress.step)
    metrics = {
        "steps": progress.step,
        **loop.job.sentences(progress.step),
        **run_facts(config, loop.accelerator),
        **loop.meter.totals(),
        "best": progress.best,
        **averaged,
    }
    if loop.accelerator.is_main_process:
        write_json(config.folder / "metrics.json", metrics)
    best = f"validation F1 {progress.best['f1']:.4f} at step {progress.best['step']}"
    seconds = f"{metrics['training_seconds']:.0f} s of training"
    say(loop.accelerator, f"{config.folder}: {best}, {seconds}{selection_note(progress.best)}")
    return metrics


if __name__ == "__main__":
    main()
