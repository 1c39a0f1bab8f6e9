"""Other processes in tests. Each has a deadline, ends with its whole session, and writes its caches beside ours.

A program that imports torch takes 5 seconds before it does anything. `fork` takes it from a server that has imported
all of it, and nothing else: no thread, no model, no setting of a test.
"""

import contextlib
import json
import multiprocessing
import multiprocessing.forkserver as forkserver
import os
import runpy
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parent.parent
SECONDS = 240  # the deadline of everything that names none; less than that of a test, which says less
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [
        "ner.training.checkpointer",
        "ner.sharing.hub",
        "ner.tagging.tagger",
        "transformers.models.xlm_roberta.modeling_xlm_roberta",
    ]
)


def wait_until(
    condition: Callable[[], Any], process: "subprocess.Popen | Fork | None" = None, seconds: float = SECONDS
) -> None:
    """Waits for a condition. Raises AssertionError at the deadline, or when the process that should bring it ended."""
    deadline = time.monotonic() + seconds
    while not condition():
        ended = process is not None and process.poll() is not None
        if ended and condition():  # it was its last act
            return
        assert not ended, f"the process ended, with status {process and process.poll()}, before it came to that"
        assert time.monotonic() < deadline, f"nothing came in {seconds} seconds"
        time.sleep(0.005)


@contextlib.contextmanager
def started(command: Sequence[str | Path], **settings: Any) -> Iterator[subprocess.Popen]:
    """A process in a session of its own, all of which is killed at the end."""
    process = subprocess.Popen([str(part) for part in command], start_new_session=True, **settings)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=SECONDS)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                pipe.close()


def run(
    command: Sequence[str | Path], *, timeout: float = SECONDS, check: bool = True, **settings: Any
) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end. Raises AssertionError with what it said if its status is not 0, unless not `check`."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    with started(command, text=True, encoding="utf-8", errors="replace", **(pipes | settings)) as process:
        output, errors = process.communicate(timeout=timeout)
    assert not check or process.returncode == 0, f"status {process.returncode}\n{output}\n{errors[-5000:]}"
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def line_of(pipe: IO | None, seconds: float = SECONDS) -> str:
    """The next line that a program writes. Raises AssertionError at the deadline, or when the program's pipe ends."""
    assert pipe is not None
    deadline = time.monotonic() + seconds
    line = b""
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"no line in {seconds} seconds, only {line!r}"
        byte = os.read(pipe.fileno(), 1)
        assert byte, f"the pipe ended after {line!r}"
        line += byte
    return line.decode("utf-8")


def left(session: int) -> list[int]:
    """Processes of a session that still run; those that have ended, and wait to be noticed, do not."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, of_session, *_ = file.read_text(encoding="utf-8").rpartition(")")[2].split()
            if int(of_session) == session and state not in "ZX":
                found.append(int(file.parent.name))
    return found


@dataclass
class Fork:
    """A Python program in a process of its own, which has imported everything when it starts."""

    process: Any
    output_file: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def poll(self) -> int | None:
        """Its status, None while it runs."""
        return self.process.exitcode

    @property
    def output(self) -> str:
        """What it has written to standard output and error."""
        return self.output_file.read_text(encoding="utf-8", errors="replace")

    def wait(self, timeout: float = SECONDS) -> int:
        """Its status."""
        self.process.join(timeout)
        status = self.process.exitcode
        assert status is not None, f"still running after {timeout} seconds\n{self.output[-5000:]}"
        return status


@contextlib.contextmanager
def forked(
    program: Path | str, *arguments: object, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Iterator[Fork]:
    """Starts a script (a path) or a text of Python; it is killed at the end. env: beside that of this process."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "output"
        output.touch()
        environment = {**os.environ, **(env or {})}
        argv = list(map(str, arguments))
        place = str(cwd or Path.cwd())
        process = SERVER.Process(target=child, args=(program, argv, environment, place, str(output)), daemon=True)
        process.start()
        assert process.pid  # 0 would be the group of the tests
        try:
            yield Fork(process, output)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()  # it may not have come to a session of its own
            process.join(SECONDS)
            process.close()


