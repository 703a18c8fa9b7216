"""A run is asked, then told, then left behind; no key ever has two."""

import asyncio
import contextlib

import pytest

from pgstrata.app import runs as runs_module
from pgstrata.app.runs import GivenUp, Runs
from pgstrata.core.driver import Look
from pgstrata.core.interrupt import Cause, Interrupt
from pgstrata.core.outcome import Done
from pgstrata.core.resource import ObjectKey, RawResource
from tests.unit.app.drivers import Behaviour, ScriptedDriver
from tests.unit.app.resources import KEY, raw_resource


@pytest.fixture(autouse=True)
def _short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs_module, "HARD_AFTER", 0.03)
    monkeypatch.setattr(runs_module, "CANCEL_AFTER", 60.0)
    monkeypatch.setattr(runs_module, "GIVE_UP_AFTER", 61.0)


@pytest.fixture
def cancelled_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who heeds nothing is not waited for; who does would have to be quick."""
    monkeypatch.setattr(runs_module, "CANCEL_AFTER", 0.06)
    monkeypatch.setattr(runs_module, "GIVE_UP_AFTER", 0.09)


def never(key: ObjectKey) -> None:
    """Nothing is to end late."""
    pytest.fail(f"{key} ended late")


async def _until_soft(interrupt: Interrupt) -> None:
    await interrupt.wait_soft()


async def _until_hard(interrupt: Interrupt) -> None:
    await interrupt.wait_hard()


async def _until_cancelled(_: Interrupt) -> None:
    await asyncio.Event().wait()


async def _start(runs: Runs, raw: RawResource) -> "asyncio.Task[Look]":
    """Begin a look; on return the driver has been called."""
    looking = asyncio.create_task(runs.look(raw))
    for _ in range(3):  # the look's own task, the run's, the driver's first step
        await asyncio.sleep(0)
    assert runs.is_active(raw.key)
    return looking


async def test_a_changed_resource_asks_its_run_to_stop_and_no_more() -> None:
    driver = ScriptedDriver(_until_soft)
    runs = Runs(driver, on_late_end=never)
    looking = await _start(runs, raw_resource(generation=1))

    runs.changed(raw_resource(generation=1, version=2))
    assert not driver.interrupts[0].requested
    runs.changed(raw_resource(generation=2))
    async with asyncio.timeout(5):
        assert (await looking).outcome == Done("as scripted")
    assert driver.interrupts[0].cause is Cause.CHANGED
    assert not runs.is_active(KEY)


async def test_a_namesake_stops_the_run_for_the_object_before() -> None:
    """Its deletion was not seen: both have the same generation, and only the uid tells."""
    driver = ScriptedDriver(_until_hard)
    runs = Runs(driver, on_late_end=never)
    looking = await _start(runs, raw_resource(uid="old"))

    runs.changed(raw_resource(uid="new"))
    async with asyncio.timeout(5):
        await looking
    assert driver.interrupts[0].cause is Cause.DELETED


@pytest.mark.parametrize("behaviour", [_until_soft, _until_hard])
async def test_the_run_of_a_deleted_resource_ends_by_itself_if_it_heeds(
    behaviour: Behaviour,
) -> None:
    runs = Runs(ScriptedDriver(behaviour), on_late_end=never)
    looking = await _start(runs, raw_resource())

    runs.deleted(KEY)
    async with asyncio.timeout(5):
        assert await runs.ended(KEY)
        assert (await looking).outcome == Done("as scripted")


@pytest.mark.usefixtures("cancelled_soon")
async def test_a_run_that_heeds_nothing_is_cancelled() -> None:
    runs = Runs(ScriptedDriver(_until_cancelled), on_late_end=never)
    looking = await _start(runs, raw_resource())

    runs.deleted(KEY)
    async with asyncio.timeout(5):
        with pytest.raises(GivenUp):
            await looking
    assert not runs.is_active(KEY)


@pytest.mark.usefixtures("cancelled_soon")
async def test_a_run_that_survives_its_cancellation_is_given_up_and_keeps_its_key_busy() -> None:
    gate = asyncio.Event()

    async def stubborn(_: Interrupt) -> None:
        while not gate.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await gate.wait()

    late: asyncio.Queue[ObjectKey] = asyncio.Queue()
    runs = Runs(ScriptedDriver(stubborn), on_late_end=late.put_nowait)
    looking = await _start(runs, raw_resource())
    try:
        runs.deleted(KEY)
        async with asyncio.timeout(5):
            assert not await runs.ended(KEY)
            with pytest.raises(GivenUp):
                await looking
            assert runs.is_active(KEY)
            with pytest.raises(GivenUp):
                await runs.look(raw_resource(uid="its namesake"))
            assert late.empty()
    finally:
        gate.set()  # whatever happened: nothing else ends it
    async with asyncio.timeout(5):
        assert await late.get() == KEY
    assert not runs.is_active(KEY)


@pytest.mark.usefixtures("cancelled_soon")
async def test_a_clean_up_is_cut_off_at_its_time() -> None:
    runs = Runs(ScriptedDriver(_until_cancelled), on_late_end=never)
    loop = asyncio.get_running_loop()

    async with asyncio.timeout(5):
        error = await runs.clean_up(raw_resource(), until=loop.time() + 0.05)

    assert isinstance(error, GivenUp)


async def test_what_a_clean_up_raises_is_told_not_raised() -> None:
    async def fail(_: Interrupt) -> None:
        raise RuntimeError("as scripted")

    runs = Runs(ScriptedDriver(fail), on_late_end=never)
    loop = asyncio.get_running_loop()

    error = await runs.clean_up(raw_resource(), until=loop.time() + 5)

    assert isinstance(error, RuntimeError)
    assert await runs.clean_up(raw_resource(), until=loop.time() + 5) is not None


async def test_what_a_look_raises_passes_through() -> None:
    async def fail(_: Interrupt) -> None:
        raise RuntimeError("as scripted")

    runs = Runs(ScriptedDriver(fail), on_late_end=never)

    with pytest.raises(RuntimeError, match="as scripted"):
        await runs.look(raw_resource())
    assert not runs.is_active(KEY)


async def test_the_end_of_the_operator_reaches_every_run() -> None:
    driver = ScriptedDriver(_until_soft)
    runs = Runs(driver, on_late_end=never)
    other = ObjectKey("SchemaVersion", "shop", "customers")
    looks = [await _start(runs, raw_resource()), await _start(runs, raw_resource(other))]

    runs.interrupt_all()
    async with asyncio.timeout(5):
        await asyncio.gather(*looks)

    assert {interrupt.cause for interrupt in driver.interrupts} == {Cause.SHUTDOWN}
    assert runs.active_tasks == 0
