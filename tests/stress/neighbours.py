"""What nearest neighbours of labelled words add to a tagger, after kNN-NER (arXiv 2203.17103): not part of the suite.

    python -m tests.stress.neighbours runs/de runs/warm-fr-{size}-{slice} --data data/panx --language fr

The words of the annotated sentences are kept with their tags. The tags of a word's k nearest among them, weighted by
exp(-distance / temperature), are mixed into the tagger's probabilities; distances are squared, of unit vectors of the
last layer. k, temperature and share are those with the best F1 on as many validation sentences as are annotated, as few
as a user would have; of equals the smallest share. Nothing is trained. {size} and {slice} in a run are filled in.
"""

import argparse
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from datasets import Dataset

from ner import runtime
from ner.analysis.encoder.word_vectors import word_vectors
from ner.config import EvaluateConfig
from ner.data.corpus import Source, load_corpus
from ner.data.sampling import join_languages
from ner.evaluation.inference import Alone
from ner.evaluation.metrics import count
from ner.evaluation.predictors import EncoderPredictor, load_predictor
from ner.evaluation.runs import find_run
from ner.inputs.encoding import encode
from ner.tags import TagSet, first_words
from ner.utils import table

NEIGHBOURS = (4, 8, 16, 32, 64)
TEMPERATURES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
SHARES = tuple(i / 10 for i in range(11))
WORDS_AT_ONCE = 4096


@dataclass(frozen=True)
class Words:
    """Words with a sub-token: unit vectors [words, hidden], probabilities [words, tags]; and the tags of all words.

    at: which words of all have a sub-token; the others are tagged as outside.
    """

    vectors: np.ndarray
    probabilities: np.ndarray
    at: np.ndarray
    gold: np.ndarray
    word_offsets: np.ndarray

    def f1(self, probabilities: np.ndarray, tags: TagSet) -> float:
        """Of the likeliest tag of these probabilities."""
        predicted = np.full(len(self.gold), tags.outside)
        predicted[self.at] = probabilities.argmax(1)
        begins = first_words(self.word_offsets)
        losses = np.full(len(self.gold), np.nan)
        return float(count(self.gold, predicted, begins, losses, tags).scores()["f1"])


def read_words(predictor: EncoderPredictor, rows: Dataset, name: str) -> Words:
    """What the encoder and its head say of the words of these sentences."""
    tested = predictor.test(rows, lambda _: None, probabilities=True)
    encoded = encode(rows, predictor.tokenizer, predictor.tags, max_length=predictor.max_length)
    at = np.flatnonzero(encoded.scored_at >= 0)
    vectors = word_vectors(
        predictor.model,
        encoded,
        at,
        Alone(predictor.accelerator.device),
        name=name,
        max_tokens=predictor.config.max_tokens_per_micro_batch,
    )[-1]
    assert tested.predictions.probabilities is not None  # asked for
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return Words(unit, tested.predictions.probabilities[at], at, tested.gold, tested.word_offsets)


def of_neighbours(
    known: Words, asked: np.ndarray, num_tags: int, ks: Sequence[int], temperatures: Sequence[float]
) -> Iterator[tuple[int, float, np.ndarray]]:
    """(k, temperature, float32 [asked, tags]): how the tags of the k nearest known words are spread."""
    one_hot = np.eye(num_tags, dtype=np.float32)[known.gold[known.at]]
    found = []
    for first in range(0, len(asked), WORDS_AT_ONCE):
        distances = 2 - 2 * asked[first : first + WORDS_AT_ONCE] @ known.vectors.T
        nearest = np.argsort(distances, axis=1, kind="stable")[:, : max(ks)]
        found.append((nearest, np.take_along_axis(distances, nearest, axis=1)))
    nearest, distances = (np.concatenate(part) for part in zip(*found, strict=True))
    for k, temperature in itertools.product(ks, temperatures):
        weights = np.exp((distances[:, :1] - distances[:, :k]) / temperature)
        weights /= weights.sum(1, keepdims=True)
        yield k, temperature, np.einsum("wk,wkt->wt", weights, one_hot[nearest[:, :k]])


