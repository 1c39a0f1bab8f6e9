"""Runs on the Hub: what goes, in one commit, and what does not."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState

import evaluate
import train
from ner.config import EvaluateConfig, HubOptions, TrainConfig
from ner.sharing.hub import hub_part, publish, repositories
from ner.sharing.model_card import make_card
from tests import processes
from tests.conftest import part_of
from tests.hub import Answer, Request, as_json, served

ROOT = Path(train.__file__).parent
TOKEN = "hf_secretsecret"
FLAGS = ["--mixed-precision", "no"]


@dataclass
class Hub:
    """What a server got that answers as the Hub does. refuses: paths at which it says no, once, and how."""

    address: str = ""
    refuses: list[tuple[str, int]] = field(default_factory=list)
    authorizations: set[str] = field(default_factory=set)
    requests: list[tuple[str, dict]] = field(default_factory=list)
    large: dict[str, bytes] = field(default_factory=dict)
    commits: list[dict[str, bytes]] = field(default_factory=list)

    def answer(self, path: str, body: bytes) -> tuple[int, dict]:
        """Status and content for a request."""
        if path.startswith("/large/"):
            self.large[path.rpartition("/")[2]] = body
            return 200, {}
        lines = [json.loads(line) for line in body.splitlines() if line]
        content = lines[0] if lines else {}
        self.requests.append((path, content))
        if self.refuses and path.startswith(self.refuses[0][0]):
            return self.refuses.pop(0)[1], {"error": f"no write access for {TOKEN}"}
        if path == "/api/repos/create":
            owner = content["organization"] or "somebody"
            return 200, {"url": f"{self.address}/{owner}/{content['name']}"}
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if path.endswith("/preupload/main"):
            modes = {True: "lfs", False: "regular"}
            return 200, {
                "files": [
                    {
                        "path": one["path"],
                        "shouldIgnore": False,
                        "uploadMode": modes[one["path"].endswith(".safetensors")],
                    }
                    for one in content["files"]
                ]
            }
        if path.endswith("/objects/batch"):
            return 200, {
                "transfer": "basic",
                "objects": [
                    {**one, "actions": {"upload": {"href": f"{self.address}/large/{one['oid']}"}}}
                    for one in content["objects"]
                ],
            }
        assert path.endswith("/commit/main"), path
        files = {}
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.large[value["oid"]]
        self.commits.append(files)
        return 200, {"commitUrl": f"{self.address}{path[11:-5]}/{'1' * 40}", "commitOid": "1" * 40}


@pytest.fixture(scope="session")
def encoder_folder(thin_encoder) -> Path:
    return thin_encoder


@pytest.fixture
def hub() -> Iterator[Hub]:
    found = Hub()

    def answer(request: Request) -> Answer:
        if request.method not in ("POST", "PUT"):
            return Answer(501)
        found.authorizations.add(request.headers.get("Authorization", ""))
        status, content = found.answer(request.url.geturl(), request.body)
        return as_json(content, status)

    with served(answer) as found.address:
        yield found


@pytest.fixture(scope="module")
def corpus_folder(corpus_folder, tmp_path_factory) -> Path:
    """A part of the embedded corpus."""
    return part_of(corpus_folder, tmp_path_factory.mktemp("part"), train=200, validation=50, test=50)


@pytest.fixture(scope="module")
def trained(corpus_folder, encoder_folder, tmp_path_factory) -> Path:
    """A short German run."""
    folder = tmp_path_factory.mktemp("runs") / "de+x"
    train.main([*training(corpus_folder, encoder_folder, folder)])
    AcceleratorState._reset_state(reset_partial_state=True)
    return folder


def training(corpus_folder, encoder_folder, folder) -> list[str]:
    AcceleratorState._reset_state(reset_partial_state=True)
    return [
        "--model",
        str(encoder_folder),
        "--data",
        str(corpus_folder),
        "--lr",
        "2e-3",
        "--max-steps",
        "5",
        "--output",
        str(folder),
        *FLAGS,
    ]


@pytest.fixture
def run(trained, tmp_path) -> Path:
    shutil.copytree(trained, tmp_path / "de+x")
    return tmp_path / "de+x"


def script(name: str, *arguments: str, address: str, home: Path) -> subprocess.CompletedProcess:
    """A script in its own process, which takes the address of the Hub from its environment."""
    environment = {
        **{key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE"},
        "HF_ENDPOINT": address,
        "HF_TOKEN": TOKEN,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(home),
        "NO_PROXY": "127.0.0.1",
    }
    done = processes.run([sys.executable, ROOT / name, *arguments], env=environment, check=False)
    assert TOKEN not in done.stdout + done.stderr
    return done


def all_bytes(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_model_and_card_arrive_in_one_commit(run, hub, tmp_path):
    done = script(
        "evaluate.py",
        str(run),
        "--languages",
        "de",
        "--push-to-hub",
        "ner-{run}",
        "--push-private",
        *FLAGS,
        address=hub.address,
        home=tmp_path / "home",
    )
    assert done.returncode == 0, done.stderr
    assert f"{run}: uploaded, {hub.address}/somebody/ner-de-x/commit/{'1' * 40}" in done.stdout
    assert hub.authorizations - {""} == {f"Bearer {TOKEN}"}
    created = dict(hub.requests)["/api/repos/create"]
    assert created["name"] == "ner-de-x"
    assert created.get("private") or created["visibility"] == "private"
    (files,) = hub.commits
    best = {file.name: data for file, data in all_bytes(run / "best").items() if file.name != "manifest.json"}
    card = files.pop("README.md").decode()
    assert files == best
    assert list(hub.large) == [hashlib.sha256(best["model.safetensors"]).hexdigest()]
    assert card == make_card(run, "somebody/ner-de-x")
    assert "## F1 on test" in card
    assert dict(hub.requests)["/api/validate-yaml"]["content"] == card
    assert not any(TOKEN.encode() in data for data in all_bytes(run).values())


def test_a_push_that_fails_loses_nothing(run, tmp_path, corpus_folder, encoder_folder):
    """Training is finished, and nobody answers: status 1, and how to push later."""
    before = all_bytes(run)
    flags = [*training(corpus_folder, encoder_folder, run), "--resume", "auto", "--push-to-hub", "team/swiss"]
    done = script("train.py", *flags, address="http://127.0.0.1:9", home=tmp_path / "home")
    assert done.returncode == 1
    assert f"train.py: {run}: not uploaded to team/swiss: " in done.stderr
    assert f"`evaluate.py {run} --push-to-hub team/swiss` tries again" in done.stderr
    assert "Traceback" not in done.stderr
    assert all_bytes(run) == before


def test_wherever_an_upload_fails_it_says_so_without_the_token(run, hub, tmp_path):
    """What the server says holds it."""
    hub.refuses = [
        ("/api/repos/create", 403),
        ("/api/validate-yaml", 400),
        ("/api/models/team/swiss/preupload", 401),
        ("/team/swiss.git", 403),
        ("/api/models/team/swiss/commit", 412),
    ]
    lines = [
        "import sys",
        f"sys.path.insert(0, {str(ROOT)!r})",
        "from pathlib import Path",
        "from ner.config import HubOptions",
        "from ner.sharing.hub import publish",
        "for _ in range(6):",
        "    for worked, message in publish(HubOptions(push_to_hub='team/swiss'), [Path(sys.argv[1])]):",
        "        print(worked, message)",
    ]
    (tmp_path / "push.py").write_text("\n".join(lines), encoding="utf-8")
    done = script(str(tmp_path / "push.py"), str(run), address=hub.address, home=tmp_path / "home")
    results = [line for line in done.stdout.splitlines() if line.startswith(("True", "False"))]
    assert all(line.startswith(f"False {run}: not uploaded to team/swiss: ") for line in results[:5]), done.stderr
    assert "no write access for ***" in results[0]
    assert results[5:] == [f"True {run}: uploaded, {hub.address}/team/swiss/commit/{'1' * 40}"]
    assert len(hub.commits) == 1


def test_a_dry_run_shows_what_would_go(run, capsys, monkeypatch, corpus_folder, encoder_folder):
    """With no token and no network (HF_HUB_OFFLINE is set here)."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    before = all_bytes(run)
    flags = [*training(corpus_folder, encoder_folder, run), "--resume", "auto"]
    train.main([*flags, "--push-to-hub", "team/{run}", "--push-dry-run", "--push-private"])
    AcceleratorState._reset_state(reset_partial_state=True)
    shown = capsys.readouterr().out
    assert f"{run} would go to the private repository team/de-x; bytes:" in shown
    for file in (run / "best").iterdir():
        assert (f"{file.stat().st_size:>15,}  {file.name}\n" in shown) == (file.name != "manifest.json")
    assert shown.endswith(make_card(run, "team/de-x") + "\n")
    assert all_bytes(run) == before
    with (run / "best/model.safetensors").open("ab") as file:
        file.write(b"x")
    assert [worked for worked, _ in publish(HubOptions("a/b", push_dry_run=True), [run])] == [False]


