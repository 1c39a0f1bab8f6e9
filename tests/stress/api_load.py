"""The HTTP service under load, and against transformers' pipeline behind the same framework: not part of the suite.

    python -m tests.stress.api_load RUN [--requests 10000] [--timed 400]

Three rounds of so many requests at once, each of another text (sentences of the embedded corpus): every answer is the
tagger's own, and the memory of the service after each round is printed. Then a stop in the middle of a round: what was
accepted is answered. At last 1, 8 and 64 clients ask, one request after the other on one connection each; requests a
second, and percentiles of what a client waits, of both services. Linux: memory is that of /proc.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ner.data import synthetic
from ner.tagging.tagger import Tagger
from ner.utils import table
from tests.processes import ROOT, started, wait_until

CLIENTS = (1, 8, 64)
SECONDS = 600  # the deadline of everything
CONNECTING = 256  # at a time: what the system queues for a server that is busy
HOST = "127.0.0.1"
# The usual service around a pipeline: a function of FastAPI, which calls it in its pool of threads.
PIPELINE = """
import sys, threading
from fastapi import Body, FastAPI
from transformers import pipeline
import uvicorn
from ner.tagging.server import address_of, listen
from ner.training.run_folder import find_model
classifier = pipeline("token-classification", model=find_model(sys.argv[1])[0], aggregation_strategy="first")
app, one = FastAPI(), threading.Lock()
@app.post("/tag")
def tag(text: str = Body(embed=True)):
    with one:
        found = classifier(text)
    return {"entities": [{**entity, "score": float(entity["score"])} for entity in found]}
listener = listen(0)
print(address_of(listener), flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listener])
"""


@dataclass
class Served:
    """A service in a process of its own."""

    process: subprocess.Popen
    port: int

    @property
    def megabytes(self) -> float:
        """What it holds of its own."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        (line,) = re.findall(r"^RssAnon:\s+(\d+)", status, re.MULTILINE)
        return int(line) / 1024


@contextlib.contextmanager
def serving(*program: str) -> Iterator[Served]:
    """A service, from when it says where it is."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "output"
        with (
            output.open("wb") as file,
            started([sys.executable, *program], cwd=ROOT, stdout=file, stderr=file) as process,
        ):

            def address() -> list[str]:
                return re.findall(r"^http://[\d.]+:(\d+)/", output.read_text(encoding="utf-8"), re.MULTILINE)

            wait_until(address, process, SECONDS)
            yield Served(process, int(address()[0]))
            said = [line for line in output.read_text(encoding="utf-8").splitlines() if "Traceback" in line]
            assert not said, output.read_text(encoding="utf-8")


def texts_of(number: int) -> list[str]:
    """So many texts, no two of them equal."""
    rows = [row for language in synthetic.LANGUAGES for row in synthetic.sentences(language, "test")]
    cycle = itertools.islice(itertools.cycle(rows), number)
    return [f"{' '.join(row['tokens'])} ( {i} )" for i, row in enumerate(cycle)]


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: str) -> tuple[int, Any]:
    """Status and content of the answer to a text."""
    body = json.dumps({"text": text}).encode()
    headers = f"Host: {HOST}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    writer.write(f"POST /tag HTTP/1.1\r\n{headers}\r\n\r\n".encode() + body)
    await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    size = int(head.partition("content-length:")[2].split()[0])
    return int(head.split()[1]), json.loads(await reader.readexactly(size))


async def all_at_once(port: int, texts: Sequence[str]) -> list[tuple[int, Any]]:
    """The answers to texts, each on a connection of its own; (0, what went wrong) where there is none."""
    turn = asyncio.Semaphore(CONNECTING)

    async def ask(text: str) -> tuple[int, Any]:
        try:
            async with turn:
                reader, writer = await asyncio.open_connection(HOST, port)
        except OSError as error:
            return 0, f"no connection: {type(error).__name__}"
        try:
            return await exchange(reader, writer, text)
        except (OSError, EOFError) as error:
            return 0, f"no answer: {type(error).__name__}"
        finally:
            writer.close()

    async with asyncio.timeout(SECONDS):
        return await asyncio.gather(*map(ask, texts))


async def in_turn(port: int, texts: Sequence[str], clients: int) -> list[float]:
    """Seconds that each request took, of so many clients at a time."""
    seconds: list[float] = []
    left = iter(texts)

    async def client() -> None:
        reader, writer = await asyncio.open_connection(HOST, port)
        for text in left:
            start = time.perf_counter()
            status, content = await exchange(reader, writer, text)
            assert status == 200, content
            seconds.append(time.perf_counter() - start)
        writer.close()

    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*(client() for _ in range(clients)))
    return seconds


def is_same(found: Any, expected: Sequence[dict[str, Any]]) -> bool:
    """Whether an answer is the tagger's own; the last digits of a score depend on what is tagged beside it."""
    pairs = list(itertools.zip_longest(found["entities"], expected, fillvalue={"score": 9.0}))
    return all(own | {"score": 0} == other | {"score": 0} for own, other in pairs) and all(
        abs(own["score"] - other["score"]) < 2e-4 for own, other in pairs
    )


