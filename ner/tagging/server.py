"""A web server in a thread, for the demo app and the HTTP service."""

import contextlib
import ipaddress
import os
import socket
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ner.errors import InputError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

HOST = "127.0.0.1"
# An idle connection stays open longer than load balancers keep theirs (60 seconds are common): a request that they send
# as it is closed is lost, and its client is told 502.
SECONDS_IDLE = 75


def listen(port: int, host: str = HOST) -> socket.socket:
    """A socket that listens.

    port: 0 for a free one; host: an address, or a name of this machine. Raises InputError for what cannot be had.
    """
    try:
        # The address is looked up once: the one that is judged by `is_loopback` is the one that is bound.
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise InputError(f"`host` {host}: {reason}; name an address of this machine, or leave it at {HOST}") from error
    try:
        listener = socket.create_server(address, family=family)
        # What is accepted of it inherits this; asyncio sets it for sockets that it made itself. Without it, an answer's
        # body waits for the client to confirm the headers, which clients put off for 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        place = f"`port` {port}" if host == HOST else f"`host` {host}, `port` {port}"
        raise InputError(f"{place}: {reason}; name another one, or 0 for one that is free") from error


def is_loopback(listener: socket.socket) -> bool:
    """Whether only this machine reaches it."""
    return ipaddress.ip_address(str(listener.getsockname()[0])).is_loopback


def address_of(listener: socket.socket) -> str:
    """Its URL, for a person who reads it on this machine."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


@contextlib.contextmanager
def running(app: "ASGIApp", listener: socket.socket, **settings: Any) -> Iterator[None]:
    """Serves an application while the block runs. settings: of uvicorn, beside what is the same for all."""
    import uvicorn

    # By h11: with httptools, which it takes if it finds it, the headers of a request have no limit.
    config = uvicorn.Config(app, log_level="warning", http="h11", timeout_keep_alive=SECONDS_IDLE, **settings)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="server")
    try:
        thread.start()
        yield
    finally:
        server.should_exit = True
        if thread.is_alive():
            thread.join()
