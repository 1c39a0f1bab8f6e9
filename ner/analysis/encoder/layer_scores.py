"""Linear probes and entity vectors of encoders, layer by layer, from a sample of sentences."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from datasets import Dataset, concatenate_datasets
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ner.analysis.encoder.entity_map import EntityVectors
from ner.analysis.encoder.linear_probe import LinearProbe, ProbeScore, control_labels, fit, macro_f1
from ner.analysis.encoder.word_vectors import word_vectors
from ner.data.arrow_store import TAGS, WORDS, flat_column
from ner.errors import InputError
from ner.evaluation.inference import Processes
from ner.inputs.encoding import Encoded, encode
from ner.tags import TagSet, entities, first_words

Task: TypeAlias = Literal["tag", "type"]
TASKS: tuple[Task, ...] = ("tag", "type")
Progress: TypeAlias = Callable[[int], Any]


@dataclass(frozen=True)
class Sample:
    """Sentences, their words, and their windows for each tokenizer.

    words: the text of each word; gold: int64 [words], ids of tags; word_offsets: int64 [sentences + 1]; encoded: name
    of an encoder -> windows; has_vector: bool [words], whether the word has a sub-token for all of them.
    """

    words: tuple[str, ...]
    gold: np.ndarray
    word_offsets: np.ndarray
    encoded: Mapping[str, Encoded]
    has_vector: np.ndarray

    @property
    def chosen(self) -> np.ndarray:
        """int64 [chosen]: numbers of the words that have vectors."""
        return np.flatnonzero(self.has_vector)


@dataclass(frozen=True)
class LayerScore:
    """What a probe of one layer scored. trained_on: the languages of its training words; layer: 0 is the embeddings."""

    encoder: str
    task: Task
    trained_on: tuple[str, ...]
    num_train_words: int
    language: str
    layer: int
    score: ProbeScore


@dataclass(frozen=True)
class Probes:
    """The probes of one task: of each layer one for the task and one for its control.

    shares: float64 [classes], of the training labels; words: types of the training words, of which there are num_words.
    """

    task: Task
    of_layers: Sequence[tuple[LinearProbe, LinearProbe]]
    shares: np.ndarray
    words: frozenset[str]
    num_words: int
    seed: int


def choose_sentences(rows: Dataset, max_words: int, seed: int) -> Dataset:
    """Whole sentences in the order of the data, drawn by the seed until they hold max_words words; one at least.

    All words of a drawn sentence are taken, so that entities stay as frequent as they are.
    """
    lengths = flat_column(rows, TAGS)[1]
    order = np.random.default_rng(seed).permutation(len(lengths))
    count = max(1, int((np.cumsum(lengths[order]) <= max_words).sum()))
    return rows.select(np.sort(order[:count]))


def make_sample(
    parts: Sequence[Dataset], tags: TagSet, readers: Mapping[str, tuple[PreTrainedTokenizerBase, int]]
) -> Sample:
    """Sentences of one or more languages as a sample. Raises InputError as `encode` does.

    readers: name of an encoder -> its tokenizer, and the longest window in sub-tokens.
    """
    rows = concatenate_datasets(list(parts))
    encoded = {
        name: encode(rows, tokenizer, tags, max_length=longest) for name, (tokenizer, longest) in readers.items()
    }
    first = next(iter(encoded.values()))
    has_vector = np.all([windows.scored_at >= 0 for windows in encoded.values()], axis=0)
    if not has_vector.any():
        raise InputError("no word of the sample has a sub-token; raise `max_words`, or take another encoder")
    words = tuple(flat_column(rows, WORDS)[0].tolist())
    return Sample(words, first.gold, first.word_offsets, encoded, has_vector)


def sample_vectors(
    sample: Sample, name: str, model: PreTrainedModel, processes: Processes, max_tokens: int, progress: Progress
) -> np.ndarray:
    """float32 [layers + 1, chosen, hidden] of a sample's words in the encoder of that name."""
    return word_vectors(
        model, sample.encoded[name], sample.chosen, processes, name=name, max_tokens=max_tokens, progress=progress
    )


def task_words(sample: Sample, task: Task, tags: TagSet) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The words of a task among the chosen ones: (places int64 [words], labels int64 [words], texts).

    tag: all words and their tags; type: the words of entities and their types.
    """
    labels = sample.gold[sample.has_vector]
    if task == "type":
        labels = tags.type_of[labels]
    places = np.flatnonzero(labels >= 0)
    words = sample.chosen[places]
    return places, labels[places], [sample.words[word] for word in words]


def fit_probes(
    vectors: np.ndarray, sample: Sample, task: Task, tags: TagSet, seed: int, progress: Progress
) -> Probes | None:
    """The probes of all layers of a task; None if the sample has no words for it.

    vectors: float32 [layers + 1, chosen, hidden], as `sample_vectors`; progress: called with the layers that are done.
    """
    places, labels, words = task_words(sample, task, tags)
    if not len(places):
        return None
    num_classes = len(tags) if task == "tag" else len(tags.types)
    shares = np.bincount(labels, minlength=num_classes) / len(labels)
    control = control_labels(words, shares, seed)
    of_layers = []
    for layer in vectors:
        probe, control_probe = fit(layer[places], [labels, control], num_classes)
        of_layers.append((probe, control_probe))
        progress(1)
    return Probes(task, of_layers, shares, frozenset(words), len(words), seed)


def score_probes(probes: Probes, vectors: np.ndarray, sample: Sample, tags: TagSet) -> list[ProbeScore]:
    """What the probe of each layer scores on a sample, none if the sample has no words for the task."""
    places, gold, words = task_words(sample, probes.task, tags)
    if not len(places):
        return []
    control = control_labels(words, probes.shares, probes.seed)
    majority = float((gold == probes.shares.argmax()).mean())
    seen = float(np.mean([word in probes.words for word in words]))
    scores = []
    for layer, (probe, control_probe) in zip(vectors, probes.of_layers, strict=True):
        predicted = probe.predict(layer[places])
        scores.append(
            ProbeScore(
                accuracy=float((predicted == gold).mean()),
                macro_f1=macro_f1(gold, predicted),
                control_accuracy=float((control_probe.predict(layer[places]) == control).mean()),
                majority=majority,
                seen=seen,
                num_words=len(gold),
            )
        )
    return scores


def entity_vectors(
    vectors: np.ndarray, sample: Sample, language: str, tags: TagSet, max_entities: int, seed: int
) -> EntityVectors:
    """The entities of a sample of one language, at most max_entities, drawn by the seed.

    vectors: float32 [chosen, hidden], of one layer. An entity is the mean of those of its words that have a vector.
    """
    place = np.full(len(sample.gold), -1)
    place[sample.chosen] = np.arange(len(sample.chosen))
    found = [
        (sample.words[start:end], type_, inside)
        for start, end, type_ in zip(*entities(sample.gold, first_words(sample.word_offsets), tags), strict=True)
        if len(inside := place[start:end][place[start:end] >= 0])
    ]
    drawn = np.sort(np.random.default_rng(seed).permutation(len(found))[:max_entities])
    kept = [found[i] for i in drawn]
    means = [vectors[inside].mean(axis=0) for _, _, inside in kept]
    return EntityVectors(
        vectors=np.array(means, dtype=np.float32).reshape(len(kept), vectors.shape[1]),
        types=np.array([type_ for _, type_, _ in kept], dtype=np.int64),
        languages=np.zeros(len(kept), dtype=np.int64),
        texts=tuple(" ".join(words) for words, _, _ in kept),
        type_names=tags.types,
        language_names=(language,),
    )
