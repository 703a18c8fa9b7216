"""What a look says of a resource: nothing that only the spec before it has earned."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import JsonValue

from pgstrata.core.api_status import ConditionStatus
from pgstrata.core.reasons import Reason
from pgstrata.core.resource import ObjectKey, RawResource
from pgstrata.engine.report import Reporter
from pgstrata.migrations.spec import SchemaVersionStatus
from tests.testbed.kstatus import assert_kstatus
from tests.testbed.polling import poll_async

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
OWN = ("Expanded", "Migrated")


@dataclass(slots=True)
class RecordingStore:
    """Keeps every status that was written; a Reporter asks nothing else of it."""

    written: list[Mapping[str, Any]] = field(default_factory=list)

    async def read(self, key: ObjectKey) -> RawResource | None:
        raise AssertionError(key)

    async def exists(self, key: ObjectKey) -> bool:
        raise AssertionError(key)

    async def read_secret(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        raise AssertionError(namespace, name)

    async def read_config_map(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        raise AssertionError(namespace, name)

    async def write_status(self, raw: RawResource, status: Mapping[str, JsonValue]) -> None:
        assert_kstatus({"metadata": {"generation": raw.generation}, "status": status})
        self.written.append(status)

    async def record_event(
        self, raw: RawResource, *, warning: bool, reason: str, message: str
    ) -> None:
        pass

    async def ensure_finalizer(self, raw: RawResource) -> None:
        raise AssertionError(raw)

    async def release(self, raw: RawResource) -> None:
        raise AssertionError(raw)

    def own(self) -> dict[str, tuple[str, int]]:
        """The kind's own conditions as last written: status and generation of each."""
        return {
            c["type"]: (c["status"], c["observedGeneration"])
            for c in self.written[-1]["conditions"]
            if c["type"] in OWN
        }


class FixedClock:
    """It is always NOW."""

    def now(self) -> datetime:
        return NOW


async def after_a_look(store: RecordingStore) -> Mapping[str, Any]:
    """Return the status that a look at generation 1 left: all of it done."""
    report = reporter(store, generation=1, status={})
    for type_ in OWN:
        report.flag(type_, ConditionStatus.TRUE, Reason.SUCCEEDED, "complete")
    await report.conclude(Reason.SUCCEEDED, "done")
    return store.written[-1]


def reporter(
    store: RecordingStore, *, generation: int, status: Mapping[str, Any]
) -> Reporter[SchemaVersionStatus]:
    """Return the reporter of a look at a resource that has this status."""
    key = ObjectKey("SchemaVersion", "default", "app")
    raw = RawResource(key, "uid", generation, spec={}, status=status)
    before = SchemaVersionStatus.model_validate(status, by_alias=True, by_name=False)
    return Reporter(store, FixedClock(), raw, before)


async def test_what_a_new_generation_has_not_earned_yet_is_unknown_until_it_is_looked_at() -> None:
    store = RecordingStore()
    status = await after_a_look(store)
    report = reporter(store, generation=2, status=status)
    await report.working(Reason.PROGRESSING, "looking at version 2")
    assert store.own() == dict.fromkeys(OWN, ("Unknown", 2))
    report.flag("Expanded", ConditionStatus.TRUE, Reason.SUCCEEDED, "complete")
    report.flag("Migrated", ConditionStatus.FALSE, Reason.PROGRESSING, "not complete")
    await report.conclude(Reason.LOCK_TIMEOUT, "held")
    assert store.own() == {"Expanded": ("True", 2), "Migrated": ("False", 2)}


@pytest.mark.parametrize("reason", [Reason.CONNECTION_FAILED, Reason.INVALID_SPEC])
async def test_a_look_at_a_new_generation_that_fails_at_once_does_not_say_that_it_is_done(
    reason: Reason,
) -> None:
    store = RecordingStore()
    report = reporter(store, generation=2, status=await after_a_look(store))
    await report.conclude(reason, "nothing could be seen")
    assert store.own() == dict.fromkeys(OWN, ("Unknown", 2))


async def test_what_stood_for_the_same_generation_stands_while_nothing_can_be_seen() -> None:
    store = RecordingStore()
    report = reporter(store, generation=1, status=await after_a_look(store))
    await report.conclude(Reason.CONNECTION_FAILED, "no answer")
    assert store.own() == dict.fromkeys(OWN, ("True", 1))


async def test_a_step_that_was_told_too_soon_is_told_when_it_has_lasted() -> None:
    store = RecordingStore()
    report = reporter(store, generation=1, status={})
    await report.working(Reason.PROGRESSING, "looking at version 1")

    async def told() -> bool:
        return "step 1 of 1" in str(store.written[-1])

    async with report.telling():
        await report.working(Reason.PROGRESSING, "step 1 of 1")
        assert len(store.written) == 1
        await poll_async(told, 5, "the step in the status")
    assert len(store.written) == 2
