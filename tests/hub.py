"""Servers on this machine that answer as the Hub does: to uploads of runs, and to downloads of models and data."""

import contextlib
import hashlib
import io
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlsplit

import safetensors.torch
import torch
import yaml
from datasets import ClassLabel, Dataset, Features, Value
from datasets import List as ListOf

from ner.data import synthetic
from tests.processes import SECONDS

LARGE = (".safetensors", ".bin", ".parquet")  # files that the Hub keeps elsewhere
STORE = "http://storage.test"  # there
AGENTS = "/api/agent-harnesses"  # what huggingface_hub asks once a day: programs that write code, by their variables
NAME = r"(?P<name>[^/]+(?:/[^/]+)?)"
PAGES = [
    rf"/api/(?P<action>resolve-cache)/(?P<kind>models|datasets)/{NAME}/(?P<revision>[0-9a-f]{{40}})/(?P<path>.+)",
    rf"/api/(?P<kind>models|datasets)/{NAME}(?:/(?P<action>revision|tree)/(?P<revision>[^/]+)(?:/(?P<path>.+))?)?",
    rf"/(?P<kind>datasets(?=/)|)/?{NAME}/(?P<action>resolve)/(?P<revision>[^/]+)/(?P<path>.+)",
]


class Request(NamedTuple):
    """What somebody asks. url: whole where this server is a proxy, else without its address."""

    method: str
    url: SplitResult
    headers: Message
    body: bytes


class Answer(NamedTuple):
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}


def as_json(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, json.dumps(content).encode(), {"Content-Type": "application/json", **(headers or {})})


@contextlib.contextmanager
def served(answer: Callable[[Request], Answer]) -> Iterator[str]:
    """The address of a server with these answers; as a proxy, it gives them for everybody."""

    class Handler(BaseHTTPRequestHandler):
        timeout = SECONDS

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, content, headers = answer(Request(self.command, urlsplit(self.path), self.headers, body))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_HEAD = do_POST = do_PUT = do_CONNECT = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(SECONDS)
        assert not thread.is_alive()


