"""The control plane of the test bed does what the cluster tests rely on."""

import json

from tests.testbed.control_plane import ControlPlane
from tests.testbed.orphans import survivors
from tests.testbed.polling import poll
from tests.testbed.scratch import scratch


def test_two_control_planes_run_at_once_and_know_nothing_of_each_other(
    control_plane: ControlPlane, namespace: str
) -> None:
    with scratch("plane") as directory, ControlPlane.start(directory) as other:
        assert other.url != control_plane.url
        listed = json.loads(other.kubectl("get", "namespaces", "--output=json").stdout)
        assert namespace not in {item["metadata"]["name"] for item in listed["items"]}


def test_the_api_is_back_after_an_outage_with_all_it_knew(own_control_plane: ControlPlane) -> None:
    plane = own_control_plane
    plane.kubectl("create", "configmap", "kept", "--from-literal=a=1")

    plane.kill_api()
    assert not plane.is_ready()
    plane.restart_api()

    assert "kept" in plane.kubectl("get", "configmaps").stdout


def test_a_frozen_api_answers_nothing_until_it_is_thawed(own_control_plane: ControlPlane) -> None:
    own_control_plane.freeze_api()
    assert not own_control_plane.is_ready()
    own_control_plane.thaw_api()
    poll(own_control_plane.is_ready, 10, "the thawed API answers")


def test_a_service_account_may_do_only_what_rbac_grants(
    control_plane: ControlPlane, namespace: str
) -> None:
    inside = f"--namespace={namespace}"
    control_plane.kubectl("create", "serviceaccount", "reader", inside)
    control_plane.kubectl("create", "role", "read", "--verb=get,list", "--resource=pods", inside)
    control_plane.kubectl(
        "create",
        "rolebinding",
        "read",
        "--role=read",
        f"--serviceaccount={namespace}:reader",
        inside,
    )
    reader = control_plane.service_account_kubeconfig("reader", namespace)

    assert control_plane.kubectl("get", "pods", inside, kubeconfig=reader).returncode == 0
    refused = control_plane.kubectl("get", "secrets", inside, kubeconfig=reader, check=False)
    assert "forbidden" in refused.stderr


def test_what_an_owner_leaves_behind_is_collected(own_control_plane: ControlPlane) -> None:
    """The controller manager works: owner references cascade, also for built-in kinds."""
    plane = own_control_plane
    plane.kubectl("create", "configmap", "owner")
    uid = plane.kubectl("get", "configmap", "owner", "--output=jsonpath={.metadata.uid}").stdout
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
    owned = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "owned", "ownerReferences": [reference]},
    }
    plane.kubectl("create", "--filename=-", input=json.dumps(owned))

    plane.kubectl("delete", "configmap", "owner")

    def gone() -> bool:
        return "owned" not in plane.kubectl("get", "configmaps", "--output=name").stdout

    poll(gone, 60, "the garbage collector has deleted the dependent")


def test_no_control_plane_outlives_a_killed_test_run(control_plane: ControlPlane) -> None:
    with scratch("orphans") as directory:
        assert survivors("control-plane", directory) == set()
