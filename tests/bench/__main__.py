"""Training, encoding and evaluation timed against transformers' Trainer, in one run: not part of the suite.

python -m tests.bench [--material FOLDER] [--parts compare linear] [--repetitions 3] [--steps 45]
python -m tests.bench --material FOLDER --parts quality [--seeds 42 43 44] [--sentences N] [--deadline SECONDS]

--material: a folder with models/me5-small, data/panx and bench/trainer_recipe.py (the Trainer's side). Without one, the
embedded corpus and an encoder of XLM-RoBERTa-base's shape with random weights, and no Trainer. Prints Markdown tables
and writes all numbers to --json as soon as they are known. On a GPU memory is what torch reserved of the GPU's.

The part `quality` takes hours on a CPU, and is not among those that run by themselves. What its runs found stays in
--json: started again, it goes on with the seeds that are missing.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from ner.runtime import best_precision
from ner.utils import table
from tests.bench import quality
from tests.bench.contenders import (
    BEST,
    OURS,
    Material,
    compare,
    comparison,
    contenders,
    stages,
    trainer_evaluation,
    write_repeated,
)
from tests.bench.machine import described, machine
from tests.bench.precision import Rates, fastest, measured_precisions, precision_table
from tests.bench.programs import run
from tests.bench.results import Results

PARTS = ["compare", "linear", "quality"]
BY_THEMSELVES = PARTS[:2]
LANGUAGES = ("de", "fr", "it", "en")
LINEAR = (1_000, 10_000, 100_000)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--material", type=Path)
    found.add_argument("--parts", nargs="+", default=BY_THEMSELVES, choices=PARTS, help="(compare linear)")
    found.add_argument("--repetitions", type=int, default=3)
    found.add_argument("--steps", type=int, help="of a run (45; without material 10)")
    found.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44], help="of quality")
    found.add_argument("--sentences", type=int, help="of quality: the first N, on both sides (all German ones)")
    found.add_argument("--deadline", type=float, default=7200.0, help="seconds of a run of quality, evaluations too")
    found.add_argument("--json", type=Path, default=Path("bench.json"))
    return found


def main() -> None:
    """The command line."""
    options = parser().parse_args()
    results = Results(options.json, machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        material = Material.found(options.material, folder)
        if "quality" in options.parts and not material.trainer:
            raise SystemExit("--parts quality compares with the Trainer's script: --material FOLDER")
        steps = options.steps or (45 if material.trainer else 10)
        print(f"{described(results.known['machine'])}; {material.description}\n")
        rates = precisions(folder, material, steps, results, anew="compare" in options.parts)
        print(f"{precision_table(rates, best_precision())}\n")
        if {"compare", "linear"} & set(options.parts):
            speed(folder, material, steps, options, results)
        if "quality" in options.parts:
            job = quality.Job.of(material, options.sentences, best_precision(), fastest(rates[BEST]))
            quality.measure(job, options.seeds, folder, results, options.deadline)
            print(quality.quality_table(job, options.seeds, results.known))


def precisions(folder: Path, material: Material, steps: int, results: Results, *, anew: bool) -> Rates:
    """Rates of each side in each precision. quality alone takes those that are known: its runs must stay comparable."""
    sides = {OURS, BEST} if material.trainer else {OURS}
    if anew or set(results.known.get("precisions", {})) != sides:
        candidates = ["fp16", "bf16"] if torch.cuda.is_available() else ["no", "bf16"]
        results.put("precisions", measured_precisions(folder, material, max(steps // 5, 2), candidates))
    rates: Rates = results.known["precisions"]
    return rates


def speed(folder: Path, material: Material, steps: int, options: argparse.Namespace, results: Results) -> None:
    """The parts about speed: stages of a step always, compare and linear where they are asked for."""
    measured = stages(folder, material.encoder, material.corpus, steps, LANGUAGES)
    results.put("stages", measured)
    trainer_seconds = None
    if "compare" in options.parts:
        trainer = fastest(results.known["precisions"][BEST]) if material.trainer else "no"
        found = contenders(folder, material, material.encoder, steps, measured["precision"], trainer)
        compare(found, options.repetitions)
        results.put("training", [contender.numbers() for contender in found])
        print(f"{comparison(found, measured)}\n")
        if material.trainer:
            trainer_seconds = trainer_evaluation(found)
            results.put("trainer_evaluation", trainer_seconds)
    print_stages(measured, trainer_seconds)
    if "linear" in options.parts:
        results.put("linear", linear(folder, material.small_encoder, material.corpus))
        rows = [
            [
                f"{r['sentences']:,}",
                f"{r['training']:.1f}",
                f"{1e3 * r['training'] / r['sentences']:.2f}",
                f"{r['peak_megabytes']:,}",
            ]
            for r in results.known["linear"]
        ]
        print("German sentences repeated, the embedded encoder of 3 layers\n")
        print(table(["sentences", "s an epoch", "ms a sentence", "peak MB"], rows))


def print_stages(measured: dict[str, Any], trainer_seconds: dict[str, float] | None) -> None:
    """The tables of `stages`."""
    milliseconds = measured["milliseconds"]
    whole = sum(milliseconds.values()) - milliseconds["collate (in the thread)"]
    rows = [[name, f"{value:.1f}", f"{value / whole:.1%}"] for name, value in milliseconds.items()]
    print(table(["stage of a step", "ms", "share"], rows), end="\n\n")
    for name, rate in measured["encoding"].items():
        print(f"encoding, {name}: {rate:,.0f} sentences/s")
    print(f"matrix products alone: {measured['matmul_rate'] / 1e9:,.0f} GFLOP/s ({measured['precision']})")
    limit = measured["matmul_rate"] / measured["flops_per_position"] / measured["tokens_per_sentence"]
    print(f"training could reach {limit:,.0f} sentences/s, if it were nothing but these on real tokens")
    ours = sum(measured["evaluation"].values())
    print(f"evaluation of the test sentences of {' '.join(measured['evaluation'])}: {ours:.1f} s")
    if trainer_seconds:
        theirs = sum(trainer_seconds.values())
        print(f"the Trainer's predict and seqeval: {theirs:.1f} s, {theirs / ours:.2f} times as long")
    print()


def linear(folder: Path, model: str, data: str) -> list[dict[str, float]]:
    """An epoch of each number of sentences, the embedded encoder: seconds of training, megabytes at the peak."""
    results = []
    for count in LINEAR:
        corpus, output = folder / f"corpus-{count}", folder / f"linear-{count}"
        write_repeated(corpus, data, count)
        program = [
            "train.py",
            "--model",
            model,
            "--data",
            str(corpus),
            "--train-on",
            "de",
            "--epochs",
            "1",
            "--sample",
            "all",
            "--output",
            str(output),
            "--overwrite",
        ]
        start = time.perf_counter()
        peak = run(program).peak
        metrics = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
        seconds = {"training": metrics["training_seconds"], "whole": round(time.perf_counter() - start, 1)}
        results.append({"sentences": count, **seconds, "peak_megabytes": round(peak)})
        print(f"linear: {results[-1]}", file=sys.stderr)
    return results


if __name__ == "__main__":
    main()
