"""Starts runtime_process.py against a control plane and asks it, and the world, how it is."""

import asyncio
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pgstrata.kube.client import JsonObject, KubeClient
from pgstrata.kube.raw import mapping, to_raw
from tests.testbed.control_plane import ControlPlane
from tests.testbed.polling import poll
from tests.testbed.process import Process, child_environment
from tests.testbed.scratch import scratch

REPOSITORY = Path(__file__).parents[2]
START = 90.0
"""Seconds until a process answers: mostly imports, on a machine that is busy with other tests."""
SOON = 30.0
FAST_LEASE = {
    "PGSTRATA_LEASE_DURATION": "10s",
    "PGSTRATA_LEASE_RENEW_DEADLINE": "6s",
    "PGSTRATA_LEASE_RETRY_PERIOD": "500ms",
}
_COMMAND = (sys.executable, "-W", "error", "-m", "tests.cluster.runtime_process")
Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a health endpoint said."""

    status: int
    text: str


class RuntimeOperator:
    """One process of the operator with its recording driver."""

    def __init__(
        self,
        kubeconfig: Path,
        directory: Path,
        settings: Mapping[str, str],
        *,
        launcher: Sequence[str] = (),
    ) -> None:
        self._trace = directory / "trace"
        self._trace.touch()
        environment = {"PGSTRATA_HEALTH_ADDRESS": "127.0.0.1:0", **settings}
        self.process = Process(
            [*launcher, *_COMMAND, str(self._trace), str(kubeconfig)],
            log=directory / "log",
            cwd=REPOSITORY,
            env=child_environment(environment),
        )
        self._port = 0

    @classmethod
    @contextmanager
    def running(cls, kubeconfig: Path, settings: Mapping[str, str]) -> Iterator[Self]:
        """Start one; stop it at the end, should it still run."""
        with scratch("operator") as directory:
            operator = cls(kubeconfig, directory, settings)
            try:
                yield operator
            finally:
                operator.process.stop()

    def log(self) -> list[Line]:
        """The lines of its log; what is not JSON fails."""
        return _lines(self.process.log)

    def trace(self, what: str, name: str = "", kind: str = "SchemaVersion") -> list[Line]:
        """The calls that its driver got, in their order: all, or those for one resource."""
        suffix = f"/{name}" if name else ""
        return [
            line
            for line in _lines(self._trace)
            if line["what"] == what
            and (not name or (line["key"].startswith(kind) and line["key"].endswith(suffix)))
        ]

    def get(self, path: str) -> Answer:
        """Ask its health server, once that has said where it listens."""
        if not self._port:
            found = poll(self.listening, START, "the health server says where it listens")
            self._port = found[0]["port"]
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self._port}{path}", timeout=5
            ) as answer:
                return Answer(answer.status, answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read().decode())

    def wait_ready(self) -> None:
        """Wait until /readyz answers 200."""
        poll(lambda: self.get("/readyz").status == 200, START, f"ready\n{self.process.tail()}")

    def wait_leading(self) -> None:
        """Wait until it leads and has listed everything."""
        poll(lambda: self.trace("made"), START, "the driver is made")
        self.wait_ready()

    def wait_trace(
        self, what: str, name: str, *, times: int = 1, kind: str = "SchemaVersion"
    ) -> list[Line]:
        """Wait until its driver got so many calls of this sort; return them."""

        def look() -> list[Line]:
            found = self.trace(what, name, kind)
            return found if len(found) >= times else []

        return poll(look, SOON, f"{times} times {what} of {name}")

    def listening(self) -> list[Line]:
        """The lines that say where its health server listens."""
        return [line for line in self.log() if line["message"] == "health server listening"]


class Resources:
    """Makes and changes resources in one namespace."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self._plane = plane
        self.namespace = namespace

    def schema_version(self, name: str, *, database: str = "metrics", version: str = "001") -> None:
        """Apply one."""
        self.apply(schema_version(name, database=database, version=version))

    def database(self, name: str, *, secret: str, config_map: str = "ca", lock: str = "1s") -> None:
        """Apply a ManagedDatabase that refers to a Secret and a ConfigMap."""
        authority = {"kind": "ConfigMap", "name": config_map, "key": "ca.crt"}
        self.apply(
            {
                "apiVersion": "pgstrata.dev/v1alpha1",
                "kind": "ManagedDatabase",
                "metadata": {"name": name},
                "spec": {
                    "connection": {
                        "secretRef": {"name": secret},
                        "tls": {"mode": "verify-full", "caRef": authority},
                    },
                    "timeouts": {"lock": lock},
                },
            }
        )

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """kubectl apply."""
        self.kubectl(
            "apply",
            "-f",
            "-",
            input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}),
        )

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """The object, or None where it does not exist."""
        text = self.kubectl("get", kind, name, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text else None

    def names(self, plural: str) -> set[str]:
        """The names of all objects of one of our kinds; without kubectl, for tight loops."""
        path = f"/apis/pgstrata.dev/v1alpha1/namespaces/{self.namespace}/{plural}"
        items = asyncio.run(self._list(path))["items"]
        assert isinstance(items, list)
        return {str(to_raw(mapping(item)).key.name) for item in items}

    async def _list(self, path: str) -> JsonObject:
        client = await KubeClient.open(str(self._plane.kubeconfig))
        try:
            return await client.get(path)
        finally:
            await client.close()

    def kubectl(self, *arguments: str, input: str | None = None) -> str:
        """kubectl in this namespace; return what it printed."""
        return self._plane.kubectl(*arguments, "-n", self.namespace, input=input).stdout


def schema_version(name: str, *, database: str = "metrics", version: str = "001") -> dict[str, Any]:
    """A valid SchemaVersion."""
    return {
        "apiVersion": "pgstrata.dev/v1alpha1",
        "kind": "SchemaVersion",
        "metadata": {"name": name},
        "spec": {
            "databaseRef": {"name": database},
            "source": {"bundle": "api-monitoring"},
            "version": version,
        },
    }


def rbac(
    account: str, namespace: str, rules: Sequence[tuple[str, str, str]]
) -> list[dict[str, Any]]:
    """A ServiceAccount, and a Role for it: each rule is group, resources and verbs, by commas.

    A resource may be followed by `=NAME`, to which the right is limited then.
    """
    meta = {"name": account}
    subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account}
    version = "rbac.authorization.k8s.io/v1"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {
            "apiVersion": version,
            "kind": "Role",
            "metadata": meta,
            "rules": [_rule(*rule) for rule in rules],
        },
        {
            "apiVersion": version,
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": reference,
            "subjects": [subject],
        },
    ]


def _rule(group: str, resources: str, verbs: str) -> dict[str, Any]:
    resource, _, name = resources.partition("=")
    limited = {"resourceNames": [name]} if name else {}
    return {"apiGroups": [group], "resources": resource.split(","), "verbs": verbs.split(",")} | (
        limited
    )


def _lines(path: Path) -> list[Line]:
    """The whole lines of a file to which another process appends."""
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]]
