"""Sentences that another system has tagged, tested as a run: any system that writes a file stands in the matrix.

A file is what `ner.data` reads: JSON Lines, columns, annotated text and the like, or a path with {lang} and {split}.
Its sentences are found by their words, in whatever order they stand; with such a path, in the file of their language
and split.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import chain
from pathlib import Path

import numpy as np
from datasets import Dataset

from ner.data.arrow_store import TAGS, WORDS, flat_column, tag_set
from ner.data.corpus import Corpus, Source, load_corpus
from ner.data.notes import scheme_note
from ner.data.readers import suffix_of
from ner.data.tag_schemes import SchemeStats
from ner.errors import InputError, listed, shorten
from ner.evaluation.inference import Predictions
from ner.evaluation.tested import ANYWHERE, Place, Progress, Tested
from ner.tags import OUTSIDE, TagSet

Words = tuple[str, ...]


def is_tagged_file(name: str) -> bool:
    """Whether a run of that name is tagged sentences, and no model: by the name of a file, or a path with {split}."""
    return "{split}" in name or (bool(suffix_of(Path(name))) and Path(name).is_file())


def load_tagged_file(name: str, source: Source) -> "TaggedFile":
    """Reads the sentences of a file, or of all files of a path with {lang} and {split}.

    source: of the sentences to test, whose names of tag ids and mapping of types hold for these, too, where the files
    have such types. IOB2 tags are taken as they stand, since strict scores are to be those of the system, as those of
    a model are; tags of another scheme are converted. Raises InputError as `load_corpus` does.
    """
    whole = Source(name, sample=("all",), tags=source.tags, map_tags=source.map_tags)
    languages = None if "{lang}" in name else ("tagged",)
    corpus = load_corpus(whole, languages, None, check_map=False)
    met = reduce(SchemeStats.__add__, corpus.stats.values())
    notes = tuple(scheme_note(name, met))
    if met.scheme == "IOB2" and met.repaired:
        corpus = load_corpus(whole, languages, None, check_map=False, repair=False)
        left = "left as it is: no entity in strict scoring"
        notes = (f"{name}: {met.repaired:,} words with an I- that continues nothing, {left}",)
    predicted: dict[Place, dict[Words, list[Sequence[str]]]] = {}
    for language, splits in corpus.languages.items():
        for split, rows in splits.items():
            names, sentences = tag_set(rows).names, predicted.setdefault(place_in(name, (language, split)), {})
            for words, tags in zip(rows[WORDS], rows[TAGS], strict=True):
                sentences.setdefault(tuple(words), []).append([names[tag] for tag in tags])
    return TaggedFile(name, predicted, corpus.types, notes)


def place_in(name: str, place: Place) -> Place:
    """What a path tells apart of a language and split; empty where it has no marker."""
    language, split = place
    return language if "{lang}" in name else "", split if "{split}" in name else ""


@dataclass
class TaggedFile:
    """The tagged sentences of a file.

    Attributes:
        name: The file, or the path with {lang} and {split}.
        predicted: Language and split, as of `place_in` -> words of a sentence -> its tags, as often as it stands there.
        types: Entity types of the file, before some are mapped.
        notes: What was converted, and what is illegal, a line each.
    """

    name: str
    predicted: dict[Place, dict[Words, list[Sequence[str]]]]
    types: frozenset[str]
    notes: tuple[str, ...]
    how: str = field(default="", init=False)
    tags: TagSet = field(init=False)

    def __post_init__(self) -> None:
        repeated = chain.from_iterable(sentences.values() for sentences in self.predicted.values())
        self.tags = TagSet.collect({OUTSIDE, *chain.from_iterable(chain.from_iterable(repeated))})

    def check(self, corpus: Corpus) -> None:
        """Raises InputError that names the first sentence of the corpus that the file lacks."""
        for language, splits in corpus.languages.items():
            for split, rows in splits.items():
                self.tags_of(rows, (language, split))

    def tags_of(self, rows: Dataset, place: Place) -> list[Sequence[str]]:
        """The tags of sentences: of one that comes again, those of the file in turn, the last ones from then on.

        place: their language and split. Raises InputError for a sentence that is not in the file.
        """
        if (sentences := self.predicted.get(place_in(self.name, place))) is None:
            there = listed(" ".join(filter(None, other)) for other in self.predicted)
            raise InputError(f"{self.name}: no file of {' '.join(place)}; there is {there}")
        found = []
        times: dict[Words, int] = {}
        for number, sentence in enumerate(rows[WORDS], 1):
            words = tuple(sentence)
            if (tagged := sentences.get(words)) is None:
                raise InputError(
                    f"{self.name}: no sentence with the words {shorten(' '.join(words))} ({' '.join(place)} sentence "
                    f"{number:,} of {len(rows):,}); each tested sentence must be there, split into the same words"
                )
            found.append(tagged[min(times.get(words, 0), len(tagged) - 1)])
            times[words] = times.get(words, 0) + 1
        return found

    def test(self, rows: Dataset, progress: Progress, place: Place = ANYWHERE) -> Tested:
        """As of `Predictor`; every process does all. Losses and the like are not known."""
        gold_tags = tag_set(rows)
        self.tags = TagSet.collect({*self.tags.names, *gold_tags.names})
        gold_ids, num_words = flat_column(rows, TAGS)
        predicted = [self.tags.ids[tag] for tags in self.tags_of(rows, place) for tag in tags]
        unknown = np.full((3, len(gold_ids)), np.nan, dtype=np.float32)
        progress(len(rows))
        return Tested(
            self.tags.ids_of(gold_tags)[gold_ids],
            np.concatenate([[0], np.cumsum(num_words, dtype=np.int64)]),
            Predictions(np.ones(len(gold_ids), dtype=bool), np.array(predicted, dtype=np.int64), *unknown),
        )
