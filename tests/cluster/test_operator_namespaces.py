"""A namespace that cannot be served is told, and is no harm to those beside it.

The rights are those of the chart with names in `watchNamespaces`: none outside of these. So a
namespace that does not exist looks as one without the roles does, and both are refused.
"""

import json
import secrets
import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pgstrata.app.refusals import ASK_EVERY
from tests.cluster.runtime_operator import Resources, RuntimeOperator
from tests.testbed.api_reader import ApiReader
from tests.testbed.control_plane import ControlPlane
from tests.testbed.database import Database
from tests.testbed.helm import Helm, Manifest, only
from tests.testbed.operator_database import owner_uri
from tests.testbed.operator_process import OperatorProcess
from tests.testbed.operator_user import (
    KubectlUser,
    inline,
    managed_database,
    schema_version,
    secret,
)
from tests.testbed.polling import poll

pytestmark = pytest.mark.pg18only

OURS = ("ServiceAccount", "Role", "RoleBinding")
PICKED_UP = ASK_EVERY + 45.0
"""Seconds until a namespace is served that can be: at most one pause, and the work itself."""
REFUSED = "pgstrata_watch_refused"


class Release:
    """A release for its own namespace and one more, which the test makes."""

    def __init__(self, plane: ControlPlane, helm: Helm, directory: Path, stack: ExitStack) -> None:
        self.home = f"home-{secrets.token_hex(4)}"
        self.other = f"other-{secrets.token_hex(4)}"
        self._plane, self._directory, self._stack = plane, directory, stack
        self._objects = helm.render(
            {"watchNamespaces": [self.home, self.other]}, namespace=self.home
        )
        reader = ApiReader(plane.kubeconfig, directory)
        stack.callback(reader.close)
        self.users = {name: KubectlUser(plane, name, reader) for name in (self.home, self.other)}
        self.reader = reader
        self.create(self.home)
        self.grant(self.home, "kube-system")

    def create(self, namespace: str) -> None:
        """Make the namespace, as `kubectl create` does: without any right for the operator."""
        self._plane.kubectl("create", "namespace", namespace)
        self._stack.callback(
            self._plane.kubectl, "delete", "namespace", namespace, "--wait=false", check=False
        )

    def delete(self, namespace: str, *, wait: bool = True) -> None:
        """Delete it, and wait until it is gone."""
        how = "--timeout=55s" if wait else "--wait=false"
        self._plane.kubectl("delete", "namespace", namespace, how)

    def grant(self, *namespaces: str, without: str = "") -> None:
        """Apply what the release has in these namespaces, without one verb if that is named."""
        objects = [
            each
            for each in self._objects
            if each["kind"] in OURS and each["metadata"]["namespace"] in namespaces
        ]
        bundle = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        if without:
            bundle = bundle.replace(f', "{without}"', "").replace(f'"{without}", ', "")
        self._plane.kubectl("apply", "--filename=-", input=bundle)

    def start(self, **settings: str) -> OperatorProcess:
        """Start the operator with the settings of the release."""
        [container] = only(self._objects, "Deployment")["spec"]["template"]["spec"]["containers"]
        own = {e["name"]: e["value"] for e in container["env"] if "value" in e}
        kubeconfig = self._plane.service_account_kubeconfig("pgstrata", self.home)
        operator = OperatorProcess(
            kubeconfig, self._directory, {**own, "PGSTRATA_NAMESPACE": self.home, **settings}
        )
        self._stack.callback(operator.process.stop)
        return operator

    def told(self, operator: OperatorProcess | RuntimeOperator) -> list[str]:
        """What it said of the other namespace, but for information."""
        return [
            line["message"]
            for line in operator.log()
            if line["level"] != "info" and self.other in line["message"]
        ]

    def lease_events(self) -> list[Manifest]:
        """The Events on the operator's Lease."""
        events = self.reader.list("Event", self.home)
        return [each for each in events if each["involvedObject"]["kind"] == "Lease"]


@pytest.fixture
def release(control_plane: ControlPlane, helm_program: Path, tmp_path: Path) -> Iterator[Release]:
    with ExitStack() as stack:
        yield Release(control_plane, Helm(helm_program, tmp_path), tmp_path, stack)


def declare(user: KubectlUser, database: Database, name: str = "shop") -> None:
    schema = {"schema": name} if name != "shop" else {}
    user.apply(
        secret("metrics", owner_uri(database)),
        managed_database("metrics", secret="metrics"),
        schema_version(name, "metrics", inline("create table a ()"), **schema),
    )


def test_a_namespace_that_is_missing_is_told_and_served_once_it_is_there(
    release: Release, application: Database
) -> None:
    operator = release.start()
    operator.wait_leading()
    declare(release.users[release.home], application)
    release.users[release.home].wait_ready("shop")

    [warning] = poll(lambda: release.told(operator), PICKED_UP, "it is told")
    assert f"namespace {release.other} is not served" in warning
    for words in ("does not exist", "Role and RoleBinding", "helm upgrade", "watchNamespaces"):
        assert words in warning
    [event] = poll(release.lease_events, PICKED_UP, "there is an Event on the Lease")
    assert (event["type"], event["reason"]) == ("Warning", "NamespaceNotServed")
    assert event["message"] == warning
    poll(lambda: operator.metric(REFUSED) == 3, PICKED_UP, "two kinds and ConfigMaps are refused")
    assert operator.get("/readyz").status == operator.get("/healthz").status == 200

    release.create(release.other)
    declare(release.users[release.other], application, "audit")
    release.grant(release.other)
    release.users[release.other].wait_ready("audit", deadline=PICKED_UP)
    poll(lambda: operator.metric(REFUSED) == 0, PICKED_UP, "nothing is refused")
    assert release.told(operator) == [warning], "it was told once"
    news = f"namespace {release.other} is served now"
    poll(lambda: news in operator.process.log.read_text(), PICKED_UP, "its end is told")
    assert operator.process.alive


