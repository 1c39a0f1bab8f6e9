"""Kills, stops and damages runs, lets them go on, and compares the result with a run that nobody touched.

The runs average their weights, train on copies of their sentences, and have a teacher on unlabelled text.

python -m tests.stress.torture [kill] [kill-2] [stop] [stop-2] [damage] [full-disk]    # none: all

Not part of the suite: it takes about an hour on 2 cores. Prints a line for each; status 1 if one does not hold.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file

from ner.data import synthetic
from ner.files import MANIFEST, read_json, write_json
from ner.training.checkpoint import found
from tests.processes import left, wait_until
from tests.stress.scenarios import chosen_of, play
from tests.taggers import write_tagger

ROOT = Path(__file__).parent.parent.parent
EVALUATE, CHECKPOINT = 7, 3  # steps between evaluations, and between checkpoints
OPTIONS = [
    "--max-steps",
    "40",
    "--batch-size",
    "24",
    "--evaluate-every",
    f"{EVALUATE}",
    "--checkpoint-every",
    f"{CHECKPOINT}",
    "--log-every",
    "1",
    "--lr",
    "1e-3",
    "--mixed-precision",
    "no",
    "--average",
    "on",
    "--augment",
    "mentions=1",
    "case=0.2",
    "asides=0.2",
    "--resume",
    "auto",
]


class Runs:
    """Runs of one small training in a temporary folder. options: more flags of train.py, of all."""

    def __init__(self, folder: Path, num_processes: int, *options: str, dropout: bool = True) -> None:
        self.folder, self.num_processes, self.options = folder, num_processes, options
        if not (folder / "encoder").exists():
            synthetic.write_encoder(folder / "encoder")
            if not dropout:
                model = read_json(folder / "encoder/config.json")
                none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
                write_json(folder / "encoder/config.json", model | none)
            for split, size in (("train", 600), ("validation", 200)):
                (folder / "corpus/de").mkdir(parents=True, exist_ok=True)
                rows = [json.dumps(row) + "\n" for row in synthetic.sentences("de", split)[:size]]
                (folder / "corpus/de" / f"{split}.jsonl").write_text("".join(rows), encoding="utf-8")
            texts = [" ".join(row["tokens"]) + "\n" for row in synthetic.sentences("fr", "train")[:300]]
            (folder / "fr.txt").write_text("".join(texts), encoding="utf-8")
            write_tagger(folder / "teacher", folder / "encoder")
        self.expected = self.result(self.finish("untouched"))

    def start(self, name: str, *options: str) -> subprocess.Popen:
        """A process group that trains, as launch/ does it."""
        command = [sys.executable, str(ROOT / "train.py"), *self.flags(name), *options]
        with (self.folder / f"{name}.err").open("a", encoding="utf-8") as errors:
            return subprocess.Popen(
                ["bash", str(ROOT / "launch/spawn.sh"), str(self.num_processes), *command],
                env=self.environment,
                stderr=errors,
                stdout=errors,
                start_new_session=True,
            )

    @property
    def environment(self) -> dict[str, str]:
        """Of all programs."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # where `python` and torchrun are ours
        here = {"PATH": path, "ACCELERATE_USE_CPU": "true", "PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1"}
        return {**os.environ, **here}

    def flags(self, name: str) -> list[str]:
        """Flags of train.py."""
        return [
            "--model",
            str(self.folder / "encoder"),
            "--data",
            str(self.folder / "corpus"),
            "--output",
            str(self.folder / name),
            "--unlabelled",
            str(self.folder / "fr.txt"),
            "--teacher",
            str(self.folder / "teacher"),
            "--augment-unlabelled",
            "case=0.2",
            "asides=0.2",
            *OPTIONS,
            *self.options,
        ]

    def finish(self, name: str, *options: str) -> Path:
        """Trains to the end."""
        process = self.start(name, *options)
        status = process.wait(timeout=1200)
        assert not status, f"{name} failed:\n{self.errors(name)[-3000:]}"
        return self.folder / name

    def errors(self, name: str) -> str:
        """What was printed."""
        return (self.folder / f"{name}.err").read_text(encoding="utf-8")

    def result(self, run: Path) -> dict:
        """What must be the same: losses and learning rates, validation scores, weights."""
        entries = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        points = [(e["step"], e["loss"], e["lr"], e["grad_norm"]) for e in entries if "loss" in e]
        scores = [
            (e["step"], e["train_loss"], e["validation"]["f1"], e["validation"]["loss"])
            for e in entries
            if "validation" in e
        ]
        weights = {name: load_file(run / name / "model.safetensors") for name in ("best", "last", "average")}
        best = json.loads((run / "metrics.json").read_text(encoding="utf-8"))["best"]["step"]
        return {"points": points, "scores": scores, "best": best, "weights": weights}

    def difference(self, run: Path) -> float:
        """Largest difference of weights from the untouched run's. Raises AssertionError if anything else differs."""
        got = self.result(run)
        assert [p[0] for p in got["points"]] == [p[0] for p in self.expected["points"]], "other steps"
        assert got["best"] == self.expected["best"], "another best step"
        if got["points"] != self.expected["points"] or got["scores"] != self.expected["scores"]:
            print("  losses or scores differ", file=sys.stderr)
        return max(
            (tensor - got["weights"][name][key]).abs().max().item()
            for name, own in self.expected["weights"].items()
            for key, tensor in own.items()
        )


