"""The benchmark on a GPU: fp16, bf16 and torch.compile, three encoders, against the Trainer; not part of the suite.

python -m tests.bench.gpu --material FOLDER [--shapes me5-small base large] [--steps 200] [--json FILE]

--material as in `python -m tests.bench`. base and large are XLM-RoBERTa's shapes with random weights, which cost what
trained ones do. F1 and the seconds of the whole German run (three epochs) come from me5-small and from base's shape.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from tests.bench.contenders import (
    Contender,
    Material,
    compare,
    comparison,
    contenders,
    machine,
    run,
    stages,
    write_shape,
)

LANGUAGES = ("de", "fr", "it", "en")


def whole_run(folder: Path, material: Material, encoder: str, precision: str, with_f1: bool) -> list[dict[str, Any]]:
    """Three epochs of German, ours and the published recipe in fp16: seconds of training, F1 on each test set."""
    flags = ["--model", encoder, "--data", material.corpus, "--train-on", "de", "--lr", "2e-4"]
    run_folder = folder / f"whole-{precision}"
    ours = Contender(
        "train.py",
        [
            sys.executable,
            "train.py",
            *flags,
            "--mixed-precision",
            precision,
            "--overwrite",
            "--output",
            str(run_folder),
        ],
        run_folder,
    )
    recipe = [
        sys.executable,
        str(material.trainer),
        *flags,
        "--epochs",
        "3",
        "--fp16",
        "--output",
        str(folder / "trainer"),
    ]
    trainer = Contender("Trainer as published, fp16", [*recipe, *(["--test"] if with_f1 else [])], None)
    compare([ours, trainer], 1)
    results = [ours.numbers(), trainer.numbers()]
    if with_f1:
        report = folder / "report"
        run([sys.executable, "evaluate.py", str(run_folder), "--languages", *LANGUAGES, "--output", str(report)])
        results[0]["matrix"] = json.loads((report / "matrix.json").read_text(encoding="utf-8"))
    return results


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--material", type=Path, required=True)
    parser.add_argument("--shapes", nargs="+", default=["me5-small", "base", "large"])
    parser.add_argument("--precisions", nargs="+", default=["fp16", "bf16"])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--repetitions", type=int, default=2)
    parser.add_argument("--json", type=Path, default=Path("bench-gpu.json"))
    options = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("tests.bench.gpu: no GPU here; python -m tests.bench measures a CPU")
    results: dict[str, Any] = {"machine": machine(), "torch": torch.__version__, "shapes": {}}
    print(f"{results['machine']}, torch {torch.__version__}\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        material = Material.found(options.material, folder)
        for shape in options.shapes:
            encoder = material.encoder
            if shape != "me5-small":
                encoder = str(folder / shape)
                write_shape(Path(encoder), shape, material.encoder)
            of_shape: dict[str, Any] = {}
            for precision in options.precisions:
                measured = stages(
                    folder, encoder, material.corpus, options.steps, LANGUAGES, ["--mixed-precision", precision]
                )
                found = contenders(folder, material, encoder, options.steps, precision)
                compare(found, options.repetitions)
                print(f"{shape}, {precision}\n\n{comparison(found, measured)}\n")
                of_shape[precision] = {"stages": measured, "training": [contender.numbers() for contender in found]}
                if shape != "large":
                    whole = whole_run(folder, material, encoder, precision, with_f1=shape == "me5-small")
                    of_shape[precision]["whole_run"] = whole
                    seconds = [run["last"].get("training_seconds") or run["last"]["seconds"] for run in whole]
                    print(f"{shape}, {precision}, three epochs: {seconds[0]} s, the Trainer in fp16 {seconds[1]} s\n")
                results["shapes"][shape] = of_shape
                options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")  # what is done is kept


if __name__ == "__main__":
    main()
