"""Who may ask the HTTP service: its own names, no page of another site, and with a token only those who know it."""

import hmac
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ner.tagging.api_metrics import Metrics
from ner.tagging.api_requests import RefusedError

if TYPE_CHECKING:
    from starlette.datastructures import Headers
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPEN = ("/", "/health", "/ready")  # paths without a token: whoever watches the process asks them


@dataclass(frozen=True)
class Guard:
    """Refuses what may not be asked, before its body is read, and counts the requests to tag.

    Attributes:
        app: What answers the others.
        metrics: Where they are counted.
        token: That a request has to bring; None: none is needed.
        hosts: Names by which it may be asked; None: any, which takes a token. Else a page of another site, under a name
            that leads here, could ask.
    """

    app: "ASGIApp"
    metrics: Metrics
    token: str | None
    hosts: frozenset[str] | None

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answers a request."""
        from starlette.datastructures import Headers

        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        is_counted = scope["path"] == "/tag" and scope["method"] == "POST"

        async def send_counted(message: "Message") -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-content-type-options", b"nosniff")]
                if is_counted:
                    self.metrics.count(message["status"], time.perf_counter() - start)
            await send(message)

        answer = self.refusal(Headers(scope=scope), scope["path"]) or self.app
        try:
            await answer(scope, receive, send_counted)
        except Exception:
            if is_counted:  # what is around this answers, with 500
                self.metrics.count(500, time.perf_counter() - start)
            raise

    def refusal(self, headers: "Headers", path: str) -> RefusedError | None:
        """Why a request is refused; None: it is not."""
        host = headers.get("host", "")
        if self.hosts is not None and re.sub(r":\d+\Z", "", host).lower() not in self.hosts:
            return RefusedError(400, "the Host of the request is none of this service", is_unread=True)
        is_foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        if is_foreign or headers.get("origin", f"http://{host}") != f"http://{host}":
            return RefusedError(403, "pages of other sites may not ask", is_unread=True)
        if self.token is None or path in OPEN:
            return None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        # In constant time. Headers are Latin-1, of which compare_digest takes bytes alone.
        is_same = hmac.compare_digest(given.strip().encode("latin-1"), self.token.encode())
        if scheme.lower() == "bearer" and is_same:
            return None
        needed = {"www-authenticate": "Bearer"}
        return RefusedError(401, "this needs the header Authorization: Bearer TOKEN", needed, is_unread=True)
