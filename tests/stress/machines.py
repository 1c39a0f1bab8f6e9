"""Trains on three machines, network namespaces of this one, and takes machines away meanwhile.

They are started by launch/nodes.sh, in the scenario `elastic` by torchrun. Each result is compared with that of three
processes on one machine, which nobody disturbed.

python -m tests.stress.machines [together] [stop] [kill] [kill-first] [cut] [elastic] [power-off]    # none: all

Needs root and iproute2. Not part of the suite: it takes half an hour on 2 cores, most of it for the others to notice a
machine without power. Prints a line for each; status 1 if one does not hold.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from ner.training.checkpoint import found
from tests.processes import wait_until
from tests.stress.network import Hosts, machines
from tests.stress.scenarios import chosen_of, play
from tests.stress.torture import ROOT, Runs

NUMBER = 3
SECONDS = 300.0  # for a start, some steps, an end


class Machines(Runs):
    """Runs of the training of `torture` on several machines that see the same disk."""

    def __init__(self, folder: Path, hosts: Hosts, *options: str, dropout: bool = True) -> None:
        self.hosts = hosts
        self.cores = sorted(os.sched_getaffinity(0))[:NUMBER]
        os.sched_setaffinity(0, self.cores)
        super().__init__(folder, NUMBER, *options, dropout=dropout)

    def on(self, host: int, name: str, command: list[str], **variables: str) -> subprocess.Popen:
        """Starts a program with the flags of train.py on a machine. What it says goes to NAME-HOST.err."""
        core = self.cores[host % len(self.cores)]  # one thread, as three processes on one machine have
        command = ["taskset", "-c", str(core), *command, *self.flags(name)]
        with self.output(name, host).open("a", encoding="utf-8") as output:
            return self.hosts.start(host, command, {**self.environment, **variables}, output)

    def nodes(self, name: str) -> dict[int, subprocess.Popen]:
        """Starts launch/nodes.sh on all machines."""
        shared = {"NUM_NODES": str(NUMBER), "MASTER_ADDR": "node1", "MASTER_PORT": "29500", "NUM_PROCESSES": "1"}
        script = ["bash", str(ROOT / "launch/nodes.sh")]
        return {host: self.on(host, name, script, NODE_RANK=str(host - 1), **shared) for host in range(1, NUMBER + 1)}

    def elastic(self, name: str, *hosts: int) -> dict[int, subprocess.Popen]:
        """Starts torchrun on machines; they may become fewer and more."""
        command = ["torchrun", "--nnodes=1:3", "--nproc-per-node=1", "--max-restarts=9", "--rdzv-backend=c10d"]
        command += ["--rdzv-endpoint=node1:29400", "--rdzv-id=elastic", "--rdzv-conf=last_call_timeout=5"]
        # torch 2.13 keeps one store for all starts, in which gloo finds the addresses of processes that are gone.
        store = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
        return {host: self.on(host, name, [*command, str(ROOT / "train.py")], **store) for host in hosts}

    def output(self, name: str, host: int) -> Path:
        """What a machine has said."""
        return self.folder / f"{name}-{host}.err"

    def said(self, name: str) -> str:
        """The end of what all have said."""
        files = [self.output(name, host) for host in range(1, NUMBER + 1)]
        return "\n".join(f"{f.name}:\n{f.read_text(encoding='utf-8')[-1500:]}" for f in files if f.exists())

    def end(self, name: str, running: dict[int, subprocess.Popen], seconds: float = SECONDS) -> dict[int, int]:
        """The status of each machine."""
        deadline = time.monotonic() + seconds
        try:
            return {host: p.wait(timeout=max(deadline - time.monotonic(), 0.1)) for host, p in running.items()}
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"{name}: a machine has not ended in {seconds:.0f} s\n{self.said(name)}") from error

    def until(self, name: str, running: dict[int, subprocess.Popen], checkpoints: int = 2) -> None:
        """Waits until the run has written so many checkpoints."""
        wait_until(lambda: len(found(self.folder / name)) >= checkpoints, next(iter(running.values())), SECONDS)

    def rest(self, name: str) -> str:
        """Starts all machines again, lets them come to the end, and compares."""
        statuses = self.end(name, self.nodes(name))
        assert set(statuses.values()) == {0}, f"{statuses}\n{self.said(name)}"
        return f"largest difference of weights {self.difference(self.folder / name)}"


def together(runs: Machines) -> str:
    """Nobody disturbs them."""
    return runs.rest("together")


def stop(runs: Machines) -> str:
    """TERM comes to one machine; all write a checkpoint together."""
    running = runs.nodes("stop")
    runs.until("stop", running)
    running[2].send_signal(signal.SIGTERM)
    statuses = runs.end("stop", running, 60)
    assert set(statuses.values()) == {75}, f"{statuses}\n{runs.said('stop')}"
    return f"statuses {statuses}; {runs.rest('stop')}"


def taken_away(runs: Machines, name: str, host: int, take: Callable[[int], None], seconds: float) -> str:
    """A machine is taken away: the others end, with a status that is not 0. seconds: within."""
    running = runs.nodes(name)
    runs.until(name, running)
    begin = time.monotonic()
    take(host)
    statuses: dict[int, int] = {}
    for number, process in running.items():
        statuses |= runs.end(name, {number: process}, seconds)
    assert 0 not in statuses.values(), statuses
    noticed = time.monotonic() - begin
    runs.hosts.mend(host)
    return f"the others ended after {noticed:.0f} s, statuses {statuses}; {runs.rest(name)}"


def cut(runs: Machines) -> str:
    """A network that is gone for 10 seconds is waited for."""
    running = runs.nodes("cut")
    runs.until("cut", running)
    before = found(runs.folder / "cut")[0]
    runs.hosts.cut(2)
    time.sleep(10)
    during = found(runs.folder / "cut")[0]
    runs.hosts.mend(2)
    statuses = runs.end("cut", running)
    assert set(statuses.values()) == {0}, f"{statuses}\n{runs.said('cut')}"
    difference = runs.difference(runs.folder / "cut")
    return f"{before.name} before, {during.name} at the end of 10 s; largest difference of weights {difference}"


def elastic(runs: Machines) -> str:
    """torchrun: two machines go on without the third, and with it when it is there again.

    Without dropout, which differs with the number of processes.
    """
    longer = Machines(runs.folder / "elastic", runs.hosts, "--max-steps", "400", "--log-every", "20", dropout=False)
    name = "changing"
    running = longer.elastic(name, 1, 2, 3)
    longer.until(name, running)
    runs.hosts.kill(3)
    step = newest_step(longer.folder / name)
    wait_until(lambda: newest_step(longer.folder / name) > step + 30, running[1], SECONDS)
    running |= longer.elastic(name, 3)
    statuses = longer.end(name, running)
    assert set(statuses.values()) == {0}, f"{statuses}\n{longer.said(name)}"
    texts = [longer.output(name, host).read_text(encoding="utf-8") for host in running]
    without, again = re.findall(r"going on after step ([\d,]+)", "".join(texts))  # as two, and as three again
    difference = longer.difference(longer.folder / name)
    return f"two go on after step {without}, three after step {again}; largest difference of weights {difference}"


def newest_step(run: Path) -> int:
    """Of the checkpoints."""
    return int(found(run)[0].name.removeprefix("step-"))


SCENARIOS: dict[str, Callable[[Machines], str]] = {
    "together": together,
    "stop": stop,
    "kill": lambda runs: taken_away(runs, "kill", 3, runs.hosts.kill, 60),
    "kill-first": lambda runs: taken_away(runs, "kill-first", 1, runs.hosts.kill, 60),
    "cut": cut,
    "elastic": elastic,
    "power-off": lambda runs: taken_away(runs, "power-off", 3, runs.hosts.power_off, 2100),
}


def main() -> None:
    """The command line."""
    chosen = chosen_of(__doc__, SCENARIOS)
    torch.set_num_threads(1)
    with machines(NUMBER, "machines") as (hosts, folder):
        runs = Machines(folder, hosts)

        def repair() -> None:
            for host in range(1, NUMBER + 1):
                hosts.kill(host)
                hosts.mend(host)

        failed = play({name: partial(SCENARIOS[name], runs) for name in chosen}, repair)
    sys.exit(failed)


if __name__ == "__main__":
    main()
