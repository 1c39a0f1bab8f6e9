"""An HTTP service for programs: texts in, entities out, as JSON.

    ner api runs/all --port 8000
    curl -d '{"text": "Jeff Dean works for Google."}' http://127.0.0.1:8000/tag
    curl -d '{"texts": ["Anna lives in Bern.", "Le canton de Vaud"]}' http://127.0.0.1:8000/tag

Texts that wait at the same time, of whatever requests, are tagged together. GET /health, /ready and /metrics are for
those who watch it. It serves 127.0.0.1; another address (--host) takes a token, which each request has to bring as
`Authorization: Bearer TOKEN`: the content of --token-file, or of NER_API_TOKEN. A signal ends it: what was accepted is
answered first, and a second one ends it at once. Needs the extra [serve].
"""

import contextlib
import importlib.util
import os
import queue
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Literal

import torch
import transformers

from ner.arguments import FAILED, command, echo, exit_on_input_error, not_above_zero, option, parse
from ner.config.options import PrecisionOptions
from ner.errors import InputError, single_line
from ner.tagging.api import MISSING, Service, make_app
from ner.tagging.api_requests import Limits
from ner.tagging.batched import Batched
from ner.tagging.server import HOST, address_of, is_loopback, listen, running
from ner.tagging.tagger import Tagger
from ner.training.signals import SIGNALS, handled

TOKEN = "NER_API_TOKEN"
SHORTEST_TOKEN = 16  # characters
REMEDY = "write one to a file: (umask 077; openssl rand -hex 32 > token), and --token-file token"
SECONDS_TO_SEND = 10  # at the end, for the last answers to leave the machine
# After one, all that a process asks of its GPU fails, too. Before torch 2.8 there is no such class.
ACCELERATOR_ERRORS: tuple[type[BaseException], ...] = tuple(filter(None, [getattr(torch, "AcceleratorError", None)]))


@dataclass(frozen=True)
class ApiOptions:
    """service"""

    run: str = option(
        "", "run folder of train.py, model folder, or Hub name of any token classifier", metavar="RUN", positional=True
    )
    host: str = option(HOST, "address to serve; one that other machines reach needs a token", metavar="ADDRESS")
    port: int = option(8000, "of that address; 0: one that is free", metavar="N")
    token_file: str | None = option(
        None, f"file with the token that requests have to bring; without it {TOKEN} of the environment", metavar="FILE"
    )


@dataclass(frozen=True)
class ApiTaggingOptions:
    """tagging"""

    checkpoint: Literal["best", "last", "average"] = option("best", "which model of a run folder")
    words: Literal["edges", "punctuation", "spaces"] = option(
        "edges",
        "what text is split at: white space and the marks at its edges, every mark, or blanks, tabs and line breaks",
    )
    score: Literal["mean", "min"] = option("mean", "of an entity, from the probabilities of its words")
    min_score: float = option(0.0, "leave out entities of a lower score", metavar="X")
    max_length: int = option(
        128, "longest window in sub-tokens; longer sentences become windows that overlap", metavar="N"
    )
    max_tokens_per_micro_batch: int = option(
        8192, "positions (padding included) computed at once: bounds memory", metavar="N"
    )
    batch_texts: int = option(256, "texts that are tagged together, of all requests that wait", metavar="N")
    batch_characters: int = option(100_000, "of them; those of one request are never divided", metavar="N")


@dataclass(frozen=True)
class ApiLimitOptions:
    """limits"""

    max_bytes: int = option(Limits.max_bytes, "of the body of a request, else 413", metavar="N")
    max_characters: int = option(Limits.max_characters, "of a text, else 413", metavar="N")
    max_texts: int = option(Limits.max_texts, "of a request, else 413", metavar="N")
    max_waiting: int = option(10_000, "texts that may wait, of all requests, else 429", metavar="N")
    timeout: float = option(
        Limits.timeout, "seconds of a request, from its headers to its answer, else 504", metavar="X"
    )


@dataclass(frozen=True)
class ApiConfig(ApiOptions, ApiTaggingOptions, ApiLimitOptions, PrecisionOptions):
    """Everything that decides what `ner api` does."""

    def __post_init__(self) -> None:
        problems = not_above_zero(
            self,
            "max_length",
            "max_tokens_per_micro_batch",
            "batch_texts",
            "batch_characters",
            "max_bytes",
            "max_characters",
            "max_texts",
            "max_waiting",
            "timeout",
        )
        if not 0 <= self.port <= 65535:
            problems.append(f"--port {self.port} must be from 0 to 65535")
        if not self.host:
            problems.append("--host is empty; 0.0.0.0 is every address of this machine, with a token")
        if not 0 <= self.min_score <= 1:
            problems.append(f"--min-score is {self.min_score:g}; scores are between 0 and 1")
        if self.max_waiting < self.max_texts:
            problems.append(
                f"--max-waiting {self.max_waiting:,} is less than --max-texts {self.max_texts:,}: such a request would "
                "never be taken"
            )
        if problems:
            raise InputError("\n".join(problems))