def child(program: Path | str, arguments: list[str], environment: dict[str, str], cwd: str, output: str) -> None:
    """What runs in the fork."""
    os.setsid()
    run_here(program, arguments, environment, cwd, output)


def run_here(
    program: Path | str, arguments: Sequence[str], environment: Mapping[str, str], cwd: str, output: str
) -> None:
    """Runs a program in this process, a fork that nobody else needs; what it says goes to a file that is there."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    file = os.open(output, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115
    import torch

    torch.set_num_threads(1)
    sys.path[0:0] = [str(ROOT)]
    if isinstance(program, Path):
        sys.argv = [str(program), *arguments]
        runpy.run_path(str(program), run_name="__main__")
    else:
        sys.argv = ["program", *arguments]
        exec(compile(program, "program", "exec"), {"__name__": "__main__"})


def stop_the_server() -> None:
    """Ends the process that forks, so that nothing is left of the tests."""
    forkserver._forkserver._stop()  # type: ignore[attr-defined]  # the documented way is to end this process


def fork(
    program: Path | str, *arguments: object, check: bool = True, seconds: float = SECONDS, **settings: Any
) -> tuple[int, str]:
    """Runs a program of `forked` to its end: (status, what it said). Raises AssertionError as `run` does."""
    with forked(program, *arguments, **settings) as process:
        status = process.wait(seconds)
        output = process.output
    assert not check or status == 0, f"status {status}\n{output[-5000:]}"
    return status, output


PRELOADED = """
import importlib, json, multiprocessing, os, sys
from pathlib import Path
from tests.processes import SECONDS, run_here
for name in sys.argv[1].split():
    importlib.import_module(name)
forks = multiprocessing.get_context("fork")
for line in sys.stdin:
    program, arguments, environment, output = json.loads(line)
    child = forks.Process(target=run_here, args=(Path(program), arguments, environment, os.getcwd(), output))
    child.start()
    child.join(SECONDS)
    print(child.exitcode, flush=True)
"""


@contextlib.contextmanager
def preloaded(modules: str, env: Mapping[str, str], cwd: Path) -> Iterator[Callable[..., tuple[int, str]]]:
    """A process that has imported these modules in this environment, which some of them read as they are imported.

    What it gives runs a script in a fork of that process: (status, what it said). env: of the script beside this.
    """
    own = {**env, "PYTHONPATH": str(ROOT)}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with started([sys.executable, "-c", PRELOADED, modules], env=own, cwd=cwd, **pipes) as process:
        assert process.stdin
        requests = process.stdin.fileno()

        def run_script(program: Path, *arguments: object, env: Mapping[str, str] | None = None) -> tuple[int, str]:
            with tempfile.NamedTemporaryFile() as output:
                request = [str(program), list(map(str, arguments)), {**own, **(env or {})}, output.name]
                os.write(requests, f"{json.dumps(request)}\n".encode())
                status = int(line_of(process.stdout))
                return status, Path(output.name).read_text(encoding="utf-8", errors="replace")

        yield run_script


def fork_ranks(processes: int, program: Path | str, *arguments: object, env: Mapping[str, str] | None = None) -> str:
    """Runs a program as so many processes of one training, as torchrun does. Returns what they said."""
    from torch.distributed import TCPStore  # type: ignore[attr-defined]  # its documented place

    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # bound here: no port is lost to others
    shared = {
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(store.port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "TORCHELASTIC_RESTART_COUNT": "0",
        "ACCELERATE_USE_CPU": "true",
    }
    with contextlib.ExitStack() as stack:
        ranks = [
            stack.enter_context(
                forked(program, *arguments, env={**shared, **(env or {}), "RANK": str(rank), "LOCAL_RANK": str(rank)})
            )
            for rank in range(processes)
        ]
        statuses = [rank.wait(SECONDS) for rank in ranks]
        output = "".join(rank.output for rank in ranks)
    assert not any(statuses), f"statuses {statuses}\n{output[-5000:]}"
    return output
