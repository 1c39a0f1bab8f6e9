"""The HTTP service of `ner api`: texts in, entities out, as JSON. On FastAPI.

The tagger is called in one thread alone (`ner.tagging.batched`); all else here runs in the event loop of the server.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ner.errors import shorten
from ner.tagging.api_guard import Guard
from ner.tagging.api_metrics import CONTENT_TYPE, Metrics
from ner.tagging.api_requests import (
    RETRY,
    TEXTS,
    Limits,
    RefusedError,
    check_size,
    client_gone,
    declared,
    read_body,
    texts_of,
)
from ner.tagging.batched import Batched, ClosedError, FullError
from ner.tagging.document import Entity
from ner.tagging.files import ENTITIES

if TYPE_CHECKING:
    from fastapi import FastAPI, Request
    from starlette.types import Receive

MISSING = (
    "fastapi or uvicorn is not installed; pip install fastapi uvicorn, or the extra: "
    "pip install 'crosslingual-ner[serve]'"
)
HELP = """\
POST /tag      {"text": "..."}          -> {"entities": [{"type", "text", "start", "end", "score"}, ...]}
               {"texts": ["...", ...]}  -> {"texts": [{"entities": [...]}, ...]}
GET  /health   200 while the process lives
GET  /ready    200 while work is taken, else 503
GET  /metrics  counts, for Prometheus
"""
LARGEST_BODIES = 64  # so many of them, or more that are smaller, are in memory at a time


@dataclass
class Service:
    """What the application knows.

    Attributes:
        limits: What a client may ask for.
        token: As of `Guard`.
        hosts: As of `Guard`.
        queue: Of the tagger, once it is loaded.
        metrics: What was counted.
        num_held: Bytes of the bodies in memory, and of those that are announced.
    """

    limits: Limits = field(default_factory=Limits)
    token: str | None = None
    hosts: frozenset[str] | None = None
    queue: Batched[list[Entity]] | None = None
    metrics: Metrics = field(default_factory=Metrics)
    num_held: int = 0

    @property
    def status(self) -> str:
        """Starting, ready (work is taken) or stopping."""
        if self.queue is None:
            return "starting"
        return "stopping" if self.queue.is_closed else "ready"

    def submit(self, texts: Sequence[str]) -> "Future[Sequence[list[Entity]]]":
        """Their entities, as they will be. Raises RefusedError."""
        assert self.queue is not None
        try:
            return self.queue.submit(texts)
        except ClosedError:
            raise RefusedError(503, "the service is stopping") from None
        except FullError:
            waiting = f"{self.queue.num_waiting:,} texts wait, where {self.queue.max_waiting:,} are the most"
            raise RefusedError(429, f"{waiting} (max_waiting); try again", RETRY) from None

    @contextlib.contextmanager
    def holding(self, num_bytes: int) -> Iterator[None]:
        """While a body is in memory. Raises RefusedError if there are too many."""
        most = LARGEST_BODIES * self.limits.max_bytes
        if self.num_held + num_bytes > most:
            held = f"requests of {self.num_held:,} bytes are in memory, where {most:,} are the most"
            raise RefusedError(429, f"{held} ({LARGEST_BODIES} times max_bytes); try again", RETRY, is_unread=True)
        self.num_held += num_bytes
        try:
            yield
        finally:
            self.num_held -= num_bytes

    async def tag(self, request: "Request") -> dict[str, Any]:
        """The answer to a request. Raises RefusedError."""
        if self.status != "ready":
            raise RefusedError(503, f"the service is {self.status}", is_unread=True)
        deadline = asyncio.get_running_loop().time() + self.limits.timeout
        size = declared(request)
        check_size(size or 0, self.limits)
        with self.holding(self.limits.max_bytes if size is None else size):
            body = await read_body(request, self.limits)
        with self.holding(len(body)):
            texts, is_list = texts_of(body, self.limits)
            found = await self.answered(self.submit(texts), request.receive, deadline) if texts else []
        self.metrics.texts += len(texts)
        answers = [{ENTITIES: [entity.fields() for entity in entities]} for entities in found]
        return {TEXTS: answers} if is_list else answers[0]

    async def answered(
        self, future: "Future[Sequence[list[Entity]]]", receive: "Receive", deadline: float
    ) -> Sequence[list[Entity]]:
        """The entities, when they are there.

        deadline: by the clock of the event loop. Then, and when the client is gone, what is not begun is not done.
        Raises RefusedError.
        """

        async def until_gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        found = asyncio.wrap_future(future)
        gone = asyncio.ensure_future(until_gone())
        try:
            left = deadline - asyncio.get_running_loop().time()
            await asyncio.wait((found, gone), timeout=max(0.0, left), return_when=asyncio.FIRST_COMPLETED)
            if found.done():
                return found.result()
        finally:
            gone.cancel()
            future.cancel()  # which takes it out of the queue, now: `found` would do so when the client has its answer
            found.cancel()
        if gone.done():
            raise client_gone()
        raise RefusedError(504, f"not answered in {self.limits.timeout:g} seconds (timeout)")

    def exposition(self) -> str:
        """Its metrics as Prometheus reads them."""
        waiting, calls = (self.queue.num_waiting, self.queue.num_calls) if self.queue else (0, 0)
        return self.metrics.exposition(waiting=waiting, calls=calls, is_ready=self.status == "ready")


def make_app(service: Service) -> "FastAPI":
    """The service as a web application."""
    from fastapi import FastAPI, Request, Response
    from fastapi.responses import JSONResponse, PlainTextResponse
    from starlette.exceptions import HTTPException

    # Without its pages of documentation, which load scripts from other servers.
    app = FastAPI(openapi_url=None)
    app.add_middleware(Guard, metrics=service.metrics, token=service.token, hosts=service.hosts)

    async def tag(request: Request) -> Response:
        return JSONResponse(await service.tag(request))

    async def ready(_: Request) -> Response:
        return JSONResponse({"status": service.status}, 200 if service.status == "ready" else 503)

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def metrics(_: Request) -> Response:
        return Response(service.exposition(), headers={"content-type": CONTENT_TYPE})

    async def usage(_: Request) -> Response:
        return PlainTextResponse(HELP)

    app.add_route("/tag", tag, methods=["POST"])
    for path, answer in (("/", usage), ("/health", health), ("/ready", ready), ("/metrics", metrics)):
        app.add_route(path, answer, methods=["GET"])

    async def refuse(_: Request, error: Exception) -> Any:
        return error

    async def explain(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        message = f"{request.method} {shorten(request.url.path)}: {error.detail}; GET / says what there is"
        return JSONResponse({"error": message}, error.status_code, error.headers)

    async def fail(_: Request, error: Exception) -> Response:  # the server shows its traceback
        return JSONResponse({"error": f"the service failed: {type(error).__name__}"}, 500)

    app.add_exception_handler(RefusedError, refuse)
    app.add_exception_handler(HTTPException, explain)
    app.add_exception_handler(Exception, fail)
    return app
