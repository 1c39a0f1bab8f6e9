"""What a training holds in memory, and how soon it begins, by the number of sentences: not part of the suite.

    python -m tests.stress.corpus_size FOLDER --data data/panx --language de --model models/me5-small
    python -m tests.stress.corpus_size FOLDER --data data/panx --model NAME --sizes 100000 1000000 10000000 -- --lr 2e-4

The training sentences of the language, over and over, as Parquet in FOLDER, which also has the cache of data. Each size
is trained on twice for some steps: first the data is read and encoded, then it is in the cache. Memory is that of
Linux, /proc/PID/status: RssAnon is the program's own; RssFile are pages of files, which the system takes back when
memory is short.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as pq

from ner.data.arrow_store import TAGS, WORDS, batches
from ner.data.corpus import Source, load_corpus
from ner.files import read_json
from ner.inputs.batching import EpochPlan
from ner.inputs.collators import PackedCollator, collate
from ner.inputs.encoding_cache import encode_once
from ner.modeling.pretrained import load_tokenizer
from ner.utils import table
from tests.processes import ROOT
from tests.stress.experiment import parse_options

DEADLINE = 3 * 3600  # seconds, of a training
EVERY = 0.2  # seconds between two looks at the memory
PLANNED = 200  # steps whose plan and tensors are timed
LENGTH = 512  # sub-tokens of a window: said to both, or they would not share what is encoded


@dataclass(frozen=True)
class Looked:
    """Of a training. first_step: seconds from its start; own, peak, mapped: MB, the program's own memory during the
    steps and at most, and pages of files; rate: sentences a second."""

    first_step: float
    own: float
    peak: float
    mapped: float
    rate: float


def write_corpus(folder: Path, source: Source, language: str, size: int) -> None:
    """Parquet in Hub layout: the training sentences over and over, and a few to validate on; unless it is there."""
    if folder.exists():
        return
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    (unfinished / language).mkdir(parents=True)
    corpus = load_corpus(source, [language], ("train", "validation"))[language]
    corpus["validation"].select(range(100)).to_parquet(unfinished / language / "validation.parquet")
    writer = None
    left = size
    train = corpus["train"].select_columns([WORDS, TAGS])
    while left:
        for rows in batches(train):
            part = rows.slice(0, left).cast(train.features.arrow_schema)  # with the names of tags
            writer = writer or pq.ParquetWriter(unfinished / language / "train.parquet", part.schema)
            writer.write_table(part)
            left -= len(part)
            if not left:
                break
    assert writer
    writer.close()
    files = "\n".join(f"  - split: {split}\n    path: {language}/{split}.parquet" for split in ("train", "validation"))
    card = f"---\nconfigs:\n- config_name: {language}\n  data_files:\n{files}\n---\n"
    (unfinished / "README.md").write_text(card, encoding="utf-8")
    unfinished.rename(folder)


def memory(process: int) -> dict[str, float]:
    """MB, by the names of /proc/PID/status."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    return {line.split(":")[0]: int(line.split()[1]) / 1e3 for line in lines if line.startswith(("Rss", "VmHWM"))}


def train(run: Path, flags: Sequence[str], environment: dict[str, str]) -> Looked:
    """A training of some steps, looked at from outside."""
    shutil.rmtree(run, ignore_errors=True)
    run.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    output = run.with_suffix(".log")
    with output.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, ROOT / "train.py", *flags, "--output", run],
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    first = None
    before: list[dict[str, float]] = []
    within: list[dict[str, float]] = []
    try:
        while process.poll() is None:
            if time.monotonic() - start > DEADLINE:
                raise SystemExit(f"{output}: not finished after {DEADLINE} s")
            if not (seen := memory(process.pid)):
                break  # it has just ended
            if first is None and steps_logged(run / "log.jsonl"):
                first = time.monotonic() - start
            (before if first is None else within).append(seen)
            time.sleep(EVERY)
        if process.wait(timeout=60):
            raise SystemExit(f"{output}: status {process.returncode}")
    finally:
        process.kill()
    assert first is not None
    own, mapped = (statistics.median(seen[name] for seen in within) for name in ("RssAnon", "RssFile"))
    peak = max(seen["RssAnon"] for seen in (*before, *within))
    return Looked(first, own, peak, mapped, read_json(run / "metrics.json")["sentences_per_second"])


def steps_logged(log: Path) -> bool:
    """Whether a step is done."""
    return log.exists() and '"step": 1,' in log.read_text(encoding="utf-8")


def planning_seconds(folder: Path, language: str, model: str) -> Iterator[float]:
    """Seconds that the plan and the tensors of a step take, of one step after the other."""
    corpus = load_corpus(Source(str(folder)), [language], ("train",))
    rows = corpus[language]["train"]
    encoded = encode_once(rows, load_tokenizer(model), corpus.tags, max_length=LENGTH)
    plan = EpochPlan(encoded, 64, 64, 8192, seed=42)
    collator = PackedCollator(1, 64)
    plan.order  # noqa: B018  # once an epoch
    for number in range(min(PLANNED, len(plan))):
        start = time.perf_counter()
        for part in plan[number].micro_batches[0]:
            collate(encoded, part, collator, with_words=False)
        yield time.perf_counter() - start


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", required=True, help="as in train.py")
    parser.add_argument("--model", required=True, help="as in train.py")
    parser.add_argument("--language", default="de")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--steps", type=int, default=60)
    options, more = parse_options(parser, arguments)
    cache = options.folder / "cache"
    datasets.config.HF_DATASETS_CACHE = cache
    environment = {**os.environ, "HF_DATASETS_CACHE": str(cache), "PYTHONPATH": str(ROOT)}
    rows = []
    smallest = None
    for size in options.sizes:
        data = options.folder / f"data-{size}"
        write_corpus(data, Source(options.data, sample=("all",)), options.language, size)
        flags = ["--data", str(data), "--model", options.model, "--train-on", options.language, "--log-every", "1"]
        flags += ["--max-length", str(LENGTH)]
        flags += ["--max-steps", str(options.steps), "--checkpoint-every", "1000", *more]
        run = options.folder / f"run-{size}"
        cold, warm = (train(run, flags, environment) for _ in range(2))
        smallest = smallest or (size, warm)
        grown = size - smallest[0]
        per_sentence = f"{(warm.own - smallest[1].own) * 1e6 / grown:.1f}" if grown else "-"
        planning = 1e3 * float(np.median(list(planning_seconds(data, options.language, options.model))))
        step = 1e3 * 64 / warm.rate
        rows.append(
            [
                size,
                f"{cold.first_step:.0f}",
                f"{warm.first_step:.0f}",
                f"{warm.own:.0f}",
                per_sentence,
                f"{cold.peak:.0f}",
                f"{warm.peak:.0f}",
                f"{warm.mapped:.0f}",
                f"{warm.rate:.1f}",
                f"{planning:.1f} ms of {step:.0f}",
            ]
        )
        print(table(HEADER, rows), flush=True)


HEADER = [
    "sentences",
    "s to the first step, not cached",
    "cached",
    "own MB",
    "more, bytes a sentence",
    "peak, not cached",
    "peak",
    "files MB",
    "sentences/s",
    "plan and tensors of a step",
]

if __name__ == "__main__":
    main()
