"""The demo's servers: PostgreSQL, a control plane and the operator, each a process on loopback."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.testbed.control_plane import ControlPlane
from tests.testbed.polling import poll
from tests.testbed.postgres import PostgresServer, ServerConfig
from tests.testbed.postgres_builds import find_postgres
from tests.testbed.process import Process, child_environment
from tests.testbed.scratch import scratch

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "api-monitoring"
DATABASE = "metrics"
APPLICATION = "metrics_app"
PASSWORD = "application's own"
READY_DEADLINE = 600.0


@dataclass(frozen=True, slots=True)
class Stage:
    """All that runs, and the folder that stands for the user's Git repository."""

    postgres: PostgresServer
    control_plane: ControlPlane
    operator: Process
    repository: Path

    @property
    def uri(self) -> str:
        """The application's own connection."""
        return self.postgres.uri(DATABASE, APPLICATION, PASSWORD)

    def commit(self, file: str, **spec: object) -> None:
        """Write fields of the spec into a manifest, as a Git commit would."""
        path = self.repository / file
        manifest = yaml.safe_load(path.read_text(encoding="utf-8"))
        manifest["spec"].update(spec)
        path.write_text(yaml.safe_dump(manifest, sort_keys=False), encoding="utf-8")

    def pgstrata(self, *arguments: str) -> str:
        """Run the command line against the cluster or the database; return what it says."""
        done = subprocess.run(
            [sys.executable, "-m", "pgstrata", *arguments],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
            env=child_environment(),
        )
        return "\n".join(line[:150].rstrip() for line in done.stdout.splitlines())

    def apply(self) -> str:
        """kubectl apply the repository."""
        return self.control_plane.kubectl("apply", f"--filename={self.repository}").stdout.strip()

    def status(self) -> dict[str, Any]:
        """Return the SchemaVersion as the API server has it."""
        got = self.control_plane.kubectl("get", "schemaversion", "dashboard", "--output=json")
        found: dict[str, Any] = json.loads(got.stdout)
        return found

    def wait_until(self, reason: str, show: Callable[[str], None]) -> dict[str, Any]:
        """Show each new message until Ready gives this reason for the newest generation.

        Raises SystemExit where it is Stalled, DeadlineExceeded where it takes too long. Returns the
        resource.
        """
        said = ""

        def look() -> dict[str, Any] | None:
            nonlocal said
            resource = self.status()
            ready = _ready(resource)
            message = f"{ready.get('reason', '')}: {ready.get('message', '')}"
            if ready and message != said:
                said = message
                show(message)
            if any(c["type"] == "Stalled" for c in _current(resource)):
                raise SystemExit(f"the demo's SchemaVersion is Stalled: {message}")
            if not self.operator.alive:
                raise SystemExit(f"the operator has ended; its log is {self.operator.log}")
            return resource if ready.get("reason") == reason else None

        return poll(look, READY_DEADLINE, f"the SchemaVersion to say {reason}")


@contextmanager
def stage(show: Callable[[str], None]) -> Iterator[Stage]:
    """Bring everything up; end all of it afterwards and leave nothing behind."""
    with scratch("demo-pg") as pg, scratch("demo-k8s") as k8s, scratch("demo") as home:
        show("building or finding etcd, kube-apiserver, kube-controller-manager and kubectl")
        show(
            "  (the first time takes minutes and needs the package registries; later it is cached)"
        )
        with ControlPlane.start(k8s, crds=[ROOT / "crds"]) as control_plane:
            show("a Kubernetes API server answers on 127.0.0.1")
            with PostgresServer.create(find_postgres(18), pg, _SERVER) as postgres:
                show(f"PostgreSQL answers on 127.0.0.1:{postgres.port}")
                postgres.create_role(APPLICATION, PASSWORD)
                postgres.createdb(DATABASE)
                postgres.psql(
                    DATABASE,
                    f"ALTER DATABASE {DATABASE} OWNER TO {APPLICATION};"
                    f"ALTER SCHEMA public OWNER TO {APPLICATION}",
                )
                operator = _start_operator(control_plane, home)
                show("the operator runs")
                try:
                    yield Stage(postgres, control_plane, operator, _repository(home))
                finally:
                    operator.stop()


_SERVER = ServerConfig(settings={"shared_buffers": "256MB"})


def _start_operator(control_plane: ControlPlane, home: Path) -> Process:
    return Process(
        [
            sys.executable,
            "-m",
            "pgstrata",
            "run",
            "--kubeconfig",
            str(control_plane.kubeconfig),
        ],
        log=home / "operator.log",
        env=child_environment({"PGSTRATA_HEALTH_ADDRESS": "127.0.0.1:0"}),
        cwd=home,
    )


def _repository(home: Path) -> Path:
    """Copy the example; the demo's server listens on loopback without TLS, and says so."""
    repository = home / "repository"
    repository.mkdir()
    for file in EXAMPLE.glob("*.yaml"):
        manifest = yaml.safe_load(file.read_text(encoding="utf-8"))
        if manifest["kind"] == "ManagedDatabase":
            manifest["spec"]["connection"]["tls"] = {"mode": "disable"}
        text = yaml.safe_dump(manifest, sort_keys=False)
        (repository / file.name).write_text(text, encoding="utf-8")
    return repository


def _current(resource: dict[str, Any]) -> list[dict[str, str]]:
    """The conditions, if they speak of the newest generation."""
    status = resource.get("status", {})
    if status.get("observedGeneration") != resource["metadata"]["generation"]:
        return []
    conditions: list[dict[str, str]] = status.get("conditions", [])
    return conditions


def _ready(resource: dict[str, Any]) -> dict[str, str]:
    return next((c for c in _current(resource) if c["type"] == "Ready"), {})