def read_token(file: str | None) -> str | None:
    """The token, of a file or the environment; None where there is none. Raises InputError for one of no use."""
    if file is None:
        place, text = TOKEN, os.environ.get(TOKEN)
        if text is None:
            return None
    else:
        place = file
        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{file}: {single_line(error)}; {REMEDY}") from error
    token = text.strip()
    if len(token) < SHORTEST_TOKEN or not all("!" <= character <= "~" for character in token):
        wrong = f"a token is {SHORTEST_TOKEN} or more letters, digits and marks of ASCII, without blanks"
        raise InputError(f"{place}: {wrong}; {REMEDY}")
    return token


class Stop:
    """What asks the service to stop: the first signal, or Ctrl-C. The next one ends it at once, by its own rules."""

    def __init__(self) -> None:
        # Its `put` may be called in a handler, whatever is interrupted. An event's `set` may wait for itself there.
        self.asked_by: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.interrupts = True  # while the model is loaded, which nothing else would end

    def wait(self) -> str:
        """The name of the signal; empty where it is no signal that asks. Briefly each time.

        A signal that comes just before a wait begins is taken when that ends.
        """
        while True:
            with contextlib.suppress(queue.Empty):
                return self.asked_by.get(timeout=0.5)

    def take(self, number: int, _: FrameType | None) -> None:
        """The handler."""
        for other in SIGNALS:
            if signal.getsignal(other) == self.take:
                signal.signal(other, signal.SIG_DFL)
        self.asked_by.put(signal.Signals(number).name)
        if self.interrupts:
            raise KeyboardInterrupt


def serve(config: ApiConfig, service: Service, tagger: Tagger, address: str, stop: Stop) -> None:
    """Answers until a signal comes, and then what was accepted; or until the accelerator fails, with status FAILED."""
    with Batched(
        tagger,
        max_waiting=config.max_waiting,
        max_texts=config.batch_texts,
        max_characters=config.batch_characters,
        fatal=ACCELERATOR_ERRORS,
        failed=lambda: stop.asked_by.put(""),
    ) as service.queue:
        print(f"{address}  Ctrl-C ends it.", flush=True)
        name = stop.wait()
        service.queue.close()
        if name:
            echo(f"stopped by {name}; what was accepted is answered, a second signal ends it at once", sys.stderr)
    if error := service.queue.failure:
        reason = f"{type(error).__name__}: {single_line(error)}"
        echo(f"ner api: {config.run}: {reason}; start the service again", sys.stderr)
        sys.exit(FAILED)


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """The command `ner api`."""
    with exit_on_input_error():
        config = parse(ApiConfig, arguments, __doc__)
        if not all(map(importlib.util.find_spec, ("fastapi", "uvicorn"))):
            raise InputError(MISSING)
        transformers.utils.logging.disable_progress_bar()
        token = read_token(config.token_file)
        listener = listen(config.port, config.host)
        is_local = is_loopback(listener)
        if not is_local and token is None:
            listener.close()
            raise InputError(f"--host {config.host}: other machines reach it, and there is no token; {REMEDY}")
    limits = Limits(config.max_bytes, config.max_characters, config.max_texts, config.timeout)
    names = frozenset({HOST, "localhost", "[::1]", config.host.lower(), str(listener.getsockname()[0])})
    service = Service(limits, token, names if is_local else None)
    stop = Stop()
    with (
        contextlib.suppress(KeyboardInterrupt),
        handled(stop.take),
        running(
            make_app(service),
            listener,
            ws="none",
            access_log=False,
            proxy_headers=False,
            timeout_graceful_shutdown=SECONDS_TO_SEND,
        ),
    ):
        with exit_on_input_error():
            tagger = Tagger.from_pretrained(
                config.run,
                checkpoint=config.checkpoint,
                precision=config.mixed_precision,
                words=config.words,
                score=config.score,
                min_score=config.min_score,
                max_length=config.max_length,
                max_tokens=config.max_tokens_per_micro_batch,
            )
        stop.interrupts = False
        serve(config, service, tagger, address_of(listener), stop)
