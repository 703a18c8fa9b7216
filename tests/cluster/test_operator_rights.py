"""Each right that the chart gives is taken away in turn, and that is told: by whom, of what.

Always by its log, and on the resources wherever the operator still can: by a condition, or, where
that is not what is wrong or cannot be written, by an Event. That it asks for no other right, and
uses each of these, is tests/node/test_used_rights.py's.
"""

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.testbed.api_reader import ApiReader
from tests.testbed.control_plane import ControlPlane
from tests.testbed.database import Database
from tests.testbed.helm import Helm, Manifest, only
from tests.testbed.operator_database import owner_uri
from tests.testbed.operator_process import OperatorProcess
from tests.testbed.operator_user import (
    KubectlUser,
    config_map,
    managed_database,
    schema_version,
    secret,
)
from tests.testbed.polling import poll

pytestmark = pytest.mark.pg18only

TOLD = 90.0
OURS = {"Role", "RoleBinding", "ServiceAccount"}
DATABASE, VERSION, LEASE = "ManagedDatabase", "SchemaVersion", "Lease"
STATUS, EVENT = "status", "Event"
LIVE = {
    ("secrets", "get"): {(DATABASE, STATUS), (VERSION, STATUS)},
    ("configmaps", "get"): {(VERSION, STATUS)},
    ("manageddatabases", "get"): {(DATABASE, STATUS), (VERSION, STATUS)},
    ("schemaversions", "get"): {(VERSION, STATUS)},
    ("schemaversions", "patch"): {(VERSION, STATUS)},
    ("schemaversions/status", "patch"): {(VERSION, EVENT)},
    ("manageddatabases/status", "patch"): {(DATABASE, EVENT)},
    # What cannot be told is not: the resources' statuses are right, and say what the Events would.
    ("events", "create"): set(),
    ("events", "patch"): set(),
    # Without the Lease nothing may be written anywhere.
    ("leases", "get"): set(),
    ("leases", "update"): set(),
}
"""Rights that are needed again and again, and where beside the log it shows that one is missing."""
AT_START = {
    ("leases", "create"): set(),
    ("namespaces", "get"): set(),
    # Those whose kind is listed, or that refer to it, are known.
    ("manageddatabases", "list"): {(LEASE, EVENT), (VERSION, EVENT)},
    ("manageddatabases", "watch"): {(LEASE, EVENT), (DATABASE, EVENT), (VERSION, EVENT)},
    ("schemaversions", "list"): {(LEASE, EVENT)},
    ("schemaversions", "watch"): {(LEASE, EVENT), (VERSION, EVENT)},
    ("secrets", "list"): {(LEASE, EVENT), (DATABASE, EVENT)},
    ("secrets", "watch"): {(LEASE, EVENT), (DATABASE, EVENT)},
    ("configmaps", "list"): {(LEASE, EVENT), (VERSION, EVENT)},
    ("configmaps", "watch"): {(LEASE, EVENT), (VERSION, EVENT)},
}
"""Rights that are needed once; likewise. Without list or watch the rest goes on."""


class Rights:
    """The roles of a release, applied with or without one right."""

    def __init__(self, plane: ControlPlane, objects: list[Manifest]) -> None:
        self._plane = plane
        self._objects = [each for each in objects if each["kind"] in OURS]

    def apply(self, without: tuple[str, str] | None = None) -> None:
        """Give all, or all but one."""
        objects = copy.deepcopy(self._objects)
        if without is not None:
            resource, verb = without
            roles = [each for each in objects if each["kind"] == "Role"]
            rules = [rule for role in roles for rule in role["rules"]]
            given = [r for r in rules if resource in r["resources"] and verb in r["verbs"]]
            assert given, f"{without} is no right of the chart's"
            for role in roles:
                role["rules"] = [
                    kept for rule in role["rules"] for kept in _less(rule, resource, verb)
                ]
        bundle = {"apiVersion": "v1", "kind": "List", "items": objects}
        self._plane.kubectl("apply", "--filename=-", input=json.dumps(bundle))


def _less(rule: dict[str, Any], resource: str, verb: str) -> list[dict[str, Any]]:
    """The rule without one verb on one of its resources."""
    if resource not in rule["resources"]:
        return [rule]
    others = [each for each in rule["resources"] if each != resource]
    verbs = [each for each in rule["verbs"] if each != verb]
    rest = [{**rule, "resources": others}] if others else []
    return [*rest, {**rule, "resources": [resource], "verbs": verbs}] if verbs else rest


