"""Objects are taken apart whatever they lack."""

import pytest

from pgstrata.core.resource import ObjectKey
from pgstrata.kube.client import JsonObject
from pgstrata.kube.raw import data_of, secret_data_of, to_raw


def test_all_that_is_used_of_an_object_is_taken() -> None:
    raw = to_raw(
        {
            "kind": "SchemaVersion",
            "metadata": {
                "name": "orders",
                "namespace": "shop",
                "uid": "u",
                "generation": 3,
                "resourceVersion": "77",
                "annotations": {"a": "b"},
                "finalizers": ["x", "y"],
                "deletionTimestamp": "2026-11-23T10:00:00Z",
            },
            "spec": {"version": "001"},
            "status": {"observedGeneration": 2},
        }
    )

    assert raw.key == ObjectKey("SchemaVersion", "shop", "orders")
    assert (raw.uid, raw.generation, raw.resource_version) == ("u", 3, "77")
    assert (raw.annotations, raw.finalizers, raw.deleting) == ({"a": "b"}, ("x", "y"), True)
    assert (raw.spec, raw.status) == ({"version": "001"}, {"observedGeneration": 2})


@pytest.mark.parametrize("obj", [{}, {"metadata": None, "spec": None, "status": None}])
def test_what_is_missing_is_empty(obj: JsonObject) -> None:
    raw = to_raw(obj)

    assert (raw.spec, raw.status, raw.annotations, raw.finalizers) == ({}, {}, {}, ())
    assert not raw.deleting


def test_data_is_decoded() -> None:
    secret: JsonObject = {"data": {"password": "cGFzc3dvcmQ="}}
    config_map: JsonObject = {"data": {"a.sql": "SELECT 'ä'"}, "binaryData": {"b.gz": "H4s="}}

    assert secret_data_of(secret) == {"password": b"password"}
    assert data_of(config_map) == {"a.sql": "SELECT 'ä'".encode(), "b.gz": b"\x1f\x8b"}
    assert data_of({}) == secret_data_of({}) == {}
