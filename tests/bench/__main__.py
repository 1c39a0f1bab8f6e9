"""Training, encoding and evaluation timed against transformers' Trainer, in one run: not part of the suite.

python -m tests.bench [--material FOLDER] [--parts compare linear] [--repetitions 3] [--steps 45]

--material: a folder with models/me5-small, data/panx and bench/trainer_recipe.py (the Trainer's side). Without one, the
embedded corpus and an encoder of XLM-RoBERTa-base's shape with random weights, and no Trainer. Prints Markdown tables
and writes all numbers to --json. On a GPU memory is the GPU's.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ner.utils import table
from tests.bench.contenders import (
    Material,
    compare,
    comparison,
    contenders,
    machine,
    run,
    stages,
    trainer_evaluation,
    write_repeated,
)

PARTS = ["compare", "linear"]
LANGUAGES = ("de", "fr", "it", "en")
LINEAR = (1_000, 10_000, 100_000)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--material", type=Path)
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS, help="beside the stages of ours")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--steps", type=int, help="of a run (45; without material 10)")
    parser.add_argument("--json", type=Path, default=Path("bench.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        material = Material.found(options.material, folder)
        steps = options.steps or (45 if material.trainer else 10)
        measured = stages(folder, material.encoder, material.corpus, steps, LANGUAGES)
        results: dict[str, Any] = {"machine": machine(), "stages": measured}
        print(f"{results['machine']}; {material.description}\n")
        if "compare" in options.parts:
            found = contenders(folder, material, material.encoder, steps, measured["precision"])
            compare(found, options.repetitions)
            results["training"] = [contender.numbers() for contender in found]
            print(f"{comparison(found, measured)}\n")
            if material.trainer:
                results["trainer_evaluation"] = trainer_evaluation(found)
        print_stages(measured, results.get("trainer_evaluation"))
        if "linear" in options.parts:
            results["linear"] = linear(folder, material.small_encoder, material.corpus)
            rows = [
                [
                    f"{r['sentences']:,}",
                    f"{r['training']:.1f}",
                    f"{1e3 * r['training'] / r['sentences']:.2f}",
                    f"{r['peak_megabytes']:,}",
                ]
                for r in results["linear"]
            ]
            print("German sentences repeated, the embedded encoder of 3 layers\n")
            print(table(["sentences", "s an epoch", "ms a sentence", "peak MB"], rows))
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


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
        command = [
            sys.executable,
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
        _, peak = run(command)
        metrics = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
        seconds = {"training": metrics["training_seconds"], "whole": round(time.perf_counter() - start, 1)}
        results.append({"sentences": count, **seconds, "peak_megabytes": round(peak)})
        print(f"linear: {results[-1]}", file=sys.stderr)
    return results


if __name__ == "__main__":
    main()
