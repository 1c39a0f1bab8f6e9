"""Calibrates the scores of a tagger on validation sentences: 8 of 10 entities with a score of 0.8 should be right.

    ner calibrate runs/de
    ner calibrate runs/de --languages de fr it en --precision 0.95 --output reports/calibration

The fit goes into the config.json of the run's model, and `ner tag` and `ner serve` use it. No tag changes. Prints the
expected calibration error before and after, and the lowest score at which entities reach --precision.
"""

import contextlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datasets import Dataset

from ner.arguments import FAILED, command, echo, exit_on_input_error, named_twice, not_above_zero, option, parse
from ner.config import BatchOptions, EvaluationDataOptions, PrecisionOptions
from ner.config.options import bad_row_length
from ner.data.corpus import load_corpus
from ner.errors import InputError, single_line
from ner.evaluation.calibration import (
    Assessment,
    WordProbabilities,
    assess,
    fit_scores,
    fit_temperature,
    joined,
    score_for,
)
from ner.evaluation.predictors import EncoderPredictor, load_predictor
from ner.evaluation.runs import Run, check_map, check_tags, find_run
from ner.files import file_errors, to_json, write_atomic
from ner.modeling.calibration import KEY, Calibration
from ner.report import plots
from ner.report.reliability import reliability_plot, to_markdown, to_plain
from ner.runtime import start_accelerator
from ner.tags import TagSet, first_words
from ner.training.checkpoint import change_config
from ner.training.run_folder import find_encoder, hold
from ner.training.state import NOT_WRITTEN


@dataclass(frozen=True)
class CalibrateOptions:
    """calibrate"""

    run: str = option("", "run folder of train.py, or model folder", metavar="RUN", positional=True)
    checkpoint: Literal["best", "last", "average"] = option("best", "which model of a run folder")
    split: str = option("validation", "split to fit on, of the languages that the run was trained on", metavar="SPLIT")
    languages: tuple[str, ...] | None = option(
        None, "languages to test on (those that the run was trained on)", metavar="LANG"
    )
    test_split: str = option("test", "split to test on", metavar="SPLIT")
    method: Literal["logistic", "temperature"] = option(
        "logistic",
        "logistic: a map of the scores of entities (Platt scaling); temperature: one number that all logits are "
        "divided by, fitted on words, which exports have, too",
    )
    precision: float = option(
        0.95, "of entities: finds the lowest score that gives it on the sentences of --split", metavar="X"
    )
    only_report: bool = option(False, "leave the model as it is")
    output: str | None = option(None, "folder for table, JSON and plot", metavar="FOLDER")


@dataclass(frozen=True)
class CalibrateConfig(CalibrateOptions, EvaluationDataOptions, BatchOptions, PrecisionOptions):
    """Everything that decides what `ner calibrate` does."""

    on_bad_row: Literal["stop", "skip"] | None = option(None, "as in train.py")

    def __post_init__(self) -> None:
        problems = bad_row_length(self) + not_above_zero(self, "max_tokens_per_micro_batch")
        problems += named_twice(self, "languages")
        if not 0 < self.precision < 1:
            problems.append(f"--precision is {self.precision:g}; give a number between 0 and 1")
        if problems:
            raise InputError("\n".join(problems))


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """The command `ner calibrate`."""
    with contextlib.ExitStack() as stack:
        with exit_on_input_error():
            config = parse(CalibrateConfig, arguments, __doc__)
            run = find(config)
            if not config.only_report:
                hold(Path(config.run), stack)
            fitted, tested = read(config, run)
            accelerator = start_accelerator(config.mixed_precision)
            if accelerator.num_processes > 1:
                raise InputError("ner calibrate is one process; start it without accelerate launch")
            if config.output:
                with file_errors(config.output):
                    Path(config.output).mkdir(parents=True, exist_ok=True)
            predictor = load_predictor(run, config, accelerator, {})
        assert isinstance(predictor, EncoderPredictor)  # `find` has passed it
        tags = predictor.tags
        whole = joined(list(probabilities(predictor, fitted).values()))
        calibration = fit(config.method, whole, tags)
        min_score = score_for(whole.entities(tags, calibration), config.precision)
        said = probabilities(predictor, tested)
        found = {language: assess(words, tags, calibration, min_score) for language, words in said.items()}
        values = ", ".join(f"{name} {value:.4f}" for name, value in calibration.plain().items())
        where = f"{sum(map(len, fitted.values())):,} {config.split} sentences ({', '.join(fitted)})"
        echo(f"{config.run}: {values}, fitted on {where}")
        echo(f"\n{to_markdown(found, min_score, config.precision)}\n")
        try:
            if config.output:
                names = write(Path(config.output), found, calibration, min_score, config.precision)
                echo(f"written: {config.output}/{', '.join(names)}")
            if not config.only_report:
                change_config(Path(run.model), **{KEY: calibration.plain()})
                echo(f"written: {run.model}/config.json; ner tag and ner serve use it")
        except NOT_WRITTEN as error:
            echo(f"ner calibrate: {config.run}: {single_line(error)}", sys.stderr)
            sys.exit(FAILED)


