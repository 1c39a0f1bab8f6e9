"""Two programs, one lock."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ner.errors import InputError
from ner.files import locked
from tests.processes import line_of, started

HOLD = """
import errno, fcntl, sys
from pathlib import Path
from ner.files import locked
def missing(*_):
    raise OSError(errno.ENOSYS, "Function not implemented")
if sys.argv[2:]:
    fcntl.flock = missing
with locked(Path(sys.argv[1]), "x"):
    print("held", flush=True)
    sys.stdin.read()
"""


def kill_a_holder(file: Path, message: str, *more: str) -> None:
    """A program holds the lock, which another is told, and is killed; its file stays. message: behind who it is."""
    command = [sys.executable, "-c", HOLD, str(file), *more]
    with started(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert line_of(process.stdout) == "held\n"
            who = f"runs/de: process {process.pid} on .* "
            with pytest.raises(InputError, match=who + message), locked(file, "runs/de"):
                pass
        finally:
            process.send_signal(signal.SIGKILL)
    assert file.exists()


def test_it_names_who_holds_it_and_ends_with_a_kill(tmp_path):
    file = tmp_path / ".lock"
    kill_a_holder(file, r"\(since 20.*\) is writing there; wait")
    with locked(file, "runs/de"):
        assert f"process {os.getpid()} on " in file.read_text(encoding="utf-8")
    assert not file.exists()


@pytest.mark.filterwarnings("ignore:flock not supported")
def test_where_the_file_system_has_no_locks_a_killed_program_keeps_none(tmp_path, monkeypatch):
    """There the file is the lock."""

    def missing(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", missing)
    file = tmp_path / ".lock"
    kill_a_holder(file, rf"is writing there; .*; if it was killed, delete {file}$", "without flock")
    with locked(file, "runs/de"), pytest.raises(InputError, match=f"process {os.getpid()} on "), locked(file, "x"):
        pass
    assert not file.exists()


def test_it_is_given_back_by_what_fails(tmp_path):
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), locked(tmp_path / "lock", "x"):
            _ = 1 / 0
