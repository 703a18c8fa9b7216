"""PostgreSQL in a pod, with TLS, as strict as Pod Security asks; and databases in it.

The server keeps nothing: its data is in the pod. Tests connect to its Service from the test
process, in the node's network.
"""

import base64
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from tests.testbed.certificates import Authority
from tests.testbed.node.images import POSTGRES_IMAGE
from tests.testbed.node.node import Node
from tests.testbed.polling import poll

NAMESPACE = "databases"
HOST = f"postgres.{NAMESPACE}.svc"
SUPERUSER_PASSWORD = "only in a test"
OWNER, OWNER_PASSWORD = "metrics_app", "Zaunkoenig7 %41/@"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
START_DEADLINE = 60.0
_NOBODY = 65534
_RUN = """\
initdb -D /data/pg -U postgres --pwfile=/server/password -A scram-sha-256 --no-sync \
  -E UTF8 --locale=C
echo 'hostssl all all all scram-sha-256' >> /data/pg/pg_hba.conf
exec postgres -D /data/pg -k /data -c listen_addresses='*' -c fsync=off \
  -c max_connections=300 -c max_wal_size=256MB \
  -c ssl=on -c ssl_cert_file=/server/tls.crt -c ssl_key_file=/server/tls.key
"""


@dataclass(frozen=True, slots=True)
class PodDatabase:
    """A database that belongs to OWNER."""

    name: str
    server: "PostgresPod"

    @property
    def uri(self) -> str:
        """The owner's URI, as a Secret in the cluster has it."""
        credentials = f"{OWNER}:{quote(OWNER_PASSWORD, safe='')}"
        return f"postgresql://{credentials}@{HOST}:5432/{self.name}"

    def connect(self) -> psycopg.Connection[TupleRow]:
        """Return an autocommit connection of the superuser; use it as a context manager."""
        return self.server.connect(self.name)

    def value(self, query: str) -> Any:
        """Return the one value that a query gives."""
        with self.connect() as connection:
            row = connection.execute(query.encode()).fetchone()
        assert row is not None, query
        return row[0]


class PostgresPod:
    """One server, made by start()."""

    def __init__(self, node: Node) -> None:
        """Use start()."""
        self._node = node
        self._authority = Authority.create("pgstrata-test-postgres")

    @classmethod
    def start(cls, node: Node) -> "PostgresPod":
        """Start it in a namespace of its own, and wait until it takes connections."""
        server = cls(node)
        node.apply(*server._manifests())
        path = "--output=jsonpath={.spec.clusterIP}"
        where = ("service", "postgres", f"--namespace={NAMESPACE}")
        server.address = node.kubectl("get", *where, path).stdout.strip()
        poll(server._accepts, START_DEADLINE, "PostgreSQL takes connections in its pod")
        with server.connect("postgres") as connection:
            statement = sql.SQL("create role {} login password {}")
            connection.execute(statement.format(sql.Identifier(OWNER), sql.Literal(OWNER_PASSWORD)))
        return server

    address: str
    """Of the Service."""

    @property
    def authority_pem(self) -> str:
        """Whom to trust: the certificate that signed the server's."""
        return self._authority.pair.certificate.decode()

    def database(self, name: str) -> PodDatabase:
        """Create a database of OWNER's."""
        with self.connect("postgres") as connection:
            statement = sql.SQL("create database {} owner {}")
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(OWNER)))
        return PodDatabase(name, self)

    def connect(self, dbname: str) -> psycopg.Connection[TupleRow]:
        """Return an autocommit connection of the superuser."""
        with self._node.house.network():
            return psycopg.connect(
                host=self.address,
                dbname=dbname,
                user="postgres",
                password=SUPERUSER_PASSWORD,
                sslmode="require",
                autocommit=True,
            )

    def _accepts(self) -> bool:
        try:
            self.connect("postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def _manifests(self) -> list[dict[str, Any]]:
        pair = self._authority.server("postgres", [HOST, f"{HOST}.cluster.local"])
        files = {"tls.crt": pair.certificate, "tls.key": pair.key}
        files["password"] = SUPERUSER_PASSWORD.encode()
        data = {name: base64.b64encode(content).decode() for name, content in files.items()}
        metadata = {"name": "postgres", "namespace": NAMESPACE}
        labels = {"app": "postgres"}
        return [
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": NAMESPACE, "labels": RESTRICTED},
            },
            {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data},
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": metadata,
                "spec": {"selector": labels, "ports": [{"port": 5432}]},
            },
            {
                "apiVersion": "apps/v1",
                "kind": "StatefulSet",
                "metadata": metadata,
                "spec": {
                    "serviceName": "postgres",
                    "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": _pod()},
                },
            },
        ]


def _pod() -> dict[str, Any]:
    mounts = {"data": "/data", "server": "/server"}
    return {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _NOBODY,
            "fsGroup": _NOBODY,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "postgres",
                "image": POSTGRES_IMAGE,
                "imagePullPolicy": "Never",
                "command": ["sh", "-ec", _RUN],
                # without it every other pod comes first on a busy machine
                "resources": {"requests": {"cpu": "500m"}},
                "readinessProbe": {"tcpSocket": {"port": 5432}, "periodSeconds": 1},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [
                    {"name": name, "mountPath": path} for name, path in mounts.items()
                ],
            }
        ],
        "volumes": [
            {"name": "data", "emptyDir": {}},
            # owned by root: PostgreSQL takes a key that its own group may read
            {"name": "server", "secret": {"secretName": "postgres", "defaultMode": 0o440}},
        ],
    }
