"""What is tested and exported: runs, baselines, other token classifiers, and whether they fit the data."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
from datasets import Dataset

from ner.config import BaselineConfig, EvaluationDataOptions, Sizes, TrainConfig
from ner.data.arrow_store import content_hash, tag_set, used_tags
from ner.data.corpus import Corpus, Source, load_corpus
from ner.data.sampling import join_languages
from ner.data.summary import in_both
from ner.data.tag_schemes import check_mapped, parse_map
from ner.errors import InputError
from ner.evaluation.comparison import LabelPair
from ner.evaluation.matrix import Result
from ner.evaluation.metrics import Counts
from ner.evaluation.tagged_files import TaggedFile, is_tagged_file, load_tagged_file
from ner.modeling.baselines import TITLES, Method, read_tags
from ner.modeling.pretrained import load_config
from ner.tags import SCORINGS, TagSet
from ner.training.run_folder import (
    CHECKPOINTS,
    RunConfig,
    also_trained_on,
    find_model,
    read_run_config,
    run_folder_of,
    train_sentences,
)

Seen = dict[str, dict[tuple[str, str], int]]  # run -> (language, split) -> sentences tested on that it was trained on


@dataclass(frozen=True)
class InitialModel:
    """The run that a run goes on from: equal for runs of one recipe that differ in their seeds.

    model: its folder, by which it is named; cut: how its training sentences were cut.
    """

    model: str = field(compare=False)
    checkpoint: str
    trained_on: tuple[str, ...]
    cut: tuple[str, ...] | int | None
    recipe: RunConfig

    def __str__(self) -> str:
        return self.model


def recipe_of_run(options: RunConfig) -> RunConfig:
    """The recipe of these options; a tagger that they go on from is an `InitialModel`, if its run folder is there."""
    recipe = options.recipe()
    if isinstance(recipe, BaselineConfig):
        return recipe
    folder = Path(recipe.model)
    if folder.name not in CHECKPOINTS or not run_folder_of(recipe.model):
        return recipe
    start = read_run_config(folder.parent)
    cut = start.max_train_sentences
    model = InitialModel(str(folder), folder.name, start.train_on, cut, recipe_of_run(start))
    return replace(recipe, model=model)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Run:
    """A model to test. model: its folder or Hub name; trained_on is empty where nothing is known of its training.

    max_length: of windows in training, None for the encoder's limit; trained_from: where its training data came from;
    options: of its training; train_sentences: how many it was trained on, None while it is not finished; annotated:
    how many of each language, where it is known; also_trained_on: languages of taggers that it goes on or learns from.
    """

    name: str
    model: str
    trained_on: tuple[str, ...]
    max_train_sentences: Sizes
    max_length: int | None
    source: Source
    trained_from: Source | None
    options: RunConfig | None = None
    train_sentences: int | None = None
    annotated: dict[str, int] = field(default_factory=dict)
    also_trained_on: tuple[str, ...] = ()

    @property
    def is_tagged_file(self) -> bool:
        """Whether it is sentences that another system has tagged, and no model."""
        return self.options is None and is_tagged_file(self.name)

    @cached_property
    def tagged_file(self) -> TaggedFile:
        """These sentences, which are read when they are first asked for. Raises InputError."""
        return load_tagged_file(self.name, self.source)

    @property
    def baseline(self) -> Method | None:
        """How a baseline was trained; None for an encoder."""
        return self.options.method if isinstance(self.options, BaselineConfig) else None

    @property
    def has_card(self) -> bool:
        """Whether it is a run of train.py, which has a model card and can be uploaded."""
        return type(self.options) is TrainConfig  # and not the mean of several

    def result(self, language: str, split: str, rows: Dataset, counts: Counts, tagged: LabelPair) -> Result:
        """What it scored on the sentences of one language and split."""
        return Result(
            run=self.name,
            trained_on=self.trained_on,
            max_train_sentences=self.max_train_sentences,
            language=language,
            split=split,
            num_sentences=len(rows),
            scores={scoring: counts.scores(scoring) for scoring in SCORINGS},
            train_sentences=self.train_sentences,
            seed=self.options.seed if self.options else None,
            recipe=recipe_of_run(self.options) if self.options else None,
            counts=tagged.counts(),
            content=content_key(rows),
            baseline=TITLES[self.baseline] if self.baseline else None,
            annotated=self.annotated.get(language, 0 if self.annotated and language not in self.trained_on else None),
            also_trained_on=self.also_trained_on,
        )


def find_run(name: str, checkpoint: str, data: EvaluationDataOptions, *, tagged_files: bool = False) -> Run:
    """The run of that name: run folder, model folder, or Hub name. Raises InputError for anything else.

    checkpoint: which model of a run folder, best or last; data: to test on, where it is not the run's own;
    tagged_files: files of sentences that another system has tagged are taken, too.
    """
    folder = Path(name)
    model, trained = (name, None) if tagged_files and is_tagged_file(name) else find_model(name, checkpoint)
    given = {item.name: value for item in fields(Source) if (value := getattr(data, item.name, None)) is not None}
    trained_from = Source.of(trained) if trained else None
    if data.data or trained_from is None:  # what a run says about its own data does not hold for another
        source = replace(Source(TrainConfig().data), **given)
    else:
        source = replace(trained_from, **{"corrections": None} | given)
    if trained is None:
        return Run(name, name, (), None, None, source, None)
    return Run(
        name,
        model,
        trained.train_on,
        trained.train_sizes,
        trained.max_length if isinstance(trained, TrainConfig) else None,
        source,
        trained_from,
        trained,
        *train_sentences(folder, trained.train_on),
        also_trained_on(folder, trained),
    )


def training_sentences(run: Run) -> tuple[Dataset, np.ndarray]:
    """What a run was trained on, copies left out, and int64 [sentences], the place in `trained_on` of its language.

    Raises InputError where nothing is known of its training, or its data is gone.
    """
    if run.trained_from is None or run.options is None:
        raise InputError(f"{run.name}: nothing is known of its training")
    if run.trained_from.by_file:
        raise InputError(f"{run.name}: its training sentences streamed, and are not read once more")
    corpus = load_corpus(run.trained_from, run.trained_on, ("train",), check_map=False)
    splits = {language: corpus[language]["train"] for language in run.trained_on}
    return join_languages(splits, run.max_train_sentences, run.options.slice_seed)


def notes(runs: Sequence[Run], corpora: Mapping[Source, Corpus]) -> tuple[list[str], Seen]:
    """What reading the data met, and how many of the sentences that each run is tested on it was trained on.

    Returns messages, and the numbers for each run of which they are known.
    """
    found = [note for corpus in corpora.values() for note in corpus.notes]
    known: Seen = {}
    for run in runs:
        if run.is_tagged_file:
            found += run.tagged_file.notes
        if run.trained_from is None or run.options is None:
            continue
        if run.trained_from.by_file:
            found.append(f"{run.name}: its training sentences streamed; which it is tested on is unknown")
            continue
        try:
            trained, _ = training_sentences(run)
        except InputError as error:
            reason = str(error).splitlines()[0]
            found.append(f"{run.name}: which of the sentences it was trained on is unknown, its data is gone: {reason}")
            continue
        tested = corpora[run.source].languages
        known[run.name] = {
            (lang, split): in_both(trained, part) for lang, parts in tested.items() for split, part in parts.items()
        }
        seen = [
            f"{both:,} of {len(tested[lang][split]):,} {lang} {split}"
            for (lang, split), both in known[run.name].items()
            if both
        ]
        if seen:
            found.append(f"{run.name} was trained on {', '.join(seen)} sentences")
    return found, known


def check_tags(run: Run, corpus: Corpus) -> None:
    """Raises InputError that says which tags of the data the run's model lacks, or which sentence its file lacks."""
    if run.is_tagged_file:
        run.tagged_file.check(corpus)
        return
    is_encoder = run.baseline is None
    known = TagSet.of_model(load_config(run.model, "model"), run.name) if is_encoder else read_tags(Path(run.model))
    used = {tag for splits in corpus.languages.values() for part in splits.values() for tag in used_tags(part)}
    if lacking := sorted(used - set(known.names)):
        raise InputError(
            f"{run.name} lacks the tags {' '.join(lacking)} of {run.source.data}; it has {' '.join(known.names)}; "
            f"`map_tags` {','.join(dict.fromkeys(f'{tag[2:]}=O' for tag in lacking))} reads them as other types"
        )


