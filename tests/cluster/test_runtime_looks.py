"""What makes the operator look, and what does not: on a real API server, with exactly its rights.

One operator for the whole module. It runs as a ServiceAccount that may do what the documentation
says and nothing else, so that each test here proves that this is enough.
"""

import json
import secrets
from collections.abc import Iterator

import pytest

from tests.cluster.runtime_operator import SOON, Resources, RuntimeOperator, rbac
from tests.testbed.control_plane import ControlPlane
from tests.testbed.polling import poll

GROUP = "pgstrata.dev"
RIGHTS = [
    (GROUP, "manageddatabases,schemaversions", "list,watch,patch,get"),
    (GROUP, "manageddatabases/status,schemaversions/status", "patch"),
    ("", "secrets,configmaps", "get,list,watch"),
    ("", "events", "create"),
    ("coordination.k8s.io", "leases", "create"),
    ("coordination.k8s.io", "leases=pgstrata", "get,update"),
]
LABEL = "pgstrata.dev/watch=true"


@pytest.fixture(scope="module")
def resources(control_plane: ControlPlane) -> Iterator[Resources]:
    """A namespace for this module."""
    name = f"test-{secrets.token_hex(4)}"
    control_plane.kubectl("create", "namespace", name)
    yield Resources(control_plane, name)
    control_plane.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def operator(control_plane: ControlPlane, resources: Resources) -> Iterator[RuntimeOperator]:
    """The operator of this module, leading and ready."""
    resources.apply(*rbac("operator", resources.namespace, RIGHTS))
    kubeconfig = control_plane.service_account_kubeconfig("operator", resources.namespace)
    settings = {
        "PGSTRATA_WATCH_NAMESPACES": resources.namespace,
        "PGSTRATA_NAMESPACE": resources.namespace,
        "PGSTRATA_WATCH_SECRETS": "true",
        "PGSTRATA_CLUSTER_ID": "test-cluster",
        "PGSTRATA_STREAM_SILENCE": "3s",
    }
    with RuntimeOperator.running(kubeconfig, settings) as running:
        running.wait_leading()
        yield running
        assert running.process.stop(deadline=45) == 0, running.process.tail()


@pytest.fixture
def settle(operator: RuntimeOperator, resources: Resources) -> "Settle":
    return Settle(operator, resources)


class Settle:
    """Waits until the events so far have been dealt with: a later one has; they come in order."""

    def __init__(self, operator: RuntimeOperator, resources: Resources) -> None:
        self._operator = operator
        self._resources = resources

    def __call__(self) -> None:
        name = f"plain-{secrets.token_hex(4)}"
        self._resources.schema_version(name)
        self._operator.wait_trace("ended", name)


def test_a_new_resource_is_looked_at_once_whatever_we_write_on_it(
    operator: RuntimeOperator, resources: Resources, settle: Settle
) -> None:
    resources.schema_version("new")
    operator.wait_trace("ended", "new")
    settle()

    assert len(operator.trace("look", "new")) == 1
    found = resources.get("schemaversion", "new")
    assert found is not None
    assert found["metadata"]["finalizers"] == ["pgstrata.dev/protect"]
    assert found["status"]["observedGeneration"] == 1


def test_nothing_is_written_on_users_objects_but_finalizer_and_status(
    operator: RuntimeOperator, resources: Resources
) -> None:
    resources.schema_version("clean")
    operator.wait_trace("ended", "clean")

    found = resources.get("schemaversion", "clean")
    assert found is not None
    assert set(found["metadata"]["annotations"]) == {
        "kubectl.kubernetes.io/last-applied-configuration"
    }
    text = resources.kubectl("get", "sv", "clean", "-o", "json", "--show-managed-fields")
    managers = {
        (entry["manager"], entry["operation"])
        for entry in json.loads(text)["metadata"]["managedFields"]
        if entry["manager"] != "kubectl-client-side-apply"
    }
    assert managers == {("pgstrata", "Apply"), ("pgstrata", "Update")}


def test_an_edit_is_looked_at_once(
    operator: RuntimeOperator, resources: Resources, settle: Settle
) -> None:
    resources.schema_version("edited")
    operator.wait_trace("ended", "edited")
    resources.schema_version("edited", version="002")
    operator.wait_trace("ended", "edited", times=2)
    settle()

    assert [look["generation"] for look in operator.trace("look", "edited")] == [1, 2]


@pytest.mark.parametrize(
    "annotation", ["reconcile.pgstrata.dev/requestedAt", "pgstrata.dev/take-over"]
)
def test_an_annotation_asks_for_a_look_each_time_its_value_changes(
    operator: RuntimeOperator, resources: Resources, settle: Settle, annotation: str
) -> None:
    name = f"asked-{annotation.partition('/')[2].lower()}"
    resources.schema_version(name)
    operator.wait_trace("ended", name)
    resources.kubectl("annotate", "sv", name, f"{annotation}=one")
    operator.wait_trace("ended", name, times=2)
    resources.kubectl("annotate", "sv", name, "team=billing")
    settle()
    assert len(operator.trace("look", name)) == 2

    resources.kubectl("annotate", "--overwrite", "sv", name, f"{annotation}=two")
    operator.wait_trace("ended", name, times=3)
    settle()
    assert len(operator.trace("look", name)) == 3


def test_a_status_that_was_wiped_is_written_again(
    operator: RuntimeOperator, resources: Resources
) -> None:
    resources.schema_version("wiped")
    operator.wait_trace("ended", "wiped")
    wipe = json.dumps({"status": None})
    resources.kubectl("patch", "sv", "wiped", "--subresource=status", "--type=merge", "-p", wipe)
    operator.wait_trace("ended", "wiped", times=2)

    found = resources.get("schemaversion", "wiped")
    assert found is not None
    assert found["status"]["observedGeneration"] == 1


