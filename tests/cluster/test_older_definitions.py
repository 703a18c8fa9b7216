"""CustomResourceDefinitions of an older release than the operator's: told, and worked with."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pgstrata.app.operator import schemas
from pgstrata.core.resource import ObjectKey, RawResource
from pgstrata.kube import definitions
from pgstrata.kube.cache import ObjectCache
from pgstrata.kube.client import JsonObject, KubeClient
from pgstrata.kube.definitions import fields_missing
from pgstrata.kube.store import KubeStore
from tests.cluster.runtime_operator import Resources
from tests.testbed.control_plane import ControlPlane
from tests.testbed.polling import poll_async

NAME = "schemaversions.pgstrata.dev"
DONE: JsonObject = {"phase": "Expand", "state": "Done", "durationSeconds": 1.0}
VERSIONS: JsonObject = {"version": "001", "name": "a", "checksum": "c", "phases": [DONE]}
STATUS: JsonObject = {"currentVersion": "001", "appliedCount": 1, "versions": [VERSIONS]}
STATUS["phase"] = "Contract"
LACKING = (
    "SchemaVersion status.phase Contract, SchemaVersion status.appliedCount, "
    "SchemaVersion status.versions[].phases"
)


@pytest.fixture
async def client(own_control_plane: ControlPlane) -> AsyncIterator[KubeClient]:
    client = await KubeClient.open(str(own_control_plane.kubeconfig))
    yield client
    await client.close()


def definition(plane: ControlPlane) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(plane.kubectl("get", "crd", NAME, "-o", "json").stdout)
    return found


def replace(plane: ControlPlane, crd: dict[str, Any]) -> None:
    del crd["metadata"]["resourceVersion"]
    plane.kubectl("replace", "-f", "-", input=json.dumps(crd))


def age(plane: ControlPlane) -> None:
    """Take two fields of the status away, one of them deep inside, and a value of a third."""
    crd = definition(plane)
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    schema["properties"]["phase"]["enum"].remove("Contract")
    del schema["properties"]["appliedCount"]
    del schema["properties"]["versions"]["items"]["properties"]["phases"]
    replace(plane, crd)


async def test_what_an_older_definition_lacks_is_told_and_the_rest_is_written(
    own_control_plane: ControlPlane, client: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = definition(own_control_plane)
    assert await fields_missing(client, schemas()) is None
    age(own_control_plane)

    async def said() -> str | None:
        return await fields_missing(client, schemas())

    told = await poll_async(said, 30, "what is lacking is served")
    assert LACKING in told
    assert "kubectl apply --server-side -f crds/" in told

    resources = Resources(own_control_plane, "default")
    resources.schema_version("orders")
    store = KubeStore(client, plurals={"SchemaVersion": "schemaversions"}, cache=ObjectCache())
    raw = await store.read(ObjectKey("SchemaVersion", "default", "orders"))
    assert raw is not None

    async def told_event() -> list[dict[str, Any]]:
        await store.write_status(raw, STATUS)
        return events(own_control_plane, raw)

    told_events = await poll_async(told_event, 30, "events")
    await store.write_status(raw, STATUS)
    assert status(resources) == {"currentVersion": "001"}
    assert events(own_control_plane, raw) == told_events
    assert {event["reason"] for event in told_events} == {"OutdatedDefinition"}
    messages = [event["message"] for event in told_events]
    assert any("no status.appliedCount, status.phase, status.versions," in m for m in messages)

    replace(own_control_plane, newest)
    monkeypatch.setattr(definitions, "_REMEMBERED", 0.0)

    async def whole() -> bool:
        await store.write_status(raw, STATUS)
        return status(resources) == STATUS

    assert await poll_async(whole, 30, "the whole status")


def status(resources: Resources) -> JsonObject:
    found = resources.get("sv", "orders")
    assert found is not None
    written: JsonObject = found["status"]
    return written


def events(plane: ControlPlane, raw: RawResource) -> list[dict[str, Any]]:
    found = plane.kubectl("get", "events", "-n", "default", "-o", "json").stdout
    items: list[dict[str, Any]] = json.loads(found)["items"]
    return [item for item in items if item["involvedObject"].get("uid") == raw.uid]
