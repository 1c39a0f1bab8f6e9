"""Several machines on one: network namespaces, each with a name and an address of its own, on a bridge between them.

Needs root and iproute2. The bridge is in a namespace too, so the network of this machine stays as it is.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

PREFIX = "ner-hosts-"  # of namespaces; the number of the process that made them follows
INSIDE = """
hostname "$1" && mount --bind "$2/hosts" /etc/hosts && mount --bind "$2/nsswitch.conf" /etc/nsswitch.conf || exit
shift 2
exec "$@"
"""
SECONDS = 60.0


class CannotRunError(Exception):
    """Why there can be no namespaces here."""


def ip(*arguments: str, check: bool = True) -> str:
    """Runs ip. Raises CannotRunError with what it said."""
    done = subprocess.run(["ip", *arguments], capture_output=True, encoding="utf-8", timeout=SECONDS, check=False)
    if check and done.returncode:
        raise CannotRunError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


class Hosts:
    """Machines node1, node2, ... at 10.77.0.1, 10.77.0.2, ...; all see the same disk. Used in a `with`.

    Raises CannotRunError where it cannot be.
    """

    def __init__(self, number: int, folder: Path) -> None:
        if os.geteuid() != 0:
            raise CannotRunError("network namespaces need root")
        missing = [name for name in ("ip", "nsenter", "unshare", "mount", "hostname") if not shutil.which(name)]
        if missing:
            raise CannotRunError(f"not installed: {', '.join(missing)} (Debian: iproute2, util-linux, mount, hostname)")
        self.number, self.folder = number, folder
        self.switch = f"{PREFIX}{os.getpid()}-switch"
        lines = [f"10.77.0.{i} node{i}\n" for i in range(1, number + 1)]
        (folder / "hosts").write_text("127.0.0.1 localhost\n" + "".join(lines), encoding="utf-8")
        # No name server is asked: none answers there, and each question would take 10 seconds.
        (folder / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files\n", encoding="utf-8")

    def name(self, host: int) -> str:
        """The namespace of a host; hosts are counted from 1."""
        return f"{PREFIX}{os.getpid()}-{host}"

    def __enter__(self) -> "Hosts":
        remove_left_over()
        try:
            ip("netns", "add", self.switch)
            ip("-n", self.switch, "link", "add", "bridge", "type", "bridge")
            ip("-n", self.switch, "link", "set", "bridge", "up")
            for host in range(1, self.number + 1):
                name, port = self.name(host), f"port{host}"
                ip("netns", "add", name)
                ip("-n", self.switch, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
                ip("-n", self.switch, "link", "set", port, "master", "bridge", "up")
                ip("-n", name, "addr", "add", f"10.77.0.{host}/24", "dev", "eth0")
                for device in ("lo", "eth0"):
                    ip("-n", name, "link", "set", device, "up")
        except CannotRunError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in [*(self.name(host) for host in range(1, self.number + 1)), self.switch]:
            remove(name)

    def start(self, host: int, command: Sequence[str], env: Mapping[str, str], output: IO[str]) -> subprocess.Popen:
        """Starts a program there, in a session of its own; signals to the process are the program's."""
        # Not `ip netns exec`, which mounts another /sys, without control groups.
        enter = ["nsenter", f"--net=/run/netns/{self.name(host)}", "unshare", "--uts", "--mount", "bash", "-c", INSIDE]
        return subprocess.Popen(
            [*enter, "inside", f"node{host}", str(self.folder), *command],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )

    def kill(self, host: int) -> None:
        """Kills all that runs there; the kernel closes its connections, which the others notice."""
        kill(self.name(host))

    def cut(self, host: int) -> None:
        """Takes its cable out: what the others send is lost, and nobody is told."""
        ip("-n", self.switch, "link", "set", f"port{host}", "down")

    def mend(self, host: int) -> None:
        """Puts its cable in again."""
        ip("-n", self.switch, "link", "set", f"port{host}", "up")

    def power_off(self, host: int) -> None:
        """Takes a host off the network and kills all that runs there: nobody is told."""
        self.cut(host)
        self.kill(host)


@contextlib.contextmanager
def machines(number: int, program: str) -> Iterator[tuple[Hosts, Path]]:
    """So many machines, and a folder that all of them see. Ends the program with the reason where it cannot run."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the namespaces are removed
    with tempfile.TemporaryDirectory() as folder:
        try:
            with Hosts(number, Path(folder)) as hosts:
                yield hosts, Path(folder)
        except CannotRunError as error:
            sys.exit(f"{program}: cannot run here: {error}")


def kill(name: str) -> None:
    """Kills the processes of a namespace, and waits until they are gone."""
    deadline = time.monotonic() + SECONDS
    while (pids := ip("netns", "pids", name, check=False).split()) and time.monotonic() < deadline:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        time.sleep(0.05)


def remove(name: str) -> None:
    """Removes a namespace with all that runs in it, if it is there."""
    kill(name)
    ip("netns", "del", name, check=False)


def remove_left_over() -> None:
    """Removes namespaces of programs that were killed before they could."""
    for line in ip("netns", "list").splitlines():
        name = line.split()[0]
        owner = name.removeprefix(PREFIX).partition("-")[0]
        if name.startswith(PREFIX) and not Path("/proc", owner).exists():
            remove(name)
