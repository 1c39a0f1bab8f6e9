"""Results of many runs -> the cross-lingual F1 matrix: a row for each training, a column for each test language.

Several seeds of one training are one row, their mean; a cell has a 95% interval, and its distance to the run that was
trained on the language alone.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias

import numpy as np

from ner.config import BaselineConfig, Sizes, TrainConfig
from ner.evaluation.bootstrap import Interval, f1_of, interval, macro_f1_of, resampled
from ner.tags import SCORINGS

Row = dict[str, float | None]
Average: TypeAlias = Literal["micro", "macro"]
Samples: TypeAlias = dict[tuple[str, str], np.ndarray]  # run and language -> float64 [resamples]
EACH = "each"


@dataclass(frozen=True)
class Result:
    """One model on one split of one language.

    run: as it was named on the command line; trained_on: its languages, empty if unknown; max_train_sentences: how
    the training data was cut, if it was; scores: scoring -> what `Counts.scores` gives; train_sentences: how many it
    was trained on; recipe: equal for runs that differ in nothing else than languages, sentences and seed; counts: int64
    [2 scorings, sentences, types, 3], entities of each sentence and type; content: a hash, equal for results on the
    same sentences and gold tags; annotated: sentences of the tested language that it was trained on. None where it is
    not known. baseline: CRF or dictionary, None for an encoder. also_trained_on: languages of the taggers that it goes
    on from, or learns from.
    """

    run: str
    trained_on: tuple[str, ...]
    max_train_sentences: Sizes
    language: str
    split: str
    num_sentences: int
    scores: dict[str, dict[str, Any]]
    train_sentences: int | None = None
    seed: int | None = None
    recipe: TrainConfig | BaselineConfig | None = None
    counts: np.ndarray | None = None
    content: str | None = None
    baseline: str | None = None
    annotated: int | None = None
    also_trained_on: tuple[str, ...] = ()

    @property
    def knows(self) -> set[str]:
        """The languages whose annotated sentences it has learnt from; all others are zero-shot. Empty if unknown."""
        return {*self.trained_on, *self.also_trained_on}

    @property
    def training(self) -> Hashable:
        """What runs of one row have in common; the run itself, where nothing is known of its training."""
        return (self.trained_on, self.cut, self.recipe) if self.recipe else self.run

    @property
    def cut(self) -> str:
        """How many sentences the training data was cut to, of all languages joined or of single ones; empty if not."""
        sizes = self.max_train_sentences or {}
        if not isinstance(sizes, dict):
            return f"{sizes:,}"
        alone = len(self.trained_on) == 1  # where both are the same
        return " ".join(f"{size:,}" if alone else f"{language}={size:,}" for language, size in sorted(sizes.items()))

    def plain(self) -> dict[str, Any]:
        """What JSON takes of it."""
        left_out = ("recipe", "counts", "content")
        return {item.name: getattr(self, item.name) for item in fields(self) if item.name not in left_out}


@dataclass(frozen=True)
class Cell:
    """One row on one language.

    f1: micro F1, the mean over runs; runs: F1 of each; interval: of the mean, by bootstrap over sentences.
    gap: F1 of the run trained on the language alone (the mean, if there are several) minus f1, where the row has not
    learnt from annotated sentences of the language; gap_interval: by bootstrap over the same sentences. None where it
    is not known.
    """

    f1: float
    runs: tuple[float, ...]
    interval: Interval | None = None
    gap: float | None = None
    gap_interval: Interval | None = None

    @property
    def spread(self) -> float | None:
        """Standard deviation over runs, of a sample."""
        return float(np.std(self.runs, ddof=1)) if len(self.runs) > 1 else None


Cells = dict[str, dict[str, Cell | None]]


def named(name: str, baseline: str | None) -> str:
    """A row or line of a baseline, told apart from that of an encoder: `de, CRF`."""
    return f"{name}, {baseline}" if baseline else name


def row_names(results: Sequence[Result], languages: Sequence[str]) -> dict[str, str]:
    """Run -> name of its row: what it was trained on; rows of the same name are told apart by their first run."""
    first: dict[Hashable, Result] = {}
    for result in results:
        first.setdefault(result.training, result)

    def name(result: Result) -> str:
        if not result.trained_on:
            return result.run
        everything = len(languages) > 2 and set(result.trained_on) == set(languages)
        label = "all" if everything else "+".join(result.trained_on)
        label += f" ({result.cut})" if result.cut else ""
        return named(label, result.baseline)

    labels = {training: name(result) for training, result in first.items()}
    count = Counter(labels.values())

    def row_name(result: Result) -> str:
        label = labels[result.training]
        return label if count[label] == 1 else f"{label} [{first[result.training].run}]"

    return {result.run: row_name(result) for result in results}


def f1_cells(results: Sequence[Result], languages: Sequence[str], scoring: str) -> Cells:
    """Row name -> language -> cell, of one split. Encoders, then baselines; rows from few to many training languages.

    The row `each` is made where at least two languages have a run of their own: each column from the run of its own
    language (the mean, if there are several), None where there is no such run. Baselines have an `each` of their own.
    """
    names = row_names(results, languages)
    samples = resample(results, scoring)

    def place(result: Result) -> tuple[Any, ...]:
        order = [languages.index(lang) if lang in languages else len(languages) for lang in result.trained_on]
        sizes = result.max_train_sentences or 1 << 60
        size = -sum(sizes.values()) if isinstance(sizes, dict) else -sizes
        return (result.baseline or "", not order, len(order), order, size, result.run)

    rows: dict[str, dict[str, list[Result]]] = {}
    monolingual_runs: dict[str | None, dict[str, list[Result]]] = {
        result.baseline: {language: [] for language in languages} for result in results
    }
    ordered = sorted(results, key=place)
    for result in ordered:
        row = rows.setdefault(names[result.run], {language: [] for language in languages})
        row[result.language].append(result)
        if result.knows == {result.language} and not result.max_train_sentences:
            monolingual_runs[result.baseline][result.language].append(result)
    for baseline, monolingual in monolingual_runs.items():
        if sum(map(bool, monolingual.values())) > 1:
            alone = [r for r in ordered if len(r.trained_on) == 1 and r.baseline == baseline]
            items = list(rows.items())
            after = 1 + list(rows).index(names[alone[-1].run])
            rows = dict([*items[:after], (named(EACH, baseline), monolingual), *items[after:]])

    def cell(members: Sequence[Result], language: str) -> Cell | None:
        if not members:
            return None
        runs, mean, drawn = f1_of_runs(members, scoring), mean_f1(members, scoring), mean_samples(members, samples)
        certain = None if drawn is None else interval(drawn)
        knows = {language for result in members for language in result.knows}
        monolingual = monolingual_runs[members[0].baseline]
        if not monolingual[language] or not knows or language in knows:
            return Cell(mean, runs, certain)
        gap = mean_f1(monolingual[language], scoring) - mean
        reference = mean_samples(monolingual[language], samples)
        is_paired = len({result.content for result in (*members, *monolingual[language])}) == 1
        if drawn is None or reference is None or not is_paired:
            return Cell(mean, runs, certain, gap)
        return Cell(mean, runs, certain, gap, interval(reference - drawn))

    return {name: {lang: cell(row[lang], lang) for lang in languages} for name, row in rows.items()}


def mean_f1(results: Sequence[Result], scoring: str, average: Average = "micro") -> float:
    """F1, the mean over results."""
    return float(np.mean(f1_of_runs(results, scoring, average)))


def f1_of_runs(results: Sequence[Result], scoring: str, average: Average = "micro") -> tuple[float, ...]:
    """F1 of each."""
    scores = (result.scores[scoring] for result in results)
    return tuple((of_run["macro"] if average == "macro" else of_run)["f1"] for of_run in scores)


def resample(results: Sequence[Result], scoring: str, average: Average = "micro") -> Samples:
    """F1 of resampled sentences, paired between results on the same sentences.

    Results whose counts are not known are left out.
    """
    groups: dict[tuple[str, tuple[int, ...]], list[tuple[str, np.ndarray]]] = {}
    for result in results:
        if result.counts is not None:
            counts = result.counts[SCORINGS.index(scoring)]
            counts = counts if average == "macro" else counts.sum(axis=1)
            groups.setdefault((result.language, counts.shape), []).append((result.run, counts))
    samples: Samples = {}
    for (language, _), group in groups.items():
        stacked = np.stack([counts for _, counts in group], axis=1)
        drawn = resampled(stacked, score=macro_f1_of if average == "macro" else f1_of)
        samples |= {(run, language): column for (run, _), column in zip(group, drawn.T, strict=True)}
    return samples


def mean_samples(results: Sequence[Result], samples: Samples) -> np.ndarray | None:
    """float64 [resamples]: of the mean over these results; None if one of them was not resampled."""
    columns = [column for r in results if (column := samples.get((r.run, r.language))) is not None]
    return np.mean(columns, axis=0) if len(columns) == len(results) else None


def f1_of_cells(cells: Cells) -> dict[str, Row]:
    """Row name -> language -> micro F1."""
    return {name: {lang: cell.f1 if cell else None for lang, cell in row.items()} for name, row in cells.items()}


def best_rows(matrix: dict[str, Row]) -> dict[str, set[str]]:
    """Language -> the rows with the highest F1 in its column; empty where there is nothing to choose from."""
    found: dict[str, set[str]] = {}
    for language in next(iter(matrix.values()), {}):
        column = {name: f1 for name, row in matrix.items() if (f1 := row[language]) is not None}
        highest = {name for name, f1 in column.items() if f1 == max(column.values())}
        rows = [name for name in column if name.split(", ")[0] != EACH]
        found[language] = highest if len(rows) > 1 else set()
    return found
