"""Manifests as tests declare them: a database, a schema's version, Secrets and ConfigMaps."""

import base64
import gzip
from collections.abc import Mapping
from typing import Any

Manifest = dict[str, Any]
EVERYWHERE = ("ManagedDatabase", "SchemaVersion")
"""The kinds that say of one database alike that it cannot be reached."""
FILES = {"1_init.sql": "CREATE TABLE t (id int PRIMARY KEY);"}
"""The least that is a source."""
API_VERSION = "pgstrata.dev/v1alpha1"


def managed_database(
    *,
    tls: Mapping[str, object] | None = None,
    timeouts: Mapping[str, str] | None = None,
    name: str = "main",
    **fields: object,
) -> Manifest:
    """A ManagedDatabase that takes its connection from the Secret main-app; `fields`: others."""
    connection: Manifest = {"secretRef": {"name": "main-app"}}
    if tls is not None:
        connection["tls"] = dict(tls)
    spec: Manifest = {"connection": connection}
    if timeouts is not None:
        spec["timeouts"] = dict(timeouts)
    spec |= fields
    return _object("ManagedDatabase", name, spec=spec)


def schema_version(
    version: str,
    files: Mapping[str, str] | None = None,
    *,
    name: str = "app",
    config_maps: tuple[str, ...] = (),
    bundle: str | None = None,
    **spec: object,
) -> Manifest:
    """A SchemaVersion of inline files, of ConfigMaps or of a bundle; `spec` has other fields."""
    source: Manifest = {}
    if files is not None:
        source["inline"] = dict(files)
    if config_maps:
        source["configMaps"] = [{"name": each} for each in config_maps]
    if bundle is not None:
        source["bundle"] = bundle
    database = {"databaseRef": {"name": "main"}}
    return _object(
        "SchemaVersion", name, spec={**database, "source": source, "version": version, **spec}
    )


def declared(
    version: str,
    files: Mapping[str, str],
    *,
    timeouts: Mapping[str, str] | None = None,
    through: str = "Migrate",
    schema: str = "public",
) -> list[Manifest]:
    """A database, to be reached by --database-url, and one schema's version in it."""
    wanted = schema_version(version, files, through=through, schema=schema)
    return [managed_database(timeouts=timeouts), wanted]


def secret(name: str, **values: str | bytes) -> Manifest:
    """A Secret as the API server would return it."""
    data = {key: _base64(value) for key, value in values.items()}
    return _object("Secret", name, api_version="v1", type="Opaque", data=data)


def tls_secret(name: str, certificate: bytes, key: bytes) -> Manifest:
    """A Secret of type kubernetes.io/tls."""
    data = {"tls.crt": _base64(certificate), "tls.key": _base64(key)}
    return _object("Secret", name, api_version="v1", type="kubernetes.io/tls", data=data)


def config_map(name: str, files: Mapping[str, str]) -> Manifest:
    """A ConfigMap whose keys are file names."""
    return _object("ConfigMap", name, api_version="v1", data=dict(files))


def gzipped_config_map(name: str, files: Mapping[str, str]) -> Manifest:
    """A ConfigMap whose files are compressed, as large ones must be."""
    data = {file: _base64(gzip.compress(text.encode())) for file, text in files.items()}
    return _object("ConfigMap", name, api_version="v1", binaryData=data)


def _base64(value: str | bytes) -> str:
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode()


def _object(kind: str, name: str, *, api_version: str = API_VERSION, **rest: object) -> Manifest:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **rest}
