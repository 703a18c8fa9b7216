"""CustomResourceDefinitions of an older release than this operator's: what they lack, and how a
status is written all the same.

The API server refuses server-side apply of a field that the definition does not declare, or of a
value that its enum does not have, the whole status with it. Used by store.py for each write, by
app/operator.py once at the start.
"""

import re
import time
from collections.abc import Iterator, Mapping
from typing import Final

from pydantic import JsonValue

from pgstrata.core.api_model import API_VERSION, GROUP
from pgstrata.core.resource import RawResource
from pgstrata.kube.client import ApiError, JsonObject, KubeClient
from pgstrata.kube.raw import mapping

REASON: Final = "OutdatedDefinition"
"""Of the Event on an object whose status could not be written whole."""

_CURE: Final = "install this release's (helm upgrade, or kubectl apply --server-side -f crds/)"
_UNDECLARED: Final = re.compile(
    r"\bstatus\.(\w+)\S*: (?:field not declared in schema|Unsupported value)"
)
_REMEMBERED: Final = 60.0
"""Seconds after which a field is tried again: definitions are upgraded beside running operators."""


class Undeclared:
    """Fields of a kind's status that the API server does not know."""

    def __init__(self) -> None:
        self._fields: dict[str, set[str]] = {}
        self._since: dict[str, float] = {}
        self._told: dict[str, str] = {}

    def without(self, kind: str, status: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """Return what of a status can be written."""
        if time.monotonic() - self._since.get(kind, 0.0) > _REMEMBERED:
            self._fields.pop(kind, None)
        unknown = self._fields.get(kind, ())
        return {name: value for name, value in status.items() if name not in unknown}

    def learn(self, kind: str, error: ApiError) -> bool:
        """Return whether a write was refused for such fields; they are left out from now on."""
        found = set(_UNDECLARED.findall(error.message))
        if found:
            self._fields.setdefault(kind, set()).update(found)
            self._since[kind] = time.monotonic()
        return bool(found)

    def news_of(self, raw: RawResource) -> str | None:
        """Return what is to be said to an object's users, if they were not told so before."""
        fields = self._fields.get(raw.key.kind)
        if not fields:
            return None
        names = ", ".join(f"status.{name}" for name in sorted(fields))
        text = (
            f"the CustomResourceDefinition of {raw.key.kind} is of an older release than the "
            f"operator: it has no {names}, or not all values, which the status lacks; {_CURE}"
        )
        if self._told.get(raw.uid) == text:
            return None
        self._told[raw.uid] = text
        return text


async def fields_missing(client: KubeClient, wanted: Mapping[str, JsonObject]) -> str | None:
    """Return, as a sentence, which fields of `wanted` (a structural schema by kind) are not served.

    None where all are, or where the API server does not say what it serves.
    """
    try:
        answer = await client.get(f"/openapi/v3/apis/{API_VERSION}")
    except ApiError:
        return None
    served = mapping(mapping(answer.get("components")).get("schemas"))
    lacking: list[str] = []
    for kind, schema in wanted.items():
        name = ".".join([*reversed(GROUP.split(".")), API_VERSION.partition("/")[2], kind])
        if (known := served.get(name)) is not None:
            lacking += [f"{kind} {path}" for path in _lacking(mapping(known), schema, "")]
    if not lacking:
        return None
    return (
        "CustomResourceDefinitions are of an older release than the operator, and lack "
        f"{', '.join(lacking)}; {_CURE}"
    )


def _lacking(served: JsonObject, wanted: JsonObject, path: str) -> Iterator[str]:
    """The paths of properties that only `wanted` has, and what its enums have beyond the served
    ones; below such a property none are listed.
    """
    values, others = served.get("enum"), wanted.get("enum")
    if isinstance(values, list) and isinstance(others, list):
        yield from (f"{path} {value}" for value in others if value not in values)
    items = mapping(wanted.get("items"))
    if items:
        yield from _lacking(mapping(served.get("items")), items, f"{path}[]")
    known = mapping(served.get("properties"))
    for name, schema in mapping(wanted.get("properties")).items():
        at = f"{path}.{name}".lstrip(".")
        if name not in known:
            yield at
        else:
            yield from _lacking(mapping(known[name]), mapping(schema), at)
