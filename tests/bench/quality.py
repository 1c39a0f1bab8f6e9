"""Time to quality: seconds of training until validation F1 first reaches what the Trainer at its best ends with.

Both sides train three epochs on the same German sentences, in the same batches and at the same rate, and are scored by
the same function on the same validation sentences, each quarter of an epoch and at the end. What that takes is not
counted on either side, nor is starting. The Trainer's script itself never evaluates on the way: `tests.bench.watched`
does it from a callback. What the Trainer is to reach is its own F1 at its end, seed by seed; it may have had it before.
"""

import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ner.data.corpus import Source, load_corpus
from ner.files import read_json
from ner.utils import table
from tests.bench.contenders import AT_ITS_BEST, BATCH_SIZE, Material, logged, ours, theirs
from tests.bench.programs import ProgramError, run
from tests.bench.results import Results

EPOCHS = 3
Point = dict[str, float]  # step, seconds of training, validation f1


@dataclass(frozen=True)
class Job:
    """What both sides train: on so many sentences, in the precision of each."""

    material: Material
    sentences: int
    precision: str
    trainer_precision: str
    epochs: int = EPOCHS

    @classmethod
    def of(cls, material: Material, sentences: int | None, precision: str, trainer_precision: str) -> "Job":
        """On all German sentences, or the first so many of them."""
        num = len(load_corpus(Source(material.corpus), ["de"], ["train"])["de"]["train"])
        return cls(material, min(sentences or num, num), precision, trainer_precision)

    @property
    def steps_per_epoch(self) -> int:
        """The last has what sentences are left."""
        return -(-self.sentences // BATCH_SIZE)

    @property
    def every(self) -> int:
        """Steps between evaluations: a quarter of an epoch."""
        return max(self.steps_per_epoch // 4, 1)

    def key(self, side: str, seed: int) -> str:
        """Under which the points of a run are kept: all that they depend on."""
        precision = self.precision if side == "ours" else self.trainer_precision
        return f"quality: {side}, {precision}, {self.sentences} sentences, {self.epochs} epochs, seed {seed}"

    def commands(self, folder: Path, seed: int) -> dict[str, list[str]]:
        """Of each side."""
        encoder = self.material.encoder
        same = ["--epochs", str(self.epochs), "--seed", str(seed), "--max-train-sentences", str(self.sentences)]
        when = ["--evaluate-every", str(self.every), "--log-every", str(self.every)]
        return {
            "Trainer": theirs(self.material, encoder, folder / "trainer", self.trainer_precision, *AT_ITS_BEST, *same),
            "ours": ours(self.material, encoder, folder / "quality", self.precision, *same, *when),
        }

    def curve(self, side: str, command: Sequence[str], folder: Path, seconds: float) -> list[Point]:
        """Runs a side: its points. Raises as `run` does."""
        if side == "ours":
            run(command, seconds=seconds)
            return curve_of_run(folder / "quality", self.sentences)
        watch = ["--every", str(self.every), "--validate", self.material.corpus]
        return run(command, seconds=seconds, watch=watch).watched["points"]


def curve_of_run(folder: Path, sentences: int) -> list[Point]:
    """Validation F1 and seconds of training at each evaluation of a run of train.py, from its log.

    sentences: in an epoch. The log has rates, rounded; the sum of the seconds is exact in metrics.json.
    """
    per_epoch = -(-sentences // BATCH_SIZE)
    points: list[Point] = []
    done = seconds = 0.0
    for entry in logged(folder):
        epochs, steps = divmod(int(entry["step"]), per_epoch)
        if "loss" in entry:
            now = epochs * sentences + steps * BATCH_SIZE
            seconds += (now - done) / entry["sentences_per_second"]
            done = now
        elif "validation" in entry:
            points.append({"step": entry["step"], "seconds": seconds, "f1": entry["validation"]["f1"]})
    scale = read_json(folder / "metrics.json")["training_seconds"] / seconds
    return [{**point, "seconds": point["seconds"] * scale} for point in points]


def first_time(points: Sequence[Point], f1: float) -> float | None:
    """Seconds at the first point that reaches it, None if none does."""
    return next((point["seconds"] for point in points if point["f1"] >= f1), None)


def measure(job: Job, seeds: Sequence[int], folder: Path, results: Results, seconds: float) -> None:
    """Runs what is not known, both sides of a seed in turn. A run that fails, or takes longer, leaves the others."""
    for seed in seeds:
        for side, command in job.commands(folder, seed).items():
            key = job.key(side, seed)
            if results.has(key):
                continue
            try:
                results.put(key, job.curve(side, command, folder, seconds))
                print(f"{key}: {results.known[key][-1]}", file=sys.stderr)
            except ProgramError as error:
                results.put(key, {"failed": str(error)[-2000:]})
                print(f"{key}: {error}", file=sys.stderr)


@dataclass(frozen=True)
class Row:
    """A seed that both sides have finished. f1: to reach; trainer, ours: seconds till each side first had it."""

    seed: int
    f1: float
    trainer: float
    ours: float | None
    ours_f1: float  # at its end

    @classmethod
    def of(cls, seed: int, trainer: Sequence[Point], ours: Sequence[Point]) -> "Row":
        """From the points of both sides."""
        f1 = trainer[-1]["f1"]
        reached = first_time(trainer, f1)
        assert reached is not None  # at its end
        return cls(seed=seed, f1=f1, trainer=reached, ours=first_time(ours, f1), ours_f1=ours[-1]["f1"])

    def cells(self) -> list[str]:
        """Of the table."""
        own = ["not reached", ""] if self.ours is None else [f"{self.ours:.1f}", f"{self.trainer / self.ours:.2f} x"]
        return [str(self.seed), f"{self.f1:.4f}", f"{self.trainer:.1f}", *own, f"{self.ours_f1:.4f}"]


def rows_of(job: Job, seeds: Sequence[int], known: Mapping[str, Any]) -> list[Row]:
    """Of the seeds that both sides have finished, and the Trainer with an F1 above 0: all have that from the start."""
    found = [(seed, known.get(job.key("Trainer", seed)), known.get(job.key("ours", seed))) for seed in seeds]
    return [
        Row.of(seed, trainer, ours)
        for seed, trainer, ours in found
        if isinstance(trainer, list) and isinstance(ours, list) and trainer[-1]["f1"]
    ]


def quality_table(job: Job, seeds: Sequence[int], known: Mapping[str, Any]) -> str:
    """The table, with medians and ranges; a seed with which train.py never has that F1 counts as endless."""
    rows = rows_of(job, seeds, known)
    cells = [row.cells() for row in rows]
    if len(rows) > 1:
        f1, trainer = [row.f1 for row in rows], [row.trainer for row in rows]
        ours = [math.inf if row.ours is None else row.ours for row in rows]
        ratios = [one / other for one, other in zip(trainer, ours, strict=True)]
        cells.append(["median", spread(f1, 4), spread(trainer, 1), spread(ours, 1), f"{spread(ratios, 2)} x", ""])
    header = ["seed", "validation F1 to reach", "Trainer, s", "train.py, s", "ratio", "F1 of train.py at its end"]
    missing = [str(seed) for seed in seeds if seed not in {row.seed for row in rows}]
    title = (
        f"time to quality: German, {job.sentences:,} sentences, {job.epochs} epochs in batches of {BATCH_SIZE}, "
        f"evaluated every {job.every} steps; train.py in {job.precision}, the Trainer in {job.trainer_precision}"
    )
    left = [f"not finished, or nothing learnt: seeds {', '.join(missing)}"] if missing else []
    return "\n\n".join([title, table(header, cells), *left])


def spread(values: Sequence[float], digits: int) -> str:
    """Median, and from the lowest to the highest."""
    numbers = (statistics.median(values), min(values), max(values))
    middle, low, high = ("not reached" if value == math.inf else f"{value:.{digits}f}" for value in numbers)
    return f"{middle} ({low}-{high})"
