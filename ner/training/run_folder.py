"""The run folder: what is in it, whether a run may begin or go on there, and who writes to it."""

import contextlib
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, get_type_hints

from accelerate import Accelerator
from accelerate.utils import gather_object

from ner.arguments import read_config, read_yaml
from ner.config import BaselineConfig, SoupConfig, TrainConfig
from ner.errors import InputError, listed, shorten, single_line
from ner.files import LOCK, MANIFEST, file_errors, is_sound, locked, read_json, verify, write_atomic
from ner.runtime import decided, warn
from ner.training import checkpoint
from ner.training.log_entries import LOG

RunConfig: TypeAlias = TrainConfig | BaselineConfig
EVALUATION, PROBING = "evaluation.json", "probing.json"
# What a run writes, beside its config and card.
MADE = (LOG, "metrics.json", EVALUATION, PROBING, "skipped.jsonl", "best", "last", "average", "onnx", checkpoint.FOLDER)

ALSO_TRAINED_ON = "also_trained_on"  # of metrics.json: languages of the taggers that a run goes on or learns from
CHECKPOINTS = ("best", "last", "average")  # models of a run
CARD = "README.md"
OURS = "<!-- Made by train.py and evaluate.py, and made again; delete this line to keep what you write here. -->"


@dataclass(frozen=True)
class Start:
    """Where a run begins. resume_from: a checkpoint, None for a fresh start; is_finished: there is nothing left to do.

    stored: folder of the options that this run must share, None where nothing is there that it could spoil; damaged:
    what is wrong with checkpoints that are passed over.
    """

    resume_from: Path | None = None
    is_finished: bool = False
    stored: Path | None = None
    damaged: tuple[str, ...] = ()


def find_start(
    run: Path, resume: str | None, overwrite: bool, accelerator: Accelerator, models: Sequence[str] = ()
) -> Start:
    """Where the run begins: the main process looks, and all take its word.

    resume: auto, the folder of a checkpoint, or None; models: that it reads, which must not be the run's own. Raises
    InputError for a folder that is taken, or damaged, and where a process does not see the checkpoint.
    """
    start = decided(accelerator, lambda: look(run, resume, overwrite, models))
    for what in start.damaged:
        warn(accelerator, f"corrupt checkpoint passed over: {what}")
    sees_it = start.resume_from is None or (start.resume_from / MANIFEST).is_file()
    blind = [host for host in gather_object([None if sees_it else platform.node()]) if host]
    if blind:
        raise InputError(
            f"{start.resume_from}: not there on {listed(dict.fromkeys(blind))} ({len(blind)} of "
            f"{accelerator.num_processes} processes); put the run folder on a disk that all machines see"
        )
    return start


def look(run: Path, resume: str | None, overwrite: bool, models: Sequence[str] = ()) -> Start:
    """`find_start` of one process. Raises InputError."""
    with file_errors(run):
        start = start_of(run, resume, overwrite)
    for name in models if start.stored is None else ():
        if (place := run_folder_of(name)) and place.resolve() == run.resolve():
            raise InputError(f"{name} is a model of {run}, which this run would replace; give another `output`")
    return start


def start_of(run: Path, resume: str | None, overwrite: bool) -> Start:
    """`look`, but raises OSError where the folder cannot be read."""
    checkpoint.recover(run)
    is_taken = any(path.name != LOCK for path in run.glob("*"))
    if is_taken and (overwrite or resume == "auto") and not (run / checkpoint.CONFIG).is_file():
        raise InputError(f"{run} is not empty, and not a run of train.py: it has no config.yaml; give another `output`")
    if resume == "auto":
        if is_finished(run):
            return Start(is_finished=True, stored=run)
        folder, damaged = checkpoint.newest(run)
        if damaged and folder is None:
            remedy = "restore one of them, or begin again with `overwrite` instead of `resume`"
            raise InputError("\n  ".join([f"{run}: none of its checkpoints is sound; {remedy}", *damaged]))
        has_model = any(is_sound(run / name) for name in ("best", "last"))
        return Start(folder, stored=folder or (run if has_model else None), damaged=tuple(damaged))
    if resume:
        folder = Path(resume)
        verify(folder)
        if is_taken and run.resolve() != folder.resolve().parent.parent:
            raise InputError(f"`resume` {folder}: something else is in {run}; give a new folder as `output`")
        return Start(folder, stored=folder)
    if is_taken and not overwrite:
        raise InputError(f"{run} is not empty; `resume` auto goes on with the run there, `overwrite` replaces it")
    return Start()