def check_load(run: str, options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Rounds of requests at once, and a stop in the middle of one. Raises AssertionError."""
    texts = texts_of(options.requests)
    tagger = Tagger.from_pretrained(run, precision="no")
    expected = [[entity.fields() for entity in found] for found in tagger(texts)]
    with serving(*flags) as served:
        print(f"loaded: {served.megabytes:.0f} MB")
        for number in range(3):
            start = time.perf_counter()
            answers = asyncio.run(all_at_once(served.port, texts))
            seconds = time.perf_counter() - start
            assert Counter(status for status, _ in answers) == {200: len(texts)}
            wrong = [i for i, (_, found) in enumerate(answers) if not is_same(found, expected[i])]
            assert not wrong, f"{len(wrong)} are not the tagger's: {texts[wrong[0]]} {answers[wrong[0]]}"
            held = f"{served.megabytes:.0f} MB, {seconds:.0f} s"
            print(f"round {number + 1}: {len(texts):,} at once, all the tagger's own; {held}", flush=True)
        stop = threading.Timer(seconds / 3, served.process.send_signal, [signal.SIGTERM])
        stop.start()
        answers = asyncio.run(all_at_once(served.port, texts))
        assert served.process.wait(timeout=SECONDS) == 0
        right = [i for i, (status, found) in enumerate(answers) if status == 200 and is_same(found, expected[i])]
        kinds = Counter(str(status or content) for status, content in answers)
        assert len(right) == kinds["200"]
        print(f"stopped in the middle: status 0; {dict(kinds)}")


def measure(run: str, options: argparse.Namespace, flags: Sequence[str]) -> str:
    """A table of both services."""
    rates: dict[tuple[str, int], float] = {}
    lines = []
    for name, program in (("pipeline", ["-c", PIPELINE, run]), ("ner api", list(flags))):
        with serving(*program) as served:
            asyncio.run(in_turn(served.port, texts_of(50), 8))
            for clients in CLIENTS:
                start = time.perf_counter()
                seconds = np.array(asyncio.run(in_turn(served.port, texts_of(options.timed), clients))) * 1e3
                rates[name, clients] = rate = options.timed / (time.perf_counter() - start)
                p50, p99 = np.percentile(seconds, (50, 99))
                ratio = f"{rate / rates['pipeline', clients]:.2f} x"
                lines.append([name, clients, f"{rate:.0f}", ratio, f"{p50:.1f}", f"{p99:.1f}"])
    header = ["service", "clients", "requests/s", "of the pipeline", "p50, ms", "p99, ms"]
    return table(header, sorted(lines, key=lambda line: line[1]), right=[False, True, True, True, True, True])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--timed", type=int, default=400)
    options = parser.parse_args()
    limits = ["--max-waiting", str(options.requests + 1000), "--timeout", str(SECONDS)]
    flags = ["-m", "ner", "api", options.run, "--port", "0", "--mixed-precision", "no", *limits]
    print(measure(options.run, options, flags), flush=True)
    check_load(options.run, options, flags)


if __name__ == "__main__":
    main()
