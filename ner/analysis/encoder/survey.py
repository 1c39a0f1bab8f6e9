"""Encoders before and after fine-tuning, looked into one after the other: probes, entity vectors, attention."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from datasets import Dataset
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ner.analysis.encoder.attention import Attention, attention
from ner.analysis.encoder.entity_map import EntityVectors
from ner.analysis.encoder.layer_scores import (
    TASKS,
    LayerScore,
    Probes,
    Sample,
    choose_sentences,
    entity_vectors,
    fit_probes,
    make_sample,
    sample_vectors,
    score_probes,
)
from ner.config import TrainConfig
from ner.data.corpus import Corpus
from ner.errors import InputError
from ner.evaluation.inference import Processes
from ner.evaluation.runs import Run
from ner.modeling.cpu_kernels import use_cpu_kernels
from ner.modeling.model import build_model, load_max_positions, load_tagger
from ner.modeling.pretrained import load_tokenizer
from ner.tags import TagSet

# Languages that a probe is fitted on, their words, and the languages that it is tested on.
Fitted: TypeAlias = tuple[tuple[str, ...], Sample, tuple[str, ...]]


@dataclass(frozen=True)
class Subject:
    """An encoder that is looked into. load: makes the model, on the CPU; max_length: of windows, in sub-tokens."""

    name: str
    is_fine_tuned: bool
    tokenizer: PreTrainedTokenizerBase
    max_length: int
    load: Callable[[], PreTrainedModel]


@dataclass(frozen=True)
class Plan:
    """What is looked at.

    tags: of all samples; groups: what probes are fitted on, and where each is tested; tested: the sample of each
    language; layer: of entity vectors, None for the last; text: for attention, None for none.
    """

    tags: TagSet
    groups: Sequence[Fitted]
    tested: Mapping[str, Sample]
    layer: int | None
    max_entities: int
    max_tokens: int
    seed: int
    text: str | None = None

    @property
    def num_sentences(self) -> int:
        """Sentences that go through each encoder."""
        samples = [*(sample for _, sample, _ in self.groups), *self.tested.values()]
        return sum(len(sample.word_offsets) - 1 for sample in samples)


@dataclass
class Findings:
    """What was found in an encoder. layer: of the entities, which are of each language; attention: in the text."""

    name: str
    is_fine_tuned: bool
    scores: list[LayerScore] = field(default_factory=list)
    layer: int = 0
    entities: dict[str, EntityVectors] = field(default_factory=dict)
    attention: Attention | None = None


def find_subjects(runs: Sequence[Run], encoder: str | None, tags: TagSet) -> list[Subject]:
    """The encoders before fine-tuning, each once, and the runs behind theirs.

    encoder: of all runs, None for what each run says; tags: of the data.
    Raises InputError for baselines, for runs that do not say what they were made from, and for models that cannot be
    read.
    """
    found: dict[str, Subject] = {}
    for run in runs:
        if run.baseline:
            raise InputError(f"{run.name}: a baseline ({run.baseline}), which has no layers; name runs of train.py")
        options = run.options if isinstance(run.options, TrainConfig) else None
        name = encoder or (options.model if options else None)
        if name is None:
            raise InputError(f"{run.name} does not say what it was fine-tuned from; name that as `encoder`")
        if name not in found:
            try:
                found[name] = before_fine_tuning(name, run.max_length, tags, options)
            except InputError as error:
                hint = "" if encoder else f"; {run.name} was fine-tuned from it: name where it is now as `encoder`"
                raise InputError(f"{error}{hint}") from error
        found[run.name] = after_fine_tuning(run)
    return list(found.values())


def before_fine_tuning(name: str, max_length: int | None, tags: TagSet, options: TrainConfig | None) -> Subject:
    """An encoder by its Hub name or folder. max_length: of the run, if it had one. Raises InputError."""
    tokenizer = load_tokenizer(name)
    longest = load_max_positions(name, tokenizer)
    allow_pickle = bool(options and options.allow_pickle)
    return Subject(
        name=name,
        is_fine_tuned=False,
        tokenizer=tokenizer,
        max_length=min(max_length or longest, longest),
        load=lambda: build_model(name, tags, seed=0, allow_pickle=allow_pickle),
    )


def after_fine_tuning(run: Run) -> Subject:
    """The model of a run. Raises InputError."""
    tokenizer = load_tokenizer(run.model)
    return Subject(
        name=run.name,
        is_fine_tuned=True,
        tokenizer=tokenizer,
        max_length=run.max_length or load_max_positions(run.model, tokenizer),
        load=lambda: load_tagger(run.model)[0],
    )


def draw_samples(
    corpus: Corpus,
    subjects: Iterable[Subject],
    languages: Sequence[str],
    *,
    split: str,
    probe_split: str,
    probe_on: Sequence[str] | None,
    max_words: int,
    seed: int,
) -> tuple[list[Fitted], dict[str, Sample]]:
    """The `groups` and `tested` of a `Plan`.

    probe_on: languages whose sentences probes are fitted on, together; None fits those of each language on its own.
    max_words: of the words that probes are fitted on, and of those of each language that they are tested on.
    """
    readers = {subject.name: (subject.tokenizer, subject.max_length) for subject in subjects}

    def drawn(language: str, of: str, limit: int) -> Dataset:
        return choose_sentences(corpus[language][of], limit, seed)

    def sample(parts: Sequence[Dataset]) -> Sample:
        return make_sample(parts, corpus.tags, readers)

    tested = {language: sample([drawn(language, split, max_words)]) for language in languages}
    if probe_on:
        limit = max(1, max_words // len(probe_on))
        joint = sample([drawn(language, probe_split, limit) for language in probe_on])
        return [(tuple(probe_on), joint, tuple(languages))], tested
    own: list[Fitted] = [((name,), sample([drawn(name, probe_split, max_words)]), (name,)) for name in languages]
    return own, tested


def survey(
    subjects: Iterable[Subject],
    plan: Plan,
    processes: Processes,
    *,
    sentences_done: Callable[[int], Any],
    probes_done: Callable[[int], Any],
) -> Iterator[Findings]:
    """Looks into encoders, one at a time in memory; with it the vectors of one sample.

    sentences_done, probes_done: called with the number of sentences and of fitted probes since the last call. Raises
    InputError as `word_vectors` and `attention`, and for a layer that an encoder lacks.
    """
    for subject in subjects:
        yield look_into(subject, plan, processes, sentences_done, probes_done)


def look_into(
    subject: Subject,
    plan: Plan,
    processes: Processes,
    sentences_done: Callable[[int], Any],
    probes_done: Callable[[int], Any],
) -> Findings:
    """`survey` of one encoder."""
    model = subject.load()
    nn.Module.to(model, processes.device)
    found = Findings(subject.name, subject.is_fine_tuned)
    if plan.text is not None:
        found.attention = attention(model, subject.tokenizer, plan.text)
    if processes.device.type == "cpu":
        use_cpu_kernels(model)

    def vectors_of(sample: Sample) -> np.ndarray:
        return sample_vectors(sample, subject.name, model, processes, plan.max_tokens, sentences_done)

    for trained_on, sample, languages in plan.groups:
        vectors = vectors_of(sample)
        found.layer = layer_of(plan.layer, len(vectors) - 1, subject.name)
        probes = [fit_probes(vectors, sample, task, plan.tags, plan.seed, probes_done) for task in TASKS]
        del vectors  # before those of the test take their place
        for language in languages:
            add_language(found, plan, vectors_of(plan.tested[language]), trained_on, language, probes)
    return found


def add_language(
    found: Findings,
    plan: Plan,
    vectors: np.ndarray,
    trained_on: tuple[str, ...],
    language: str,
    probes: Iterable[Probes | None],
) -> None:
    """Adds what the probes score on a language, and its entities. vectors: of its sample, as `sample_vectors`."""
    sample = plan.tested[language]
    for of_task in filter(None, probes):
        scores = score_probes(of_task, vectors, sample, plan.tags)
        found.scores += [
            LayerScore(found.name, of_task.task, trained_on, of_task.num_words, language, layer, score)
            for layer, score in enumerate(scores)
        ]
    found.entities[language] = entity_vectors(
        vectors[found.layer], sample, language, plan.tags, plan.max_entities, plan.seed
    )


def layer_of(layer: int | None, last: int, name: str) -> int:
    """The layer of the entities. Raises InputError for one that is not there."""
    if layer is not None and layer > last:
        raise InputError(f"`layer` {layer}: {name} has the layers 0 (embeddings) to {last}")
    return last if layer is None else layer
