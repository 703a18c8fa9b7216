"""Namespaces for one node, and ways into them. See housekeeper.py for what they are.

Used by node.py. Programs are run inside; sockets of the test process itself are made inside.
"""

import ctypes
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.testbed.node import housekeeper
from tests.testbed.process import Process, child_environment, poll_alive
from tests.testbed.supervisor import descendants

START = 15.0
CLONE_NEWNET = 0x40000000


class House:
    """The namespaces; they end with this process, or by stop()."""

    def __init__(self, directory: Path) -> None:
        """Make them; `directory` is where the log goes, and the node's own."""
        self.directory = directory
        self.cgroup = f"pgstrata-node-{secrets.token_hex(4)}"
        command = [sys.executable, "-I", "-S", housekeeper.__file__, str(directory), self.cgroup]
        self._keeper = Process(command, log=directory / "house.log", farewell=signal.SIGHUP)
        poll_alive(self._keeper, (directory / housekeeper.READY).exists, START)
        self._first = next(pid for pid in descendants(self._keeper.pid) if _is_first(pid))

    def stop(self) -> None:
        """End all that runs inside, and leave nothing."""
        self._keeper.stop(signal.SIGTERM)

    def inside(self, *command: str | Path) -> list[str]:
        """The command, to be run inside with all that is there."""
        where = ("--mount", "--net", "--pid", f"--wd={self.directory}")
        return ["nsenter", f"--target={self._first}", *where, "--", *map(str, command)]

    @property
    def in_network(self) -> tuple[str, ...]:
        """What to put before a command that needs the network alone, and the machine's files."""
        return ("nsenter", f"--target={self._first}", "--net", "--")

    def launch(self, name: str, command: Sequence[str | Path]) -> subprocess.Popen[bytes]:
        """Start a server inside, logging to NAME.log; it ends with the house."""
        with (self.directory / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                self.inside(*command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=child_environment(),
                start_new_session=True,
            )

    @contextmanager
    def network(self) -> Iterator[None]:
        """Be in the node's network: sockets that this thread makes meanwhile are of there."""
        with (
            open("/proc/thread-self/ns/net", "rb") as home,
            open(f"/proc/{self._first}/ns/net", "rb") as there,
        ):
            _set_network(there.fileno())
            try:
                yield
            finally:
                _set_network(home.fileno())


def _is_first(pid: int) -> bool:
    """Whether a process is number 1 of a process namespace of its own."""
    status = Path(f"/proc/{pid}/status").read_text()
    numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
    return len(numbers) > 1 and numbers[-1] == "1"


def _set_network(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
