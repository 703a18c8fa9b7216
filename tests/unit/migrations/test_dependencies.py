"""What a SchemaVersion waits for, and what it waits for no more."""

import pytest
from pydantic import JsonValue

from pgstrata.core.errors import DependencyCycle
from pgstrata.core.resource import ObjectKey, RawResource
from pgstrata.migrations.dependencies import what_comes_first
from pgstrata.migrations.spec import SchemaVersionSpec
from tests.unit.app.drivers import MemoryStore


def condition(type_: str, status: str, generation: int = 1) -> JsonValue:
    return {
        "type": type_,
        "status": status,
        "reason": "Because",
        "message": "so it is",
        "observedGeneration": generation,
    }


def resource(
    name: str,
    *first: JsonValue,
    generation: int = 1,
    status: dict[str, JsonValue] | None = None,
    conditions: tuple[JsonValue, ...] = (),
) -> RawResource:
    """A SchemaVersion that depends on `first`: names, or whole entries."""
    entries: list[JsonValue] = [
        {"kind": "SchemaVersion", "name": each} if isinstance(each, str) else each for each in first
    ]
    spec: dict[str, JsonValue] = {
        "databaseRef": {"name": "d"},
        "source": {"bundle": "b"},
        "version": "2",
        "dependsOn": entries,
    }
    seen: dict[str, JsonValue] = {"observedGeneration": 1, "conditions": list(conditions)}
    key = ObjectKey("SchemaVersion", "shop", name)
    return RawResource(key, f"uid-{name}", generation, spec, seen | (status or {}))


async def waits(raw: RawResource, *others: RawResource) -> str | None:
    spec = SchemaVersionSpec.model_validate(raw.spec)
    return await what_comes_first(raw, spec, MemoryStore(raw, *others))


READY = (condition("Ready", "True"),)


async def test_without_a_version_the_other_must_be_ready_at_its_newest_generation() -> None:
    app = resource("app", "base")
    assert await waits(app, resource("base", conditions=READY)) is None
    said = await waits(app, resource("base", generation=2, conditions=READY))
    assert said is not None
    assert said.startswith("SchemaVersion shop/base is not Ready yet")
    unready = resource("base", conditions=(condition("Ready", "Unknown"),))
    assert "Because: so it is" in str(await waits(app, unready))


async def test_what_does_not_exist_or_has_no_status_is_waited_for_by_name() -> None:
    app = resource("app", "base")
    missing = "SchemaVersion shop/base of spec.dependsOn does not exist"
    assert await waits(app) == missing
    assert "it has no status yet" in str(await waits(app, resource("base")))


@pytest.mark.parametrize(
    ("through", "target", "conditions", "is_met"),
    [
        ("Migrate", "2", ("Expanded", "Migrated"), True),
        ("Migrate", "02.0", ("Migrated",), True),
        ("Migrate", "10", ("Migrated",), True),
        ("Migrate", "1", ("Migrated",), False),
        ("Migrate", "2", ("Expanded",), False),
        ("Expand", "2", ("Expanded",), True),
        ("Contract", "2", ("Expanded", "Migrated"), False),
        ("Contract", "2", ("Contracted",), True),
    ],
)
async def test_a_version_is_there_once_its_phase_is_complete(
    through: str, target: str, conditions: tuple[str, ...], is_met: bool
) -> None:
    entry: JsonValue = {
        "kind": "SchemaVersion",
        "name": "base",
        "version": "2",
        "through": through,
    }
    base = resource(
        "base",
        status={"targetVersion": target},
        conditions=tuple(condition(each, "True") for each in conditions),
    )
    said = await waits(resource("app", entry), base)
    assert (said is None) is is_met
    assert is_met or f"is not at version 2 through {through} yet" in str(said)


async def test_a_version_that_is_done_counts_while_a_later_one_is_under_way() -> None:
    status: dict[str, JsonValue] = {
        "targetVersion": "3",
        "expandedThrough": "3",
        "migratedThrough": "002",
    }
    base = resource("base", status=status, conditions=(condition("Migrated", "False"),))
    entry: dict[str, JsonValue] = {"kind": "SchemaVersion", "name": "base", "version": "2"}
    assert await waits(resource("app", entry), base) is None
    assert await waits(resource("app", entry | {"version": "1"}), base) is None
    assert await waits(resource("app", entry | {"version": "3"}), base) is not None
    expanded = entry | {"version": "3", "through": "Expand"}
    assert await waits(resource("app", expanded), base) is None
    assert await waits(resource("app", entry | {"through": "Contract"}), base) is not None


async def test_a_contract_that_is_pending_below_holds_the_version_above() -> None:
    phases: JsonValue = [{"phase": "Expand", "state": "Done"}]
    status: dict[str, JsonValue] = {
        "targetVersion": "3",
        "currentVersion": "3",
        "contractedThrough": "1",
        "versions": [{"version": "2", "phases": phases}],
    }
    entry: dict[str, JsonValue] = {
        "kind": "SchemaVersion",
        "name": "base",
        "version": "2",
        "through": "Contract",
    }
    base = resource("base", status=status)
    assert await waits(resource("app", entry), base) is not None
    assert await waits(resource("app", entry | {"version": "1.0"}), base) is None


async def test_a_generation_that_was_ready_waits_for_nothing_and_a_new_one_does() -> None:
    assert await waits(resource("app", "base", conditions=READY)) is None
    edited = resource("app", "base", generation=2, conditions=READY)
    assert await waits(edited) is not None


@pytest.mark.parametrize("length", [1, 2, 3])
async def test_a_circle_is_named_with_its_whole_way(length: int) -> None:
    names = ["a", "b", "c"][:length]
    ring = [resource(n, f) for n, f in zip(names, [*names[1:], names[0]], strict=True)]
    with pytest.raises(DependencyCycle, match=" -> ".join([*names, "a"])):
        await waits(*ring)


async def test_who_depends_on_a_circle_without_being_in_it_waits_like_others() -> None:
    ring = [resource("a", "b"), resource("b", "a")]
    assert "shop/a is not Ready" in str(await waits(resource("app", "a"), *ring))
    diamond = [resource("l", "d"), resource("r", "d"), resource("d", conditions=READY)]
    assert "shop/l is not Ready" in str(await waits(resource("app", "l", "r"), *diamond))
