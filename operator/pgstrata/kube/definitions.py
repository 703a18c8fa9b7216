"""CustomResourceDefinitions as the API server serves them: which are there, and what they lack.

Asked by app/definitions.py, at the start and from time to time. What a missing field means for the
writing of a status is undeclared.py's.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from pgstrata.core.api_model import API_VERSION, GROUP
from pgstrata.kube.client import NOT_FOUND, ApiError, JsonObject, KubeClient
from pgstrata.kube.raw import mapping

CURE: Final = "install this release's (helm upgrade, or kubectl apply --server-side -f crds/)"


async def served_kinds(client: KubeClient) -> frozenset[str]:
    """Return the plurals of our group's kinds that are served. Raises ApiError."""
    try:
        answer = await client.get(f"/apis/{API_VERSION}")
    except ApiError as error:
        if error.status == NOT_FOUND:
            return frozenset()
        raise
    entries = answer.get("resources")
    names = (mapping(each).get("name") for each in entries) if isinstance(entries, list) else ()
    return frozenset(str(name) for name in names)


async def fields_missing(
    client: KubeClient, wanted: Mapping[str, JsonObject]
) -> dict[str, list[str]]:
    """Return, by kind, which fields of `wanted` (structural schemas) are not served, and which
    values of their enums; kinds that lack nothing, or are not served at all, are left out.

    Raises ApiError.
    """
    answer = await client.get(f"/openapi/v3/apis/{API_VERSION}")
    served = mapping(mapping(answer.get("components")).get("schemas"))
    lacking: dict[str, list[str]] = {}
    for kind, schema in wanted.items():
        name = ".".join([*reversed(GROUP.split(".")), API_VERSION.partition("/")[2], kind])
        known = served.get(name)
        if known is not None and (found := list(_lacking(mapping(known), schema, ""))):
            lacking[kind] = found
    return lacking


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
