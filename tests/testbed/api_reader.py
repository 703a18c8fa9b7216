"""Reads objects from an API server over one kept connection: a poll by kubectl costs a process.

Used by operator_site.py. Changes are made by kubectl, as users make them.
"""

import base64
import http.client
import json
import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.testbed.certificates import write_private

TIMEOUT = 10.0
OUR_API = "/apis/pgstrata.dev/v1alpha1"
COLLECTIONS = {
    "ManagedDatabase": (OUR_API, "manageddatabases"),
    "SchemaVersion": (OUR_API, "schemaversions"),
    "Event": ("/api/v1", "events"),
    "Lease": ("/apis/coordination.k8s.io/v1", "leases"),
}

Object = dict[str, Any]


class ApiReader:
    """One user's view, by the client certificate in a kubeconfig of the test bed."""

    def __init__(
        self,
        kubeconfig: Path,
        scratch: Path,
        network: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """`network`: where connections are made; the machine's own, unless given."""
        self._network = network
        config = json.loads(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        authority = base64.b64decode(cluster["certificate-authority-data"])
        pair = [user["client-certificate-data"], user["client-key-data"]]
        file = write_private(scratch / "reader.pem", b"".join(map(base64.b64decode, pair)))
        context = ssl.create_default_context(cadata=authority.decode())
        context.load_cert_chain(file)
        address = urlsplit(cluster["server"])
        self._connection = http.client.HTTPSConnection(
            str(address.hostname), address.port, context=context, timeout=TIMEOUT
        )

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """Return an object, or None where it does not exist."""
        base, plural = COLLECTIONS[kind]
        return self._read(f"{base}/namespaces/{namespace}/{plural}/{name}")

    def list(self, kind: str, namespace: str) -> list[Object]:
        """Return all objects of a kind in one namespace."""
        base, plural = COLLECTIONS[kind]
        found = self._read(f"{base}/namespaces/{namespace}/{plural}")
        return found["items"] if found else []

    def namespace_exists(self, name: str) -> bool:
        """Whether the namespace exists, terminating or not."""
        return self._read(f"/api/v1/namespaces/{name}") is not None

    def _read(self, path: str) -> Object | None:
        """GET; a connection that an outage broke is made anew once."""
        try:
            return self._read_once(path)
        except (http.client.HTTPException, ConnectionError):
            self._connection.close()
            return self._read_once(path)

    def _read_once(self, path: str) -> Object | None:
        with self._network():
            self._connection.request("GET", path)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status == http.HTTPStatus.NOT_FOUND:
            return None
        assert answer.status == http.HTTPStatus.OK, f"GET {path}: {answer.status} {body[:500]!r}"
        parsed: Object = json.loads(body)
        return parsed