def check_map(map_tags: str | None, runs: Sequence[Run], corpora: Iterable[Corpus]) -> None:
    """Raises InputError for a type of `map_tags` that neither the corpora have nor the runs that are tagged files.

    map_tags: as given for the test. What a run was trained with need not be in what it is tested on.
    """
    if mapping := parse_map(map_tags):
        of_files = (run.tagged_file.types for run in runs if run.is_tagged_file)
        check_mapped(mapping, chain(*of_files, *(corpus.types for corpus in corpora)))


def check_same_sentences(runs: Sequence[Run], corpora: Mapping[Source, Corpus]) -> None:
    """Raises InputError if two runs to compare are not tested on the same sentences and gold tags."""
    first, second = (corpora[run.source] for run in runs)
    for language, splits in first.languages.items():
        for split, part in splits.items():
            other = second[language][split]
            if content_key(part) != content_key(other):
                raise InputError(
                    f"`compare`: {runs[0].name} and {runs[1].name} are tested on different {language} {split} "
                    f"sentences: {len(part):,} of {first.source.data}, {len(other):,} of {second.source.data}; "
                    "name one `data` for both, and the same options for it"
                )


def content_key(rows: Dataset) -> str:
    """Equal for the same sentences in the same order with the same tags."""
    return " ".join([content_hash(rows), *tag_set(rows).names])
