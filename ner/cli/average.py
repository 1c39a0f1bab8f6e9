"""Averages the weights of runs that differ in their seed alone: evaluate.py and ner tag take the result as any run.

    ner average runs/de-1 runs/de-2 runs/de-3 --output runs/de-soup

Runs that start from one tagger (--model runs/de/best) start from one head; else --seed decides its first weights, too.
"""

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import torch

from ner.arguments import FAILED, command, echo, exit_on_input_error, named_twice, option, parse, to_yaml
from ner.cli.baseline import check_folder
from ner.config import FREE_ON_RESUME, SoupConfig, TrainConfig
from ner.errors import InputError, single_line
from ner.files import file_errors, read_json, verify, write_json
from ner.modeling.soup import check_alike, write_mean
from ner.training.checkpoint import prune_models, write_folder
from ner.training.environment import environment
from ner.training.run_folder import begin_run, find_encoder, hold, train_sentences
from ner.training.state import NOT_WRITTEN


@dataclass(frozen=True)
class AverageOptions:
    """average"""

    runs: tuple[str, ...] = option(
        (), "run folders of train.py that differ in --seed alone", metavar="RUN", positional=True
    )
    checkpoint: Literal["best", "last", "average"] = option("best", "which model of each run folder")
    output: str | None = option(None, "run folder to write", metavar="FOLDER")
    overwrite: bool = option(False, "replace the run that is in the folder")


@dataclass(frozen=True)
class AverageConfig(AverageOptions):
    """Everything that decides what `ner average` writes."""

    def __post_init__(self) -> None:
        problems = named_twice(self, paths=("runs",))
        if len(self.runs) < 2:
            problems.append("name two runs or more")
        if not self.output:
            problems.append("name a folder for their mean: --output FOLDER")
        elif Path(self.output).resolve() in [Path(run).resolve() for run in self.runs]:
            problems.append(f"--output {self.output} is one of the runs; name another folder")
        if problems:
            raise InputError("\n".join(problems))


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """The command `ner average`."""
    with contextlib.ExitStack() as stack:
        with exit_on_input_error():
            config = parse(AverageConfig, arguments, __doc__)
            models, options, metrics = find_runs(config)
            folder = Path(str(config.output))
            hold(folder, stack)
            check_folder(folder, config.overwrite)
        try:
            begin_run(folder, to_yaml(options), is_new=True)
            write_folder(folder / "best", lambda aside: write_mean(models, aside), facts={"step": 0})
            prune_models(folder)
            write_json(folder / "metrics.json", metrics)
        except NOT_WRITTEN as error:
            echo(f"ner average: {folder}: {single_line(error)}", sys.stderr)
            sys.exit(FAILED)
    echo(f"{folder}: the mean of {len(models)} models: {' '.join(map(str, models))}")


def find_runs(config: AverageConfig) -> tuple[list[Path], SoupConfig, dict[str, Any]]:
    """The model folders, and the options and metrics of their mean. Raises InputError for runs that do not fit."""
    models: list[Path] = []
    trained: list[TrainConfig] = []
    for name in config.runs:
        model, options = find_encoder(name, config.checkpoint)
        if options is None:
            raise InputError(f"{name}: no run folder of train.py (config.yaml)")
        if train_sentences(Path(name), options.train_on)[0] is None:
            raise InputError(f"{name}: its training is not finished")
        if trained and (changed := differing(options, trained[0])):
            raise InputError("\n  ".join([f"{name} and {config.runs[0]} differ in more than their seed:", *changed]))
        models.append(Path(model))
        trained.append(options)
    for folder in models:
        with file_errors(folder):
            verify(folder)
    check_alike(models)
    number, of_each = train_sentences(Path(config.runs[0]), trained[0].train_on)
    metrics = {
        "train_sentences": number,
        "train_sentences_by_language": of_each,
        "sentences": read_json(Path(config.runs[0]) / "metrics.json").get("sentences", {}),
        "averaged": list(map(str, models)),
        "environment": environment(torch.device("cpu")),
        "best": {},  # evaluate.py tests it on the validation sentences: --splits validation
    }
    shared = {item.name: getattr(trained[0], item.name) for item in fields(TrainConfig)}
    options = SoupConfig(**shared | {"output": str(config.output), "averaged": tuple(map(str, models))})
    return models, options, {**metrics, "config": asdict(options)}


def differing(options: TrainConfig, its: TrainConfig) -> list[str]:
    """What two runs differ in, beside their seed and what changes no result."""
    return [
        f"{item.name} is {getattr(options, item.name)}, and {getattr(its, item.name)}"
        for item in fields(TrainConfig)
        if item.name not in (*FREE_ON_RESUME, "seed", "averaged")
        and getattr(options, item.name) != getattr(its, item.name)
    ]