def is_finished(run: Path) -> bool:
    """Whether a run has its metrics.json, which is written last. Raises OSError where that cannot be told."""
    try:
        metrics = read_json(run / "metrics.json")
    except (FileNotFoundError, ValueError):  # a file that is empty or broken says nothing
        return False
    return isinstance(metrics, dict) and "best" in metrics


@contextlib.contextmanager
def held(run: Path, accelerator: Accelerator) -> Iterator[None]:
    """Keeps other programs from writing into the run folder. Leaves no folder behind that was made for nothing.

    Raises InputError, on all processes, if another program holds it.
    """
    with contextlib.ExitStack() as stack:
        decided(accelerator, lambda: hold(run, stack))
        yield


def hold(run: Path, stack: contextlib.ExitStack) -> None:
    """`held` of one process, until the end of the stack."""
    with file_errors(run):
        run.mkdir(parents=True, exist_ok=True)
        stack.callback(checkpoint.remove_if_empty, run)
        stack.enter_context(locked(run / LOCK, str(run)))


def begin_run(run: Path, config: str, *, is_new: bool) -> None:
    """Makes the run folder this run's. Raises OSError.

    config: its options as YAML; is_new: what is there makes room.
    """
    run.mkdir(parents=True, exist_ok=True)
    if is_new:
        checkpoint.replace_run(run, [*MADE, *([CARD] if own_card(run) is None else [])])
    write_atomic(run / checkpoint.CONFIG, config)


def check_resumable(
    now: dict[str, Any],
    before: dict[str, Any],
    free: Sequence[str],
    folder: Path,
    fingerprint: str,
    why: Mapping[str, str] | None = None,
) -> None:
    """Raises InputError that lists the options which would change the result of the run in that folder.

    now, before: options; free: those that may change; fingerprint: of the sentences; why: what is to be said of options
    that nobody gave.
    """
    changed = [
        f"{name} is {now[name]}, and was {before.get(name)}" + (f" ({why[name]})" if why and name in why else "")
        for name in now
        if name not in free and now[name] != before.get(name)
    ]
    is_checkpoint = (folder / "state.json").is_file()  # else it is the folder of a finished run
    if not changed and is_checkpoint and checkpoint.read_state(folder)["fingerprint"] != fingerprint:
        changed = ["the training or validation sentences are not the same"]
    if changed:
        raise InputError("\n  ".join([f"{folder} cannot be resumed, this would change its result:", *changed]))


def find_model(name: str, checkpoint: str = "best") -> tuple[str, RunConfig | None]:
    """The model of that name, and how it was trained, if that is a run of train.py or `ner baseline`.

    name: folder of such a run, model folder, or Hub name; a model is what `from_pretrained` takes, or the folder of a
    baseline. That and the mean of runs have one model, whatever the checkpoint. Raises InputError for anything else.
    """
    folder = Path(name)
    with file_errors(shorten(name)):  # a name that is too long, a folder that may not be looked into
        if (folder / "config.yaml").is_file():
            options = read_run_config(folder)
            is_baseline = isinstance(options, BaselineConfig)
            has_one = is_baseline or isinstance(options, SoupConfig)
            model = folder / ("best" if has_one else checkpoint)
            if not (model / (MANIFEST if is_baseline else "config.json")).is_file():
                why = "the training has not written it yet"
                if isinstance(options, TrainConfig) and checkpoint == "average":
                    is_known = options.average == "off"
                    why = "it was trained without `average` on" if is_known else f"{why}, or ended before it began"
                raise InputError(f"{name}: no model in {model}; {why}")
            return str(model), options
        if folder.exists() and not (folder / "config.json").is_file():
            raise InputError(f"{name}: neither a run of train.py (config.yaml) nor a model folder (config.json)")
        if not folder.exists() and (name.count("/") > 1 or name.startswith((".", "/"))):
            raise InputError(f"{name}: no such folder")
    return name, None


