"""Status, finalizers, events and references on the real API server."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pgstrata.core.resource import ObjectKey, RawResource
from pgstrata.kube import store as store_module
from pgstrata.kube.cache import ObjectCache
from pgstrata.kube.client import ApiError, JsonObject, KubeClient
from pgstrata.kube.store import FINALIZER, ClusterIdUnknown, KubeStore
from tests.cluster.runtime_operator import Resources, rbac
from tests.testbed.control_plane import ControlPlane

PLURALS = {"SchemaVersion": "schemaversions", "ManagedDatabase": "manageddatabases"}
OTHERS = "example.com/other"


def status(message: str) -> JsonObject:
    """A valid status."""
    condition: JsonObject = {
        "type": "Ready",
        "status": "True",
        "reason": "Succeeded",
        "message": message,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    return {"observedGeneration": 1, "conditions": [condition]}


@pytest.fixture
async def client(control_plane: ControlPlane) -> AsyncIterator[KubeClient]:
    client = await KubeClient.open(str(control_plane.kubeconfig))
    yield client
    await client.close()


@pytest.fixture
def cache() -> ObjectCache:
    return ObjectCache()


@pytest.fixture
def store(client: KubeClient, cache: ObjectCache) -> KubeStore:
    return KubeStore(client, plurals=PLURALS, cache=cache)


@pytest.fixture
def resources(control_plane: ControlPlane, namespace: str) -> Resources:
    return Resources(control_plane, namespace)


@pytest.fixture
async def raw(store: KubeStore, cache: ObjectCache, resources: Resources) -> RawResource:
    """A SchemaVersion, read and cached."""
    resources.schema_version("orders")
    raw = await store.read(ObjectKey("SchemaVersion", resources.namespace, "orders"))
    assert raw is not None
    cache.put_event(raw)
    return raw


def stored(resources: Resources) -> dict[str, Any]:
    found = resources.get("sv", "orders")
    assert found is not None
    return found


async def test_a_status_is_ours_as_a_whole(
    store: KubeStore, raw: RawResource, resources: Resources
) -> None:
    await store.write_status(raw, status("first") | {"currentVersion": "001"})
    await store.write_status(raw, status("second"))

    assert stored(resources)["status"] == status("second"), "what is not said again is gone"


async def test_the_same_status_again_is_not_sent(
    control_plane: ControlPlane,
    store: KubeStore,
    cache: ObjectCache,
    raw: RawResource,
    resources: Resources,
) -> None:
    """Who may not write shows that nothing is sent: of an equal status the object tells nothing."""
    resources.apply(*rbac("nobody", resources.namespace, [("", "pods", "get")]))
    kubeconfig = control_plane.service_account_kubeconfig("nobody", resources.namespace)
    client = await KubeClient.open(str(kubeconfig))
    powerless = KubeStore(client, plurals=PLURALS, cache=cache)
    await store.write_status(raw, status("once"))

    await powerless.write_status(raw, status("once"))
    with pytest.raises(ApiError, match="Forbidden"):
        await powerless.write_status(raw, status("twice"))
    await client.close()


async def test_a_status_is_written_although_the_object_has_moved_on(
    store: KubeStore, raw: RawResource, resources: Resources
) -> None:
    resources.kubectl("label", "sv", "orders", "touched=true")
    await store.write_status(raw, status("right"))

    assert stored(resources)["status"] == status("right")


async def test_what_others_wrote_over_our_status_is_written_again(
    store: KubeStore, cache: ObjectCache, raw: RawResource, resources: Resources
) -> None:
    await store.write_status(raw, status("right"))
    patch = json.dumps({"status": {"observedGeneration": 99}})
    resources.kubectl("patch", "sv", "orders", "--subresource=status", "--type=merge", "-p", patch)
    seen = await store.read(raw.key)
    assert seen is not None
    assert cache.put_event(seen)
    await store.write_status(raw, status("right"))

    assert stored(resources)["status"] == status("right")


async def test_a_stale_writer_leaves_the_namesake_alone(
    store: KubeStore, raw: RawResource, resources: Resources
) -> None:
    resources.kubectl("delete", "sv", "orders")
    resources.schema_version("orders")
    await store.write_status(raw, status("about the one before"))
    await store.ensure_finalizer(raw)

    assert "status" not in stored(resources)
    assert "finalizers" not in stored(resources)["metadata"]


async def test_an_object_that_is_gone_is_no_error(
    store: KubeStore, raw: RawResource, resources: Resources
) -> None:
    resources.kubectl("delete", "sv", "orders")

    await store.write_status(raw, status("too late"))
    await store.ensure_finalizer(raw)
    await store.release(raw)
    assert await store.read(raw.key) is None


async def test_others_finalizers_stay_whoever_writes_in_between(
    store: KubeStore, cache: ObjectCache, raw: RawResource, resources: Resources
) -> None:
    """Our picture is older than what the others wrote, both times."""
    patch = json.dumps({"metadata": {"finalizers": [OTHERS]}})
    resources.kubectl("patch", "sv", "orders", "--type=merge", "-p", patch)
    await store.ensure_finalizer(raw)
    assert stored(resources)["metadata"]["finalizers"] == [OTHERS, FINALIZER]

    resources.kubectl("label", "sv", "orders", "touched=true")
    await store.release(raw)
    assert stored(resources)["metadata"]["finalizers"] == [OTHERS]
    cached = cache.get(raw.key)
    assert cached is not None
    assert cached.finalizers == (OTHERS,)

    patch = json.dumps({"metadata": {"finalizers": None}})
    resources.kubectl("patch", "sv", "orders", "--type=merge", "-p", patch)


async def test_once_the_deletion_has_begun_no_finalizer_is_added(
    store: KubeStore, raw: RawResource, resources: Resources
) -> None:
    patch = json.dumps({"metadata": {"finalizers": [OTHERS]}})
    resources.kubectl("patch", "sv", "orders", "--type=merge", "-p", patch)
    resources.kubectl("delete", "sv", "orders", "--wait=false")
    await store.ensure_finalizer(raw)

    assert stored(resources)["metadata"]["finalizers"] == [OTHERS]
    patch = json.dumps({"metadata": {"finalizers": None}})
    resources.kubectl("patch", "sv", "orders", "--type=merge", "-p", patch)


async def test_secrets_and_config_maps_come_decoded(store: KubeStore, resources: Resources) -> None:
    binary = base64.b64encode(b"\x1f\x8b").decode()
    named = {"metadata": {"name": "things"}, "apiVersion": "v1"}
    resources.apply(
        named | {"kind": "Secret", "stringData": {"password": "pass wörd"}},
        named | {"kind": "ConfigMap", "data": {"a": "b"}, "binaryData": {"c": binary}},
    )
    namespace = resources.namespace

    assert await store.read_secret(namespace, "things") == {"password": "pass wörd".encode()}
    assert await store.read_config_map(namespace, "things") == {"a": b"b", "c": b"\x1f\x8b"}
    assert await store.read_secret(namespace, "absent") is None
    assert await store.read_config_map(namespace, "absent") is None


async def test_the_same_transition_again_is_counted_on_its_event(
    store: KubeStore, raw: RawResource, resources: Resources
) -> None:
    for _ in range(3):
        await store.record_event(raw, warning=True, reason="ConnectionFailed", message="no answer")
    await store.record_event(raw, warning=False, reason="Succeeded", message="at 001" + "x" * 2000)

    items = json.loads(resources.kubectl("get", "events", "-o", "json"))["items"]
    told = {(item["type"], item["reason"], item["count"]) for item in items}
    assert told == {("Warning", "ConnectionFailed", 3), ("Normal", "Succeeded", 1)}
    assert {item["involvedObject"]["uid"] for item in items} == {raw.uid}
    assert "ConnectionFailed" in resources.kubectl("describe", "sv", "orders")


async def test_an_event_told_by_a_process_before_is_counted_too(
    client: KubeClient, raw: RawResource, resources: Resources
) -> None:
    for _ in range(2):
        store = KubeStore(client, plurals=PLURALS, cache=ObjectCache())
        await store.record_event(raw, warning=True, reason="ConnectionFailed", message="no answer")

    [item] = json.loads(resources.kubectl("get", "events", "-o", "json"))["items"]
    assert item["count"] == 2


async def test_without_the_right_an_event_is_dropped_in_silence(
    control_plane: ControlPlane, raw: RawResource, resources: Resources
) -> None:
    resources.apply(*rbac("nobody", resources.namespace, [("", "pods", "get")]))
    kubeconfig = control_plane.service_account_kubeconfig("nobody", resources.namespace)
    client = await KubeClient.open(str(kubeconfig))
    store = KubeStore(client, plurals=PLURALS, cache=ObjectCache())

    await store.record_event(raw, warning=True, reason="ConnectionFailed", message="no answer")
    await client.close()


async def test_a_cluster_is_known_by_the_uid_of_kube_system(
    store: KubeStore, control_plane: ControlPlane
) -> None:
    uid = control_plane.kubectl("get", "ns", "kube-system", "-o", "jsonpath={.metadata.uid}")

    assert await store.cluster_id() == uid.stdout


async def test_where_that_may_not_be_read_the_setting_is_named(
    control_plane: ControlPlane, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_CLUSTER_ID_PATIENCE", 3.0)
    resources.apply(*rbac("nobody", resources.namespace, [("", "pods", "get")]))
    kubeconfig = control_plane.service_account_kubeconfig("nobody", resources.namespace)
    client = await KubeClient.open(str(kubeconfig))
    store = KubeStore(client, plurals=PLURALS, cache=ObjectCache())

    with pytest.raises(ClusterIdUnknown, match=r"clusterId \(PGSTRATA_CLUSTER_ID\)"):
        await store.cluster_id()
    await client.close()
