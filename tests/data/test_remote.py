"""Files at an address: fetched whole, again where that may help, and refused where it does not."""

import http.server
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from ner.data import remote
from ner.data.corpus import Source, load_corpus
from ner.data.remote import FetchError, fetch, name_of, numbered
from ner.errors import InputError


class Server(http.server.ThreadingHTTPServer):
    """Serves a folder on this machine.

    broken: how often an answer to that path is cut off, or has that status; headers: in place of the usual ones; slow:
    a file comes a byte at a time, until `patient` is set.
    """

    daemon_threads = True

    def __init__(self, folder):
        self.folder = folder
        self.asked: Counter[str] = Counter()
        self.broken: dict[str, list[int]] = {}
        self.headers: dict[str, str] = {}
        self.slow = False
        self.patient = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked[path] += 1
        file = self.server.folder / unquote(path.lstrip("/"))
        answers = self.server.broken.get(path)
        status = answers.pop(0) if answers else 200 if file.is_file() else 404
        content = file.read_bytes() if file.is_file() else b""
        self.send_response(200 if status == 1 else status)
        for name, value in {"content-length": str(len(content)), **self.server.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        while self.server.slow and not self.server.patient.wait(0.01):
            self.wfile.write(b"x")
            self.wfile.flush()
        self.wfile.write(content[: len(content) // 2] if status == 1 else content if status == 200 else b"")
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Nothing."""


CUT = 1  # in place of a status: half of the file comes


@pytest.fixture
def server(tmp_path) -> Iterator[Server]:
    folder = tmp_path / "site"
    folder.mkdir()
    with Server(folder) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.patient.set()
        running.shutdown()
        thread.join(10)


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch):
    monkeypatch.setattr(remote, "FIRST_WAIT", 0.0)


def test_numbers_stand_for_shards():
    assert list(numbered("https://h/train-{008..011}.jsonl")) == [
        f"https://h/train-{number}.jsonl" for number in ("008", "009", "010", "011")
    ]
    assert list(numbered("x{0..1}/{2..3}")) == ["x0/2", "x0/3", "x1/2", "x1/3"]
    assert list(numbered("https://h/train.jsonl")) == ["https://h/train.jsonl"]
    for wrong in ("x{3..2}", "x{0..1000000}"):
        with pytest.raises(InputError, match="no range of up to 1,000,000 numbers"):
            list(numbered(wrong))


def test_the_name_of_a_file():
    assert name_of("https://h/a/train.parquet?download=true#x") == "train.parquet"
    assert name_of("hf://datasets/o/n@main/de/train.jsonl.gz") == "train.jsonl.gz"


def test_a_file_comes_whole_or_not(server, tmp_path):
    (server.folder / "a.jsonl").write_bytes(b"0123456789" * 100_000)
    server.broken["/a.jsonl"] = [CUT, 503, CUT]
    got = fetch(f"{server.address}/a.jsonl?download=true", tmp_path)
    assert got == tmp_path / "a.jsonl"
    assert got.read_bytes() == (server.folder / "a.jsonl").read_bytes()
    assert server.asked["/a.jsonl"] == 4


def test_what_can_not_be_fetched(server, tmp_path):
    with pytest.raises(FetchError, match=r"/b.jsonl: the server answers 404 Not Found"):
        fetch(f"{server.address}/b.jsonl", tmp_path)
    assert server.asked["/b.jsonl"] == 1
    (server.folder / "c.jsonl").write_bytes(b"0123456789")
    server.broken["/c.jsonl"] = [CUT] * 6
    with pytest.raises(FetchError, match=r"/c.jsonl: could not be fetched in 6 attempts") as caught:
        fetch(f"{server.address}/c.jsonl", tmp_path)
    assert server.asked["/c.jsonl"] == 6
    assert isinstance(caught.value.__cause__, ConnectionError)
    with pytest.raises(FetchError, match=r"nosuch://h/c\.jsonl: "):
        fetch("nosuch://h/c.jsonl", tmp_path)


def test_what_no_second_attempt_makes_better(server, tmp_path):
    """It is asked for once. Where a server leads is not followed out of the web, and what it says is not obeyed."""
    (server.folder / "a.jsonl").write_bytes(b"0")
    for status, headers, message in [
        (401, {}, "the server answers 401 Unauthorized"),
        (302, {"location": "file:///etc/hostname"}, "the server answers 302 .*file:///etc/hostname' is not allowed"),
        (302, {"location": "/a.jsonl", "content-length": "0"}, "the server answers 302 .*infinite loop"),
    ]:
        server.asked.clear()
        server.broken["/a.jsonl"] = [status] * 60
        server.headers = headers
        with pytest.raises(FetchError, match=message) as caught:
            fetch(f"{server.address}/a.jsonl", tmp_path)
        assert str(caught.value).isprintable()
        assert server.asked["/a.jsonl"] == (5 if "/a.jsonl" in headers.values() else 1)
    with pytest.raises(FetchError, match=r"nonnumeric port: 'port'"):
        fetch("http://127.0.0.1:port/a.jsonl", tmp_path)


def test_a_name_of_any_letters(server, tmp_path):
    (server.folder / "ein Bär.jsonl").write_bytes(b"0")
    for name in ("ein Bär.jsonl", "ein%20B%C3%A4r.jsonl?a=1%2F2"):
        assert fetch(f"{server.address}/{name}", tmp_path).read_bytes() == b"0"
    assert server.asked == {"/ein%20B%C3%A4r.jsonl": 2}


def test_a_server_that_sends_next_to_nothing(server, tmp_path, monkeypatch):
    """A byte now and then keeps a connection from being quiet: without a bound it would never end."""
    monkeypatch.setattr(remote, "PATIENCE", 0.1)
    monkeypatch.setattr(remote, "ATTEMPTS", 2)
    (server.folder / "a.jsonl").write_bytes(b"0")
    server.slow = True
    server.headers = {"content-length": "1000000"}
    with pytest.raises(FetchError, match=r"in 2 attempts, ConnectionError: fewer than 60,000 bytes came"):
        fetch(f"{server.address}/a.jsonl", tmp_path)
    assert server.asked["/a.jsonl"] == 2


def test_a_length_that_lies(server, tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "ATTEMPTS", 2)
    (server.folder / "a.jsonl").write_bytes(b"0123456789")
    server.headers = {"content-length": "1000000000000"}
    with pytest.raises(FetchError, match=r"10 of 1,000,000,000,000 bytes came"):
        fetch(f"{server.address}/a.jsonl", tmp_path)
    server.headers = {"content-length": "4"}
    assert fetch(f"{server.address}/a.jsonl", tmp_path).read_bytes() == b"0123"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk that is full")
def test_a_disk_that_is_full_is_not_the_fault_of_the_server(server, tmp_path):
    (server.folder / "a.jsonl").write_bytes(b"0")
    (tmp_path / "a.jsonl").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        fetch(f"{server.address}/a.jsonl", tmp_path)
    assert server.asked["/a.jsonl"] == 1


def test_a_corpus_at_an_address(server, tmp_path, monkeypatch):
    rows = ['{"tokens": ["Bern"], "ner_tags": ["B-LOC"]}\n', '{"tokens": ["in"], "ner_tags": ["O"]}\n']
    for i, row in enumerate(rows):
        (server.folder / f"de-train-{i}.jsonl").write_text(row, encoding="utf-8")
    (tmp_path / "dev.jsonl").write_text(rows[0], encoding="utf-8")
    found = load_corpus(Source(f"{server.address}/{{lang}}-{{split}}-{{0..1}}.jsonl"), ["de"], ["train"])
    assert found["de"]["train"]["tokens"] == [["Bern"], ["in"]]
    data = f"train={server.address}/de-train-{{0..1}}.jsonl,validation={tmp_path}/dev.jsonl"
    found = load_corpus(Source(data), ["de"], ["train", "validation"])
    assert found["de"].num_rows == {"train": 2, "validation": 1}
    (server.folder / "de-test-0.jsonl").write_text(rows[0], encoding="utf-8")
    held_out = Source(f"{server.address}/{{lang}}-{{split}}-0.jsonl", validation_fraction=0.5)
    assert load_corpus(held_out, ["de"], ["test"])["de"]["test"]["tokens"] == [["Bern"]]


def test_what_is_wrong_with_an_address(server):
    (server.folder / "bad.jsonl").write_text('{"tokens": ["Bern"], "ner_tags": ["B-LOC"]}\n{"tokens"', encoding="utf-8")
    for data, languages, message in [
        ("bad.jsonl", ["de"], r"/bad.jsonl:2: not JSON"),
        ("none.jsonl", ["de"], r"/none.jsonl: .*404"),
        ("bad.exe", ["de"], "no reader for this name"),
        ("*.jsonl", ["de"], r"takes no :: and no \*"),
        ("bad.jsonl", ["de", "fr"], "holds one language, and 2 are wanted"),
        ("bad.jsonl", None, "name the languages"),
    ]:
        with pytest.raises(InputError, match=message):
            load_corpus(Source(f"{server.address}/{data}"), languages, ["train"])
    with pytest.raises(InputError, match="no split validation; it has train"):
        load_corpus(Source(f"{server.address}/bad.jsonl"), ["de"], ["train", "validation"])
