"""A namespace with a ServiceAccount for the operator, its processes, and a user beside them.

Used by the cluster tests of the operator. A site watches its own namespace alone unless told
otherwise, so that any number of them share a control plane.
"""

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from tests.testbed.api_reader import ApiReader
from tests.testbed.control_plane import ControlPlane
from tests.testbed.operator_process import OperatorProcess
from tests.testbed.operator_user import KubectlUser
from tests.testbed.polling import poll
from tests.testbed.scratch import scratch

RBAC = Path(__file__).parent / "operator_rbac.yaml"
OPERATOR = "pgstrata"
PASSWORDS = ("Zaunkoenig7", "Falschgold8")
"""Parts of all passwords of these tests, right and wrong ones, that no quoting changes."""


class OperatorSite:
    """One namespace and what runs for it; made by open()."""

    def __init__(self, plane: ControlPlane, namespace: str, stack: ExitStack) -> None:
        self.plane = plane
        self.namespace = namespace
        self.second_namespace = f"{namespace}-second"
        """Watched, too; made and deleted by the test that needs it."""
        self.operators: list[OperatorProcess] = []
        self._stack = stack
        directory = stack.enter_context(scratch("site"))
        reader = ApiReader(plane.kubeconfig, directory)
        stack.callback(reader.close)
        self.user = KubectlUser(plane, namespace, reader)
        manifest = RBAC.read_text().replace("pgstrata-system", namespace)
        plane.kubectl("create", "namespace", namespace)
        plane.kubectl("create", "-f", "-", input=manifest)
        self._kubeconfig = plane.service_account_kubeconfig(OPERATOR, namespace)

    @classmethod
    @contextmanager
    def open(cls, plane: ControlPlane) -> Iterator[Self]:
        """Make one; at the end check for passwords, stop its processes and let the rest go."""
        with ExitStack() as stack:
            site = cls(plane, f"op-{secrets.token_hex(4)}", stack)
            yield site
            site.assert_no_password()
            plane.kubectl("delete", "namespace", site.namespace, "--wait=false")

    def start(self, settings: Mapping[str, str] | None = None) -> OperatorProcess:
        """Start an operator; it is stopped at the end of the site, should it still run."""
        directory = self._stack.enter_context(scratch("operator"))
        own = {
            "PGSTRATA_NAMESPACE": self.namespace,
            "PGSTRATA_WATCH_NAMESPACES": f"{self.namespace},{self.second_namespace}",
            **(settings or {}),
        }
        operator = OperatorProcess(self._kubeconfig, directory, own)
        self._stack.callback(operator.process.stop)
        self.operators.append(operator)
        return operator

    def holder(self) -> str:
        """Who holds the Lease; empty: nobody."""
        lease = self.user.reader.get("Lease", self.namespace, OPERATOR)
        return str(lease["spec"].get("holderIdentity") or "") if lease else ""

    def settle(self) -> None:
        """Delete the user's resources, and wait until they are gone."""
        self.user.kubectl("delete", "sv,mdb,secret", "--all", "--timeout=20s")

    def assert_no_password(self) -> None:
        """Fail if a password is in a log, a metric, an event or one of our resources."""
        said = {"objects": json.dumps(self._objects())}
        for number, operator in enumerate(self.operators):
            said[f"log {number}"] = operator.process.log.read_text()
            if operator.process.alive:
                said[f"metrics {number}"] = operator.get("/metrics").text
        for where, text in said.items():
            for password in PASSWORDS:
                assert password not in text, f"a password is in the {where}"

    def wait_leader(self) -> OperatorProcess:
        """Wait until one of the living operators leads; return it."""
        return poll(
            lambda: next((o for o in self.operators if o.process.alive and o.leads), None),
            60.0,
            "one of the operators leads",
        )

    def _objects(self) -> list[object]:
        kinds = ("ManagedDatabase", "SchemaVersion", "Event")
        return [item for kind in kinds for item in self.user.reader.list(kind, self.namespace)]
