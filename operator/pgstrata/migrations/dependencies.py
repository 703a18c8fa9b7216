"""What a SchemaVersion waits for: other SchemaVersions, by version and phase, or until they are
Ready.

Dependencies gate the steps of a generation that has never been Ready, and nothing else. A circle of
them is DependencyCycle. Called by reconcile.py.
"""

from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from pgstrata.core.api_model import parse_spec
from pgstrata.core.errors import DependencyCycle, InvalidSpec
from pgstrata.core.resource import ObjectKey, ObjectStore, RawResource
from pgstrata.migrations.spec import Dependency, SchemaVersionSpec, Through
from pgstrata.migrations.versions import Version

_TOLD = {
    Through.EXPAND: ("expandedThrough", "Expanded"),
    Through.MIGRATE: ("migratedThrough", "Migrated"),
    Through.CONTRACT: ("contractedThrough", "Contracted"),
}
"""The status field and the condition that speak of a phase."""


async def what_comes_first(
    raw: RawResource, spec: SchemaVersionSpec, store: ObjectStore
) -> str | None:
    """Return which dependency is not met, as a sentence, or None. Raises DependencyCycle."""
    if not spec.depends_on or _was_ready(raw):
        return None
    await _refuse_cycle(raw.key, spec, store)
    for dependency in spec.depends_on:
        key = _key(raw.key.namespace, dependency)
        found = await store.read(key)
        if found is None:
            return f"{key} of spec.dependsOn does not exist"
        if (text := _unmet(found, dependency)) is not None:
            return text
    return None


def dependency_keys(namespace: str, spec: SchemaVersionSpec) -> Iterator[ObjectKey]:
    """The objects that a spec depends on."""
    return (_key(namespace, dependency) for dependency in spec.depends_on or ())


def _key(namespace: str, dependency: Dependency) -> ObjectKey:
    return ObjectKey(dependency.kind.value, namespace, dependency.name)


def _was_ready(raw: RawResource) -> bool:
    """Whether this generation is, or was a moment ago, as declared."""
    ready = _condition(raw, "Ready")
    return (
        raw.status.get("observedGeneration") == raw.generation
        and ready.get("status") == "True"
        and ready.get("observedGeneration") == raw.generation
    )


def _unmet(found: RawResource, dependency: Dependency) -> str | None:
    if dependency.version is None:
        is_met = _was_ready(found)
        wanted = "Ready"
    else:
        is_met = _has(found, Version(dependency.version), dependency.through)
        wanted = f"at version {dependency.version} through {dependency.through}"
    if is_met:
        return None
    ready = _condition(found, "Ready")
    now = f"{ready.get('reason')}: {ready.get('message')}" if ready else "it has no status yet"
    return f"{found.key} is not {wanted} yet ({now})"


def _has(found: RawResource, version: Version, through: Through) -> bool:
    """Whether a phase is complete of a version and of all below it, as far as the status tells.

    The condition says so of the target alone; it is all that there is where the definition in the
    cluster is older than the field.
    """
    field, type_ = _TOLD[through]
    holds = _condition(found, type_).get("status") == "True"
    told = (found.status.get(field), found.status.get("targetVersion") if holds else None)
    return any(isinstance(text, str) and Version(text) >= version for text in told)


def _condition(raw: RawResource, type_: str) -> Mapping[str, JsonValue]:
    conditions = raw.status.get("conditions")
    for condition in conditions if isinstance(conditions, list) else []:
        if isinstance(condition, dict) and condition.get("type") == type_:
            return condition
    return {}


async def _refuse_cycle(start: ObjectKey, spec: SchemaVersionSpec, store: ObjectStore) -> None:
    """Follow all dependencies; raise DependencyCycle where they lead back."""
    paths = [(start, key) for key in dependency_keys(start.namespace, spec)]
    seen: set[ObjectKey] = set()
    while paths:
        *before, key = paths.pop()
        if key == start:
            way = " -> ".join(k.name for k in (*before, key))
            raise DependencyCycle(f"spec.dependsOn goes in a circle: {way}")
        if key in seen:
            continue
        seen.add(key)
        found = await store.read(key)
        if found is None:
            continue
        try:
            theirs = parse_spec(SchemaVersionSpec, found.spec)
        except InvalidSpec:
            continue
        paths += [(*before, key, nxt) for nxt in dependency_keys(key.namespace, theirs)]  # type: ignore[misc]  # a way of any length