@dataclass(frozen=True)
class Repository:
    """What can be downloaded. kind: models or datasets; old_name: leads to it; info: what is known of its configs."""

    kind: str
    name: str
    files: Mapping[str, bytes]
    old_name: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def commit(self) -> str:
        return hashlib.sha1(b"".join(self.files.values())).hexdigest()

    def entries(self, folder: str) -> list[dict[str, Any]]:
        """What the Hub says of the files and folders in a folder, "" for all."""
        folders = {path.rpartition("/")[0] for path in self.files} - {""}
        found = [self.entry(path) for path in self.files]
        found += [{"type": "directory", "path": path, "oid": self.commit, "size": 0} for path in folders]
        return [entry for entry in found if not folder or entry["path"].startswith(f"{folder}/")]

    def entry(self, path: str) -> dict[str, Any]:
        """What the Hub says of a file."""
        data = self.files[path]
        found: dict[str, Any] = {"type": "file", "path": path, "oid": hashlib.sha1(data).hexdigest(), "size": len(data)}
        if path.endswith(LARGE):
            found["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
        return found

    def page(self, action: str, revision: str, path: str) -> Answer:
        """What the Hub answers to this action."""
        commit = {"X-Repo-Commit": self.commit}
        if revision not in ("", "main", self.commit):
            return refused(404, "RevisionNotFound")
        if action == "tree":
            entries = self.entries(path)
            return as_json(entries) if entries else refused(404, "EntryNotFound", commit)
        if action in ("", "revision"):
            siblings = [{"rfilename": file} for file in self.files]
            return as_json({"id": self.name, "sha": self.commit, "private": False, "tags": [], "siblings": siblings})
        if path not in self.files:
            return refused(404, "EntryNotFound", commit)
        entry = self.entry(path)
        tag = {"ETag": f'"{entry["oid"]}"'}
        if action == "resolve-cache":
            return Answer(200, self.files[path], {**commit, **tag})
        linked = {**commit, "X-Linked-Size": str(entry["size"])}
        if "lfs" in entry:
            key = entry["lfs"]["oid"]
            return Answer(302, headers={**linked, "X-Linked-Etag": f'"{key}"', "Location": f"{STORE}/{key}"})
        place = f"/api/resolve-cache/{self.kind}/{self.name}/{self.commit}/{quote(path, safe='')}"
        return Answer(307, headers={**linked, "X-Linked-Etag": tag["ETag"], "Location": place})


@dataclass
class Downloads:
    """A Hub to download from, with what it stores elsewhere. asked: all requests, as (repository or "", address)."""

    repositories: Sequence[Repository]
    asked: list[tuple[str, str]] = field(default_factory=list)

    def answer(self, request: Request) -> Answer:
        name, found = self.page(request)
        self.asked.append((name, request.url.geturl()))
        return found

    def page(self, request: Request) -> tuple[str, Answer]:
        """Whose page is asked for, and what the answer is."""
        url = request.url
        if url.geturl().startswith(STORE):
            return self.stored(url.path.strip("/"))
        if url.netloc.startswith("datasets-server."):
            return self.known(url)
        if url.path == AGENTS:
            return AGENTS, as_json({"standardEnvVars": [], "harnesses": {}})
        found = next(filter(None, (re.fullmatch(page, url.path) for page in PAGES)), None)
        if request.method not in ("GET", "HEAD") or url.netloc or not found:
            return "", refused(404, "NotFound")
        page = {key: unquote(value or "") for key, value in found.groupdict().items()}
        kind, name = page.pop("kind") or "models", page.pop("name")
        for repository in self.repositories:
            if (kind, name) == (repository.kind, repository.old_name):
                moved = url._replace(path=url.path.replace(name, repository.name, 1))
                return repository.name, Answer(307, headers={"Location": moved.geturl()})
            if (kind, name) == (repository.kind, repository.name):
                return repository.name, repository.page(**page)
        return "", refused(404 if "Authorization" in request.headers else 401, "RepoNotFound")

    def stored(self, key: str) -> tuple[str, Answer]:
        """A large file."""
        for repository in self.repositories:
            for data in repository.files.values():
                if hashlib.sha256(data).hexdigest() == key:
                    return repository.name, Answer(200, data)
        return "", refused(404, "NotFound")

    def known(self, url: SplitResult) -> tuple[str, Answer]:
        """What the server that shows data on the Hub's pages knows of it."""
        for repository in self.repositories:
            if url.path == "/info" and parse_qs(url.query)["dataset"] == [repository.name]:
                content = {"dataset_info": repository.info, "pending": [], "failed": [], "partial": False}
                return repository.name, as_json(content, headers={"X-Revision": repository.commit})
        return "", refused(404, "ResponseNotFound")


def refused(status: int, code: str, headers: Mapping[str, str] | None = None) -> Answer:
    """As the Hub says no; who names nobody, and asks for what is not there, hears 401."""
    return as_json({"error": code}, status, headers={"X-Error-Code": code, "X-Error-Message": code, **(headers or {})})


def files_in(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def xlm_roberta(folder: Path) -> Repository:
    """This encoder in the place of XLM-R."""
    return Repository("models", "FacebookAI/xlm-roberta-base", files_in(folder), old_name="xlm-roberta-base")


def pickled(folder: Path) -> Repository:
    """This encoder as older ones are: without safetensors."""
    files = files_in(folder)
    data = io.BytesIO()
    torch.save(safetensors.torch.load(files.pop("model.safetensors")), data)
    return Repository("models", "somebody/pickled", {**files, "pytorch_model.bin": data.getvalue()})


def xtreme(languages: Sequence[str], size: int) -> Repository:
    """The first sentences of each split of the embedded corpus as PAN-X is on the Hub, beside other data."""
    configs = {"MLQA.de.de": {"test": Dataset.from_dict({"question": ["Wo liegt Bern ?"]})}}
    for language in languages:
        configs[f"PAN-X.{language}"] = {split: panx(language, split, size) for split in synthetic.SIZES}
    files, named, infos = {}, [], []
    for config, splits in configs.items():
        sizes = []
        for split, part in splits.items():
            data = io.BytesIO()
            part.to_parquet(data)
            files[f"{config}/{split}-00000-of-00001.parquet"] = data.getvalue()
            sizes.append({"name": split, "num_bytes": part.data.nbytes, "num_examples": len(part)})
        features = next(iter(splits.values())).features
        named.append({"config_name": config, "data_files": [{"split": s, "path": f"{config}/{s}-*"} for s in splits]})
        infos.append({"config_name": config, "features": features._to_yaml_list(), "splits": sizes})
    card = yaml.safe_dump({"dataset_info": infos, "configs": named}, sort_keys=False)
    files["README.md"] = f"---\n{card.replace('list:', 'sequence:')}---\n\n# Dataset Card for xtreme\n".encode()
    known = {config: {"features": next(iter(splits.values())).features.to_dict()} for config, splits in configs.items()}
    return Repository("datasets", "google/xtreme", files, info=known)


def panx(language: str, split: str, size: int) -> Dataset:
    """Sentences in the columns of PAN-X."""
    rows = synthetic.sentences(language, split)[:size]
    columns: dict[str, list] = {key: [row[key] for row in rows] for key in ("tokens", "ner_tags")}
    columns["langs"] = [[language] * len(words) for words in columns["tokens"]]
    tags = ClassLabel(names="O B-PER I-PER B-ORG I-ORG B-LOC I-LOC".split())
    features = {"tokens": ListOf(Value("string")), "ner_tags": ListOf(tags), "langs": ListOf(Value("string"))}
    return Dataset.from_dict(columns, Features(features))
