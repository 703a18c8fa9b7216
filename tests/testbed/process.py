"""Server processes that cannot outlive the test run, and the signals that tests send to them.

Used by control_plane.py, postgres.py and pgbouncer.py, and by tests that run the operator as a
process of its own. Every signal goes to a pidfd or to descendants of a live process: never to a
name, never to a number that another process may have got since.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.testbed import supervisor
from tests.testbed.polling import DeadlineExceeded, poll

LOG_TAIL = 3000
FOREIGN = ("KUBECONFIG", "PGSERVICE", "PGPASSFILE", "PGSYSCONFDIR")


def child_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for children: no cluster or database of the caller's leaks in."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in FOREIGN and not (name.startswith("PG") and not name.startswith("PGSTRATA"))
    }
    return kept | {"LC_ALL": "C.UTF-8"} | dict(extra or {})


class ServerDied(Exception):
    """A server ended while it was being waited for; the message has the end of its log."""


class Process:
    """One running server under its supervisor (supervisor.py)."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        farewell: signal.Signals = signal.SIGKILL,
    ) -> None:
        """Start `command`; its output is appended to `log`, its input is empty.

        Args:
            command: program and arguments.
            log: file, made if absent.
            env: the whole environment; child_environment() if not given.
            cwd: working directory, the log's folder if not given.
            farewell: what the server is sent first if the test process dies.
        """
        self.name = Path(command[0]).name
        self.log = log
        with log.open("ab") as output:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-I", "-S", supervisor.__file__, str(int(farewell)), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=dict(env) if env is not None else child_environment(),
                cwd=cwd or log.parent,
                start_new_session=True,
            )
        assert self._supervisor.stdin is not None
        assert self._supervisor.stdout is not None
        self._lifeline = self._supervisor.stdin
        with self._supervisor.stdout as answer:
            self.pid = int(answer.readline())
        try:
            self._pidfd: int | None = os.pidfd_open(self.pid)
        except ProcessLookupError:
            self._pidfd = None

    @property
    def alive(self) -> bool:
        """Whether the server itself (not merely its supervisor) is running, frozen or not."""
        return self._pidfd is not None and not select.select([self._pidfd], [], [], 0)[0]

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the server; nothing happens if it has ended."""
        if self._pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def freeze(self) -> None:
        """Stop the server and its descendants (SIGSTOP): sockets stay open, nothing answers."""
        self.send(signal.SIGSTOP)
        self._send_below(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server and its descendants run on."""
        self._send_below(signal.SIGCONT)
        self.send(signal.SIGCONT)

    def stop(self, number: signal.Signals = signal.SIGTERM, deadline: float = 10.0) -> int:
        """Send `number`, after `deadline` seconds SIGKILL; return the exit code, 128 + n for a
        signal. Safe to call again, and on a frozen server."""
        if self.alive:
            self.send(number)
            self.thaw()
            assert self._pidfd is not None
            if not select.select([self._pidfd], [], [], deadline)[0]:
                self.send(signal.SIGKILL)
        return self.wait(deadline)

    def wait(self, deadline: float) -> int:
        """Return the exit code once the server and what it left behind are gone."""
        code = self._supervisor.wait(deadline)
        self._lifeline.close()
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None
        return code

    def tail(self) -> str:
        """Return the end of the log, for messages."""
        return self.log.read_text(errors="replace")[-LOG_TAIL:]

    def _send_below(self, number: signal.Signals) -> None:
        if self.alive:
            for pid in supervisor.descendants(self.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)


def poll_alive(process: Process, ready: Callable[[], bool], deadline: float) -> None:
    """Wait until `ready` answers true; fail at once, with the log's end, if the process dies."""

    def look() -> bool:
        if not process.alive:
            raise ServerDied(f"{process.name} ended while starting:\n{process.tail()}")
        return ready()

    try:
        poll(look, deadline, f"{process.name} is ready")
    except DeadlineExceeded as error:
        error.add_note(process.tail())
        raise
