"""What choosing the sentences to annotate is worth, simulated: not part of the suite.

    python -m tests.stress.annotation FOLDER --data data/panx --source-run runs/de --language fr -- --lr 2e-4

For each seed and strategy: in each round `ner tag --uncertain` chooses sentences among the training sentences of the
language, by the tagger of the round before, and the gold tags stand for what an annotator says. A tagger then begins
with the source run, and is trained on all sentences annotated so far (`warm` of launch/few.sh). The strategies:

    uncertain   `ner tag --uncertain`, by total token entropy
    mean        the same by mean token entropy
    random      as many sentences, drawn at random

The first table has F1 on the test sentences, means over seeds, and how many words were annotated. The second says how
many sentences fewer than random ones give the same F1. Pictures: curve.png, by sentences and by words.

That is a training for each round, strategy and seed; what stands behind -- goes to all of them. Run again, it leaves
alone what is finished. Seeds can be run by several processes in one FOLDER: each writes FOLDER/report.md of those that
are finished.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from datasets import DatasetDict

from ner.data.annotation_forms import Row
from ner.data.arrow_store import TAGS, WORDS
from ner.data.corpus import Corpus, Source, load_corpus
from ner.data.corrections import keyed
from ner.data.words import characters_key
from ner.files import read_json, write_atomic, write_json
from ner.report import plots
from ner.utils import table
from tests.processes import ROOT
from tests.stress.experiment import check_same, parse_options, read_rows, run, train, write_copy, write_rows

STRATEGIES = {"uncertain": ["--uncertainty", "total"], "mean": ["--uncertainty", "mean"], "random": []}
SPLITS = ("train", "validation", "test")
SET_HERE = ("--data", "--model", "--train-on", "--seed", "--min-steps", "--max-validation-sentences", "--output")
T_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)  # Student's t, 1 to 9 degrees of freedom


@dataclass(frozen=True)
class Scores:
    """Of a seed. sizes: annotated sentences, from 0; f1, words: of each strategy at each of these sizes."""

    seed: int
    sizes: list[int]
    f1: dict[str, list[float]]
    words: dict[str, list[int]]


def write_pool(folder: Path, source: Source, language: str) -> None:
    """Writes the corpus, its training sentences with their tags, and their words alone, which are chosen from."""
    if (folder / "pool.jsonl").exists():
        return
    corpus = load_corpus(source, [language], SPLITS)
    folder.mkdir(parents=True, exist_ok=True)
    write_copy(corpus, folder / "data/whole")
    rows = [{WORDS: words, TAGS: tags} for _, words, tags in keyed(corpus[language]["train"])]
    write_rows(folder / "gold.jsonl", rows)
    write_rows(folder / "pool.jsonl", [{WORDS: row[WORDS]} for row in rows])


def draw(gold: Sequence[Row], number: int, seed: int) -> list[int]:
    """So many different sentences at random, the same for the same seed, and the first of more."""
    first: dict[int, int] = {}
    for i in np.random.default_rng(seed).permutation(len(gold)).tolist():
        first.setdefault(characters_key(gold[i][WORDS]), i)
    if len(first) < number:
        raise SystemExit(f"only {len(first):,} different training sentences, not {number:,}")
    return list(first.values())[:number]


def annotated(gold: Sequence[Row], chosen: Sequence[int]) -> list[Row]:
    """What the annotator makes of these sentences. row: counted from 1, as `ner tag` does."""
    return [{"row": i + 1, **gold[i]} for i in chosen]


def choose(folder: Path, tagger: str | Path, before: Path | None, size: int, flags: Sequence[str]) -> list[int]:
    """The sentences of the pool that are annotated next. before: what is annotated already."""
    output = folder / "to_annotate.jsonl"
    known: list[str | Path] = ["--annotated", before] if before else []
    command: list[str | Path] = [sys.executable, "-m", "ner", "tag", tagger, "--input", folder / "pool.jsonl"]
    run([*command, "--uncertain", str(size), *flags, *known, "--output", output, "--overwrite"])
    return [row["row"] - 1 for row in read_rows(output)]


def write_data(corpus: Corpus, language: str, chosen: Sequence[int], folder: Path) -> None:
    """Writes the annotated sentences as a corpus, with all tags and the validation sentences of the whole one."""
    parts = DatasetDict(train=corpus[language]["train"].select(chosen), validation=corpus[language]["validation"])
    write_copy(replace(corpus, languages={language: parts}), folder)


def measure(options: argparse.Namespace, seed: int, flags: Sequence[str]) -> Scores:
    """All of a seed, but what is finished."""
    folder = options.folder / f"seed-{seed}"
    write_pool(folder, Source(options.data, sample=tuple(options.sample)), options.language)
    gold = read_rows(folder / "gold.jsonl")
    corpus = load_corpus(Source(str(folder / "data/whole")), [options.language], SPLITS)
    best = Path(options.source_run) / "best"
    same = ["--train-on", options.language, "--model", str(best if best.exists() else options.source_run)]
    same += ["--seed", str(seed), "--min-steps", str(options.steps), "--max-validation-sentences", "train", *flags]
    sizes = [options.size * k for k in range(options.rounds + 1)]
    words: dict[str, list[int]] = {}
    for strategy in options.strategies:
        tagger = Path(options.source_run)
        before: Path | None = None
        words[strategy] = [0]
        for size in sizes[1:]:
            name = f"{strategy}-{size}"
            file = folder / f"{name}.jsonl"
            if not file.exists():
                chosen = [row["row"] - 1 for row in read_rows(before)] if before else []
                if strategy == "random":
                    chosen = draw(gold, size, seed)
                else:
                    chosen += choose(folder, tagger, before, options.size, STRATEGIES[strategy])
                write_rows(file, annotated(gold, chosen))
            rows = read_rows(file)
            write_data(corpus, options.language, [row["row"] - 1 for row in rows], folder / "data" / name)
            train(folder / name, ["--data", str(folder / "data" / name), *same])
            words[strategy].append(sum(len(row[WORDS]) for row in rows))
            tagger, before = folder / name, file
    return Scores(seed, sizes, f1_of(options, folder, sizes), words)


def f1_of(options: argparse.Namespace, folder: Path, sizes: Sequence[int]) -> dict[str, list[float]]:
    """F1 on the test sentences: of each strategy, that of the source run and of each round."""
    runs = [folder / f"{strategy}-{size}" for strategy in options.strategies for size in sizes[1:]]
    if not (folder / "test/matrix.json").exists():
        data: list[str | Path] = ["--data", folder / "data/whole", "--languages", options.language]
        run([sys.executable, ROOT / "evaluate.py", options.source_run, *runs, *data, "--output", folder / "test"])
    results = read_json(folder / "test/matrix.json")["results"]
    f1 = {Path(result["run"]).name: result["scores"]["default"]["f1"] for result in results}
    zero_shot = f1[Path(options.source_run).name]
    return {name: [zero_shot, *(f1[f"{name}-{size}"] for size in sizes[1:])] for name in options.strategies}


def sentences_to(sizes: Sequence[int], f1: Sequence[float], level: float) -> float:
    """Annotated sentences at which a curve first reaches that F1, between its points on a line; inf where none does."""
    for i, value in enumerate(f1):
        if value >= level:
            share = (level - f1[i - 1]) / (value - f1[i - 1]) if i else 0.0
            return sizes[i - 1] + share * (sizes[i] - sizes[i - 1]) if i else float(sizes[0])
    return float("inf")


def mean_and_interval(values: Sequence[float], digits: int) -> str:
    """The mean over seeds, and its 95% interval (Student's t) where there are several."""
    mean = float(np.mean(values))
    if len(values) == 1:
        return f"{mean:.{digits}f}"
    half = T_95[min(len(values) - 2, len(T_95) - 1)] * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return f"{mean:.{digits}f} ± {half:.{digits}f}"


def report(seeds: Sequence[Scores]) -> str:
    """Tables in Markdown, over all seeds."""
    sizes, strategies = seeds[0].sizes, list(seeds[0].f1)
    others = [name for name in strategies if name != "random"] if "random" in strategies else []
    header = ["sentences", *(f"F1 {name}" for name in strategies), *(f"words {name}" for name in strategies)]
    header += [f"{name} - random" for name in others]
    rows, saved = [], []
    for i, size in enumerate(sizes):
        f1 = [f"{np.mean([seed.f1[name][i] for seed in seeds]):.4f}" for name in strategies]
        words = [f"{np.mean([seed.words[name][i] for seed in seeds]):,.0f}" for name in strategies]
        gains = [[seed.f1[name][i] - seed.f1["random"][i] for seed in seeds] for name in others]
        rows.append([f"{size:,}", *f1, *words, *(mean_and_interval(gain, 4) for gain in gains)])
        if i:
            saved.append([f"{size:,}", *(fewer(seeds, name, i) for name in others)])
    tables = [f"F1 on the test sentences, seeds {', '.join(str(seed.seed) for seed in seeds)}", table(header, rows)]
    if others:
        tables += [
            "Sentences saved: how many fewer give the F1 of so many random ones",
            table(["random", *others], saved),
        ]
    return "\n\n".join(tables)


def fewer(seeds: Sequence[Scores], name: str, i: int) -> str:
    """Sentences that this strategy saves at the F1 of the i-th size of random ones."""
    saved = [seed.sizes[i] - sentences_to(seed.sizes, seed.f1[name], seed.f1["random"][i]) for seed in seeds]
    lost = sum(np.isneginf(saved).tolist())
    return f"not reached in {lost} of {len(seeds)} seeds" if lost else mean_and_interval(saved, 0)


def save_curve(seeds: Sequence[Scores], folder: Path) -> None:
    """F1 by annotated sentences and by annotated words: a thin line for each seed, and the means."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for name, color, marker in zip(seeds[0].f1, plots.COLORS, plots.MARKERS, strict=False):
        for axes, counts in ((left, [seed.sizes for seed in seeds]), (right, [seed.words[name] for seed in seeds])):
            for seed, x in zip(seeds, counts, strict=True):
                axes.plot(x, seed.f1[name], color=color, linewidth=0.6, alpha=0.5)
            f1 = np.mean([seed.f1[name] for seed in seeds], axis=0)
            axes.plot(np.mean(counts, axis=0), f1, color=color, marker=marker, label=name)
    left.set_ylabel("F1 (entities) on the test sentences")
    left.set_xlabel("annotated sentences")
    right.set_xlabel("annotated words")
    left.legend(frameon=False)
    plots.save(figure, folder, "curve")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="of everything that is made")
    parser.add_argument("--data", required=True, help="as in train.py")
    parser.add_argument("--source-run", required=True, help="run on another language that every training begins with")
    parser.add_argument("--language", default="fr")
    parser.add_argument("--sample", nargs="+", default=["auto"], help="as in train.py")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=50, help="sentences of a round")
    parser.add_argument("--steps", type=int, default=300, help="of each training, at least")
    parser.add_argument("--strategies", nargs="+", choices=list(STRATEGIES), default=["uncertain", "random"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44])
    options, flags = parse_options(parser, arguments, SET_HERE)
    same: dict[str, Any] = {name: value for name, value in vars(options).items() if name not in ("folder", "seeds")}
    if problem := check_same(options.folder, {**same, "flags": flags}):
        parser.error(problem)
    for seed in options.seeds:
        scores = measure(options, seed, flags)
        write_json(options.folder / f"seed-{seed}/scores.json", vars(scores))
        found = [Scores(**read_json(file)) for file in sorted(options.folder.glob("seed-*/scores.json"))]
        text = report(found)
        write_atomic(options.folder / "report.md", text + "\n")
        print(f"\n{text}\n", flush=True)
        if plots.can_draw():
            save_curve(found, options.folder)


if __name__ == "__main__":
    main()