def moment(kind: str, run: Path, printed_before: int, rng: random.Random) -> Callable[[], bool]:
    """Whether the moment to strike has come. printed_before: characters, by runs of that name before this one."""
    log = run / "log.jsonl"
    lines_before = len(log.read_text(encoding="utf-8").splitlines()) if log.exists() else 0
    after = rng.uniform(0, 3)

    def logged() -> list[str]:
        return log.read_text(encoding="utf-8").splitlines()[lines_before:] if log.exists() else []

    if kind == "inside a save":
        return lambda: any((run / "checkpoints").glob("step-*.unfinished")) or any(run.glob("best.unfinished"))
    if kind == "inside an evaluation":
        return lambda: bool(logged()) and f'"step": {EVALUATE * (rng.randrange(5) + 1)},' in logged()[-1]
    if kind == "inside the first step":
        started = [0.0]

        def first() -> bool:
            text = (run.parent / f"{run.name}.err").read_text(encoding="utf-8")[printed_before:]
            if not started[0] and "training on" in text:
                started[0] = time.monotonic() + rng.uniform(0, 0.4)
            return bool(started[0]) and time.monotonic() > started[0]

        return first
    begun = [0.0]

    def any_time() -> bool:
        if not begun[0] and logged():
            begun[0] = time.monotonic()
        return bool(begun[0]) and time.monotonic() - begun[0] > after

    return any_time


KINDS = ("any time", "any time", "inside a save", "inside an evaluation", "inside the first step")


def strike(runs: Runs, times: int, number: signal.Signals, seed: int) -> str:
    """Strikes runs until it has done so that often, lets each go on to its end, and compares."""
    rng = random.Random(seed)
    struck: Counter[str] = Counter()
    statuses: Counter[int] = Counter()
    worst, finished = 0.0, 0
    run_number = 0
    while struck.total() < times:
        run_number += 1
        name = f"{number.name}-{runs.num_processes}-{run_number}"
        run = runs.folder / name
        while True:
            kind = rng.choice(KINDS)
            errors = run.parent / f"{name}.err"
            has_come = moment(kind, run, len(errors.read_text(encoding="utf-8")) if errors.exists() else 0, rng)
            process = runs.start(name)
            deadline = time.monotonic() + 600
            while process.poll() is None and (struck.total() >= times or not has_come()):
                assert time.monotonic() < deadline, f"{name} hangs: {runs.errors(name)[-2000:]}"
                time.sleep(0.0005)
            if process.poll() is not None:
                break
            if number is signal.SIGKILL:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(timeout=60)
            else:
                process.send_signal(number)  # to the launcher alone
                statuses[process.wait(timeout=60)] += 1
                time.sleep(0.1)
                assert not left(process.pid), f"left behind: {left(process.pid)}"
            struck[kind] += 1
        assert process.returncode == 0, runs.errors(name)[-3000:]
        worst, finished = max(worst, runs.difference(run)), finished + 1
        shutil.rmtree(run)
    if number is not signal.SIGKILL:
        # 75: checkpointed; 143: told to stop before there was anything to write
        assert set(statuses) <= {75, -15, 143, 0}, statuses
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(struck.items()))
    outcome = f"; statuses {dict(statuses)}" if statuses else ""
    return f"{struck.total()} x ({kinds}) over {finished} runs: largest difference of weights {worst}{outcome}"


