"""The HTTP service: what it answers, what it refuses, and how it stops. Its server is real, in a thread."""

import asyncio
import contextlib
import http.client
import json
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ner.tagging import api, api_requests
from ner.tagging.api_metrics import BUCKETS, Metrics
from ner.tagging.api_requests import Limits
from ner.tagging.batched import Batched
from ner.tagging.document import Entity
from ner.tagging.server import HOST, is_loopback, listen, running
from ner.tagging.tagger import Tagger
from tests.processes import SECONDS, wait_until
from tests.taggers import write_tagger

pytest.importorskip("fastapi", reason=api.MISSING)
pytest.importorskip("uvicorn", reason=api.MISSING)

HOSTS = frozenset({HOST, "localhost", "[::1]"})
SMALL = Limits(max_bytes=2000, max_characters=200, max_texts=3, timeout=SECONDS)
TOKEN = "a-token-of-the-tests"


class Server:
    """A service that is served, and a client of it."""

    def __init__(self, service, port):
        self.service = service
        self.port = port

    def ask(self, body=None, path="/tag", method=None, headers=None):
        """Status, headers and content of an answer. body: bytes as they are, or what becomes JSON."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection(HOST, self.port, timeout=SECONDS)
        try:
            connection.request(method or ("GET" if data is None else "POST"), path, data, headers or {})
            answer = connection.getresponse()
            content = answer.read().decode()
            is_json = answer.headers["content-type"] == "application/json"
            return answer.status, answer.headers, json.loads(content) if is_json else content
        finally:
            connection.close()

    def status(self, *arguments, **more):
        return self.ask(*arguments, **more)[0]

    def tag(self, text):
        status, _, content = self.ask({"text": text})
        assert status == 200, content
        return content["entities"]

    def answer_to(self, content):
        """Status and error, where headers and body come at once, however busy the machine is."""
        body = json.dumps(content).encode()
        with self.raw(f"Content-Length: {len(body)}", body) as connection:
            return read(connection)

    @contextlib.contextmanager
    def raw(self, headers, body=b""):
        """A connection on which a request was begun."""
        with socket.create_connection((HOST, self.port), timeout=SECONDS) as connection:
            connection.sendall(f"POST /tag HTTP/1.1\r\nHost: {HOST}\r\n{headers}\r\n\r\n".encode() + body)
            yield connection


def read(connection):
    """Status and error of the answer on a connection."""
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer.status, json.loads(answer.read())["error"]


@contextlib.contextmanager
def served(tag=None, limits=SMALL, token=None, hosts=HOSTS, **queue):
    """A server with this tagger; None: it is not loaded yet."""
    service = api.Service(limits, token, hosts)
    listener = listen(0)
    port = listener.getsockname()[1]
    with running(api.make_app(service), listener, timeout_graceful_shutdown=5), contextlib.ExitStack() as stack:
        if tag:
            service.queue = stack.enter_context(Batched(tag, **queue))
        yield Server(service, port)


@pytest.fixture(scope="module")
def tagger(thin_encoder, tmp_path_factory):
    return Tagger.from_pretrained(write_tagger(tmp_path_factory.mktemp("api") / "model", thin_encoder))


@pytest.fixture(scope="module")
def server(tagger):
    with served(tagger) as one:
        yield one


def test_headers_without_end_are_refused(server):
    """Before a token is looked at: they would fill the memory."""
    with socket.create_connection((HOST, server.port), timeout=SECONDS) as connection:
        connection.sendall(f"POST /tag HTTP/1.1\r\nHost: {HOST}\r\n".encode())
        with pytest.raises(ConnectionError):
            connection.sendall(b"X: " + b"x" * (1 << 26))
    assert server.status({"text": "Anna"}) == 200


class Slow:
    """A tagger that answers when it is let: the whole text is a place."""

    def __init__(self):
        self.calls = []
        self.let = threading.Event()

    def __call__(self, texts):
        self.calls.append(texts)
        assert self.let.wait(timeout=SECONDS)
        if "bad" in texts:
            raise RuntimeError("a bug")
        return [[Entity("LOC", text, 0, len(text), 0.51239)] for text in texts]


@contextlib.contextmanager
def busy(**settings):
    """A server whose tagger has a text, and answers when it is let; and what will be the answer."""
    slow = Slow()
    with served(slow, **settings) as server, ThreadPoolExecutor(8) as pool:
        first = pool.submit(server.ask, {"text": "busy"})
        wait_until(lambda: slow.calls)
        try:
            yield server, slow, pool, first
        finally:
            slow.let.set()


# What is answered

TEXTS = [
    "Anna Keller wohnt in Zürich",
    "👩‍🚒 aus Zu\u0308rich, 東京 und Genève.\n\tPeter\u00a0Müller\r\nBern",
    "Ελένη מרים محمد \U00020000 x",
]


@pytest.mark.parametrize("text", TEXTS)
def test_entities_are_those_of_the_tagger(server, tagger, text):
    found = server.tag(text)
    assert found
    assert found == [
        {"type": e.type, "text": e.text, "start": e.start, "end": e.end, "score": round(e.score, 4)}
        for e in tagger(text)
    ]
    assert all(text[entity["start"] : entity["end"]] == entity["text"] for entity in found)


def test_texts_are_answered_in_order(server, tagger):
    status, headers, content = server.ask({"texts": TEXTS})
    assert (status, headers["content-type"]) == (200, "application/json")
    assert [one["entities"] for one in content["texts"]] == [[e.fields() for e in tagger(text)] for text in TEXTS]
    assert server.ask({"texts": []})[2] == {"texts": []}
    assert server.ask({"texts": ["", " \n"]})[2] == {"texts": [{"entities": []}] * 2}
    assert server.ask({"text": ""})[2] == {"entities": []}


def test_many_clients_get_their_own_answers():
    """The whole text is the entity, so that an answer says whose it is."""
    slow = Slow()
    slow.let.set()
    with served(slow, max_texts=5) as server, ThreadPoolExecutor(16) as pool:
        texts = [f"text {number} " + "x" * (number % 7) for number in range(200)]
        assert [[entity["text"] for entity in found] for found in pool.map(server.tag, texts)] == [[t] for t in texts]
    assert sum(map(len, slow.calls)) == len(texts)


def test_what_there_is(server):
    assert server.ask(path="/health")[::2] == (200, {"status": "alive"})
    assert server.ask(path="/ready")[::2] == (200, {"status": "ready"})
    status, headers, text = server.ask(path="/")
    assert (status, text, headers["x-content-type-options"]) == (200, api.HELP, "nosniff")
    for path in ("/docs", "/redoc", "/openapi.json", "/tag/x", "/<script>"):
        status, _, content = server.ask(path=path)
        assert (status, list(content)) == (404, ["error"])
    status, headers, content = server.ask(path="/tag")
    assert (status, headers["allow"]) == (405, "POST")
    assert content["error"].startswith("GET '/tag': Method Not Allowed; GET / says")


def test_metrics(tagger):
    with served(tagger) as server:
        server.ask({"texts": ["Bern", "Genf"]})
        server.ask({"text": 1})
        _, headers, text = server.ask(path="/metrics")
    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert values['ner_requests_total{status="200"}'] == values['ner_requests_total{status="400"}'] == "1"
    assert values['ner_request_seconds_bucket{le="+Inf"}'] == values["ner_request_seconds_count"] == "2"
    assert (values["ner_texts_total"], values["ner_tagger_calls_total"], values["ner_ready"]) == ("2", "1", "1")
    assert values["ner_waiting_texts"] == "0"
    names = {re.split(r"[{ ]", name)[0] for name in values}
    typed = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert {re.sub(r"(?<=seconds)_(bucket|sum|count)$", "", name) for name in names} == typed


def test_a_histogram_adds_up():
    metrics = Metrics()
    for seconds in (0.001, 0.005, 0.2, 100.0):
        metrics.count(200, seconds)
    lines = metrics.exposition(waiting=3, calls=0, is_ready=False).splitlines()
    buckets = [int(line.rsplit(" ")[-1]) for line in lines if "_bucket" in line]
    assert buckets == [2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 4]
    assert len(buckets) == len(BUCKETS)
    assert "ner_request_seconds_sum 100.206000" in lines
    assert {"ner_waiting_texts 3", "ner_ready 0"} <= set(lines)


# What is refused

BODIES = [
    (b"", 400, "the body: not JSON: the line breaks off at character 0"),
    (b'{"text": "Bern"', 400, "the body: not JSON: the line breaks off at character 15"),
    (b'{"text": "\xff"}', 400, "the body is not UTF-8 at byte 11"),
    (b"[" * 1900, 400, "the body: nested too deeply"),
    (b"[1]", 400, 'the body is [1]; it should be {"text": "..."} or {"texts": ["...", ...]}'),
    ({}, 400, "the body is an object of "),
    ({"text": "a", "texts": ["b"]}, 400, "the body is an object of text, texts; it should be "),
    ({"text": "a", "model": "x"}, 400, "the body is an object of text, model; it should be "),
    ({"text": ["Anna", "Bern"]}, 400, "text is ['Anna', 'Bern'], not a text"),
    ({"texts": "Bern"}, 400, "texts is 'Bern', not a list of texts"),
    ({"texts": ["Bern", None]}, 400, "texts[1] is None, not a text"),
    ({"texts": ["Bern", "ab\ud800"]}, 400, "texts[1] has half a surrogate pair at character 2"),
    ({"texts": ["a"] * 4}, 413, "4 texts, where 3 are the most (max_texts)"),
    ({"texts": ["a", "x" * 201]}, 413, "texts[1] has 201 characters, where 200 are the most (max_characters)"),
    ({"text": "x" * 2000}, 413, "the body has more than 2,000 bytes (max_bytes)"),
    ({"text": "x" * 3_000_000}, 413, "the body has more than 2,000 bytes (max_bytes)"),
]


@pytest.mark.parametrize(("body", "status", "message"), BODIES, ids=lambda value: str(value)[:30])
def test_a_body_that_is_refused(server, body, status, message, monkeypatch):
    monkeypatch.setattr(api_requests, "SECONDS_TO_READ", SECONDS)  # of a client that may be slow, as this one
    for headers in ({}, {"Connection": "close"}):
        got, _, content = server.ask(body, headers=headers)
        assert (got, list(content)) == (status, ["error"])
        assert content["error"].startswith(message)


def test_limits_are_reached_and_not_passed(server):
    assert server.status({"texts": ["x" * 200] * 3}) == 200
    assert server.status(json.dumps({"text": ""}).encode().ljust(2000)) == 200
    assert server.status(json.dumps({"text": ""}).encode().ljust(2001)) == 413


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ("Content-Length: 1000000000", b""),
        ("Transfer-Encoding: chunked", b"800\r\n" + b" " * 0x800 + b"\r\n"),
        ("Content-Length: 2001\r\nExpect: 100-continue", b""),
    ],
)
def test_a_large_body_is_refused_before_it_is_there(server, headers, body):
    with server.raw(headers, body) as connection:
        assert read(connection) == (413, "the body has more than 2,000 bytes (max_bytes)")


def test_a_body_that_does_not_come(tagger):
    limits = Limits(max_bytes=100, timeout=0.1)
    with served(tagger, limits) as server, server.raw("Content-Length: 20", b'{"text"') as connection:
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert (answer.status, json.loads(answer.read())["error"]) == (
            408,
            "the body did not come in 0.1 seconds (timeout)",
        )


def test_bodies_in_memory_are_bounded(tagger):
    """As they are announced, or as large as one may be; what is gone makes room."""
    with served(tagger, Limits(max_bytes=100, timeout=SECONDS)) as server, contextlib.ExitStack() as stack:
        for number in range(api.LARGEST_BODIES):
            stack.enter_context(server.raw("Content-Length: 100" if number % 2 else "Transfer-Encoding: chunked"))
        wait_until(lambda: server.service.num_held == 6400)
        status, headers, content = server.ask({"text": "Bern"})
        assert (status, headers["retry-after"]) == (429, "1")
        assert content["error"].startswith(
            "requests of 6,400 bytes are in memory, where 6,400 are the most (64 times max"
        )
        stack.close()
        wait_until(lambda: server.service.num_held == 0)
        assert server.status({"text": "Bern"}) == 200
        assert server.service.metrics.requests == {200: 1, 429: 1, 499: 64}


def test_a_full_queue():
    with busy(max_waiting=2) as (server, slow, pool, first):
        second = pool.submit(server.ask, {"texts": ["a", "b"]})
        wait_until(lambda: server.service.queue.num_waiting == 2)
        assert "ner_waiting_texts 2\n" in server.ask(path="/metrics")[2]
        status, headers, content = server.ask({"text": "c"})
        assert (status, headers["retry-after"]) == (429, "1")
        assert content["error"] == "2 texts wait, where 2 are the most (max_waiting); try again"
        slow.let.set()
        assert [future.result(timeout=SECONDS)[0] for future in (first, second)] == [200, 200]
        assert server.tag("c") == [{"type": "LOC", "text": "c", "start": 0, "end": 1, "score": 0.5124}]
    assert slow.calls == [["busy"], ["a", "b"], ["c"]]


def test_what_is_late_is_not_begun():
    with busy() as (server, slow, _, first):
        server.service.limits = Limits(timeout=0.1)
        assert server.answer_to({"text": "late"}) == (504, "not answered in 0.1 seconds (timeout)")
        server.service.limits = SMALL
        slow.let.set()
        assert first.result(timeout=SECONDS)[0] == 200
        assert server.status({"text": "next"}) == 200
    assert slow.calls == [["busy"], ["next"]]


def test_what_is_late_has_left_the_queue_when_its_client_is_told():
    async def num_waiting_after(service, future) -> int:
        with pytest.raises(api_requests.RefusedError, match="not answered"):
            await service.answered(future, asyncio.Event().wait, 0.0)
        return service.queue.num_waiting

    with busy() as (server, *_):
        future = server.service.queue.submit(["late"])
        assert asyncio.run(num_waiting_after(server.service, future)) == 0


def test_who_waits_for_what_has_begun_is_told_too():
    slow = Slow()
    with served(slow) as server:
        server.service.limits = Limits(timeout=0.1)
        assert server.answer_to({"text": "late"})[0] == 504
        slow.let.set()


def test_nothing_is_done_for_a_client_that_has_gone():
    with busy() as (server, slow, _, first):
        body = json.dumps({"text": "gone"}).encode()
        with server.raw(f"Content-Length: {len(body)}", body):
            wait_until(lambda: server.service.queue.num_waiting == 1)
        wait_until(lambda: server.service.queue.num_waiting == 0)
        slow.let.set()
        assert first.result(timeout=SECONDS)[0] == 200
        assert server.status({"text": "next"}) == 200
        assert server.service.metrics.requests == {200: 2, 499: 1}
    assert slow.calls == [["busy"], ["next"]]


def test_a_failure_is_its_clients_alone():
    with busy() as (server, slow, pool, first):
        answers = [pool.submit(server.ask, {"text": text}) for text in ("a", "bad", "b")]
        wait_until(lambda: server.service.queue.num_waiting == 3)
        slow.let.set()
        statuses = [future.result(timeout=SECONDS)[0] for future in (first, *answers)]
        assert statuses == [200, 200, 500, 200]
        assert answers[1].result(timeout=0)[2] == {"error": "the service failed: RuntimeError"}
        assert server.service.metrics.requests == {200: 3, 500: 1}
        assert server.service.num_held == 0


def test_after_a_fatal_error_it_is_not_ready():
    with busy(fatal=(RuntimeError,)) as (server, slow, pool, first):
        answers = [pool.submit(server.ask, {"text": text}) for text in ("a", "bad")]
        wait_until(lambda: server.service.queue.num_waiting == 2)
        slow.let.set()
        assert [future.result(timeout=SECONDS)[0] for future in (first, *answers)] == [200, 500, 500]
        assert server.ask(path="/ready")[::2] == (503, {"status": "stopping"})
        assert server.status(path="/health") == 200
        assert server.ask({"text": "b"})[::2] == (503, {"error": "the service is stopping"})


# Who is answered


def test_a_token(tagger):
    with served(tagger, token=TOKEN) as server:

        def status(path="/tag", **headers):
            return server.status(None if path != "/tag" else {"text": "Bern"}, path=path, headers=headers)

        assert status() == status("/metrics") == 401
        wrong = [f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer", f"Basic {TOKEN}", TOKEN, "Bearer \xe9" + TOKEN]
        assert {status(Authorization=value) for value in wrong} == {401}
        assert status(Authorization=f"Bearer {TOKEN}") == status(Authorization=f"bearer  {TOKEN} ") == 200
        assert status("/metrics", Authorization=f"Bearer {TOKEN}") == 200
        assert status("/health") == status("/ready") == status("/") == 200
        _, headers, content = server.ask(b"x" * 3_000_000)  # nor is a body read
        assert headers["www-authenticate"] == "Bearer"
        assert content == {"error": "this needs the header Authorization: Bearer TOKEN"}


def test_pages_of_other_sites_are_refused(server):
    port = server.port
    for headers, status in (
        ({"Host": "example.org"}, 400),
        ({"Host": f"example.org:{port}"}, 400),
        ({"Host": f"{HOST}.example.org"}, 400),
        ({"Host": f"LOCALHOST:{port}"}, 200),
        ({"Host": f"[::1]:{port}"}, 200),
        ({"Origin": "http://example.org"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": f"http://{HOST}:{port + 1}"}, 403),
        ({"Origin": f"http://{HOST}:{port}"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ):
        assert server.status({"text": "Bern"}, headers=headers) == status, headers
    with served(server.service.queue.answer, hosts=None) as everywhere:
        assert everywhere.status({"text": "Bern"}, headers={"Host": "example.org"}) == 200


def test_addresses():
    for host, expected in ((HOST, True), ("localhost", True), ("0.0.0.0", False)):
        with listen(0, host) as listener:
            assert is_loopback(listener) == expected


def test_an_answer_does_not_wait_for_the_client_to_confirm_its_headers():
    with listen(0) as listener, socket.create_connection(listener.getsockname(), timeout=SECONDS):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


# From start to stop


def test_while_it_starts():
    with served() as server:
        assert server.status(path="/health") == 200
        assert server.ask(path="/ready")[::2] == (503, {"status": "starting"})
        assert server.ask({"text": "Bern"})[::2] == (503, {"error": "the service is starting"})
        assert "\nner_ready 0\n" in server.ask(path="/metrics")[2]


def test_a_stop_answers_what_was_accepted():
    with busy() as (server, slow, pool, first):
        accepted = [pool.submit(server.ask, {"text": text}) for text in "abc"]
        wait_until(lambda: server.service.queue.num_waiting == 3)
        server.service.queue.close()
        assert server.status(path="/health") == 200
        assert server.ask(path="/ready")[::2] == (503, {"status": "stopping"})
        assert server.ask({"text": "Bern"})[::2] == (503, {"error": "the service is stopping"})
        slow.let.set()
        answers = [future.result(timeout=SECONDS) for future in (first, *accepted)]
        assert [status for status, _, _ in answers] == [200] * 4
        assert [content["entities"][0]["text"] for _, _, content in answers] == ["busy", *"abc"]


def test_the_queue_knows_nothing_of_http():
    source = Path(api.__file__).with_name("batched.py").read_text(encoding="utf-8")
    assert not re.search(r"import.*(asyncio|fastapi|starlette|api)", source)


def test_an_idle_connection_stays_open_longer_than_load_balancers_keep_it(monkeypatch):
    import uvicorn

    idle = []

    class Server(uvicorn.Server):
        def __init__(self, config):
            idle.append(config.timeout_keep_alive)
            super().__init__(config)

    monkeypatch.setattr(uvicorn, "Server", Server)
    with served() as server:
        assert server.status(path="/health") == 200
    assert min(idle) > 60
