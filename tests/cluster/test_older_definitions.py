"""CustomResourceDefinitions of an older release than the operator's: told, and worked with."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pgstrata.app.operator import schemas
from pgstrata.core.resource import ObjectKey, RawResource
from pgstrata.kube import undeclared
from pgstrata.kube.cache import ObjectCache
from pgstrata.kube.client import JsonObject, KubeClient
from pgstrata.kube.definitions import fields_missing
from pgstrata.kube.store import KubeStore
from tests.cluster.runtime_operator import Resources
from tests.testbed.control_plane import ControlPlane
from tests.testbed.definitions import VERSIONS, Definition, Schema
from tests.testbed.polling import poll_async

DONE: JsonObject = {"phase": "Expand", "state": "Done", "durationSeconds": 1.0}
APPLIED: JsonObject = {"version": "001", "name": "a", "checksum": "c", "phases": [DONE]}
WAITING: JsonObject = {"phase": "Expand", "state": "Pending"}
PENDING: JsonObject = {"version": "002", "name": "b", "checksum": "d", "phases": [WAITING]}
STATUS: JsonObject = {"currentVersion": "001", "appliedCount": 1, "versions": [APPLIED, PENDING]}
STATUS["phase"] = "Contract"
LACKING = {
    "SchemaVersion": [
        "status.phase Contract",
        "status.appliedCount",
        "status.versions[].name",
        "status.versions[].phases[].state Done",
    ]
}


@pytest.fixture
async def client(own_control_plane: ControlPlane) -> AsyncIterator[KubeClient]:
    client = await KubeClient.open(str(own_control_plane.kubeconfig))
    yield client
    await client.close()


def age(spec: Schema, status: Schema) -> None:
    """Take two fields of the status away, one of them deep inside, and values of two others."""
    status["phase"]["enum"].remove("Contract")
    del status["appliedCount"]
    versions = status["versions"]["items"]
    del versions["properties"]["name"]
    versions["required"].remove("name")
    versions["properties"]["phases"]["items"]["properties"]["state"]["enum"].remove("Done")


async def test_what_an_older_definition_lacks_is_told_and_the_rest_is_written(
    own_control_plane: ControlPlane, client: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = Definition(own_control_plane, VERSIONS)
    assert await fields_missing(client, schemas()) == {}
    definition.age(age)

    async def lacking() -> dict[str, list[str]]:
        return await fields_missing(client, schemas())

    assert await poll_async(lacking, 30, "what is lacking is served") == LACKING

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
    kept = [
        {"version": "001", "checksum": "c", "phases": []},
        {"version": "002", "checksum": "d", "phases": [WAITING]},
    ]
    assert status(resources) == {"currentVersion": "001", "versions": kept}
    assert events(own_control_plane, raw) == told_events
    assert {event["reason"] for event in told_events} == {"OutdatedDefinition"}
    messages = [event["message"] for event in told_events]
    assert any(f"lacks {', '.join(sorted(LACKING['SchemaVersion']))}: " in m for m in messages)

    definition.renew()
    monkeypatch.setattr(undeclared, "_REMEMBERED", 0.0)

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