def find(config: CalibrateConfig) -> Run:
    """The run. Raises InputError for a baseline, and for one that cannot be written to."""
    find_encoder(config.run, config.checkpoint)  # raises for a baseline
    run = find_run(config.run, config.checkpoint, config)
    if not (config.only_report or Path(run.model).is_dir()):
        raise InputError(f"{config.run} is no folder to write to; --only-report leaves the model as it is")
    if not (run.trained_on or config.languages):
        raise InputError(f"{config.run} does not say what it was trained on; name languages: --languages de fr")
    return run


def read(config: CalibrateConfig, run: Run) -> tuple[dict[str, Dataset], dict[str, Dataset]]:
    """Language -> the sentences to fit on, of the languages that it was trained on, and those to test on."""
    languages = config.languages or run.trained_on
    to_fit, to_test = (
        load_corpus(run.source, names, (split,), check_map=False)
        for names, split in ((run.trained_on or languages, config.split), (languages, config.test_split))
    )
    check_map(config.map_tags, [run], (to_fit, to_test))
    for corpus in (to_fit, to_test):
        check_tags(run, corpus)
    fitted = {language: splits[config.split] for language, splits in to_fit.languages.items()}
    return fitted, {language: splits[config.test_split] for language, splits in to_test.languages.items()}


def fit(method: str, said: WordProbabilities, tags: TagSet) -> Calibration:
    """What makes the scores of these sentences right; unchanged where no entity is predicted, which has no score."""
    if method == "temperature":
        return Calibration(temperature=fit_temperature(*said.known()))
    if not len((found := said.entities(tags)).score):
        return Calibration()
    slope, intercept = fit_scores(found)
    return Calibration(slope=slope, intercept=intercept)


def probabilities(predictor: EncoderPredictor, sentences: Mapping[str, Dataset]) -> dict[str, WordProbabilities]:
    """What it says of the sentences of each language."""
    said = {}
    for language, rows in sentences.items():
        tested = predictor.test(rows, lambda _: None, probabilities=True)
        begins = first_words(tested.word_offsets)
        said[language] = WordProbabilities(tested.predictions.probabilities, tested.gold, begins)
    return said


def write(
    folder: Path, found: Mapping[str, Assessment], calibration: Calibration, min_score: float | None, precision: float
) -> list[str]:
    """Writes table, JSON and, where it can be drawn, the plot. Returns the names of the files. Raises OSError."""
    write_atomic(folder / "calibration.md", to_markdown(found, min_score, precision) + "\n")
    plain = {language: to_plain(each) for language, each in found.items()}
    facts = {**calibration.plain(), "precision": precision, "min_score": min_score, "languages": plain}
    write_atomic(folder / "calibration.json", to_json(facts) + "\n")
    drawn = plots.save(reliability_plot(found), folder, "reliability") if plots.can_draw() else []
    return ["calibration.md", "calibration.json", *drawn]
