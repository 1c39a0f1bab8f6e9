"""Trains on unlabelled text of several sizes, and prints how fast and with how much memory: not part of the suite.

python -m tests.stress.unlabelled [--sentences 100000 400000]

Memory is what the process holds of its own (RssAnon): pages of mapped files come and go as the machine has room.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ner.data import synthetic
from tests.taggers import write_tagger

ROOT = Path(__file__).parent.parent.parent
DEADLINE = 3600  # seconds


def anonymous_megabytes(pid: int) -> float:
    """What a process holds of its own now; 0 for one that has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon:"))


def write_text(file: Path, num_sentences: int) -> None:
    """Sentences of the embedded corpus over and over, each with its number, so that all differ."""
    rows = [row for language in synthetic.LANGUAGES for row in synthetic.sentences(language, "train")]
    with file.open("w", encoding="utf-8") as lines:
        for number, row in enumerate(itertools.islice(itertools.cycle(rows), num_sentences)):
            lines.write(json.dumps({"tokens": [str(number), *row["tokens"]]}) + "\n")


def measure(folder: Path, num_sentences: int) -> str:
    """Trains a few steps on so many sentences; returns what that took."""
    write_text(folder / "text.jsonl", num_sentences)
    data = ["--data", str(folder / "corpus"), "--unlabelled", str(folder / "text.jsonl")]
    models = ["--model", str(folder / "encoder"), "--teacher", str(folder / "teacher")]
    steps = ["--max-steps", "50", "--evaluate-every", "50", "--mixed-precision", "no", "--overwrite"]
    command = [sys.executable, str(ROOT / "train.py"), *data, *models, *steps, "--output", str(folder / "run")]
    environment = {**os.environ, "HF_DATASETS_CACHE": str(folder / "cache"), "ACCELERATE_USE_CPU": "true"}
    start, most = time.monotonic(), 0.0
    with (folder / "errors").open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(command, env=environment, stdout=errors, stderr=errors)
    try:
        while process.poll() is None and time.monotonic() - start < DEADLINE:
            most = max(most, anonymous_megabytes(process.pid))
            time.sleep(0.2)
    finally:
        process.kill()
    if process.wait(timeout=60):
        raise SystemExit((folder / "errors").read_text(encoding="utf-8")[-3000:])
    size = sum(file.stat().st_size for file in (folder / "cache").rglob("*") if file.is_file())
    return (
        f"{num_sentences:,} sentences: {time.monotonic() - start:.0f} s, at most {most:.0f} MB of its own; "
        f"{size / 1e6:.0f} MB in the cache"
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sentences", type=int, nargs="+", default=[100_000, 400_000])
    for num_sentences in parser.parse_args().sentences:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            synthetic.write_encoder(folder / "encoder")
            write_tagger(folder / "teacher", folder / "encoder")
            for split in ("train", "validation"):
                (folder / "corpus/de").mkdir(parents=True, exist_ok=True)
                rows = [json.dumps(row) + "\n" for row in synthetic.sentences("de", split)[:200]]
                (folder / f"corpus/de/{split}.jsonl").write_text("".join(rows), encoding="utf-8")
            print(measure(folder, num_sentences), flush=True)


if __name__ == "__main__":
    main()
