"""A SLURM of two machines, network namespaces of this one, and launch/slurm.sh in it: its time is up, it is
preempted, it is cancelled.

Each result is compared with that of two processes on one machine, which nobody disturbed.

python -m tests.stress.slurm [limit] [preempted] [cancelled]    # none: all

Needs root, iproute2, and Debian's slurm-wlm and munge. Not part of the suite: it takes ten minutes on 2 cores. Prints
a line for each, and what SLURM wrote about the job; status 1 if one does not hold.
"""

import contextlib
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from ner.training.checkpoint import found
from tests.processes import wait_until
from tests.stress.network import CannotRunError, Hosts, machines
from tests.stress.scenarios import chosen_of, play
from tests.stress.torture import ROOT, Runs

NUMBER = 2
SECONDS = 1200.0  # of a job with all its starts
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "scontrol", "sinfo")
LONGER = ["--max-steps", "300", "--evaluate-every", "100", "--checkpoint-every", "25", "--log-every", "25"]
CONFIGURATION = """
ClusterName=ner
SlurmctldHost=node1
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=node[1-2] CPUs=2 State=UNKNOWN
PartitionName=low Nodes=node[1-2] Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime=120
PartitionName=high Nodes=node[1-2] PriorityTier=10 PreemptMode=OFF
"""


class Cluster:
    """SLURM on two machines, node1 with its controller. Used in a `with`.

    Raises CannotRunError where it is not installed, or does not start.
    """

    def __init__(self, hosts: Hosts, folder: Path) -> None:
        missing = [name for name in PROGRAMS if not shutil.which(name)]
        if missing:
            raise CannotRunError(f"not installed: {', '.join(missing)} (Debian: slurm-wlm, munge)")
        self.hosts, self.folder = hosts, folder
        self.cores = sorted(os.sched_getaffinity(0))[:NUMBER]
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        self.stack = contextlib.ExitStack()

    def __enter__(self) -> "Cluster":
        (self.folder / "munge.key").touch(mode=0o600)
        (self.folder / "munge.key").write_bytes(os.urandom(128))
        for name in ("state", "spool-node1", "spool-node2"):
            (self.folder / name).mkdir()
        (self.folder / "slurm.conf").write_text(CONFIGURATION.format(folder=self.folder), encoding="utf-8")
        files = {name: self.folder / f"munge.{name}" for name in ("socket", "pid", "seed", "log")}
        munge = ["munged", "--force", "--foreground", f"--key-file={self.folder / 'munge.key'}"]
        munge += [f"--{name}{'' if name == 'socket' else '-file'}={file}" for name, file in files.items()]
        try:
            self.daemon(1, "munged", munge)
            wait_until(files["socket"].exists, seconds=30)
            self.daemon(1, "slurmctld", ["slurmctld", "-D"])
            wait_until(lambda: "UP" in self.ask("scontrol", "ping"), seconds=60)
            for host in (1, 2):
                core = self.cores[host % len(self.cores)]  # one thread a process, as two on one machine have
                command = ["taskset", "-c", str(core), "slurmd", "-D", "-N", f"node{host}"]
                self.daemon(host, f"slurmd-{host}", command)
            wait_until(lambda: self.ask("sinfo", "--noheader", "--format=%t", "--partition=low") == "idle", seconds=60)
        except AssertionError as error:
            self.__exit__()
            said = "\n".join(file.read_text(encoding="utf-8")[-1000:] for file in self.folder.glob("*.daemon"))
            raise CannotRunError(f"SLURM does not start:\n{said}") from error
        return self

    def daemon(self, host: int, name: str, command: list[str]) -> None:
        """Starts a daemon on a machine."""
        with (self.folder / f"{name}.daemon").open("w", encoding="utf-8") as output:
            process = self.hosts.start(host, command, self.environment, output)
        self.stack.callback(process.wait, timeout=60)
        self.stack.callback(process.terminate)

    def __exit__(self, *_: object) -> None:
        for host in (2, 1):
            self.hosts.kill(host)
        self.stack.close()

    def ask(self, *command: str, **environment: str) -> str:
        """Runs a program of SLURM on node1. Returns what it said."""
        with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
            self.hosts.start(1, command, {**self.environment, **environment}, output).wait(timeout=60)
            output.seek(0)
            return output.read().strip()

    def submit(self, *arguments: str, **environment: str) -> str:
        """Hands a job in. Returns its number."""
        said = self.ask("sbatch", *arguments, **environment)
        number = re.search(r"Submitted batch job (\d+)", said)
        assert number, said
        return number[1]

    def state(self, job: str) -> str:
        """PENDING, RUNNING, COMPLETED, ...; and how often it was put into the queue again."""
        facts = dict(re.findall(r"(JobState|Restarts|ExitCode)=(\S+)", self.ask("scontrol", "show", "job", job)))
        return f"{facts['JobState']}, {facts['Restarts']} restarts, exit code {facts['ExitCode']}"


