"""Who reads what a program prints may stop, or read another encoding; a connection that breaks is something else."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ner.arguments import READER_GONE
from ner.files import is_unread
from tests.processes import ROOT, SECONDS, line_of, run, started

PRINTS = r"""
from ner.arguments import command, echo
@command
def main(arguments=None):
    for _ in range(20_000):
        echo("Z\xfcrich \x1b]0;title\x07 \u202etfel")
main()
"""


def test_a_reader_that_stops_ends_it_quietly(tmp_path):
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-c", PRINTS]
    with (
        (tmp_path / "errors").open("wb") as errors,
        started(command, stdout=subprocess.PIPE, stderr=errors, env=environment) as process,
    ):
        assert process.stdout
        line = line_of(process.stdout)
        process.stdout.close()
        assert process.wait(timeout=SECONDS) == READER_GONE
    assert (tmp_path / "errors").read_bytes() == b""
    assert line == "Zürich \\x1b]0;title\\x07 \\u202etfel\n"


def test_output_that_is_no_utf_8_is_escaped():
    done = run([sys.executable, "-c", PRINTS], env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.stdout.startswith("Z\\xfcrich ")


def unread(*arguments: str, buffered: bool = True, errors_too: bool = False) -> tuple[int, str]:
    """Runs Python where the reader of its output has gone before it begins: (status, standard error)."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    environment |= {"PYTHONPATH": str(ROOT)} | ({} if buffered else {"PYTHONUNBUFFERED": "1"})
    reader, writer = os.pipe()
    os.close(reader)
    try:
        stderr = writer if errors_too else subprocess.PIPE
        done = run([sys.executable, *arguments], check=False, env=environment, stdout=writer, stderr=stderr)
    finally:
        os.close(writer)
    return done.returncode, done.stderr


@pytest.mark.parametrize("buffered", [True, False])
def test_help_that_nobody_reads(buffered):
    assert unread("-m", "ner", "--help", buffered=buffered) == (READER_GONE, "")


# A command with options, and a status of its own.
ENDS = """
import sys
from dataclasses import dataclass
from ner.arguments import command, echo, option, parse
@dataclass(frozen=True)
class Group:
    "a group"
    status: int = option(0, "status")
@dataclass(frozen=True)
class Config(Group):
    pass
@command
def main(arguments=None):
    config = parse(Config, arguments, "about")
    print("found")
    echo("wrong", sys.stderr)
    sys.exit(config.status)
main()
"""


def test_the_help_of_a_command():
    assert unread("-c", ENDS, "--help") == (READER_GONE, "")


def test_a_status_that_says_more():
    assert unread("-c", ENDS) == (READER_GONE, "wrong\n")
    assert unread("-c", ENDS, "--status", "2") == (2, "wrong\n")


def test_both_streams_are_one_pipe():
    status, _ = unread("-c", ENDS, errors_too=True)
    assert status == READER_GONE


# A peer that has gone, of a connection of its own; its output is read, or has never been there.
CONNECTS = """
import socket, sys
from ner.arguments import command
@command
def main(arguments=None):
    ours, theirs = socket.socketpair()
    theirs.close()
    ours.send(b"x")
if "closed" in sys.argv:
    sys.stdout = None
main()
"""


@pytest.mark.parametrize("argument", ["read", "closed"])
def test_a_connection_that_breaks_is_no_reader_that_stops(argument):
    done = run([sys.executable, "-c", CONNECTS, argument], check=False, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 1
    assert "BrokenPipeError" in done.stderr


def test_no_output_at_all():
    """As under `>&-`."""
    program = "import sys\nsys.stdout = None\nfrom ner.cli.main import main\nmain(['--version'])\nmain(['--help'])"
    assert run([sys.executable, "-c", program], cwd=ROOT).returncode == 0


def test_a_connection_in_the_place_of_the_output(tmp_path: Path):
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.makefile("w") as stream, (tmp_path / "x").open("w", encoding="utf-8") as file:
        assert not is_unread(stream)
        theirs.close()
        assert is_unread(stream)
        assert not is_unread(file)
    assert not is_unread(file)
