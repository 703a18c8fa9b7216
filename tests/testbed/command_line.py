"""Runs the real command line and shows what it said: exit status, standard output and error.

Every run that ends is held to what holds for all of them: no password and no connection string in
any output, no traceback, no status that breaks the contract of kstatus.py.
"""

import json
import os
import select
import signal
import socket
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, quote_plus

import yaml

from tests.testbed import command_forks
from tests.testbed.kstatus import assert_kstatus
from tests.testbed.polling import poll
from tests.testbed.postgres import SUPERUSER_PASSWORD
from tests.testbed.process import Process, child_environment, poll_alive

START_DEADLINE = 120.0
DEADLINE = 90.0
"""Seconds that a run may take, on a machine that has much else to do."""
MARKS_OF_A_CRASH = ("Traceback (most recent call last)", "Exception ignored", "Warning: ")

PASSWORD = "pä/ s'w@rd%41:?&#\\"
"""A password that shows whether it is quoted, and decoded, as it must be."""

Status = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that has ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on standard output."""
        parsed = json.loads(self.stdout)
        assert isinstance(parsed, dict)
        return parsed

    def status(self, kind: str = "SchemaVersion", name: str | None = None) -> Status:
        """The status of the resource of that kind (and name, where there are several)."""
        [status] = [
            resource["status"]
            for resource in self.document["resources"]
            if resource["kind"] == kind and name in {None, resource["name"]}
        ]
        assert isinstance(status, dict)
        return status

    def condition(
        self, type_: str = "Ready", kind: str = "SchemaVersion", name: str | None = None
    ) -> dict[str, str]:
        """A condition of that resource; empty where it has none of the type."""
        for condition in self.status(kind, name).get("conditions", []):
            if condition["type"] == type_:
                return dict(condition)
        return {}

    def said(self, kind: str = "SchemaVersion", name: str | None = None) -> tuple[int, str, str]:
        """Exit status, and the reason and message of Ready: what most tests look at."""
        ready = self.condition("Ready", kind, name)
        return self.code, ready["reason"], ready["message"]


class Running:
    """A run under way."""

    def __init__(self, connection: socket.socket, streams: Sequence[int], secret: set[str]) -> None:
        """Use CommandLine.start."""
        self._connection = connection
        self._streams = streams
        self._secret = secret
        self._answer = connection.makefile("r")
        self.pid = int(self._answer.readline())
        self._code: int | None = None

    @property
    def stderr(self) -> str:
        """What it has said on standard error up to now."""
        return _read(self._streams[1])

    def wait_for(self, text: str, deadline: float = DEADLINE) -> str:
        """Wait until standard error has `text`; return all of it. Fails at once if the run ends."""

        def look() -> str | None:
            said = self.stderr
            if text in said:
                return said
            assert self._code_within(0) is None, f"ended without saying {text!r}: {self.stderr}"
            return None

        return poll(look, deadline, f"{text!r} on standard error")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def wait(self, deadline: float = DEADLINE) -> Ended:
        """Wait for its end and hold it to what holds for all runs."""
        code = self._code_within(deadline)
        if code is None:
            said = self.stderr
            self.close()
            raise AssertionError(f"the command line did not end in {deadline:g} s: {said}")
        ended = Ended(code, *map(_read, self._streams))
        self.close()
        _hold_to_the_rules(ended, self._secret)
        return ended

    def close(self) -> None:
        """End it if it still runs, and give its streams free."""
        if self._connection.fileno() < 0:
            return
        if self._code_within(0) is None:
            self.send(signal.SIGKILL)
            self._code_within(DEADLINE)
        self._answer.close()
        self._connection.close()
        for stream in self._streams:
            os.close(stream)

    def _code_within(self, deadline: float) -> int | None:
        """The exit status once it has ended, or None."""
        if self._code is None and select.select([self._connection], [], [], deadline)[0]:
            self._code = int(self._answer.readline())
        return self._code


@dataclass(slots=True)
class CommandLine:
    """Starts runs; a context manager that ends all of them."""

    directory: Path
    """An empty one, for the socket and the log."""
    _process: Process | None = None
    _running: list[Running] = field(default_factory=list)

    def __enter__(self) -> Self:
        path = self.directory / "runs"
        self._process = Process(
            [sys.executable, "-W", "error", command_forks.__file__, path],
            log=self.directory / "log",
            farewell=signal.SIGKILL,
        )
        poll_alive(self._process, path.exists, START_DEADLINE)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.end_all()
        if self._process is not None:
            self._process.stop(signal.SIGKILL)

    def end_all(self) -> None:
        """End the runs that a test has left."""
        for running in self._running:
            running.close()
        self._running.clear()

    def start(
        self,
        *arguments: str,
        given: str = "",
        env: Mapping[str, str] | None = None,
        secret: Collection[str] = (),
    ) -> Running:
        """Start a run.

        Args:
            given: its standard input.
            env: added to the environment.
            secret: what must not be in its output, beside PASSWORD and the superuser's.
        """
        streams = [_unnamed(given), _unnamed(), _unnamed()]
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(self.directory / "runs"))
        request = json.dumps([arguments, child_environment(env)]).encode()
        socket.send_fds(connection, [request], streams)
        os.close(streams[0])
        running = Running(connection, streams[1:], {PASSWORD, SUPERUSER_PASSWORD, *secret})
        self._running.append(running)
        return running

    def run(
        self,
        *arguments: str,
        given: str = "",
        env: Mapping[str, str] | None = None,
        secret: Collection[str] = (),
        deadline: float = DEADLINE,
    ) -> Ended:
        """Run to the end. See start."""
        return self.start(*arguments, given=given, env=env, secret=secret).wait(deadline)

    def start_apply(
        self, documents: Sequence[object], url: str | None, *arguments: str, timeout: str = "75s"
    ) -> Running:
        """Start `apply -o json` of manifests that are handed over on standard input."""
        given = yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True)
        where = () if url is None else ("--database-url", url)
        options = ("-f", "-", "-o", "json", f"--timeout={timeout}")
        return self.start("apply", *options, *where, *arguments, given=given)

    def apply(
        self, documents: Sequence[object], url: str | None, *arguments: str, timeout: str = "75s"
    ) -> Ended:
        """Run `apply -o json` to its end. See start_apply."""
        return self.start_apply(documents, url, *arguments, timeout=timeout).wait()


def _hold_to_the_rules(ended: Ended, secret: set[str]) -> None:
    output = ended.stdout + ended.stderr
    for word in secret:
        for spelled in {
            word,
            quote(word, safe=""),
            quote(word),
            quote_plus(word),
            repr(word)[1:-1],
        }:
            assert spelled not in output, f"a password is in the output: {output}"
    for mark in MARKS_OF_A_CRASH:
        assert mark not in output, output
    if ended.stdout.startswith('{\n  "resources"'):
        assert ended.document["exitCode"] == ended.code
        for resource in ended.document["resources"]:
            if resource["status"]:
                assert_kstatus({"metadata": {"generation": 1}, "status": resource["status"]})


def _unnamed(content: str = "") -> int:
    with tempfile.TemporaryFile() as file:
        descriptor = os.dup(file.fileno())
    os.write(descriptor, content.encode())
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _read(descriptor: int) -> str:
    """Read a file from its beginning, without moving the offset that its writer shares."""
    parts, offset = [], 0
    while part := os.pread(descriptor, 1 << 20, offset):
        parts.append(part)
        offset += len(part)
    return b"".join(parts).decode(errors="replace")