def test_a_namespace_that_is_deleted_is_told_and_the_others_are_served(
    release: Release, application: Database
) -> None:
    release.create(release.other)
    release.grant(release.other)
    operator = release.start(PGSTRATA_WATCH_TIMEOUT="3s")
    operator.wait_leading()
    other, home = release.users[release.other], release.users[release.home]
    declare(other, application, "audit")
    other.wait_ready("audit")
    other.delete("audit")

    release.delete(release.other)
    [warning] = poll(lambda: release.told(operator), PICKED_UP, "it is told")
    assert f"namespace {release.other} is not served" in warning
    declare(home, application)
    home.wait_ready("shop")
    assert operator.get("/readyz").status == operator.get("/healthz").status == 200

    release.create(release.other)
    release.grant(release.other)
    declare(other, application, "audit")
    other.wait_ready("audit", deadline=PICKED_UP)
    assert len(release.told(operator)) == 1
    assert operator.process.alive


def test_a_deletion_that_is_held_up_by_the_roles_that_went_first_is_told_with_the_way_out(
    release: Release, application: Database
) -> None:
    release.create(release.other)
    release.grant(release.other)
    operator = release.start()
    operator.wait_leading()
    other = release.users[release.other]
    declare(other, application, "audit")
    other.wait_ready("audit")
    other.kubectl("delete", "rolebinding", "--all")  # as a namespace's end does, in no order
    release.delete(release.other, wait=False)

    def way_out() -> str:
        found = [line for line in release.told(operator) if "kubectl patch" in line]
        return found[0].partition("kubectl ")[2] if found else ""

    command = poll(way_out, PICKED_UP, "the way out is told")
    assert other.get("audit")["metadata"]["deletionTimestamp"], "it waits"
    other.kubectl(*shlex.split(command))
    other.wait_gone("audit")
    assert operator.process.alive


def test_with_rights_everywhere_too_a_namespace_that_does_not_exist_is_told(
    release: Release, control_plane: ControlPlane
) -> None:
    settings = {
        "PGSTRATA_NAMESPACE": release.home,
        "PGSTRATA_WATCH_NAMESPACES": f"{release.home},{release.other}",
    }
    with RuntimeOperator.running(control_plane.kubeconfig, settings) as operator:
        operator.wait_leading()
        [warning] = poll(lambda: release.told(operator), PICKED_UP, "it is told")
        assert f"namespace {release.other} does not exist" in warning
        assert release.home not in warning
        [event] = poll(release.lease_events, PICKED_UP, "there is an Event on the Lease")
        assert (event["reason"], event["message"]) == ("NamespaceNotServed", warning)

        release.create(release.other)
        Resources(control_plane, release.other).schema_version("plain-first")
        operator.wait_trace("ended", "plain-first")
        assert release.told(operator) == [warning]


def test_without_any_namespace_to_serve_it_is_not_ready_and_says_why(release: Release) -> None:
    operator = release.start(PGSTRATA_WATCH_NAMESPACES=release.other)

    words = 'cannot list resource "schemaversions"'
    poll(lambda: words in operator.get("/readyz").text, PICKED_UP, "it says why")
    assert operator.get("/readyz").status == 503
    assert operator.get("/healthz").status == 200


def test_a_right_that_all_of_a_namespace_lacks_is_told_as_the_right_that_it_is(
    release: Release, application: Database
) -> None:
    release.create(release.other)
    release.grant(release.other, without="list")
    user = release.users[release.other]
    declare(user, application, "audit")
    operator = release.start(PGSTRATA_WATCH_TIMEOUT="2s")
    operator.wait_leading()
    poll(lambda: any("is not served" in each for each in release.told(operator)), PICKED_UP, "told")

    release.grant(release.other, without="watch")
    user.wait_ready("audit", deadline=PICKED_UP)
    served = f"namespace {release.other} is served now"
    poll(lambda: served in [each["message"] for each in operator.log()], PICKED_UP, "it is served")

    def rights() -> set[str]:
        told = [each for each in release.told(operator) if "give the right to watch" in each]
        return {each.partition("changes of ")[2].split()[0] for each in told}

    wanted = {"configmaps", "manageddatabases", "schemaversions"}
    poll(lambda: rights() == wanted, PICKED_UP, "each right that is missing is told")

    def told_on() -> set[str]:
        return {
            each["involvedObject"]["kind"]
            for each in release.reader.list("Event", release.other)
            if each["reason"] == "AccessDenied" and "give the right to watch" in each["message"]
        }

    kinds = {"ManagedDatabase", "SchemaVersion"}
    poll(lambda: told_on() >= kinds, PICKED_UP, "and on the resources: Events follow the log")
