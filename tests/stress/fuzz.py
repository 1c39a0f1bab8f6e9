"""Broken files, made by chance from good ones: each is read, or refused with a clean message.

python -m tests.stress.fuzz [--files 2000] [--seed 0]    # a summary as JSON; status 1 if there was anything else

A file that takes more than 20 seconds counts as hanging.
"""

import argparse
import gzip
import json
import re
import signal
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path
from types import FrameType

import datasets
import numpy as np

from ner.data.corpus import Source, load_corpus
from ner.errors import InputError
from tests.data import test_formats as formats
from tests.stress.memory import peak_megabytes

SECONDS = 20


def good_files(rng: np.random.Generator, folder: Path) -> list[tuple[str, bytes, dict]]:
    """(suffix, content, options) in every format."""
    rows = formats.random_rows(rng, simple=True)
    files = [(suffix, write(rows).encode(), options) for suffix, write, options in formats.TEXTS.values()]
    files += [(suffix + ".gz", gzip.compress(data), options) for suffix, data, options in files[::3]]
    for kind in ("names", "ids", "labels"):
        formats.parquet(folder / "good.parquet", rows, kind)
        options = {"tags": formats.NAMES} if kind == "ids" else {}
        files.append((".parquet", (folder / "good.parquet").read_bytes(), options))
    return files


def mutate(rng: np.random.Generator, data: bytes, others: list[bytes]) -> tuple[str, bytes]:
    """(what was done, the broken content)."""
    kind = str(rng.choice(["cut", "flip", "swap columns", "paste", "repeat", "insert", "drop"]))
    at = int(rng.integers(len(data) + 1))
    to = min(len(data), at + int(rng.integers(1, 200)))
    lines = data.split(b"\n")
    if kind == "cut":
        return kind, data[:at]
    if kind == "flip":
        broken = np.frombuffer(data, np.uint8).copy()
        places = rng.integers(len(broken), size=int(rng.integers(1, 20)))
        broken[places] = rng.integers(256, size=len(places))
        return kind, broken.tobytes()
    if kind == "swap columns":
        for i in rng.integers(len(lines), size=int(rng.integers(1, 10))):
            separator = b"\t" if b"\t" in lines[i] else b" " if b" " in lines[i] else b","
            lines[i] = separator.join(reversed(lines[i].split(separator)))
        return kind, b"\n".join(lines)
    if kind == "paste":
        other = others[int(rng.integers(len(others)))].split(b"\n")
        where, begin = int(rng.integers(len(lines) + 1)), int(rng.integers(len(other)))
        return kind, b"\n".join([*lines[:where], *other[begin : begin + 5], *lines[where:]])
    if kind == "repeat":
        return kind, data[:to] + data[at:]
    if kind == "insert":
        return kind, data[:at] + rng.bytes(int(rng.integers(1, 50))) + data[at:]
    return kind, data[:at] + data[to:]


class Hangs(BaseException):
    """A file takes too long. No Exception, least of all TimeoutError, an OSError: readers turn those into messages."""


def hangs(_: int, __: FrameType | None) -> None:
    """Ends what takes too long."""
    raise Hangs(f"more than {SECONDS} seconds")


def attempt(source: Source) -> tuple[str, str]:
    """What becomes of a file, read, refused or failed; and why, where that is a failure."""
    signal.signal(signal.SIGALRM, hangs)
    signal.alarm(SECONDS)
    try:
        load_corpus(source, ["de"], ["train"])
    except InputError as error:
        message = str(error)
        is_clean = source.data in message and len(message) < 25_000 and not re.search("[\x00-\x09\x0b-\x1f]", message)
        return "refused", "" if is_clean else f"not a clean message: {message[:300]!r}"
    except BaseException:  # whatever else comes is what this looks for
        return "failed", traceback.format_exc()[-1500:]
    finally:
        signal.alarm(0)
    return "read", ""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    outcomes: Counter[str] = Counter()
    failures: list[str] = []
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        datasets.config.HF_DATASETS_CACHE = folder / "cache"
        while outcomes.total() < arguments.files:
            files = good_files(rng, folder)
            for suffix, data, options in files:
                if outcomes.total() == arguments.files:
                    break
                kind, broken = mutate(rng, data, [other for _, other, _ in files])
                file = folder / f"{outcomes.total()}{suffix}"
                file.write_bytes(broken)
                source = Source(str(file), on_bad_row="skip" if rng.random() < 0.5 else "stop", **options)
                outcome, why = attempt(source)
                outcomes[outcome] += 1
                failures += [f"{kind} {suffix}: {why}"] * bool(why)
                file.unlink()
    peak = peak_megabytes()
    summary = {"files": outcomes.total(), **outcomes, "peak_megabytes": round(peak), "failures": failures}
    print(json.dumps(summary, ensure_ascii=False, indent=2))
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
