"""What a client of the HTTP service asks, within limits, and how it is refused: in JSON, with the limit by its name."""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ner.data.json_rows import parse_json, reason_of
from ner.errors import listed, shorten
from ner.tagging.files import TEXT

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

TEXTS = "texts"
RETRY = {"retry-after": "1"}  # seconds
SECONDS_TO_READ = 2  # for a client that reads its answer behind all of a body that is refused


@dataclass(frozen=True)
class Limits:
    """What a client may ask for. The errors that it gets have these names.

    Attributes:
        max_bytes: Of the body of a request.
        max_characters: Of a text.
        max_texts: Of a request.
        timeout: Seconds from the headers of a request to its answer.
    """

    max_bytes: int = 1_000_000
    max_characters: int = 100_000
    max_texts: int = 1_000
    timeout: float = 30.0


class RefusedError(Exception):
    """A request that is not answered as asked: its status, why, and headers of the answer.

    is_unread: its body was not read, at least not to its end.
    """

    def __init__(
        self, status: int, message: str, headers: dict[str, str] | None = None, *, is_unread: bool = False
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.is_unread = is_unread

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answers."""
        from starlette.responses import JSONResponse

        response = JSONResponse({"error": str(self)}, self.status, self.headers)
        if not self.is_unread:
            await response(scope, receive, send)
            return
        # The whole answer goes out now. Closed at once, the connection would be reset, and the answer lost, where the
        # client is still sending: what it sends is thrown away for a while.
        response.headers["connection"] = "close"
        start = {"type": "http.response.start", "status": self.status, "headers": response.raw_headers}
        await send(start)
        await send({"type": "http.response.body", "body": response.body, "more_body": True})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SECONDS_TO_READ):
                while (await receive()).get("more_body"):
                    pass
        await send({"type": "http.response.body", "body": b""})


def declared(request: "Request") -> int | None:
    """How many bytes the body has, as its header has it; None where it is not said."""
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() else None


async def read_body(request: "Request", limits: Limits) -> bytes:
    """The body. Raises RefusedError for one that is too large, before it is read whole, and for one that is late."""
    from starlette.requests import ClientDisconnect

    body = bytearray()
    try:
        async with asyncio.timeout(limits.timeout):
            async for part in request.stream():
                body += part
                check_size(len(body), limits)
    except TimeoutError:
        late = f"the body did not come in {limits.timeout:g} seconds (timeout)"
        raise RefusedError(408, late, is_unread=True) from None
    except ClientDisconnect:
        raise client_gone() from None
    return bytes(body)


def check_size(num_bytes: int, limits: Limits) -> None:
    """Raises RefusedError for a body of so many bytes, or more, that is too large."""
    if num_bytes > limits.max_bytes:
        message = f"the body has more than {limits.max_bytes:,} bytes (max_bytes)"
        raise RefusedError(413, message, is_unread=True)


def client_gone() -> RefusedError:
    """For the count alone: nobody reads the answer. 499, as nginx has it."""
    return RefusedError(499, "the client is gone")


def texts_of(body: bytes, limits: Limits) -> tuple[list[str], bool]:
    """The texts of a body, and whether they came as a list. Raises RefusedError."""
    try:
        content = parse_json(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise RefusedError(400, f"the body is not UTF-8 at byte {error.start + 1}") from None
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, f"the body: {reason_of(error)}") from None
    if not isinstance(content, dict) or set(content) not in ({TEXT}, {TEXTS}):
        what = f"an object of {listed(content)}" if isinstance(content, dict) else shorten(content)
        raise RefusedError(400, f'the body is {what}; it should be {{"{TEXT}": "..."}} or {{"{TEXTS}": ["...", ...]}}')
    is_list = TEXTS in content
    texts: Any = content[TEXTS] if is_list else [content[TEXT]]
    if not isinstance(texts, list):
        raise RefusedError(400, f"{TEXTS} is {shorten(texts)}, not a list of texts")
    if len(texts) > limits.max_texts:
        raise RefusedError(413, f"{len(texts):,} texts, where {limits.max_texts:,} are the most (max_texts)")
    for i, text in enumerate(texts):
        check_text(text, f"{TEXTS}[{i}]" if is_list else TEXT, limits)
    return texts, is_list


def check_text(text: Any, name: str, limits: Limits) -> None:
    """Raises RefusedError for what cannot be tagged. name: where it stands in the body."""
    if not isinstance(text, str):
        raise RefusedError(400, f"{name} is {shorten(text)}, not a text")
    if len(text) > limits.max_characters:
        most = f"where {limits.max_characters:,} are the most (max_characters)"
        raise RefusedError(413, f"{name} has {len(text):,} characters, {most}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RefusedError(400, f"{name} has half a surrogate pair at character {error.start}") from None
