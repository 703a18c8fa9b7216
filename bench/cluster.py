"""A control plane and a database with many SchemaVersions, for status.py and rest.py.

Each SchemaVersion has a schema of its own in the one database, and one small migration.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from bench import manifests
from bench.manifests import Manifest
from bench.pgstrata_process import Operator
from tests.testbed.control_plane import ControlPlane
from tests.testbed.postgres import PostgresServer
from tests.testbed.postgres_builds import find_postgres
from tests.testbed.scratch import scratch

MAJOR = 18
DBNAME = "bench"
CRDS = Path(__file__).parents[1] / "crds"
PATIENT_LEASE = {"PGSTRATA_LEASE_DURATION": "60s", "PGSTRATA_LEASE_RENEW_DEADLINE": "50s"}
"""A machine that does other things beside must not end the operator in the middle."""

_FILES: dict[str, JsonValue] = {
    "001_table.sql": "CREATE TABLE t (id integer PRIMARY KEY);",
    "002_column.sql": "ALTER TABLE t ADD COLUMN note text;",
}


@dataclass(frozen=True, slots=True)
class Cluster:
    """A control plane, a server, and the folder they live in."""

    plane: ControlPlane
    server: PostgresServer
    directory: Path

    def fill(self, operator: Operator, count: int, deadline: float) -> None:
        """Create that many SchemaVersions and wait until all are Ready, and it is quiet."""
        wanted = [
            manifests.secret(self.server.uri(DBNAME)),
            manifests.database(),
            *(schema_version(number) for number in range(count)),
        ]
        self.plane.kubectl("create", "-f", "-", input=manifests.as_list(wanted), timeout=deadline)
        operator.wait_until_ready(count, deadline)
        operator.wait_until_idle(deadline)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Start all of it but the operator; etcd and PostgreSQL without fsync, as tests do."""
    with (
        scratch("bench") as directory,
        scratch("pg") as server_directory,
        scratch("plane") as plane_directory,
        PostgresServer.create(find_postgres(MAJOR), server_directory) as server,
        ControlPlane.start(plane_directory, crds=[CRDS]) as plane,
    ):
        server.createdb(DBNAME)
        yield Cluster(plane, server, directory)


def schema_version(number: int, version: str = "001") -> Manifest:
    """The SchemaVersion of that number, in a schema of its own."""
    return manifests.schema_version(
        name_of(number), version, {"inline": _FILES}, schema=f"bench_{number}"
    )


def name_of(number: int) -> str:
    """The name of the SchemaVersion of that number."""
    return f"bench-{number}"


def document(manifest: Manifest) -> str:
    """One manifest as kubectl reads it."""
    return json.dumps(manifest)