class Jobs(Runs):
    """Jobs that train as `torture` does, longer."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.cluster = cluster
        os.sched_setaffinity(0, cluster.cores)
        super().__init__(folder, NUMBER, *LONGER)

    def submit(self, name: str, *options: str) -> str:
        """Hands launch/slurm.sh in: a task on each of two machines, each of one process on a CPU."""
        wanted = ["--nodes=2", "--gpus-per-node=0", "--cpus-per-task=1", f"--output={self.folder / name}.out"]
        variables = {**self.environment, "NUM_PROCESSES": "1"}
        script = str(ROOT / "launch/slurm.sh")
        return self.cluster.submit(f"--chdir={ROOT}", *wanted, *options, script, *self.flags(name), **variables)

    def end(self, name: str, job: str) -> str:
        """Waits until a job has ended. Returns what became of it."""
        gone = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "PREEMPTED", "NODE_FAIL")
        try:
            wait_until(lambda: self.cluster.state(job).startswith(gone), seconds=SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{self.cluster.state(job)}\n{self.said(name)}") from error
        state = self.cluster.state(job)
        assert state.startswith("COMPLETED"), f"{state}\n{self.said(name)}"
        steps = ", ".join(re.findall(r"going on after step ([\d,]+)", self.said(name)))
        difference = self.difference(self.folder / name)
        return f"{state}; went on after step {steps}; largest difference of weights {difference}"

    def said(self, name: str) -> str:
        """What the job has written."""
        file = self.folder / f"{name}.out"
        return file.read_text(encoding="utf-8") if file.exists() else ""


def limit(jobs: Jobs) -> str:
    """USR1 comes 180 seconds before the limit, which is moved to the near future here."""
    job = jobs.submit("limit")
    wait_until(lambda: len(found(jobs.folder / "limit")) >= 2, seconds=SECONDS)
    minutes = int(re.findall(r"RunTime=00:(\d\d):", jobs.cluster.ask("scontrol", "show", "job", job))[0]) + 2
    jobs.cluster.ask("scontrol", "update", f"JobId={job}", f"TimeLimit={minutes}")
    wait_until(lambda: jobs.cluster.state(job).startswith("PENDING"), seconds=240)
    jobs.cluster.ask("scontrol", "update", f"JobId={job}", "TimeLimit=60")
    return jobs.end("limit", job)


def preempted(jobs: Jobs) -> str:
    """A job of a partition of higher priority takes both machines: TERM comes."""
    job = jobs.submit("preempted", "--partition=low")
    wait_until(lambda: len(found(jobs.folder / "preempted")) >= 2, seconds=SECONDS)
    other = jobs.cluster.submit("--partition=high", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=sleep 5")
    begin = time.monotonic()
    wait_until(lambda: jobs.cluster.state(other).startswith(("RUNNING", "COMPLETED")), seconds=SECONDS)
    return f"the other had the machines after {time.monotonic() - begin:.0f} s; {jobs.end('preempted', job)}"


def cancelled(jobs: Jobs) -> str:
    """scancel ends a job for good."""
    job = jobs.submit("cancelled")
    wait_until(lambda: len(found(jobs.folder / "cancelled")) >= 2, seconds=SECONDS)
    jobs.cluster.ask("scancel", job)
    wait_until(lambda: not jobs.cluster.state(job).startswith(("RUNNING", "COMPLETING")), seconds=120)
    time.sleep(30)
    state = jobs.cluster.state(job)
    assert state.startswith("CANCELLED"), f"{state}\n{jobs.said('cancelled')}"
    return f"{state}; newest checkpoint {found(jobs.folder / 'cancelled')[0].name}"


SCENARIOS: dict[str, Callable[[Jobs], str]] = {"limit": limit, "preempted": preempted, "cancelled": cancelled}


def main() -> None:
    """The command line."""
    chosen = chosen_of(__doc__, SCENARIOS)
    torch.set_num_threads(1)
    with machines(NUMBER, "slurm") as (hosts, folder), Cluster(hosts, folder) as cluster:
        jobs = Jobs(folder, cluster)
        failed = play({name: partial(SCENARIOS[name], jobs) for name in chosen})
        controller = (folder / "slurmctld.daemon").read_text(encoding="utf-8").splitlines()
        print("\n".join(line for line in controller if "JobId" in line))
    sys.exit(failed)


if __name__ == "__main__":
    main()
