"""What a user of kubectl does and sees: manifests, statuses, events. Used by operator tests.

Every status that is read keeps the contract of kstatus.py, or the test fails.
"""

import base64
import gzip
import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tests.testbed.api_reader import ApiReader
from tests.testbed.kstatus import assert_kstatus
from tests.testbed.polling import DeadlineExceeded, poll

API_VERSION = "pgstrata.dev/v1alpha1"
WATCHED = {"pgstrata.dev/watch": "true"}
SOON = 20.0
"""Seconds for what takes one, on a machine that is busy with other tests."""

Manifest = dict[str, Any]


class Cluster(Protocol):
    """What has an API server, a control plane or a whole node."""

    def kubectl(
        self, *arguments: str, input: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as admin."""
        ...


class KubectlUser:
    """Someone with kubectl and a namespace."""

    def __init__(self, plane: Cluster, namespace: str, reader: ApiReader) -> None:
        self.namespace = namespace
        self.reader = reader
        self._plane = plane

    def kubectl(
        self, *arguments: str, input: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl in the namespace."""
        return self._plane.kubectl(*arguments, "-n", self.namespace, input=input, check=check)

    def apply(self, *objects: Mapping[str, Any]) -> str:
        """kubectl apply; return what it printed."""
        bundle = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        return self.kubectl("apply", "-f", "-", input=bundle).stdout

    def try_apply(self, manifest: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
        """kubectl apply of what may be refused."""
        return self.kubectl("apply", "-f", "-", input=json.dumps(manifest), check=False)

    def replace(self, manifest: Mapping[str, Any]) -> None:
        """kubectl replace --force: delete, and make anew under the same name."""
        self.kubectl("replace", "--force", "-f", "-", input=json.dumps(manifest))

    def annotate(self, name: str, annotation: str, kind: str = "SchemaVersion") -> None:
        """Set `key=value`."""
        self.kubectl("annotate", "--overwrite", kind, name, annotation)

    def delete(self, name: str, kind: str = "SchemaVersion") -> float:
        """Delete an object and wait until it is gone; return the seconds that took."""
        self.kubectl("delete", kind, name, "--wait=false")
        started = time.monotonic()
        self.wait_gone(name, kind)
        return time.monotonic() - started

    def wait_gone(self, name: str, kind: str = "SchemaVersion") -> None:
        """Wait until an object does not exist."""
        poll(
            lambda: self.reader.get(kind, self.namespace, name) is None, SOON, f"{name} to be gone"
        )

    def get(self, name: str, kind: str = "SchemaVersion") -> Manifest:
        """Return an object that exists; its status, where there is one, must be consistent."""
        found = self.reader.get(kind, self.namespace, name)
        assert found is not None, f"{kind} {name} does not exist"
        if found.get("status"):
            assert_kstatus(found)
        return found

    def wait_for(
        self,
        name: str,
        reason: str,
        *,
        kind: str = "SchemaVersion",
        deadline: float = SOON,
        until: Callable[[Manifest], bool] = lambda _: True,
    ) -> Manifest:
        """Wait until the status of the newest generation gives this reason and `until` holds."""
        last: Manifest = {}

        def look() -> Manifest | None:
            nonlocal last
            last = self.get(name, kind)
            said = ready(last)
            return last if said.get("reason") == reason and until(last) else None

        try:
            return poll(look, deadline, f"{kind} {name} to be {reason}")
        except DeadlineExceeded as error:
            error.add_note(json.dumps(last.get("status"), indent=1))
            raise

    def wait_ready(self, *names: str, deadline: float = SOON) -> None:
        """Wait until SchemaVersions are Ready at their newest generation."""
        for name in names:
            self.wait_for(name, "Succeeded", deadline=deadline)

    def wait_event(self, name: str, told: tuple[str, str], kind: str = "SchemaVersion") -> None:
        """Wait until an event is there: it is told after the status."""
        poll(lambda: told in self.events(name, kind), SOON, f"{kind} {name} has the event {told}")

    def events(self, name: str, kind: str = "SchemaVersion") -> list[tuple[str, str]]:
        """Type and reason of each event about an object that exists."""
        uid = self.get(name, kind)["metadata"]["uid"]
        return sorted(
            (event["type"], event["reason"])
            for event in self.reader.list("Event", self.namespace)
            if event["involvedObject"]["uid"] == uid
        )


def ready(resource: Manifest) -> dict[str, str]:
    """The Ready condition, if it speaks of the newest generation; else nothing."""
    return condition(resource, "Ready")


def condition(resource: Manifest, kind: str) -> dict[str, str]:
    """One condition, if it speaks of the newest generation; else nothing."""
    status = resource.get("status", {})
    if status.get("observedGeneration") != resource["metadata"]["generation"]:
        return {}
    return next((c for c in status.get("conditions", []) if c["type"] == kind), {})


def managed_database(name: str, secret: str, tls: str = "disable", **spec: Any) -> Manifest:
    """A ManagedDatabase; the test servers have no TLS."""
    connection = {"secretRef": {"name": secret}, "tls": {"mode": tls}}
    return _object("ManagedDatabase", name, {"connection": connection, **spec})


def schema_version(
    name: str, database: str, source: Mapping[str, Any], version: str = "001", **spec: Any
) -> Manifest:
    """A SchemaVersion."""
    reference = {"name": database}
    return _object(
        "SchemaVersion",
        name,
        {"databaseRef": reference, "source": dict(source), "version": version, **spec},
    )


def inline(*statements: str) -> Mapping[str, Any]:
    """A source with one version for each text: 001, 002 and so on."""
    return {
        "inline": {
            f"{number:03}_change.expand.sql": text for number, text in enumerate(statements, 1)
        }
    }


def secret(name: str, uri: str, labels: Mapping[str, str] | None = None) -> Manifest:
    """A Secret with a connection URI."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": dict(labels or {})},
        "stringData": {"uri": uri},
    }


def config_map(
    name: str,
    files: Mapping[str, str],
    labels: Mapping[str, str] | None = None,
    zipped: Sequence[str] = (),
) -> Manifest:
    """A ConfigMap of migration files, those in `zipped` as gzip."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": dict(labels or {})},
        "data": {file: text for file, text in files.items() if file not in zipped},
        "binaryData": {
            file: base64.b64encode(gzip.compress(text.encode())).decode()
            for file, text in files.items()
            if file in zipped
        },
    }


def write_manifest(directory: Path, *objects: Mapping[str, Any]) -> Path:
    """Write objects where `pgstrata apply -f` can read them."""
    file = directory / "manifests.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    return file


def _object(kind: str, name: str, spec: Mapping[str, Any]) -> Manifest:
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": name},
        "spec": dict(spec),
    }