def damage(runs: Runs) -> str:
    """Damages the newest checkpoint in each way; the one before it is taken, and the result is the same."""

    def cut(folder: Path) -> None:
        os.truncate(folder / "state.safetensors", 1000)

    def flip(folder: Path) -> None:
        data = bytearray((folder / "state.safetensors").read_bytes())
        data[len(data) // 2] ^= 1
        (folder / "state.safetensors").write_bytes(data)

    ways: dict[str, Callable[[Path], None]] = {
        "cut": cut,
        "a byte flipped": flip,
        "a file missing": lambda folder: (folder / "state.json").unlink(),
        "manifest missing": lambda folder: (folder / MANIFEST).unlink(),
    }
    worst = 0.0
    for way, change in ways.items():
        name = f"damaged-{way.replace(' ', '-')}"
        process = runs.start(name)
        wait_until(lambda: process.poll() is not None or len(found(runs.folder / name)) >= 2, seconds=300)  # noqa: B023
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=60)
        newest = found(runs.folder / name)[0]
        change(newest)
        worst = max(worst, runs.difference(runs.finish(name)))
        assert f"corrupt checkpoint passed over: {newest}" in runs.errors(name), runs.errors(name)
    return f"{', '.join(ways)}: named, the one before taken; largest difference of weights {worst}"


def full_disk(runs: Runs) -> str:
    """A disk that fills up, and one that is read-only: a message, earlier checkpoints intact, and the same result."""
    if os.geteuid() != 0:
        return "skipped: only root mounts a small disk"
    run = runs.folder / "full"
    run.mkdir()
    size = sum(file.stat().st_size for file in (runs.folder / "untouched").rglob("*"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(run)], check=True, timeout=60)
    try:
        process = runs.start("full", "--checkpoint-every", "100")
        log = run / "log.jsonl"
        wait_until(
            lambda: process.poll() is not None or (log.exists() and '"loss"' in log.read_text(encoding="utf-8")),
            seconds=300,
        )
        process.send_signal(signal.SIGTERM)
        first = process.wait(timeout=60)
        assert first == 75, runs.errors("full")[-2000:]
        filler = run / "filler"
        with filler.open("wb") as file:
            while True:
                try:
                    file.write(bytes(1 << 16))
                    file.flush()
                except OSError:
                    break
        os.truncate(filler, filler.stat().st_size - (1 << 18))  # room for the log, but not for a save
        status = runs.start("full").wait(timeout=300)
        text = runs.errors("full")
        assert status == 1, (status, text[-2000:])
        message = [line for line in text.splitlines() if "No space" in line or "os error 28" in line][-1]
        subprocess.run(["mount", "-o", f"remount,size={4 * size},ro", str(run)], check=True, timeout=60)
        read_only = runs.start("full").wait(timeout=300)
        assert read_only == 2, runs.errors("full")[-2000:]
        subprocess.run(["mount", "-o", "remount,rw", str(run)], check=True, timeout=60)
        filler.unlink()
        worst = runs.difference(runs.finish("full"))
    finally:
        subprocess.run(["umount", str(run)], check=False, timeout=60)
    return f"disk full: status {status}, {message!r}; read-only: status {read_only}; largest difference {worst}"


def main() -> None:
    """The command line."""
    scenarios: dict[str, Callable[[Path], str]] = {
        "kill": lambda folder: strike(Runs(folder, 1), 50, signal.SIGKILL, seed=0),
        "kill-2": lambda folder: strike(Runs(folder, 2), 20, signal.SIGKILL, seed=1),
        "stop": lambda folder: strike(Runs(folder, 1), 20, signal.SIGTERM, seed=2),
        "stop-2": lambda folder: strike(Runs(folder, 2), 20, signal.SIGTERM, seed=3),
        "damage": lambda folder: damage(Runs(folder, 1)),
        "full-disk": lambda folder: full_disk(Runs(folder, 1)),
    }

    def in_a_folder(scenario: Callable[[Path], str]) -> str:
        with tempfile.TemporaryDirectory() as folder:
            return scenario(Path(folder))

    chosen = chosen_of(__doc__, scenarios)
    torch.set_num_threads(1)
    sys.exit(play({name: partial(in_a_folder, scenarios[name]) for name in chosen}))


if __name__ == "__main__":
    main()
