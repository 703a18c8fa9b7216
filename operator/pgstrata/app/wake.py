"""Whether an event says anything that calls for a look. Pure; asked by intake.py.

Our own writes must answer no, or every look would cause the next: the status moves without moving
the generation, and a finalizer changes nothing that is compared here.
"""

from pydantic import JsonValue

from pgstrata.core.resource import (
    APPROVE_ANNOTATION,
    RECONCILE_ANNOTATION,
    TAKE_OVER_ANNOTATION,
    RawResource,
)
from pgstrata.migrations.spec import SCHEMA_VERSION

_ANSWERS = (APPROVE_ANNOTATION, TAKE_OVER_ANNOTATION)
"""Annotations by which a person answers what the status asks."""


def must_wake(raw: RawResource, before: RawResource | None) -> bool:
    """`before`: the same key as the last event showed it, None if none did."""
    if before is None or before.uid != raw.uid:
        return True
    return (
        _is_behind(raw, before)
        or _is_asked_for(raw, before)
        or any(_annotation(raw, name) != _annotation(before, name) for name in _ANSWERS)
    )


def comes_further(raw: RawResource, before: RawResource) -> bool:
    """Whether who waits for this SchemaVersion (dependsOn) may have waited long enough."""
    return raw.key.kind == SCHEMA_VERSION.kind and _reached(raw) != _reached(before)


def _reached(raw: RawResource) -> tuple[JsonValue, ...]:
    conditions = raw.status.get("conditions")
    holds = {
        str(c.get("type")): c.get("status")
        for c in (conditions if isinstance(conditions, list) else [])
        if isinstance(c, dict)
    }
    return (
        raw.status.get("targetVersion"),
        raw.status.get("observedGeneration"),
        *(raw.status.get(f"{done}Through") for done in ("expanded", "migrated", "contracted")),
        *(holds.get(name) for name in ("Ready", "Expanded", "Migrated", "Contracted")),
    )


def _is_behind(raw: RawResource, before: RawResource) -> bool:
    """A generation that the status does not speak of, or no longer does: it was edited, or wiped.

    An event that shows the same two again says nothing new; whoever was woken by the first is still
    at it, or will try again by itself.
    """
    seen, observed = raw.generation, _observed(raw)
    return seen != observed and (seen, observed) != (before.generation, _observed(before))


def _is_asked_for(raw: RawResource, before: RawResource) -> bool:
    asked = _annotation(raw, RECONCILE_ANNOTATION)
    return (
        asked is not None
        and asked != raw.status.get("lastHandledReconcileAt")
        and asked != _annotation(before, RECONCILE_ANNOTATION)
    )


def _observed(raw: RawResource) -> JsonValue:
    return raw.status.get("observedGeneration")


def _annotation(raw: RawResource, name: str) -> str | None:
    return raw.annotations.get(name)
