"""Starts pgstrata as users do: `pgstrata apply` to its end, `pgstrata run` as long as asked for."""

import json
import os
import resource
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.testbed.process import Process, child_environment, poll_alive

_START = 90.0
_PAUSE = 1.0
"""Between two questions to a busy operator, which they cost something."""
_TICKS = os.sysconf("SC_CLK_TCK")
_PGSTRATA = (sys.executable, "-m", "pgstrata")


class CommandFailed(Exception):
    """A command did not do what the measurement needs; the message is what it said."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What a command took from its start to its end."""

    seconds: float
    cpu_seconds: float
    """Of its own process and its children, not of the server."""


def apply(manifests: Path, uri: str, *options: str) -> Spent:
    """Run `pgstrata apply` until all is Ready. Raises CommandFailed."""
    return run(apply_command(manifests, uri, *options))


def apply_command(manifests: Path, uri: str, *options: str) -> list[str | Path]:
    """The command that `apply` runs, for who ends it before its time."""
    return [*_PGSTRATA, "apply", "-f", manifests, "--database-url", uri, "-o", "json", *options]


def run(command: Sequence[str | Path]) -> Spent:
    """Run a command to its end. Raises CommandFailed. One at a time, for the CPU time's sake."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(
        command, env=child_environment(), capture_output=True, text=True, timeout=600, check=False
    )
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise CommandFailed(f"{command[0]} exited with {done.returncode}: {done.stderr[-2000:]}")
    user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    return Spent(seconds, user + system)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used so far."""

    at: float
    """Seconds of a monotonic clock."""
    cpu_seconds: float
    rss_mib: float
    peak_mib: float


class Operator:
    """A running `pgstrata run`; made by `running`."""

    def __init__(self, kubeconfig: Path, directory: Path, settings: Mapping[str, str]) -> None:
        environment = {"PGSTRATA_HEALTH_ADDRESS": "127.0.0.1:0", **settings}
        self._process = Process(
            [*_PGSTRATA, "run", f"--kubeconfig={kubeconfig}"],
            log=directory / "operator.log",
            env=child_environment(environment),
        )
        self._port = 0

    @classmethod
    @contextmanager
    def running(
        cls, kubeconfig: Path, directory: Path, settings: Mapping[str, str] | None = None
    ) -> Iterator["Operator"]:
        """Start one, wait until it is ready, stop it at the end; `directory` keeps its log."""
        directory.mkdir()
        operator = cls(kubeconfig, directory, settings or {})
        try:
            poll_alive(operator._process, operator._is_listening, _START)
            poll_alive(operator._process, lambda: operator._get("/readyz") == "ok\n", _START)
            yield operator
        finally:
            operator._process.stop()

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's samples that have these labels."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        total = 0.0
        for line in self._get("/metrics").splitlines():
            sample, _, value = line.rpartition(" ")
            if sample.split("{")[0] == name and all(pair in sample for pair in wanted):
                total += float(value)
        return total

    def usage(self) -> Usage:
        """Read /proc."""
        process = Path(f"/proc/{self._process.pid}")
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        return Usage(
            at=time.monotonic(),
            cpu_seconds=(int(fields[11]) + int(fields[12])) / _TICKS,
            rss_mib=_mib(status["VmRSS"]),
            peak_mib=_mib(status["VmHWM"]),
        )

    def wait_until_ready(self, count: int, deadline: float) -> None:
        """Wait until the last looks at so many SchemaVersions found them Ready."""
        self._wait(lambda: self._ready() >= count, deadline, f"{count} SchemaVersions are Ready")

    def wait_until_idle(self, deadline: float) -> None:
        """Wait until no look runs and none is due."""
        self._wait(self._is_idle, deadline, "no look runs or is due")

    def _wait(self, ready: Callable[[], bool], deadline: float, what: str) -> None:
        end = time.monotonic() + deadline
        while not ready():
            if not self._process.alive or time.monotonic() > end:
                raise CommandFailed(f"not within {deadline:g} s: {what}\n{self._process.tail()}")
            time.sleep(_PAUSE)

    def _is_idle(self) -> bool:
        """No answer is no sign of rest: what leads says so."""
        looks = self.metric("pgstrata_queue_depth") + self.metric("pgstrata_runs_active")
        return bool(self.metric("pgstrata_leader")) and not looks

    def _ready(self) -> float:
        return self.metric("pgstrata_resources", kind="SchemaVersion", situation="ready")

    def _is_listening(self) -> bool:
        for line in self._process.log.read_text().splitlines():
            if line.startswith("{") and "health server listening" in line:
                self._port = int(json.loads(line)["port"])
        return bool(self._port)

    def _get(self, path: str) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=10) as said:
                return str(said.read().decode())
        except OSError:
            return ""


def _mib(text: str) -> float:
    """Read /proc's `123 kB`."""
    return int(text.split(maxsplit=1)[0]) / 1024
