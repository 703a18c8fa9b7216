"""Between the API server's objects and RawResource: taken apart here, and nowhere else."""

import base64
from collections.abc import Mapping

from pydantic import JsonValue

from pgstrata.core.resource import ObjectKey, RawResource
from pgstrata.kube.client import JsonObject

Metadata = Mapping[str, JsonValue]


def to_raw(obj: Mapping[str, JsonValue]) -> RawResource:
    """Take an object of one of our kinds apart, as a watch, a GET or a PATCH answered it."""
    metadata = mapping(obj.get("metadata"))
    generation = metadata.get("generation")
    finalizers = metadata.get("finalizers")
    return RawResource(
        key=ObjectKey(
            str(obj.get("kind") or ""),
            str(metadata.get("namespace") or ""),
            str(metadata.get("name") or ""),
        ),
        uid=str(metadata.get("uid") or ""),
        generation=generation if isinstance(generation, int) else 0,
        spec=mapping(obj.get("spec")),
        status=mapping(obj.get("status")),
        annotations=texts(metadata.get("annotations")),
        finalizers=tuple(map(str, finalizers)) if isinstance(finalizers, list) else (),
        resource_version=str(metadata.get("resourceVersion") or ""),
        deleting=metadata.get("deletionTimestamp") is not None,
    )


def data_of(obj: Mapping[str, JsonValue]) -> dict[str, bytes]:
    """A ConfigMap's data and binaryData, as bytes."""
    data = {key: text.encode() for key, text in texts(obj.get("data")).items()}
    return data | _decoded(obj.get("binaryData"))


def secret_data_of(obj: Mapping[str, JsonValue]) -> dict[str, bytes]:
    """A Secret's data, decoded."""
    return _decoded(obj.get("data"))


def mapping(value: JsonValue) -> JsonObject:
    """A JSON object, or an empty one in its place."""
    return value if isinstance(value, dict) else {}


def texts(value: JsonValue) -> dict[str, str]:
    """A map of strings, as labels and annotations are."""
    return {key: text for key, text in mapping(value).items() if isinstance(text, str)}


def _decoded(value: JsonValue) -> dict[str, bytes]:
    return {key: base64.b64decode(text) for key, text in texts(value).items()}
