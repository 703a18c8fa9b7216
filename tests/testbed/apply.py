"""`pgstrata apply` as a process of its own: run to its end, killed at a failpoint, frozen, woken.

Two ways. `run_apply` is for kill matrices, which need hundreds of runs: it forks a process that has
imported everything already, which takes a tenth of the time. `ApplyProcess` is for tests that send
signals: a fresh interpreter under the supervisor, so that not even a frozen one is left behind.
"""

import importlib
import json
import multiprocessing
import os
import select
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from pgstrata.engine import failpoints
from tests.testbed.polling import DeadlineExceeded, poll
from tests.testbed.process import Process, child_environment

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "api-monitoring"
READY, STALLED = 0, 2
DIED = failpoints.EXIT_STATUS

_forking = multiprocessing.get_context("forkserver")
_forking.set_forkserver_preload(["pgstrata.cli.main", "postgast", "pytest"])


@dataclass(frozen=True, slots=True)
class Finished:
    """How a run ended: its exit status (negative for a signal) and all that it said."""

    status: int
    output: str


def run_apply(
    manifests: Path,
    uri: str,
    log: Path,
    *options: str,
    environment: Mapping[str, str] | None = None,
    deadline: float = 60.0,
) -> Finished:
    """Run `pgstrata apply` to its end. Raises DeadlineExceeded with what it said so far."""
    log.unlink(missing_ok=True)
    child = _forking.Process(
        target=_apply,
        args=(_arguments(manifests, uri, options), child_environment(environment), str(log)),
    )
    child.start()
    child.join(deadline)
    if child.exitcode is None:
        child.kill()
        child.join()
        raise DeadlineExceeded(f"apply has not ended within {deadline:g} s:\n{log.read_text()}")
    return Finished(child.exitcode, log.read_text(errors="replace"))


def _apply(arguments: list[str], environment: dict[str, str], log: str) -> None:
    """Be the command line: what a fresh interpreter would do after its imports."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.environ.clear()
    os.environ.update(environment)
    importlib.reload(failpoints)  # it reads the environment once, when it is imported
    from pgstrata.cli.main import main

    main(arguments)


class ApplyProcess:
    """A running `pgstrata apply`; a context manager that ends it, frozen or not."""

    def __init__(
        self,
        manifests: Path,
        uri: str,
        log: Path,
        *options: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start it; what it says goes to `log`, a new file."""
        self.log = log
        self._process = Process(
            [sys.executable, "-m", "pgstrata", *_arguments(manifests, uri, options)],
            log=log,
            env=child_environment(environment),
            cwd=ROOT,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if error is not None:
            error.add_note(f"{self.log.name}: {self.output}")
        self._process.stop(signal.SIGKILL)

    @property
    def output(self) -> str:
        """What it has said so far."""
        return self.log.read_text(errors="replace")

    @property
    def is_stopped(self) -> bool:
        """Whether a SIGSTOP has taken effect."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] == "T"

    def freeze(self) -> None:
        """Stop it in the middle of whatever it does; its sessions stay open."""
        self._process.send(signal.SIGSTOP)
        poll(lambda: self.is_stopped, 5.0, "apply is stopped")

    def thaw(self) -> None:
        """Let it run on."""
        self._process.send(signal.SIGCONT)

    def kill(self) -> None:
        """End it by SIGKILL; return when it is gone."""
        self._process.stop(signal.SIGKILL)

    def ends_within(self, seconds: float) -> bool:
        """Wait for its end; return whether it came."""
        descriptor = None
        with suppress(ProcessLookupError):
            descriptor = os.pidfd_open(self._process.pid)
        if descriptor is None:
            return True
        try:
            return bool(select.select([descriptor], [], [], seconds)[0])
        finally:
            os.close(descriptor)

    def result(self, deadline: float) -> Finished:
        """Wait for its end. Raises DeadlineExceeded with what it said so far."""
        if not self.ends_within(deadline):
            raise DeadlineExceeded(f"apply has not ended within {deadline:g} s:\n{self.output}")
        return Finished(self._process.wait(10.0), self.output)


def _arguments(manifests: Path, uri: str, options: tuple[str, ...]) -> list[str]:
    return ["apply", "-f", str(manifests), "--database-url", uri, "-o", "json", *options]


def write_manifests(
    directory: Path,
    source: Mapping[str, object],
    version: str,
    *,
    name: str = "shop",
    schema: str = "public",
    **spec: object,
) -> Path:
    """Write a ManagedDatabase and a SchemaVersion; return the file, for `apply -f`.

    Args:
        source: the SchemaVersion's `source`, for example {"inline": {file name: SQL}}.
        spec: what else the SchemaVersion says, for example through="Contract".
    """
    documents: list[dict[str, object]] = [
        _DATABASE,
        _document(
            "SchemaVersion",
            name,
            {
                "databaseRef": {"name": "database"},
                "source": dict(source),
                "version": version,
                "schema": schema,
                **spec,
            },
        ),
    ]
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"{name}-{version}.json"
    file.write_text(json.dumps({"kind": "List", "items": documents}))
    return file


def _document(kind: str, name: str, spec: Mapping[str, object]) -> dict[str, object]:
    return {
        "apiVersion": "pgstrata.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": dict(spec),
    }


_DATABASE = _document(
    "ManagedDatabase", "database", {"connection": {"secretRef": {"name": "none"}}}
)


def write_database_manifest(directory: Path) -> Path:
    """Write a ManagedDatabase alone; return the file, for `apply -f`."""
    file = directory / "database.json"
    file.write_text(json.dumps(_DATABASE))
    return file
