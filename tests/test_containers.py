"""Dockerfile, compose.yaml and the start of a container, without an engine: what they name exists and fits together."""

import json
import os
import re
import shlex
import signal
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import ner
from ner.arguments import parse
from ner.cli.api import ApiConfig
from ner.cli.serve import ServeConfig
from tests.processes import SECONDS, left, run, started, wait_until

pytestmark = pytest.mark.timeout(method="thread")  # signals are tested here
ROOT = Path(ner.__file__).parent.parent
START = ROOT / "launch/container.sh"
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
INSTRUCTIONS = re.findall(
    r"^([A-Z]+) (.+)$", re.sub(r"\\\n", "", re.sub(r"^ *#.*\n", "", DOCKERFILE, flags=re.M)), re.M
)
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]


def copied() -> set[str]:
    """What the Dockerfile takes from the repository."""
    sources = (text.split()[:-1] for name, text in INSTRUCTIONS if name == "COPY")
    return {name for names in sources if not names[0].startswith("--from") for name in names}


def build_arguments() -> dict[str, str]:
    return dict(text.split("=", 1) for name, text in INSTRUCTIONS if name == "ARG")


def test_what_is_copied_exists_and_nothing_else_is_sent():
    first, *kept = [
        line
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    assert first == "*"
    assert {line[1:] for line in kept if line.startswith("!")} == copied()
    for name in copied():
        assert (ROOT / name).exists(), name
    # setup.py and the description of the package read these.
    assert {"LICENSE", "README.md", "constraints.txt", "evaluate.py", "ner", "pyproject.toml", "train.py"} <= copied()


def test_versions_are_those_of_constraints():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(build_arguments()["EXTRAS"].split(",")) <= set(project["optional-dependencies"])
    assert not re.search(r"[=<>~]=", DOCKERFILE)  # no version of its own
    installs = [part for _, text in INSTRUCTIONS for part in text.split("&&") if " install " in part and "pip " in part]
    assert len(installs) == 4
    for command in installs:  # the last one installs ner itself, when all that it needs is there
        assert "--constraint constraints.txt" in command or command.strip() == "pip install --no-deps ."
    (minimum,) = re.findall(r">=3\.(\d+)", project["requires-python"])
    assert int(minimum) <= 11  # Debian 12's Python
    assert all(text.split()[0] == "debian:bookworm-slim" for name, text in INSTRUCTIONS if name == "FROM")


def test_the_user_is_not_root_and_starts_are_watched():
    last = dict(INSTRUCTIONS)
    assert int(last["USER"]) > 0
    assert {service["user"] for service in SERVICES.values()} == {f"${{NER_USER:-{last['USER']}:{last['USER']}}}"}
    *_, script = json.loads(last["ENTRYPOINT"])
    assert (ROOT / Path(script).relative_to(last["WORKDIR"])).is_file()


@pytest.mark.parametrize(("name", "config"), [("app", ServeConfig), ("api", ApiConfig)])
def test_commands_of_services(name, config):
    service = SERVICES[name]
    program, command, *arguments = service["command"]
    assert (program, command) == ("ner", {"app": "serve", "api": "api"}[name])
    parsed = parse(config, arguments, "")
    (folder,) = (volume for volume in service["volumes"] if isinstance(volume, dict))
    assert folder["read_only"]
    assert folder["target"] in (parsed.runs if name == "app" else (parsed.run,))
    check = service["healthcheck"]["test"]
    assert f"'127.0.0.1', {parsed.port}," in check[-1]
    compile(check[-1], "healthcheck", "exec")
    if name == "api":
        assert service["ports"] == [f"127.0.0.1:8000:{parsed.port}"]
        assert parsed.host == "0.0.0.0"
        seconds = float(service["stop_grace_period"].removesuffix("s"))
        assert seconds > parsed.timeout
    else:
        assert service["network_mode"] == "host"  # its address is the loopback one


def test_compose_builds_what_the_dockerfile_does():
    for service in SERVICES.values():
        for name, value in service["build"]["args"].items():
            assert value == f"${{{name}:-{build_arguments()[name]}}}"
        assert {v.split(":")[0] for v in service["volumes"] if isinstance(v, str)} == set(COMPOSE["volumes"])


PROGRAM = """
import signal, sys, time
from pathlib import Path
def stop(number, frame):
    time.sleep(0.2)  # a checkpoint
    Path(sys.argv[1], "got").write_text(signal.Signals(number).name)
    sys.exit(75)
for number in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, stop)
Path(sys.argv[1], "up").touch()
while True:
    time.sleep(0.05)  # briefly: a signal just before it begins is taken when it ends
"""
# As with one process: no signal is passed on, and every failure is 1, after a while.
ACCELERATE = """#!/usr/bin/env bash
shift
"$@" && exit
sleep 0.5
exit 1
"""


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    """One in which `accelerate` is a program that starts another and passes no signal on."""
    file = tmp_path / "bin" / "accelerate"
    file.parent.mkdir()
    file.write_text(ACCELERATE, encoding="utf-8")
    file.chmod(0o755)
    return {**os.environ, "PATH": f"{file.parent}:{os.environ['PATH']}"}


@pytest.mark.parametrize(
    ("launcher", "number", "arrives", "status"),
    [
        ([], signal.SIGTERM, "SIGTERM", 75),
        (["accelerate", "launch"], signal.SIGTERM, "SIGTERM", 1),
        (["accelerate", "launch"], signal.SIGINT, "SIGTERM", 1),
        (["accelerate", "launch"], signal.SIGUSR1, "SIGUSR1", 1),
    ],
)
def test_the_program_is_told_to_stop_and_waited_for(tmp_path, environment, launcher, number, arrives, status):
    command = ["bash", START, *launcher, sys.executable, "-S", "-c", PROGRAM, tmp_path]
    with started(command, env=environment) as process:
        wait_until((tmp_path / "up").exists, process)
        process.send_signal(number)
        assert process.wait(timeout=SECONDS) == status
        assert (tmp_path / "got").read_text(encoding="utf-8") == arrives
        assert not left(process.pid)


def test_a_signal_just_before_the_script_waits_is_not_lost(tmp_path, environment):
    signalled = f"until [ -e {tmp_path}/up ]; do sleep 0.05; done; touch {tmp_path}/once; kill -TERM $$"
    look = f"trap 'if [[ $BASH_COMMAND = wait* && ! -e {tmp_path}/once ]]; then {signalled}; fi' DEBUG"
    script = f"{look}\n{START.read_text(encoding='utf-8')}"
    program = [sys.executable, "-S", "-c", PROGRAM, tmp_path]
    with started(["bash", "-c", script, START, "accelerate", "launch", *program], env=environment) as process:
        assert process.wait(timeout=SECONDS) == 1
    assert (tmp_path / "once").exists()
    assert (tmp_path / "got").read_text(encoding="utf-8") == "SIGTERM"


def test_a_launcher_that_has_started_nothing_is_stopped(tmp_path, environment):
    launcher = f"#!/usr/bin/env bash\n: >{tmp_path}/up\nwhile :; do :; done\n"  # not even `touch`, which would be told
    (tmp_path / "bin" / "accelerate").write_text(launcher, encoding="utf-8")
    with started(["bash", START, "accelerate", "launch", "train.py"], env=environment) as process:
        wait_until((tmp_path / "up").exists, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=SECONDS) == 128 + signal.SIGTERM
        assert not left(process.pid)


def test_statuses_are_kept(environment):
    for words, status in (("true", 0), ("accelerate launch true", 0), ("accelerate launch false", 1), ("", 2)):
        done = run(["bash", START, *shlex.split(words)], env=environment, check=False)
        assert done.returncode == status, words
