"""launch/: signals and statuses of spawn.sh with small programs; the rest is read by bash."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

LAUNCH = Path(__file__).parent.parent / "launch"

PROGRAM = """
import os, signal, sys, time
from pathlib import Path
folder, behaviour = Path(sys.argv[1]), sys.argv[2]
rank = os.environ.get("RANK", "0")
def stop(number, frame):
    (folder / f"got-{rank}").write_text(signal.Signals(number).name)
    time.sleep(0.2)
    sys.exit(75)
for number in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, stop)
(folder / f"up-{rank}").write_text(os.environ.get("WORLD_SIZE", "1"))
if behaviour == f"fails-{rank}":
    sys.exit(3)
time.sleep(0 if behaviour == "ends" else 60)
"""


@pytest.fixture
def spawn(tmp_path):
    def go(processes: int, behaviour: str) -> subprocess.Popen:
        command = ["bash", str(LAUNCH / "spawn.sh"), str(processes), sys.executable, "-c", PROGRAM]
        environment = {name: value for name, value in os.environ.items() if name != "RANK"}
        started = subprocess.Popen([*command, str(tmp_path), behaviour], env=environment, start_new_session=True)
        while len(list(tmp_path.glob("up-*"))) < processes:
            time.sleep(0.01)
        return started

    return go


def left(process: subprocess.Popen) -> bytes:
    """Ids of processes of its session that still run."""
    return subprocess.run(["pgrep", "-s", str(process.pid)], stdout=subprocess.PIPE, check=False).stdout


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_reaches_every_process(spawn, tmp_path, processes, number):
    process = spawn(processes, "waits")
    process.send_signal(number)
    assert process.wait(timeout=30) == 75
    assert [(tmp_path / f"got-{rank}").read_text() for rank in range(processes)] == [number.name] * processes
    assert not left(process)


def test_statuses(spawn):
    assert spawn(3, "ends").wait(timeout=30) == 0


@pytest.mark.parametrize("rank", [0, 1])
def test_one_that_fails_ends_the_others(spawn, rank):
    process = spawn(2, f"fails-{rank}")
    assert process.wait(timeout=30) == 3
    assert not left(process)


def test_a_script_of_several_programs_passes_signals_on(tmp_path):
    script = f'. {LAUNCH}/forward.sh; run true; run {sys.executable} -c "$0" {tmp_path} waits; touch {tmp_path}/after'
    process = subprocess.Popen(["bash", "-c", script, PROGRAM], start_new_session=True)
    while not (tmp_path / "up-0").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 75
    assert (tmp_path / "got-0").read_text() == "SIGTERM"
    assert not (tmp_path / "after").exists()
    assert not left(process)


@pytest.mark.parametrize("script", sorted(LAUNCH.glob("*.sh")), ids=lambda script: script.name)
def test_scripts_are_bash_and_say_what_they_were_run_on(script):
    subprocess.run(["bash", "-n", str(script)], check=True)
    header = script.read_text()
    assert ("Run on:" in header) != ("Not run yet:" in header)