@dataclass(frozen=True)
class Cell:
    """Of a run, a size and a slice. chosen: k, temperature, share; seconds: to encode the known words, to ask for the
    neighbours of those of the test."""

    run: str
    size: int
    slice_seed: int
    f1: tuple[float, float]  # without neighbours, with them
    chosen: tuple[int, float, float]
    known: int
    asked: int
    seconds: tuple[float, float]


def measure(
    predictor: EncoderPredictor, run: str, size: int, slice_seed: int, parts: Sequence[Dataset], test: Words
) -> Cell:
    """parts: annotated sentences and validation sentences."""
    num_tags = len(predictor.tags)
    start = time.perf_counter()
    known = read_words(predictor, parts[0], run)
    built = time.perf_counter() - start
    validation = read_words(predictor, parts[1], run)
    tried = [
        (validation.f1(mixed(validation, of_them, share), predictor.tags), -share, k, temperature)
        for k, temperature, of_them in of_neighbours(known, validation.vectors, num_tags, NEIGHBOURS, TEMPERATURES)
        for share in SHARES
    ]
    _, minus, k, temperature = max(tried)
    start = time.perf_counter()
    [(_, _, of_them)] = of_neighbours(known, test.vectors, num_tags, [k], [temperature])
    queried = time.perf_counter() - start
    without, with_them = (test.f1(mixed(test, of_them, share), predictor.tags) for share in (0, -minus))
    sizes = len(known.at), len(test.at)
    return Cell(run, size, slice_seed, (without, with_them), (k, temperature, -minus), *sizes, (built, queried))


def mixed(words: Words, of_neighbours: np.ndarray, share: float) -> np.ndarray:
    """Probabilities [words, tags], that share of them of the neighbours."""
    return share * of_neighbours + (1 - share) * words.probabilities


def report(cells: Sequence[Cell]) -> str:
    """A row for each run and size, over slices; and what was chosen."""
    rows = []
    for run, size in dict.fromkeys((cell.run, cell.size) for cell in cells):
        of_them = [cell for cell in cells if (cell.run, cell.size) == (run, size)]
        before, after = (np.array([cell.f1[i] for cell in of_them]) for i in (0, 1))
        ranges = [f"{part.mean():.3f} [{part.min():.3f}, {part.max():.3f}]" for part in (before, after)]
        chosen = "; ".join(f"{k}, {temperature:g}, {share:g}" for k, temperature, share in (c.chosen for c in of_them))
        words = f"{np.mean([cell.known for cell in of_them]):,.0f}"
        seconds = [f"{np.mean([cell.seconds[i] for cell in of_them]):.2f}" for i in (0, 1)]
        rows.append([run, size, *ranges, f"{(after - before).mean():+.4f}", words, *seconds, chosen])
    header = ["run", "sentences", "without", "with", "gain", "words", "s to build", "s to ask", "k, temperature, share"]
    return table(header, rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs="+", help="run folders; {size} and {slice} are filled in")
    parser.add_argument("--data", required=True, help="as in train.py")
    parser.add_argument("--language", default="fr")
    parser.add_argument("--sample", nargs="+", default=["auto"], help="as in train.py")
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 100, 250])
    parser.add_argument("--slices", type=int, nargs="+", default=[42, 43, 44])
    options = parser.parse_args(arguments)
    accelerator = runtime.start_accelerator("auto")
    language = options.language
    source = Source(options.data, sample=tuple(options.sample))
    splits = load_corpus(source, [language], ("train", "validation", "test"))[language]
    cells: list[Cell] = []
    for pattern in options.runs:
        of_tests: dict[str, tuple[EncoderPredictor, Words]] = {}
        for size, slice_seed in itertools.product(options.sizes, options.slices):
            name = pattern.format(size=size, slice=slice_seed)
            if name not in of_tests:
                config = EvaluateConfig(runs=(name,), data=options.data)
                predictor = load_predictor(find_run(name, "best", config), config, accelerator, {})
                assert isinstance(predictor, EncoderPredictor), f"{name}: no encoder"
                of_tests = {name: (predictor, read_words(predictor, splits["test"], name))}
            parts = [
                join_languages({language: splits[split]}, {language: size}, slice_seed)[0]
                for split in ("train", "validation")
            ]
            cells.append(measure(of_tests[name][0], pattern, size, slice_seed, parts, of_tests[name][1]))
            print(cells[-1], flush=True)
    print(report(cells))


if __name__ == "__main__":
    main()
