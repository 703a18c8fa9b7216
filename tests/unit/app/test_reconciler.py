"""Looks keep coming: when asked for, after a failure, at the resync; never at what is gone."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from pgstrata.app import reconciler as reconciler_module
from pgstrata.app.metrics import Metrics
from pgstrata.app.queue import WorkQueue
from pgstrata.app.reconciler import Reconciler
from pgstrata.app.runs import Runs
from pgstrata.core.interrupt import Interrupt
from pgstrata.core.resource import RawResource
from pgstrata.kube.cache import ObjectCache
from pgstrata.kube.client import ApiError
from tests.unit.app.drivers import Behaviour, MemoryStore, ScriptedDriver, do_nothing
from tests.unit.app.resources import KEY, raw_resource


class Worker:
    """One worker and all that it works with."""

    def __init__(self, driver: ScriptedDriver, *, resync: float = 600.0) -> None:
        self.driver = driver
        self.cache = ObjectCache()
        self.store = MemoryStore()
        self.queue = WorkQueue()
        self.gone: list[RawResource] = []
        self.runs = Runs(driver, on_late_end=self.queue.add)
        self.metrics = Metrics()
        self._reconciler = Reconciler(
            store=self.store,
            cache=self.cache,
            queue=self.queue,
            runs=self.runs,
            metrics=self.metrics,
            resync=resync,
            on_gone=self.gone.append,
        )

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Let it work in the background; a worker that dies fails the test."""
        task = asyncio.create_task(self._reconciler.work())
        try:
            async with asyncio.timeout(5):
                yield
        finally:
            task.cancel()
            ends = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(ends[0], asyncio.CancelledError)


class Looks:
    """A behaviour that lets the test wait for the n-th look."""

    def __init__(self, then: Behaviour = do_nothing) -> None:
        self._then = then
        self._begun: asyncio.Queue[None] = asyncio.Queue()

    async def __call__(self, interrupt: Interrupt) -> None:
        self._begun.put_nowait(None)
        await self._then(interrupt)

    async def wait(self, count: int) -> None:
        for _ in range(count):
            await self._begun.get()


async def test_the_newest_state_is_looked_at() -> None:
    looks = Looks()
    worker = Worker(ScriptedDriver(looks))
    worker.cache.put_event(raw_resource(generation=1, version=1))
    worker.queue.add(KEY)
    worker.cache.put_event(raw_resource(generation=2, version=2))
    async with worker.working():
        await looks.wait(1)

    assert [raw.generation for raw in worker.driver.looked_at] == [2]


async def test_the_next_look_comes_when_it_is_asked_for() -> None:
    looks = Looks()
    worker = Worker(ScriptedDriver(looks, look_again=0.01))
    worker.cache.put_event(raw_resource())
    worker.queue.add(KEY)
    async with worker.working():
        await looks.wait(3)


async def test_without_a_wish_it_comes_at_the_resync() -> None:
    looks = Looks()
    worker = Worker(ScriptedDriver(looks), resync=0.02)
    worker.cache.put_event(raw_resource())
    worker.queue.add(KEY)
    async with worker.working():
        await looks.wait(3)


async def test_a_wish_for_later_than_the_resync_does_not_put_it_off() -> None:
    looks = Looks()
    worker = Worker(ScriptedDriver(looks, look_again=3600), resync=0.02)
    worker.cache.put_event(raw_resource())
    worker.queue.add(KEY)
    async with worker.working():
        await looks.wait(2)


def _failing(error: Callable[[], Exception]) -> Behaviour:
    async def fail(_: Interrupt) -> None:
        raise error()

    return fail


@pytest.mark.parametrize(
    "error", [lambda: RuntimeError("a fault"), lambda: ApiError(500, "", "no")]
)
async def test_a_failure_is_tried_again_and_ends_no_worker(
    monkeypatch: pytest.MonkeyPatch, error: Callable[[], Exception]
) -> None:
    monkeypatch.setattr("pgstrata.app.queue.FIRST_RETRY", 0.002)
    looks = Looks(_failing(error))
    worker = Worker(ScriptedDriver(looks))
    worker.cache.put_event(raw_resource())
    worker.queue.add(KEY)
    async with worker.working():
        await looks.wait(3)


async def test_what_is_being_deleted_is_left_to_its_own_lane() -> None:
    worker = Worker(ScriptedDriver())
    worker.cache.put_event(raw_resource(deleting=True))
    worker.queue.add(KEY)
    async with worker.working():
        await _until_idle(worker)

    assert worker.driver.looked_at == []


async def _until_idle(worker: Worker) -> None:
    """Return once the key that waits has been dealt with."""
    await asyncio.sleep(0)  # the worker takes it
    assert len(worker.queue) == 0
    await worker.queue.drained()


async def test_an_object_that_vanished_unseen_is_not_looked_at_but_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A watch stream was cut, and the object was deleted before it was opened anew."""
    monkeypatch.setattr(reconciler_module, "CONFIRM_AFTER", 0.0)
    worker = Worker(ScriptedDriver())
    worker.cache.put_event(raw_resource())
    worker.queue.add(KEY)
    async with worker.working():
        await _until_idle(worker)

    assert worker.driver.looked_at == []
    assert worker.gone == [raw_resource()]


async def test_a_namesake_that_came_unseen_is_not_taken_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconciler_module, "CONFIRM_AFTER", 0.0)
    worker = Worker(ScriptedDriver())
    worker.cache.put_event(raw_resource(uid="old"))
    worker.store.objects[KEY] = raw_resource(uid="new", version=9)
    worker.queue.add(KEY)
    async with worker.working():
        await _until_idle(worker)

    assert worker.driver.looked_at == []


async def test_what_changed_unseen_is_looked_at_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciler_module, "CONFIRM_AFTER", 0.0)
    looks = Looks()
    worker = Worker(ScriptedDriver(looks))
    worker.cache.put_event(raw_resource(generation=1, version=1))
    worker.store.objects[KEY] = raw_resource(generation=2, version=9)
    worker.queue.add(KEY)
    async with worker.working():
        await looks.wait(1)

    assert [raw.generation for raw in worker.driver.looked_at] == [2]


async def test_a_key_whose_run_goes_on_waits_for_its_end() -> None:
    gate = asyncio.Event()
    looks = Looks()

    async def stubborn(interrupt: Interrupt) -> None:
        await looks(interrupt)
        await gate.wait()

    worker = Worker(ScriptedDriver(stubborn))
    worker.cache.put_event(raw_resource())
    outside = asyncio.create_task(worker.runs.look(raw_resource()))
    await looks.wait(1)
    worker.queue.add(KEY)
    async with worker.working():
        await _until_idle(worker)
        assert len(worker.driver.looked_at) == 1
    gate.set()
    await outside
