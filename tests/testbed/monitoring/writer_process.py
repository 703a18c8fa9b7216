"""Start the writer (writer.py) as a process of its own, and get its report when it is stopped.

Used by the demo, by tests and by measurements. A process of its own, because a writer that shares
an interpreter with what it measures would measure that interpreter. It cannot outlive its starter:
it ends when the pipe that is its standard input does.
"""

import select
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.testbed.monitoring.latencies import Report
from tests.testbed.monitoring.writer import CONNECTIONS, GRACE, RATE, READY
from tests.testbed.process import child_environment

ROOT = Path(__file__).parents[3]
START_DEADLINE = 60.0
STOP_DEADLINE = GRACE + 10.0


class WriterFailed(Exception):
    """The writer ended, or kept silent, when it should not have; the message has what it said."""


class WriterProcess:
    """A running writer. Use it as a context manager, so that it is stopped in any case."""

    def __init__(
        self, uri: str, *, connections: int = CONNECTIONS, rate: float = RATE, seed: int = 1
    ) -> None:
        """Start it, and return once it is connected and working.

        Args:
            uri: the filled database.
            connections: each does one thing at a time.
            rate: operations a second, shared among the connections.
            seed: chooses the operations.

        Raises:
            WriterFailed: the database cannot be reached or is empty.
        """
        command = [sys.executable, "-m", "tests.testbed.monitoring.writer", "--uri", uri]
        command += ["--connections", str(connections), "--rate", str(rate), "--seed", str(seed)]
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=child_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        silent = not select.select([self._process.stdout], [], [], START_DEADLINE)[0]
        if silent or self._process.stdout.readline().strip() != READY:
            raise self._failure("did not start")

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> Report:
        """Let it finish what is due, for writer.GRACE seconds at most, and return its report.

        Raises:
            WriterFailed: it had ended by itself, or does not end.
        """
        try:
            output, errors = self._process.communicate(timeout=STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            raise self._failure("did not stop") from None
        if self._process.returncode or not output:
            raise WriterFailed(f"the writer ended with {self._process.returncode}: {errors}")
        return Report.from_json(output)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._kill()

    def _failure(self, what: str) -> WriterFailed:
        return WriterFailed(f"the writer {what}: {self._kill()}")

    def _kill(self) -> str:
        """End it without a report; return what it said on standard error."""
        self._process.kill()
        return self._process.communicate()[1].strip()