def find_encoder(name: str, checkpoint: str = "best") -> tuple[str, TrainConfig | None]:
    """`find_model` of an encoder. Raises InputError for a baseline, too."""
    model, options = find_model(name, checkpoint)
    if isinstance(options, BaselineConfig):
        raise InputError(f"{name}: a baseline ({options.method}), which evaluate.py tests and nothing else takes")
    return model, options


def read_run_config(folder: Path) -> RunConfig:
    """The options of a run; those of a baseline name its method, those of a mean its models. Raises InputError."""
    file = folder / checkpoint.CONFIG
    given = read_yaml(file, get_type_hints(SoupConfig) | get_type_hints(BaselineConfig))
    if "method" in given:
        return read_config(BaselineConfig, file)
    if "averaged" in given:
        return read_config(SoupConfig, file)
    return read_config(TrainConfig, file)


def train_sentences(folder: Path, languages: Sequence[str]) -> tuple[int | None, dict[str, int]]:
    """How many sentences a run was trained on, None if it is not finished, and how many of each language.

    Runs of an older version have the latter where it follows: of one language, or of several that are whole. Raises
    InputError for a damaged file.
    """
    file = folder / "metrics.json"
    if not file.is_file():
        return None, {}
    try:
        metrics = read_json(file)
        number, whole = int(metrics["train_sentences"]), metrics.get("sentences", {})
        known = {languages[0]: number} if len(languages) == 1 else whole if sum(whole.values()) == number else {}
        of_each = metrics.get("train_sentences_by_language", known)
        return number, {language: int(of_each[language]) for language in languages if language in of_each}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(f"{file}: not what train.py writes ({single_line(error)}); restore or delete it") from error


def run_folder_of(tagger: str) -> Path | None:
    """The run folder that a tagger's name stands for: a run, or one of its models. None for any other name."""
    folder = Path(tagger)
    with file_errors(shorten(tagger)):  # a name that is too long, a folder that may not be looked into
        for place in (folder, *([folder.parent] if folder.name in CHECKPOINTS else [])):
            if (place / checkpoint.CONFIG).is_file():
                return place
    return None


def languages_of_taggers(options: RunConfig) -> tuple[str, ...]:
    """The languages of the taggers that a run goes on from or learns from, and of theirs: in these it is not zero-shot.

    Of taggers whose run folder is not there nothing is known. Raises InputError for a damaged file.
    """
    found: dict[str, None] = {}
    known: set[Path] = set()
    left = [options]
    while left:
        run = left.pop()
        for folder in filter(None, map(run_folder_of, run.models if isinstance(run, TrainConfig) else ())):
            if folder.resolve() not in known:
                known.add(folder.resolve())
                left.append(start := read_run_config(folder))
                found |= dict.fromkeys(start.train_on)
    return tuple(found)


def also_trained_on(folder: Path, options: RunConfig) -> tuple[str, ...]:
    """`languages_of_taggers` when a run was finished, if it wrote that, else now. Raises InputError as that does."""
    file = folder / "metrics.json"
    known = read_json(file).get(ALSO_TRAINED_ON) if file.is_file() else None
    if known is None:
        return languages_of_taggers(options)
    if not isinstance(known, list) or not all(isinstance(language, str) for language in known):
        raise InputError(f"{file}: {ALSO_TRAINED_ON} is {known!r}, not languages; restore or delete it")
    return tuple(known)


def own_card(folder: Path) -> str | None:
    """The card of the run folder if it is not one of ours, but written or changed by hand."""
    file = folder / CARD
    text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else OURS
    return None if OURS in text else text