def test_a_database_wakes_its_versions_when_it_comes_changes_and_goes(
    operator: RuntimeOperator, resources: Resources, settle: Settle
) -> None:
    resources.schema_version("on-db", database="db")
    resources.schema_version("on-another", database="another")
    operator.wait_trace("ended", "on-db")
    operator.wait_trace("ended", "on-another")

    resources.database("db", secret="unlabelled")
    operator.wait_trace("ended", "on-db", times=2)
    resources.database("db", secret="unlabelled", lock="2s")
    operator.wait_trace("ended", "on-db", times=3)
    resources.kubectl("delete", "mdb", "db")
    operator.wait_trace("ended", "on-db", times=4)
    settle()

    assert len(operator.trace("look", "on-db")) == 4
    assert len(operator.trace("look", "on-another")) == 1


def test_a_labelled_secret_wakes_its_database_and_what_lives_there(
    operator: RuntimeOperator, resources: Resources, settle: Settle
) -> None:
    kind = "ManagedDatabase"
    resources.kubectl("create", "secret", "generic", "login", "--from-literal=password=one")
    resources.database("db-secret", secret="login")
    resources.schema_version("on-db-secret", database="db-secret")
    operator.wait_trace("ended", "db-secret", kind=kind)
    operator.wait_trace("ended", "on-db-secret")
    settle()
    looks = len(operator.trace("look", "db-secret", kind))

    # Without the label: nothing is noticed, at whatever time.
    resources.kubectl("annotate", "secret", "login", "rotated=once")
    settle()
    assert len(operator.trace("look", "db-secret", kind)) == looks

    resources.kubectl("label", "secret", "login", LABEL)
    operator.wait_trace("look", "db-secret", times=looks + 1, kind=kind)
    resources.kubectl("annotate", "secret", "login", "rotated=twice", "--overwrite")
    operator.wait_trace("look", "db-secret", times=looks + 2, kind=kind)
    operator.wait_trace("look", "on-db-secret", times=2)
    resources.kubectl("label", "secret", "login", f"{LABEL.partition('=')[0]}-")
    operator.wait_trace("look", "db-secret", times=looks + 3, kind=kind)
    assert "one" not in operator.process.log.read_text().split()


def test_a_labelled_config_map_wakes_its_database(
    operator: RuntimeOperator, resources: Resources, settle: Settle
) -> None:
    kind = "ManagedDatabase"
    resources.database("db-map", secret="unlabelled", config_map="authority")
    operator.wait_trace("ended", "db-map", kind=kind)
    settle()
    looks = len(operator.trace("look", "db-map", kind))

    resources.kubectl("create", "configmap", "authority", "--from-literal=ca.crt=x")
    settle()
    assert len(operator.trace("look", "db-map", kind)) == looks
    resources.kubectl("label", "configmap", "authority", LABEL)
    operator.wait_trace("look", "db-map", times=looks + 1, kind=kind)


def test_a_new_generation_stops_the_run_for_the_old_one(
    operator: RuntimeOperator, resources: Resources
) -> None:
    resources.schema_version("soft-changed")
    operator.wait_trace("begun", "soft-changed")
    resources.schema_version("soft-changed", version="002")

    ended = operator.wait_trace("ended", "soft-changed")
    assert ended[0]["cause"] == "the resource was changed"
    looks = operator.wait_trace("look", "soft-changed", times=2)
    assert [look["generation"] for look in looks] == [1, 2]


def test_a_fault_is_retried_and_told_with_the_objects_key(
    operator: RuntimeOperator, resources: Resources
) -> None:
    resources.schema_version("faulty-x")
    operator.wait_trace("ended", "faulty-x")

    assert len(operator.trace("look", "faulty-x")) == 3
    key = f"SchemaVersion {resources.namespace}/faulty-x"
    told = [line for line in operator.log() if line.get("key") == key]
    assert len(told) == 2
    assert all("a fault, as ordered" in line["traceback"] for line in told)


def test_metrics_tell_of_looks_resources_lease_and_streams(
    operator: RuntimeOperator, resources: Resources
) -> None:
    resources.schema_version("measured")
    operator.wait_trace("ended", "measured")
    base = f"/apis/pgstrata.dev/v1alpha1/namespaces/{resources.namespace}"

    def told() -> bool:
        text = operator.get("/metrics").text
        return all(
            line in text
            for line in (
                'pgstrata_reconcile_duration_seconds_count{kind="SchemaVersion",outcome="Done"}',
                'pgstrata_resources{kind="SchemaVersion",situation="ready"}',
                "pgstrata_leader 1.0",
                "pgstrata_lease_age_seconds ",
                "pgstrata_queue_depth ",
                f'pgstrata_watch_stream_age_seconds{{path="{base}/schemaversions"}}',
            )
        )

    poll(told, SOON, "all metrics are there")


def test_health_fails_while_a_watch_is_silent_and_recovers_when_it_moves(
    operator: RuntimeOperator, resources: Resources
) -> None:
    path = f"/apis/pgstrata.dev/v1alpha1/namespaces/{resources.namespace}/schemaversions"

    def silent() -> bool:
        answer = operator.get("/healthz")
        return answer.status == 503 and f"the watch on {path} has been silent" in answer.text

    def moving() -> bool:
        return f"{path} " not in operator.get("/healthz").text

    poll(silent, SOON, "three seconds without an event are too long here")
    resources.schema_version("sign-of-life")
    poll(moving, SOON, "an event is a sign of life")
    assert operator.get("/readyz").status == 200
