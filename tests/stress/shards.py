"""Tags folders of shards with two workers that are killed, and checks each row: not part of the suite.

python -m tests.stress.shards RUN [--shards 100] [--lines 1000000] [--kills 2] [--sample 20000] [--seed 0]

First 100 shards of 200 lines each, then 1,000,000 lines in 50 shards (--lines 0: not), by two workers of which one is
killed at a random moment, twice; each start goes on until all is done. Then how fast two workers with a core each are
against one with two threads, on a sample of lines (--sample 0: not). Prints a line for each; status 1 if a row is
missing, double, or in another place, or if a second start does anything to what is finished.
"""

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path

from ner.data import synthetic
from tests.processes import ROOT, wait_until

DEADLINE = 24 * 3600  # seconds, of one start
LINES_PER_SHARD, LARGE_SHARDS, ROUNDS = 200, 50, 3
WAIT = 20.0  # seconds: a worker is killed within that time after the first row
DONE = re.compile(r"([\d,]+) rows tagged in ([\d.]+) s")


def write_shards(folder: Path, num_lines: int, num_shards: int) -> None:
    """Sentences of the embedded corpus over and over, with a number each, dealt to shards in order."""
    folder.mkdir(parents=True)
    sentences = [" ".join(row["tokens"]) for name in synthetic.LANGUAGES for row in synthetic.sentences(name, "train")]
    texts = cycle(sentences)
    for number in range(num_shards):
        start, end = num_lines * number // num_shards, num_lines * (number + 1) // num_shards
        with (folder / f"{number:05}.jsonl").open("w", encoding="utf-8") as lines:
            for row, text in enumerate(islice(texts, end - start), start=start):
                lines.write(json.dumps({"id": row, "text": text}, ensure_ascii=False) + "\n")


def faults_in(source: Path, output: Path) -> list[str]:
    """What is wrong with the rows of the output: each is there once, where it was, with entities of its own text."""
    found = []
    for file in sorted(source.iterdir()):
        tagged = output / file.name
        if not tagged.is_file():
            found.append(f"{file.name} is missing")
            continue
        with file.open(encoding="utf-8") as before, tagged.open(encoding="utf-8") as after:
            for number, (line, other) in enumerate(zip(before, after, strict=True), start=1):
                row, result = json.loads(line), json.loads(other)
                entities = result.pop("entities")
                if row != result or any(row["text"][e["start"] : e["end"]] != e["text"] for e in entities):
                    found.append(f"{file.name}:{number} is another row")
    left = [file.name for file in output.iterdir() if not file.name.endswith((".jsonl", ".done"))]
    return found + [f"{name} is left" for name in left]


class Workers:
    """Starts of `ner tag`, each of so many processes as torchrun starts them, but that one may die by itself."""

    def __init__(self, run: str, folder: Path, precision: str) -> None:
        self.run, self.folder, self.precision = run, folder, precision
        self.errors = folder / "errors"

    def start(self, source: Path, output: Path, cores: Sequence[set[int]], threads: int = 1) -> list[subprocess.Popen]:
        """A process for each set of cores."""
        with socket.socket() as any_free:
            any_free.bind(("127.0.0.1", 0))
            port = any_free.getsockname()[1]
        shared = {
            "PYTHONPATH": str(ROOT),
            "HF_HUB_OFFLINE": "1",
            "ACCELERATE_USE_CPU": "true",
            "OMP_NUM_THREADS": str(threads),
        }
        if len(cores) > 1:
            shared |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(len(cores))}
            shared |= {"LOCAL_WORLD_SIZE": str(len(cores))}
        command = [sys.executable, "-m", "ner", "tag", self.run, "--input", source, "--output", output]
        command += ["--mixed-precision", self.precision]
        started = []
        for rank, own in enumerate(cores):
            ranks = {"RANK": str(rank), "LOCAL_RANK": str(rank)} if len(cores) > 1 else {}
            with self.errors.open("a", encoding="utf-8") as errors:
                process = subprocess.Popen(
                    list(map(str, command)),
                    env={**os.environ, **shared, **ranks},
                    stderr=errors,
                    stdout=errors,
                    start_new_session=True,
                )
            os.sched_setaffinity(process.pid, own)
            started.append(process)
        return started

    def finish(self, processes: Sequence[subprocess.Popen]) -> list[int]:
        """Their statuses."""
        try:
            return [process.wait(DEADLINE) for process in processes]
        finally:
            for process in processes:
                process.kill()

    def said(self) -> str:
        """What they said since this was asked before."""
        text = self.errors.read_text(encoding="utf-8", errors="replace") if self.errors.exists() else ""
        self.errors.unlink(missing_ok=True)
        return text


