"""An event is turned into work for whom it concerns, and for nobody else."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from pgstrata.app.deletions import Deletions
from pgstrata.app.intake import Intake
from pgstrata.app.queue import WorkQueue
from pgstrata.app.references import ReverseIndex
from pgstrata.app.runs import Runs
from pgstrata.core.interrupt import Cause, Interrupt
from pgstrata.core.resource import ObjectKey
from pgstrata.kube.cache import ObjectCache
from pgstrata.kube.store import FINALIZER
from tests.unit.app.drivers import MemoryStore, ScriptedDriver
from tests.unit.app.resources import DATABASE, KEY, SECRET

REFERENCES = {KEY: frozenset({DATABASE}), DATABASE: frozenset({SECRET})}


async def _until_soft(interrupt: Interrupt) -> None:
    await interrupt.wait_soft()


class Desk:
    """An Intake and the queues that it fills."""

    def __init__(self) -> None:
        self.driver = driver = ScriptedDriver(_until_soft, references=REFERENCES)
        self.cache = ObjectCache()
        self.forgotten: list[ObjectKey] = []
        self.queue = WorkQueue()
        self.runs = runs = Runs(driver, on_late_end=self.queue.add)
        self.deletions = Deletions(
            store=MemoryStore(), cache=self.cache, runs=runs, on_released=lambda _: None
        )
        self.intake = Intake(
            driver=driver,
            cache=self.cache,
            index=ReverseIndex(),
            queue=self.queue,
            deletions=self.deletions,
            runs=runs,
            on_forgotten=self.forgotten.append,
        )

    async def woken(self) -> set[ObjectKey]:
        """Who is to be looked at; the queue is empty afterwards."""
        keys = set()
        while len(self.queue):
            key = await self.queue.get()
            self.queue.done(key)
            keys.add(key)
        return keys


def obj(
    key: ObjectKey, *, uid: str = "u", version: int = 1, generation: int = 1, **metadata: Any
) -> Mapping[str, Any]:
    """An object as a watch event shows it; converged."""
    return {
        "kind": key.kind,
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "uid": uid,
            "resourceVersion": str(version),
            "generation": generation,
            **metadata,
        },
        "status": {"observedGeneration": 1},
    }


@pytest.fixture
async def desk() -> Desk:
    """A SchemaVersion and its database are known, and have been looked at."""
    desk = Desk()
    desk.intake.resource_seen(obj(KEY))
    desk.intake.resource_seen(obj(DATABASE, uid="db"))
    assert await desk.woken() == {KEY, DATABASE}
    return desk


async def test_a_second_listing_of_the_same_wakes_nobody(desk: Desk) -> None:
    desk.intake.resource_seen(obj(KEY))

    assert await desk.woken() == set()


async def test_a_change_of_a_database_wakes_what_lives_there(desk: Desk) -> None:
    desk.intake.resource_seen(obj(DATABASE, uid="db", version=2, generation=2))

    assert await desk.woken() == {DATABASE, KEY}


async def test_a_status_of_a_database_wakes_nobody(desk: Desk) -> None:
    desk.intake.resource_seen(obj(DATABASE, uid="db", version=2))

    assert await desk.woken() == set()


async def running(desk: Desk) -> "asyncio.Task[object]":
    """A run of the SchemaVersion, which goes on until it is asked to stop."""
    raw = desk.cache.get(KEY)
    assert raw is not None
    task: asyncio.Task[object] = asyncio.create_task(desk.runs.look(raw))
    for _ in range(3):  # the look's own task, the run's, the driver's first step
        await asyncio.sleep(0)
    assert desk.driver.interrupts
    return task


async def test_a_change_of_a_database_stops_what_runs_there_at_its_next_boundary(
    desk: Desk,
) -> None:
    task = await running(desk)
    desk.intake.resource_seen(obj(DATABASE, uid="db", version=2))
    assert not desk.driver.interrupts[0].requested, "its status is no change"
    desk.intake.resource_seen(obj(DATABASE, uid="db", version=3, generation=2))

    async with asyncio.timeout(5):
        await task
    assert desk.driver.interrupts[0].cause is Cause.CHANGED
    assert await desk.woken() == {DATABASE, KEY}


async def test_a_new_secret_stops_nothing_that_runs(desk: Desk) -> None:
    task = await running(desk)
    desk.intake.reference_seen("Secret", obj(SECRET, version=5))

    assert not desk.driver.interrupts[0].requested
    desk.runs.interrupt_all()
    await task


async def test_a_secret_wakes_its_database_and_what_lives_there_once_a_version(desk: Desk) -> None:
    desk.intake.reference_seen("Secret", obj(SECRET, version=5))
    assert await desk.woken() == {DATABASE, KEY}
    desk.intake.reference_seen("Secret", obj(SECRET, version=5))
    assert await desk.woken() == set()
    desk.intake.reference_seen("Secret", obj(SECRET, version=6))
    assert await desk.woken() == {DATABASE, KEY}
    desk.intake.reference_gone("Secret", obj(SECRET, version=7))
    assert await desk.woken() == {DATABASE, KEY}


async def test_a_config_map_of_the_same_name_wakes_nobody(desk: Desk) -> None:
    desk.intake.reference_seen("ConfigMap", obj(SECRET))

    assert await desk.woken() == set()


async def test_a_deletion_goes_to_its_lane_if_it_is_ours_to_let_go(desk: Desk) -> None:
    at = "2026-11-23T10:00:00Z"
    others = ["example.com/other"]
    desk.intake.resource_seen(obj(KEY, version=2, deletionTimestamp=at, finalizers=others))
    assert len(desk.deletions.queue) == 0
    desk.intake.resource_seen(obj(KEY, version=3, deletionTimestamp=at, finalizers=[FINALIZER]))

    assert len(desk.deletions.queue) == 1
    assert await desk.woken() == set()


async def test_what_is_gone_leaves_its_database_to_be_looked_at(desk: Desk) -> None:
    desk.intake.resource_gone(obj(KEY, version=2))

    assert await desk.woken() == {DATABASE}
    assert desk.cache.get(KEY) is None
    desk.intake.resource_gone(obj(KEY, version=2))
    assert await desk.woken() == set(), "it is told once"
    assert desk.forgotten == [KEY]


async def test_a_database_that_is_gone_wakes_what_lived_there(desk: Desk) -> None:
    desk.intake.resource_gone(obj(DATABASE, uid="db", version=2))

    assert await desk.woken() == {KEY}


async def test_the_end_of_a_namesake_before_wakes_nobody(desk: Desk) -> None:
    desk.intake.resource_seen(obj(KEY, uid="new", version=4))
    await desk.woken()
    desk.intake.resource_gone(obj(KEY, version=3))

    assert await desk.woken() == set()
    assert desk.cache.get(KEY) is not None
    assert desk.forgotten == []
