"""The benchmark on a GPU: the published recipe, the Trainer at its best, and train.py; not part of the suite.

python -m tests.bench.gpu --material FOLDER [--parts steps whole ...] [--shapes me5-small base large] [--json FILE]
                          [--seconds 540]
python -m tests.bench.gpu --table [--json FILE]

--material as in `python -m tests.bench`. base and large are XLM-RoBERTa's shapes with random weights, which cost what
trained ones do; F1 comes from me5-small. Each number is in --json as soon as it is known. After --seconds no other
measurement starts: the same command goes on with what is missing, and tries again what failed. The Markdown that it
prints is made of what is known; --table prints that and measures nothing.
"""

import argparse
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch

from ner.files import read_json
from ner.utils import table
from tests.bench.contenders import (
    AT_ITS_BEST,
    BATCH_SIZE,
    Contender,
    Material,
    logged,
    ours,
    stages,
    theirs,
    write_shape,
)
from tests.bench.machine import described, machine
from tests.bench.probes import difference
from tests.bench.programs import countdown, run
from tests.bench.results import FAILED, Results, Task, work_off

SHAPES = ("me5-small", "base", "large")
LANGUAGES = ("de", "fr", "it", "en")
ROWS = ("--row-length", "auto")
EXACT_STEPS = 50
# Of the Trainer: precision, flags, environment. Its script has no flag for compiling; Accelerate's environment has.
TRAINERS: dict[str, tuple[str, tuple[str, ...], dict[str, str]]] = {
    "recipe, fp16": ("fp16", (), {}),
    "Trainer at its best, bf16": ("bf16", AT_ITS_BEST, {}),
    "Trainer at its best, fp16": ("fp16", AT_ITS_BEST, {}),
    "Trainer at its best, bf16, compiled": ("bf16", AT_ITS_BEST, {"ACCELERATE_DYNAMO_BACKEND": "INDUCTOR"}),
}
# Of train.py: precision and flags.
EAGER, GRAPHS = "train.py, bf16", "train.py --cuda-graphs, bf16"
TRAIN: dict[str, tuple[str, tuple[str, ...]]] = {
    EAGER: ("bf16", ROWS),
    GRAPHS: ("bf16", (*ROWS, "--cuda-graphs")),
    "train.py --compile, bf16": ("bf16", (*ROWS, "--compile")),
    "train.py, fp16": ("fp16", ROWS),
}
BASELINES = ("recipe, fp16", "Trainer at its best, bf16")
WHOLE = (*BASELINES, EAGER, GRAPHS)
MEMORY = ("allocated_megabytes", "reserved_megabytes")


