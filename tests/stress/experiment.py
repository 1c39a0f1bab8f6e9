"""What experiments of many trainings share: programs that are stopped and gone on with, and what they read and write.

An experiment has a folder. Run again, it leaves alone what is finished there; its options stay as they were at first.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from ner.data.annotation_forms import Row
from ner.data.corpus import Corpus, to_parquet
from ner.data.corrections import numbered_rows
from ner.files import read_json, to_json_line, write_atomic, write_json
from ner.training.run_folder import is_finished
from tests.processes import ROOT

DEADLINE = 24 * 3600  # seconds, of one program; a training of a large encoder takes hours
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


def parse_options(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None, set_here: Sequence[str] = ()
) -> tuple[argparse.Namespace, list[str]]:
    """The options, and the flags of train.py behind --. arguments: None for the command line.

    set_here: flags that the experiment sets itself, and so are an error.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    end = given.index("--") if "--" in given else len(given)
    options, flags = parser.parse_args(given[:end]), given[end + 1 :]
    if taken := [flag for flag in flags if flag.partition("=")[0] in set_here]:
        parser.error(f"{' '.join(taken)}: the experiment sets this flag of train.py itself")
    return options, flags


def check_same(folder: Path, options: dict[str, Any]) -> str | None:
    """Keeps the options of all seeds in the folder. Returns what differs from those that it was begun with, if any."""
    file = folder / "options.json"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_json(file, options)
    before = read_json(file)
    differ = [f"{name} {before[name]}, not {value}" for name, value in options.items() if before[name] != value]
    return f"{folder} was begun with {'; '.join(differ)}; name another folder" if differ else None


def run(command: Sequence[str | Path], **environment: str) -> None:
    """Runs a program to its end; signals are passed on to it. Ends with its status if that is not 0."""
    beside = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    # In a session of its own, so that Ctrl-C comes once: a second one would end it without a checkpoint.
    process = subprocess.Popen(command, env={**os.environ, **beside, **environment}, start_new_session=True)

    def pass_on(number: int, _: FrameType | None) -> None:
        process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in SIGNALS}
    try:
        status = process.wait(timeout=DEADLINE)
    finally:
        process.kill()  # one that has not ended by its deadline
        for number, handler in before.items():
            signal.signal(number, handler)
    if status:
        print(f"status {status}: {' '.join(map(str, command))}", file=sys.stderr)
        sys.exit(status if status > 0 else 128 - status)


def train(output: Path, flags: Sequence[str]) -> None:
    """A training run, unless it is finished."""
    if is_finished(output):
        return
    run([sys.executable, ROOT / "train.py", *flags, "--output", output, "--resume", "auto"])
    for name in ("checkpoints", "last"):
        shutil.rmtree(output / name, ignore_errors=True)


def write_copy(corpus: Corpus, folder: Path) -> None:
    """Writes the corpus as a folder that --data reads, unless it is there."""
    if folder.exists():
        return
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    to_parquet(corpus, unfinished)
    unfinished.rename(folder)


def write_rows(file: Path, rows: Sequence[Row]) -> None:
    """JSON Lines."""
    write_atomic(file, "".join(map(to_json_line, rows)))


def read_rows(file: Path) -> list[Row]:
    """Of JSON Lines."""
    return [row for _, row in numbered_rows(file)]
