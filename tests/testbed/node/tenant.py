"""A user of the cluster on a node: a namespace, and what stands in it to reach a database."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.testbed.api_reader import ApiReader
from tests.testbed.node.node import Node
from tests.testbed.node.postgres_pod import PodDatabase
from tests.testbed.operator_user import KubectlUser, Manifest, managed_database, secret

DATABASE = "metrics"


@contextmanager
def tenant(node: Node, directory: Path) -> Iterator[KubectlUser]:
    """Make a namespace; at the end its resources are deleted, while there is an operator."""
    namespace = f"tenant-{secrets.token_hex(3)}"
    node.kubectl("create", "namespace", namespace)
    reader = ApiReader(node.kubeconfig, directory, node.house.network)
    try:
        yield KubectlUser(node, namespace, reader)
    finally:
        reader.close()


def reachable(database: PodDatabase, name: str = DATABASE) -> list[Manifest]:
    """A ManagedDatabase that is reached by TLS and checked against the server's authority."""
    credentials = secret(name, database.uri)
    credentials["stringData"]["ca.crt"] = database.server.authority_pem
    found = managed_database(name, secret=name)
    found["spec"]["connection"]["tls"] = {
        "mode": "verify-full",
        "caRef": {"kind": "Secret", "name": name, "key": "ca.crt"},
    }
    return [credentials, found]