def two_workers() -> list[set[int]]:
    """A core for each of two workers, or both share the one that this program may use."""
    cores = sorted(os.sched_getaffinity(0))
    return [{cores[0]}, {cores[1 % len(cores)]}]


def bytes_in(folder: Path) -> int:
    """Size of what is tagged: finished shards and journals."""
    size = 0
    for file in folder.glob("*") if folder.exists() else ():
        with contextlib.suppress(FileNotFoundError):  # a journal whose shard is finished just now
            size += file.stat().st_size
    return size


def has_begun(processes: Sequence[subprocess.Popen], folder: Path, known: int) -> bool:
    """Whether more is tagged than was known, or a process has ended, which may have had nothing left to do."""
    return bytes_in(folder) > known or any(process.poll() is not None for process in processes)


def torture(workers: Workers, name: str, num_lines: int, num_shards: int, kills: int, rng: random.Random) -> bool:
    """Tags the lines with two workers; one of them is killed, so often. Prints how it went: true if all is right."""
    source, output = workers.folder / name / "in", workers.folder / name / "out"
    write_shards(source, num_lines, num_shards)
    start = time.monotonic()
    killed: list[str] = []
    statuses: list[list[int]] = []
    for _ in range(kills):
        processes = workers.start(source, output, two_workers())
        wait_until(partial(has_begun, processes, output, bytes_in(output)), seconds=600)
        victim = rng.randrange(2)
        time.sleep(rng.uniform(0, min(WAIT, num_lines / 2000)))
        if processes[victim].poll() is None:
            processes[victim].kill()
            killed.append(f"{victim} after {sum(1 for _ in output.glob('*.jsonl'))} shards")
        statuses.append(workers.finish(processes))
    unfinished = sum(1 for _ in output.glob(".*.unfinished"))
    last = workers.finish(workers.start(source, output, two_workers()))
    seconds = time.monotonic() - start
    written = {file.name: file.stat().st_mtime_ns for file in output.glob("*.jsonl")}
    again = workers.finish(workers.start(source, output, two_workers()))
    wrong = faults_in(source, output)
    if last != [0, 0] or again != [0, 0]:
        wrong.append(f"statuses {last} and {again}:\n{workers.said()[-2000:]}")
    if {file.name: file.stat().st_mtime_ns for file in output.glob("*.jsonl")} != written:
        wrong.append("a second start wrote what was finished")
    victims = ", worker ".join(killed) or "-"
    print(
        f"{num_lines:,} lines in {num_shards:,} shards, {seconds:.0f} s: killed worker {victims} "
        f"(statuses {statuses}), {unfinished} shards unfinished before the last start: "
        + ("; ".join(wrong[:5]) if wrong else "each row once, in order"),
        flush=True,
    )
    workers.said()
    return not wrong


def throughput(workers: Workers, num_lines: int) -> None:
    """Prints rows a second of two workers with a core each, and of one with two threads, in turn."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        print("throughput: not measured, this program may use one core only")
        return
    source = workers.folder / "sample/in"
    write_shards(source, num_lines, 20)
    ways = {
        "two processes, a core each": ([{cores[0]}, {cores[1]}], 1),
        "one process, two threads": ([set(cores[:2])], 2),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, (own, threads) in ways.items():
            output = workers.folder / "sample/out"
            shutil.rmtree(output, ignore_errors=True)
            statuses = workers.finish(workers.start(source, output, own, threads))
            said = workers.said()
            found = DONE.search(said)
            assert not any(statuses), said[-2000:]
            assert found, said[-2000:]
            rates[name].append(float(found[1].replace(",", "")) / float(found[2]))
    for name, own_rates in rates.items():
        middle = statistics.median(own_rates)
        print(f"{name}: {middle:,.0f} rows a second ({min(own_rates):,.0f}-{max(own_rates):,.0f})")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--shards", type=int, default=100)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--sample", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mixed-precision", default="auto")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the workers end with it
    with tempfile.TemporaryDirectory() as folder:
        workers = Workers(options.run, Path(folder), options.mixed_precision)
        is_right = torture(workers, "small", options.shards * LINES_PER_SHARD, options.shards, options.kills, rng)
        if options.lines:
            is_right &= torture(workers, "large", options.lines, LARGE_SHARDS, options.kills, rng)
        if options.sample:
            throughput(workers, options.sample)
    sys.exit(0 if is_right else 1)


if __name__ == "__main__":
    main()