def test_an_old_config_does_not_push_again(corpus_folder, encoder_folder, tmp_path, capsys):
    train.main([*training(corpus_folder, encoder_folder, tmp_path / "x"), "--push-to-hub", "a/b", "--push-dry-run"])
    assert "push_to_hub: null\npush_private: false\npush_dry_run: false\n" in (tmp_path / "x/config.yaml").read_text(
        encoding="utf-8"
    )
    AcceleratorState._reset_state(reset_partial_state=True)
    capsys.readouterr()


ONLINE = HubOptions(push_to_hub="team/name")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a/b/c", "`push_to_hub` a/b/c: Repo id must be in the form"),
        ("team/a--b", "Cannot have -- or .."),
        ("team/ä", "must use alphanumeric"),
        ("team/name.git", r"cannot end by '\.git'"),
        ("", "must use alphanumeric"),
    ],
)
def test_names_that_the_hub_would_refuse(name, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        repositories(HubOptions(push_to_hub=name, push_dry_run=True), [tmp_path / "run"])


def test_several_runs_need_names_of_their_own(tmp_path):
    folders = [tmp_path / "de", tmp_path / "de+fr"]
    with pytest.raises(ValueError, match=r"one repository for 2 runs; put \{run\} into its name"):
        repositories(HubOptions(push_to_hub="team/x", push_dry_run=True), folders)
    named = repositories(HubOptions(push_to_hub="team/x-{run}", push_dry_run=True), folders)
    assert list(named.values()) == ["team/x-de", "team/x-de-fr"]
    with pytest.raises(ValueError, match=r"de-fr and .*de\+fr would both go to team/x-de-fr"):
        repositories(HubOptions(push_to_hub="team/x-{run}", push_dry_run=True), [tmp_path / "de-fr", *folders])
    assert [hub_part(name) for name in ("a b", "fr-1000", "x..y", "-é.", "a+-+b")] == [
        "a-b",
        "fr-1000",
        "x-y",
        "",
        "a-b",
    ]


def test_a_token_is_needed_and_never_shown(monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="HF_HUB_OFFLINE is set"):
        repositories(ONLINE, [tmp_path])
    monkeypatch.setattr("ner.sharing.hub.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="needs a token that may write"):
        repositories(ONLINE, [tmp_path])
    (tmp_path / "token").write_text(TOKEN, encoding="utf-8")
    assert repositories(ONLINE, [tmp_path]) == {tmp_path: "team/name"}
    monkeypatch.setenv("HF_TOKEN", f"{TOKEN}\x01")
    with pytest.raises(ValueError, match="characters that no token has") as caught:
        repositories(ONLINE, [tmp_path])
    assert TOKEN not in str(caught.value)
    assert repositories(HubOptions(), [tmp_path]) == {}


def test_what_is_wrong_is_said_before_anything_is_computed(run, capsys, tmp_path, corpus_folder, encoder_folder):
    def failure(main, *arguments: str) -> str:
        AcceleratorState._reset_state(reset_partial_state=True)
        with pytest.raises(SystemExit) as caught:
            main([*map(str, arguments), *FLAGS])
        assert caught.value.code == 2
        AcceleratorState._reset_state(reset_partial_state=True)
        return capsys.readouterr().err

    flags = training(corpus_folder, encoder_folder, tmp_path / "new")
    assert "Repo id must be" in failure(train.main, *flags, "--push-to-hub", "a/b/c", "--push-dry-run")
    assert not (tmp_path / "new").exists()
    assert "and this is none" in failure(
        evaluate.main,
        run / "best",
        "--push-to-hub",
        "a/b",
        "--push-dry-run",
        "--languages",
        "de",
        "--data",
        str(corpus_folder),
    )
    with pytest.raises(ValueError, match="--push-dry-run needs the name of a repository: --push-to-hub NAME"):
        TrainConfig(push_dry_run=True)
    with pytest.raises(ValueError, match="uploads best/, and --checkpoint last tests another model"):
        EvaluateConfig(runs=("x",), push_to_hub="a/b", checkpoint="last")