class Bench:
    """What the measurements share. folder: of the runs, which the next call finds again."""

    def __init__(self, material: Material, folder: Path, steps: int, repetitions: int) -> None:
        self.material, self.folder, self.steps, self.repetitions = material, folder, steps, repetitions

    def encoder(self, shape: str) -> str:
        """The encoder's folder, made where it is not there."""
        if shape == "me5-small":
            return self.material.encoder
        folder = self.folder / shape
        if not (folder / "tokenizer.json").exists():  # what is written last
            write_shape(folder, shape, self.material.encoder)
        return str(folder)

    def contender(self, shape: str, name: str, length: Sequence[str]) -> Contender:
        """The program of that name. length: --max-steps N or --epochs N, as train.py names it."""
        encoder = self.encoder(shape)
        if name in TRAINERS:
            precision, flags, env = TRAINERS[name]
            length = ["--max-updates" if flag == "--max-steps" else flag for flag in length]
            program = theirs(self.material, encoder, self.folder / "trainer", precision, *flags, *length)
            return Contender(name, program, None, precision, env=env)
        precision, own = TRAIN[name]
        every = ["--log-every", str(self.every)]
        return Contender(
            name,
            ours(self.material, encoder, self.folder / "run", precision, *own, *length, *every),
            self.folder / "run",
            precision,
        )

    @property
    def every(self) -> int:
        """Steps between log points, and points of the Trainer."""
        return max(self.steps // 10, 1)

    def step_rate(self, shape: str, name: str, number: str, seconds: float) -> dict[str, Any]:
        """Sentences a second of a short run, whole and in its second half, and memory. number: of the repetition."""
        del number
        contender = self.contender(shape, name, ["--max-steps", str(self.steps)])
        watch = () if contender.folder else ("--every", str(self.every))
        contender.measure(seconds, watch)
        watched = contender.last["watched"]
        half = second_half(logged(contender.folder)) if contender.folder else second_half_of(watched["points"])
        return {"whole": contender.rates[-1], "second_half": half, **{key: watched.get(key) for key in MEMORY}}

    def whole_run(self, shape: str, name: str, seconds: float) -> dict[str, Any]:
        """Three epochs of German: seconds of training and, of me5-small, F1 on each test set."""
        left = countdown(seconds)
        contender = self.contender(shape, name, ["--epochs", "3"])
        with_f1 = shape == "me5-small"
        if not contender.folder:
            contender.command += ["--test"] * with_f1
            contender.measure(seconds)
            return {"seconds": contender.last["seconds"], "test_f1": contender.last.get("test_f1")}
        contender.measure(seconds)
        result = {"seconds": contender.last["training_seconds"], "test_f1": None}
        if with_f1:
            report = self.folder / "report"
            program = ["evaluate.py", str(contender.folder), "--languages", *LANGUAGES, "--output", str(report)]
            run(program, seconds=left())
            matrix = read_json(report / "matrix.json")["f1"]["test"]
            result["test_f1"] = next(iter(matrix.values()))
        return result

    def bits(self, shape: str, name: str, seconds: float) -> dict[str, Any]:
        """Weights after 50 steps against those of train.py as it is, and of that against itself, with which it differs
        where a kernel adds in any order. Takes the kernels that do not, where torch has them."""
        left, folders = countdown(seconds), {}
        for label, program in (("first", EAGER), ("again", EAGER), ("other", name)):
            precision, flags = TRAIN[program]
            folders[label] = self.folder / f"bits-{label}"
            command = ours(self.material, self.encoder(shape), folders[label], precision, *flags)
            env = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
            run([*command, "--max-steps", str(EXACT_STEPS)], seconds=left(), watch=["--deterministic"], env=env)
        return {
            "against_itself": difference(folders["first"], folders["again"]),
            "against_it": difference(folders["first"], folders["other"]),
        }

    def probe(self, probe: str, shape: str, name: str, seconds: float) -> dict[str, Any]:
        """What `tests.bench.probes` finds about a run of train.py."""
        precision, flags = TRAIN[name]
        program = ours(self.material, self.encoder(shape), self.folder / "probe", precision, *flags)[1:]
        length = ["--max-steps", str(4 * self.every), "--log-every", str(self.every), "--evaluate-every", "3e"]
        found: dict[str, Any] = run(["-m", "tests.bench.probes", probe, *program, *length], seconds=seconds).last_line
        return found

    def evaluation(self, shape: str, seconds: float) -> dict[str, Any]:
        """Stages of a step, matrix rate, encoding and evaluation of train.py, with --row-length auto."""
        flags = ["--mixed-precision", "bf16", *ROWS]
        return stages(self.folder, self.encoder(shape), self.material.corpus, 50, LANGUAGES, flags, seconds)

    def trainer_evaluation(self, seconds: float) -> dict[str, Any]:
        """Seconds of the Trainer's predict and seqeval, in bf16."""
        contender = self.contender("me5-small", BASELINES[1], ["--max-steps", "1"])
        contender.command.append("--test")
        contender.measure(seconds)
        return {"seconds": contender.last["test_seconds"], "test_f1": contender.last["test_f1"]}

    def tagging(self, precision: str, seconds: float) -> dict[str, Any]:
        """The tagger's speed and F1, of a German run that is trained first."""
        left, folder = countdown(seconds), self.folder / "tagger"
        command = ours(self.material, self.encoder("me5-small"), folder, "bf16")
        command[command.index("--overwrite")] = "--resume=auto"
        run(command, seconds=left())
        program = ["-m", "tests.bench.probes", "tagging", str(folder), self.material.corpus, precision]
        found: dict[str, Any] = run(program, seconds=left()).last_line
        return found

    def tasks(self, parts: Sequence[str], shapes: Sequence[str]) -> list[Task]:
        """All measurements of the parts. Their names are what they are known by, and stay the same in the next call."""
        numbers = [str(number) for number in range(1, self.repetitions + 1)]
        all_of_them = product(numbers, shapes, (*TRAINERS, *TRAIN))
        grids: dict[str, tuple[Callable[..., Any], Iterable[tuple[str, ...]]]] = {
            "steps": (self.step_rate, ((shape, name, number) for number, shape, name in all_of_them)),
            "whole": (self.whole_run, product(shapes, WHOLE)),
            "bits": (self.bits, product(shapes, [GRAPHS])),
            "syncs": (partial(self.probe, "syncs"), product(shapes, [EAGER, GRAPHS])),
            "attention": (partial(self.probe, "attention"), product(shapes, [EAGER])),
            "evaluation": (self.evaluation, product(shapes)),
            "trainer-evaluation": (self.trainer_evaluation, [()]),
            "tagging": (self.tagging, product(["no", "bf16", "fp16", "int8"])),
        }
        return [
            Task("/".join([part, *arguments]), partial(measure, *arguments))
            for part in parts
            for measure, grid in [grids[part]]
            for arguments in grid
        ]


PARTS = ("steps", "whole", "bits", "syncs", "attention", "evaluation", "trainer-evaluation", "tagging")


def second_half(points: Sequence[Mapping[str, Any]]) -> float | None:
    """Sentences a second of train.py's log points behind the first half of them, without what starting costs."""
    rates = [point["sentences_per_second"] for point in points if "loss" in point]
    rest = rates[len(rates) // 2 :]
    return statistics.harmonic_mean(rest) if rest else None  # the points are as many sentences apart


def second_half_of(points: Sequence[Mapping[str, float]]) -> float | None:
    """The same of a Trainer's points."""
    middle, last = points[len(points) // 2 - 1], points[-1]
    if last["step"] == middle["step"]:
        return None
    return BATCH_SIZE * (last["step"] - middle["step"]) / (last["seconds"] - middle["seconds"])


def of_part(known: Mapping[str, Any], part: str) -> dict[tuple[str, ...], Any]:
    """What is known of a part, by the rest of the names."""
    return {tuple(name.split("/")[1:]): value for name, value in known.items() if name.split("/")[0] == part}


def to_markdown(known: Mapping[str, Any]) -> str:
    """Tables of all that is known; what failed is named with its reason."""
    blocks = [described(known["machine"])]
    steps = of_part(known, "steps")
    for shape in dict.fromkeys(key[0] for key in steps):
        blocks += [f"{shape}: training, German, batches of {BATCH_SIZE}", step_table(steps, shape)]
    if whole := of_part(known, "whole"):
        blocks += ["three epochs of German", whole_table(whole)]
    for part in PARTS[2:]:
        if values := of_part(known, part):
            blocks += [
                part,
                table(["measured", "result"], [[", ".join(k) or part, text_of(v)] for k, v in values.items()]),
            ]
    return "\n\n".join(blocks)


def step_table(steps: Mapping[tuple[str, ...], Any], shape: str) -> str:
    """Of a shape: medians over the repetitions."""
    rows = []
    rates: dict[str, float] = {}
    for name in dict.fromkeys(key[1] for key in steps if key[0] == shape):
        values = [value for key, value in steps.items() if key[:2] == (shape, name)]
        good = [value for value in values if FAILED not in value and value["second_half"]]
        if not good:
            rows.append([name, *[""] * 6, text_of(values[0])])
            continue
        rates[name] = statistics.median(value["second_half"] for value in good)
        against = [f"{rates[name] / rates[base]:.2f} x" if base in rates else "" for base in BASELINES]
        megabytes = [max((v[key] or 0.0 for v in good), default=0.0) for key in MEMORY]
        whole = statistics.median(value["whole"] for value in good)
        rows.append([name, f"{rates[name]:,.0f}", f"{whole:,.0f}", *against, *(f"{mb:,.0f}" for mb in megabytes), ""])
    header = [
        "",
        "sentences/s",
        "with the start",
        "of the recipe",
        "of the Trainer at its best",
        "MB",
        "MB reserved",
        "",
    ]
    return table(header, rows)


def whole_table(whole: Mapping[tuple[str, ...], Any]) -> str:
    """Seconds of training and F1 of the German run."""
    rows = []
    for (shape, name), value in whole.items():
        if FAILED in value:
            rows.append([shape, name, "", "", text_of(value)])
            continue
        base = whole.get((shape, BASELINES[0]), {}).get("seconds")
        f1 = ", ".join(f"{language} {score:.4f}" for language, score in (value["test_f1"] or {}).items())
        rows.append([shape, name, f"{value['seconds']:.1f}", f"{base / value['seconds']:.2f} x" if base else "", f1])
    return table(["shape", "", "seconds", "of the recipe", "test F1"], rows)


def text_of(value: Any) -> str:
    """A result in a cell: numbers short, what failed in a line."""
    if isinstance(value, dict):
        if FAILED in value:
            return f"failed: {value[FAILED].strip().splitlines()[-1][:200]}"
        return ", ".join(f"{name} {text_of(part)}" for name, part in value.items())
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--material", type=Path)
    found.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    found.add_argument("--shapes", nargs="+", default=SHAPES, choices=SHAPES)
    found.add_argument("--steps", type=int, default=300)
    found.add_argument("--repetitions", type=int, default=2)
    found.add_argument("--seconds", type=float, default=540.0, help="of this call")
    found.add_argument("--json", type=Path, default=Path("bench-gpu.json"))
    found.add_argument("--folder", type=Path, default=Path("build/bench-gpu"), help="of encoders and runs")
    found.add_argument("--table", action="store_true", help="print the tables of --json, measure nothing")
    return found


def main() -> None:
    """The command line."""
    options = parser().parse_args()
    if options.table:
        print(to_markdown(read_json(options.json)))
        return
    if not torch.cuda.is_available():
        raise SystemExit("tests.bench.gpu: no GPU here; python -m tests.bench measures a CPU")
    if not options.material:
        raise SystemExit("tests.bench.gpu compares with the Trainer's script: --material FOLDER")
    results = Results(options.json, {**machine(), "steps": options.steps})
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(Material.found(options.material, folder), folder, options.steps, options.repetitions)
    left = work_off(bench.tasks(options.parts, options.shapes), results, options.seconds)
    print(to_markdown(results.known))
    if left:
        print(f"\nleft for another call: {len(left)}, {', '.join(left)}")


if __name__ == "__main__":
    main()
