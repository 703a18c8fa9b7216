"""What the engine is doing for which object, and how it is made to stop.

Started by reconciler.py (looks) and deletions.py (clean-ups), stopped by intake.py and operator.py.
Promises that no two calls to the driver run for one key, and that waiting for one ends in time,
even if the call itself does not: then it is given up, and its key is busy until it has ended.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from pgstrata.core.driver import Driver, Look
from pgstrata.core.interrupt import Cause, Interrupt
from pgstrata.core.resource import ObjectKey, RawResource

HARD_AFTER: Final = 3.0
"""Seconds from a deletion until what still runs is interrupted hard."""
CANCEL_AFTER: Final = 3.5
"""And until its task is cancelled, should it not have heeded that."""
GIVE_UP_AFTER: Final = 3.7
"""And until nobody waits for it any longer."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class GivenUp(Exception):
    """A call to the driver did not end in time, or was cancelled."""


@dataclass(eq=False, slots=True)
class _Run(Generic[T]):
    raw: RawResource
    task: asyncio.Task[T]
    interrupt: Interrupt
    given_up: asyncio.Future[None]
    timers: list[asyncio.TimerHandle] = field(default_factory=list)

    async def first_end(self) -> None:
        """Wait until the task has ended or is given up; neither raises nor cancels anything."""
        ends: set[asyncio.Future[Any]] = {self.task, self.given_up}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)

    def cancel(self) -> None:
        if not self.task.done():
            self.task.cancel()

    def give_up(self) -> None:
        if not self.task.done() and not self.given_up.done():
            log.error("given up: it does not end", extra={"key": str(self.raw.key)})
            self.given_up.set_result(None)


def _cut_off(raw: RawResource) -> GivenUp:
    return GivenUp(f"{raw.key}: the call to the driver was cut off")


class Runs:
    """All calls to the driver that are under way."""

    def __init__(self, driver: Driver, *, on_late_end: Callable[[ObjectKey], None]) -> None:
        """`on_late_end` is told the key of a call that ended after it had been given up."""
        self._driver = driver
        self._on_late_end = on_late_end
        self._active: dict[ObjectKey, _Run[Any]] = {}  # looks and clean-ups answer differently

    def is_active(self, key: ObjectKey) -> bool:
        """Whether a call for this key has not ended, given up or not."""
        return key in self._active

    @property
    def active_tasks(self) -> int:
        """Calls that have not ended."""
        return len(self._active)

    async def look(self, raw: RawResource) -> Look:
        """Have the driver take one look. Raises what it raises, or GivenUp."""
        interrupt = Interrupt()
        run = self._start(raw, self._driver.reconcile(raw, interrupt), interrupt)
        return await self._outcome(run)

    async def clean_up(self, raw: RawResource, *, until: float) -> BaseException | None:
        """Have the driver clean up, until that time of the loop's clock; return what went wrong.

        A fault in there is not raised: it must not keep the resource from being released.
        """
        run = self._start(raw, self._driver.clean_up(raw), Interrupt())
        loop = asyncio.get_running_loop()
        run.timers += [
            loop.call_at(until - (GIVE_UP_AFTER - CANCEL_AFTER), run.cancel),
            loop.call_at(until, run.give_up),
        ]
        await run.first_end()
        if run.task.done() and not run.task.cancelled():
            return run.task.exception()
        return _cut_off(raw)

    async def ended(self, key: ObjectKey) -> bool:
        """Wait until no call for this key runs, or the one that does is given up: then False."""
        run = self._active.get(key)
        if run is not None:
            await run.first_end()
        return run is None or run.task.done()

    def changed(self, raw: RawResource) -> None:
        """Stop, at the next boundary, a run for another generation than this.

        One for an object before, of the same name, is stopped as if told of its deletion.
        """
        run = self._active.get(raw.key)
        if run is None:
            return
        if run.raw.uid != raw.uid:
            self.deleted(raw.key)
        elif run.raw.generation != raw.generation:
            run.interrupt.soft(Cause.CHANGED)

    def overtaken(self, key: ObjectKey) -> None:
        """Stop, at the next boundary, a run that began with what its database said before."""
        run = self._active.get(key)
        if run is not None:
            run.interrupt.soft(Cause.CHANGED)

    def deleted(self, key: ObjectKey) -> None:
        """Stop a run whose resource is being deleted: softly, then hard, then without it."""
        run = self._active.get(key)
        if run is None or run.timers:  # it has its end already
            return
        run.interrupt.soft(Cause.DELETED)
        loop = asyncio.get_running_loop()
        run.timers += [
            loop.call_later(HARD_AFTER, run.interrupt.hard, Cause.DELETED),
            loop.call_later(CANCEL_AFTER, run.cancel),
            loop.call_later(GIVE_UP_AFTER, run.give_up),
        ]

    def interrupt_all(self) -> None:
        """Ask every run to stop at its next boundary: the operator is shutting down."""
        for run in self._active.values():
            run.interrupt.soft(Cause.SHUTDOWN)

    def interrupt_all_hard(self) -> None:
        """Ask every run to stop now."""
        for run in self._active.values():
            run.interrupt.hard(Cause.SHUTDOWN)

    def cancel_all(self) -> None:
        """Cancel the tasks of all runs, for those that did not heed."""
        for run in self._active.values():
            run.cancel()

    def _start(
        self, raw: RawResource, call: Coroutine[Any, Any, T], interrupt: Interrupt
    ) -> _Run[T]:
        if raw.key in self._active:
            call.close()
            raise GivenUp(f"{raw.key} is busy")
        task = asyncio.create_task(call, name=str(raw.key))
        run = _Run(raw, task, interrupt, asyncio.get_running_loop().create_future())
        self._active[raw.key] = run
        task.add_done_callback(lambda _: self._end(run))
        return run

    async def _outcome(self, run: _Run[T]) -> T:
        await run.first_end()
        if run.task.done() and not run.task.cancelled():
            return run.task.result()
        raise _cut_off(run.raw)

    def _end(self, run: _Run[Any]) -> None:
        del self._active[run.raw.key]
        for timer in run.timers:
            timer.cancel()
        if run.given_up.done():
            if not run.task.cancelled() and (error := run.task.exception()) is not None:
                log.error("ended late", exc_info=error, extra={"key": str(run.raw.key)})
            self._on_late_end(run.raw.key)