class Place:
    """A namespace with a release's account in it, an operator, and a user."""

    def __init__(self, rights: Rights, user: KubectlUser, start: Any) -> None:
        self.rights, self.user = rights, user
        self._start = start

    def start(self) -> OperatorProcess:
        """Start the operator with the settings of the release."""
        operator: OperatorProcess = self._start()
        return operator

    def declare(self, database: Database) -> None:
        """Declare a database and a schema whose files are in a ConfigMap."""
        files = config_map("files", {"001_a.sql": "create table a ()"})
        self.user.apply(
            secret("metrics", owner_uri(database)),
            files,
            managed_database("metrics", secret="metrics"),
            schema_version("shop", "metrics", {"configMaps": [{"name": "files"}]}),
        )

    def tell_again(self, database: Database) -> None:
        """Let the same go wrong twice: the second telling is counted on the first."""
        for time in ("first", "second"):
            self.user.wait_ready("shop", deadline=TOLD)
            self.user.kubectl("delete", "secret", "metrics")
            self.user.annotate("shop", f"reconcile.pgstrata.dev/requestedAt={time}")
            self.user.wait_for("shop", "SecretNotFound", deadline=TOLD)
            self.user.apply(secret("metrics", owner_uri(database)))

    def lose_owner(self, database: Database) -> None:
        """Let the claim be of a SchemaVersion that nobody has heard of."""
        self.user.wait_ready("shop", deadline=TOLD)
        with database.connect() as connection:
            connection.execute("update pgstrata.claim set name = 'gone', uid = 'gone'")
        self.user.annotate("shop", "reconcile.pgstrata.dev/requestedAt=now")

    def places_of(self, words: str) -> set[tuple[str, str]]:
        """Where it is told so that kubectl shows it: kind, and status or warning."""
        namespace, reader = self.user.namespace, self.user.reader
        found = set()
        for kind, name in ((DATABASE, "metrics"), (VERSION, "shop")):
            status = (reader.get(kind, namespace, name) or {}).get("status", {})
            if any(words in each["message"] for each in status.get("conditions", [])):
                found.add((kind, STATUS))
        return found | {
            (event["involvedObject"]["kind"], EVENT)
            for event in reader.list("Event", namespace)
            if words in event["message"] and event["type"] == "Warning"
        }


@contextmanager
def place(plane: ControlPlane, helm_program: Path, directory: Path) -> Iterator[Place]:
    namespace = f"rights-{directory.name[-20:].replace('_', '-').lower().strip('-')}"
    plane.kubectl("create", "namespace", namespace)
    objects = Helm(helm_program, directory).render(
        {"watchNamespaces": [namespace], "secrets": {"watch": True}}, namespace=namespace
    )
    rights = Rights(plane, objects)
    rights.apply()
    [container] = only(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    settings = {e["name"]: e["value"] for e in container["env"] if "value" in e}
    kubeconfig = plane.service_account_kubeconfig("pgstrata", namespace)
    reader = ApiReader(plane.kubeconfig, directory)
    running: list[OperatorProcess] = []

    def start() -> OperatorProcess:
        own = {**settings, "PGSTRATA_NAMESPACE": namespace}
        running.append(OperatorProcess(kubeconfig, directory, own))
        return running[-1]

    try:
        yield Place(rights, KubectlUser(plane, namespace, reader), start)
    finally:
        for operator in running:
            operator.process.stop()
        reader.close()
        plane.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.mark.parametrize("right", [*LIVE, *AT_START], ids="-".join)
def test_a_right_that_is_missing_is_told(
    right: tuple[str, str],
    control_plane: ControlPlane,
    helm_program: Path,
    application: Database,
    tmp_path: Path,
) -> None:
    with place(control_plane, helm_program, tmp_path) as here:
        if right in AT_START:
            here.rights.apply(without=right)
            operator = here.start()
        else:
            operator = here.start()
            operator.wait_leading()
            here.rights.apply(without=right)
        here.declare(application)
        if right == ("events", "patch"):
            here.tell_again(application)
        if right == ("schemaversions", "get"):
            here.lose_owner(application)
        resource, verb = right
        words = f'cannot {verb} resource "{resource}"'
        wanted = (LIVE | AT_START)[right]
        poll(lambda: words in warnings(operator), TOLD, f"the log warns: {words}")
        poll(lambda: here.places_of(words) >= wanted, TOLD, f"{wanted} tell: {words}")


def warnings(operator: OperatorProcess) -> str:
    """What the log says that is more than information."""
    return "\n".join(line["message"] for line in operator.log() if line["level"] != "info")


def test_no_right_is_left_out(helm_program: Path, tmp_path: Path) -> None:
    every = {"watchNamespaces": ["shop"], "secrets": {"watch": True}}
    objects = Helm(helm_program, tmp_path).render(every)
    rules = [rule for each in objects if each["kind"] == "Role" for rule in each["rules"]]
    given = {(name, verb) for rule in rules for name in rule["resources"] for verb in rule["verbs"]}
    assert given == {*LIVE, *AT_START}
