"""Builders for the resources and objects that the tests of app/ and kube/ speak of."""

from collections.abc import Mapping

from pydantic import JsonValue

from pgstrata.core.resource import ObjectKey, RawResource

KEY = ObjectKey("SchemaVersion", "shop", "orders")
DATABASE = ObjectKey("ManagedDatabase", "shop", "metrics")
SECRET = ObjectKey("Secret", "shop", "metrics-app")


def raw_resource(
    key: ObjectKey = KEY,
    *,
    uid: str = "uid-1",
    generation: int = 1,
    version: int = 1,
    observed: int | None = None,
    annotations: Mapping[str, str] | None = None,
    finalizers: tuple[str, ...] = (),
    deleting: bool = False,
    handled: str | None = None,
) -> RawResource:
    """One state of a resource; `observed` and `handled` stand in its status."""
    status: dict[str, JsonValue] = {}
    if observed is not None:
        status["observedGeneration"] = observed
    if handled is not None:
        status["lastHandledReconcileAt"] = handled
    return RawResource(
        key=key,
        uid=uid,
        generation=generation,
        spec={},
        status=status,
        annotations=annotations or {},
        finalizers=finalizers,
        resource_version=str(version),
        deleting=deleting,
    )
