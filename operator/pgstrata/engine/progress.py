"""What a running step says of itself, and where it heeds the wish to stop.

Handed to Step.execute by engine/run.py. A step calls `pause` wherever it waits: the pause ends at
once with Interrupted when the run is to stop.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from pgstrata.core.api_status import KindStatus, ProgressStatus
from pgstrata.core.errors import Interrupted
from pgstrata.core.interrupt import Interrupt
from pgstrata.core.reasons import Reason
from pgstrata.engine.report import FIGURES_SECONDS, Reporter


class Gauge(Protocol):
    """Measures a running step, for example from a pg_stat_progress view."""

    async def __call__(self) -> tuple[str, ProgressStatus] | None:
        """Return a sentence and figures, or None where there is nothing to see yet."""
        ...


class Progress:
    """The voice of the step that runs."""

    def __init__(
        self, report: Reporter[KindStatus], interrupt: Interrupt, *, closes: float | None = None
    ) -> None:
        """`closes`: when the maintenance window does, by the event loop's clock."""
        self._report = report
        self._step: ProgressStatus | None = None
        self._interrupt = interrupt
        self._closes = closes

    def check(self) -> None:
        """Raise Interrupted where the run is to stop: the step stands at a boundary."""
        if self._interrupt.requested:
            raise Interrupted(f"stopped because {self._interrupt.cause}")
        if self._seconds_left() <= 0:
            raise Interrupted("stopped because the maintenance window has closed")

    async def say(self, reason: Reason, message: str) -> None:
        """Tell users what is going on."""
        await self._report.working(reason, message, self._step)

    def hold(self, reason: Reason, message: str) -> None:
        """Tell users only if it lasts."""
        self._report.hold(reason, message, self._step)

    async def repeat(self, reason: Reason, message: str) -> None:
        """Tell the same again with other figures: at once where the reason is new, else rarely."""
        await self._report.working(reason, message, self._step, quiet=FIGURES_SECONDS)

    def begin(self, outline_id: str, number: int, total: int) -> None:
        """Note that step `number` (from 0) of `total` begins; it is told with what is said next."""
        self._step = ProgressStatus(step=outline_id, done=number, total=total, unit="steps")

    async def event(self, reason: Reason, message: str, *, warning: bool = False) -> None:
        """Tell users of something that happened once."""
        await self._report.event(reason, message, warning=warning)

    async def pause(self, seconds: float) -> None:
        """Wait, unless the run is to stop. Raises Interrupted."""
        with suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, max(0.0, self._seconds_left()))):
                await self._interrupt.wait_soft()
        self.check()

    async def figures(self, reason: Reason, message: str, status: ProgressStatus) -> None:
        """Tell how far the step is: at once where the reason is new, else every 10 s."""
        await self._report.working(reason, message, status, quiet=FIGURES_SECONDS)

    def _seconds_left(self) -> float:
        """Until the maintenance window closes; infinite without one."""
        if self._closes is None:
            return float("inf")
        return self._closes - asyncio.get_running_loop().time()

    @asynccontextmanager
    async def measured(
        self, gauge: Gauge, reason: Reason, *, every: float = 2.0
    ) -> AsyncIterator[None]:
        """Report what `gauge` measures while the block runs."""

        async def watch() -> None:
            while True:
                await asyncio.sleep(every)
                seen = await gauge()
                if seen is not None:
                    message, figures = seen
                    await self._report.working(reason, message, figures, quiet=FIGURES_SECONDS)

        watching = asyncio.create_task(watch())
        try:
            yield
        finally:
            watching.cancel()
            # What the gauge failed at must not decide about the step that it watched.
            await asyncio.gather(watching, return_exceptions=True)
