"""Builders of what the measurements apply: JSON, which kubectl and pgstrata both read."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import JsonValue

Manifest = dict[str, JsonValue]
API_VERSION = "pgstrata.dev/v1alpha1"
DATABASE = "bench"
SECRET = "bench-uri"


def database(*, max_connections: int = 6) -> Manifest:
    """A ManagedDatabase reached by the Secret of `secret`."""
    return {
        "apiVersion": API_VERSION,
        "kind": "ManagedDatabase",
        "metadata": {"name": DATABASE},
        "spec": {
            "connection": {"secretRef": {"name": SECRET}, "tls": {"mode": "disable"}},
            "maxConnections": max_connections,
        },
    }


def secret(uri: str) -> Manifest:
    """The Secret that says where the database is."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET},
        "stringData": {"uri": uri},
    }


def config_map(name: str, files: Mapping[str, str]) -> Manifest:
    """A ConfigMap of migration files."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": dict(files),
    }


def schema_version(
    name: str,
    version: str,
    source: Mapping[str, JsonValue],
    *,
    schema: str = "public",
    **more: JsonValue,
) -> Manifest:
    """A SchemaVersion; `source` and what else it says as in its spec."""
    return {
        "apiVersion": API_VERSION,
        "kind": "SchemaVersion",
        "metadata": {"name": name},
        "spec": {
            "databaseRef": {"name": DATABASE},
            "source": dict(source),
            "version": version,
            "schema": schema,
            **more,
        },
    }


def as_list(manifests: Sequence[Manifest]) -> str:
    """All of them as one List."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})


def write(folder: Path, manifests: Sequence[Manifest]) -> Path:
    """Write them into a new folder, for `pgstrata apply -f`; return it."""
    folder.mkdir()
    (folder / "all.json").write_text(as_list(manifests), encoding="utf-8")
    return folder
