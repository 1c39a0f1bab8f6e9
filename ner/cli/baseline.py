"""Trains a tagger without an encoder in seconds, for a run that evaluate.py takes as any other.

    ner baseline --train-on fr --max-train-sentences 250
    ner baseline --train-on fr --method dictionary

An encoder that does not beat a CRF has not earned its training. The sentences are those that train.py would take with
the same options. Needs the extra [baseline], but for --method dictionary.
"""

import contextlib
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import torch
from datasets import disable_progress_bars

from ner.arguments import FAILED, command, echo, exit_on_input_error, parse, to_yaml
from ner.config import BaselineConfig
from ner.config.augmentation import Augmentation
from ner.data.augmentation import augment
from ner.data.corpus import Corpus, Source, load_corpus, write_skipped
from ner.data.sampling import join_languages, sizes_of
from ner.errors import InputError, single_line
from ner.evaluation.predictors import BaselinePredictor
from ner.files import LOCK, write_json
from ner.modeling.baselines import TITLES, load_baseline, train_baseline
from ner.modeling.crf import check_installed
from ner.training.checkpoint import prune_models, write_folder
from ner.training.environment import environment
from ner.training.run_folder import begin_run, hold, look


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """The command `ner baseline`."""
    disable_progress_bars()
    with contextlib.ExitStack() as stack:
        with exit_on_input_error():
            config = parse(BaselineConfig, arguments, __doc__)
            if config.method == "crf":
                check_installed()
            hold(config.folder, stack)
            check_folder(config.folder, config.overwrite)
            corpus = load_corpus(Source.of(config), config.train_on, ("train", "validation"))
        for note in corpus.notes:
            echo(f"note: {note}", sys.stderr)
        try:
            metrics = train(config, corpus)
        except OSError as error:
            echo(f"ner baseline: {config.folder}: {single_line(error)}", sys.stderr)
            sys.exit(FAILED)
    sizes = corpus.sizes(metrics["train_sentences_by_language"])
    echo(
        f"{config.folder}: {TITLES[config.method]} of {metrics['train_sentences']:,} sentences ({sizes}), "
        f"{metrics['training_seconds']:.1f} s of training; validation F1 "
        f"{metrics['best']['f1']:.4f}"
    )


def check_folder(folder: Path, overwrite: bool) -> None:
    """Raises InputError for a folder that may not be written into."""
    if not overwrite and any(path.name != LOCK for path in folder.glob("*")):
        raise InputError(f"{folder} is not empty; `overwrite` replaces the run that is there")
    look(folder, None, overwrite)


def train(config: BaselineConfig, corpus: Corpus) -> dict[str, Any]:
    """Writes the run folder: config.yaml, best/, and metrics.json last; returns what is in that. Raises OSError."""
    folder, best = config.folder, config.folder / "best"
    parts = {language: corpus[language]["train"] for language in config.train_on}
    sentences, languages = join_languages(parts, config.train_sizes, config.slice_seed)
    num_annotated = len(sentences)
    if config.augment:
        augmented = augment(sentences, languages, config.augment, config.seed)
        sentences = augmented.sentences
        echo(f"note: {augmented.note}", sys.stderr)
    sentences = sentences.shuffle(seed=config.seed, keep_in_memory=True)
    resolved = replace(
        config,
        output=str(folder),
        sample=corpus.source.sample,
        data_config=corpus.source.data_config,
        augment=Augmentation.parse(config.augment).items,
        overwrite=False,
    )
    begin_run(folder, to_yaml(resolved), is_new=True)
    write_skipped([corpus], folder / "skipped.jsonl")
    start = time.perf_counter()
    write_folder(best, lambda aside: train_baseline(config.method, sentences, aside), facts={"step": 0})
    seconds = time.perf_counter() - start
    prune_models(folder)
    metrics = {
        "train_sentences": num_annotated,
        "train_sentences_by_language": sizes_of(languages, config.train_on),
        "sentences": {language: len(part) for language, part in parts.items()},
        "environment": environment(torch.device("cpu")),
        "config": asdict(resolved),
        "training_seconds": round(seconds, 2),
        "best": validate(BaselinePredictor(load_baseline(best, config.method)), corpus, config.train_on),
    }
    write_json(folder / "metrics.json", metrics)
    return metrics


def validate(predictor: BaselinePredictor, corpus: Corpus, languages: Sequence[str]) -> dict[str, Any]:
    """Scores of the validation sentences, together and of each language, as train.py writes them."""
    counts = {
        language: predictor.test(corpus[language]["validation"], lambda _: None).counts(predictor.tags)
        for language in languages
    }
    by_language = {language: each.scores() for language, each in counts.items()}
    return {**reduce(add, counts.values()).scores(), "languages": by_language}
