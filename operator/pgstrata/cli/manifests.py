"""Reads manifests from files as kubectl would: YAML or JSON, several documents a file, or stdin.

Called by apply and plan. Each of our kinds is judged as strictly as the API server would; raises
InvalidManifest, which names file and field.
"""

import base64
import binascii
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from pydantic import JsonValue

from pgstrata.cli.kinds import HANDLERS
from pgstrata.core.api_model import GROUP, VERSION, judge
from pgstrata.core.errors import InvalidSpec, PgstrataError
from pgstrata.core.resource import ObjectKey, RawResource

DEFAULT_NAMESPACE = "default"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's where the wheel has it: ten times as fast for a ConfigMap of many files."""
_SUFFIXES = frozenset({".yaml", ".yml", ".json"})


class InvalidManifest(PgstrataError):
    """A file cannot be read, or asks for something that cannot be."""


@dataclass(frozen=True, slots=True)
class Manifests:
    """What the files declare."""

    resources: Mapping[ObjectKey, RawResource]
    secrets: Mapping[tuple[str, str], Mapping[str, bytes]] = field(repr=False)
    config_maps: Mapping[tuple[str, str], Mapping[str, bytes]]
    ignored: tuple[str, ...]
    """Documents of kinds that are none of pgstrata's business, by kind and name."""


def read_manifests(path: str) -> Manifests:
    """Read a folder (not its subfolders), a file, or standard input (`-`)."""
    resources: dict[ObjectKey, RawResource] = {}
    secrets: dict[tuple[str, str], Mapping[str, bytes]] = {}
    config_maps: dict[tuple[str, str], Mapping[str, bytes]] = {}
    ignored: list[str] = []
    for origin, document in _documents(path):
        kind, key = _key(origin, document)
        if kind == "Secret":
            secrets[key.namespace, key.name] = _data(origin, document, "stringData")
        elif kind == "ConfigMap":
            config_maps[key.namespace, key.name] = _data(origin, document, "data")
        elif kind in HANDLERS:
            if key in resources:
                raise InvalidManifest(f"{origin}: {key} is declared twice")
            resources[key] = _resource(origin, document, key)
        elif str(document.get("apiVersion")).startswith(f"{GROUP}/"):
            raise InvalidManifest(
                f"{origin}: there is no kind {kind} in {GROUP}; its kinds are {', '.join(HANDLERS)}"
            )
        else:
            ignored.append(f"{kind} {key.name}")
    if not resources:
        raise InvalidManifest(f"{path}: no {' or '.join(HANDLERS)} in it")
    return Manifests(resources, secrets, config_maps, tuple(ignored))


def _documents(path: str) -> Iterator[tuple[str, Mapping[str, JsonValue]]]:
    for origin, text in _texts(path):
        try:
            documents = list(yaml.load_all(text, Loader=_LOADER))
        except yaml.YAMLError as error:
            raise InvalidManifest(f"{origin}: {' '.join(str(error).split())}") from error
        for document in documents:
            if document is None:
                continue
            is_list = isinstance(document, dict) and document.get("kind") == "List"
            items = document.get("items") or [] if is_list else [document]
            if not isinstance(items, list):
                raise InvalidManifest(f"{origin}: items of a List are a list")
            for item in items:
                if not isinstance(item, dict):
                    raise InvalidManifest(
                        f"{origin}: a manifest is an object with kind and metadata"
                    )
                yield origin, item


def _texts(path: str) -> Iterator[tuple[str, str]]:
    if path == "-":
        try:
            yield "standard input", sys.stdin.buffer.read().decode()
        except UnicodeDecodeError as error:
            raise InvalidManifest(f"standard input: {error}") from error
        return
    place = Path(path)
    files = (
        sorted(f for f in place.iterdir() if f.suffix in _SUFFIXES) if place.is_dir() else [place]
    )
    if not files:
        raise InvalidManifest(f"{path}: no .yaml, .yml or .json file in it")
    for file in files:
        try:
            yield str(file), file.read_text(encoding="utf-8")
        except OSError as error:
            raise InvalidManifest(f"{file}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise InvalidManifest(f"{file}: {error}") from error


def _key(origin: str, document: Mapping[str, JsonValue]) -> tuple[str, ObjectKey]:
    kind, metadata = document.get("kind"), document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(kind, str) or not isinstance(metadata, dict) or not isinstance(name, str):
        raise InvalidManifest(f"{origin}: a manifest needs kind and metadata.name")
    namespace = metadata.get("namespace")
    namespace = namespace if isinstance(namespace, str) else DEFAULT_NAMESPACE
    return kind, ObjectKey(kind, namespace, name)


def _resource(origin: str, document: Mapping[str, JsonValue], key: ObjectKey) -> RawResource:
    expected = f"{GROUP}/{VERSION}"
    if document.get("apiVersion") != expected:
        raise InvalidManifest(f"{origin}: {key}: apiVersion must be {expected}")
    unknown = sorted(set(document) - {"apiVersion", "kind", "metadata", "spec", "status"})
    if unknown:
        raise InvalidManifest(f"{origin}: {key}: unknown field {', '.join(unknown)}")
    spec = document.get("spec")
    try:
        judge(HANDLERS[key.kind].spec, spec)
    except InvalidSpec as error:
        raise InvalidManifest(f"{origin}: {key}: {error.message}") from error
    metadata = document["metadata"]
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    return RawResource(
        key=key,
        uid=f"file:{key}",
        generation=1,
        spec=spec if isinstance(spec, dict) else {},
        annotations={str(k): str(v) for k, v in annotations.items()}
        if isinstance(annotations, dict)
        else {},
    )


def _data(origin: str, document: Mapping[str, JsonValue], plain: str) -> dict[str, bytes]:
    """Return the values of a Secret or ConfigMap; `plain` is the field that holds text."""
    encoded = document.get("binaryData" if plain == "data" else "data")
    values: dict[str, bytes] = {}
    try:
        if isinstance(encoded, dict):
            for name, value in encoded.items():
                values[name] = base64.b64decode(str(value), validate=True)
    except binascii.Error as error:
        raise InvalidManifest(f"{origin}: a value of data is not base64") from error
    text = document.get(plain)
    if isinstance(text, dict):
        values |= {name: str(value).encode() for name, value in text.items()}
    return values
