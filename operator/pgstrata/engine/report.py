"""What one look tells users while it goes on and when it ends: status and events.

A room says what it has learned (`know`), what it is doing (`working`), and the driver how it ended
(`conclude`). Unchanged status is not written.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Generic, TypeVar

from pydantic import JsonValue

from pgstrata.core.api_status import ConditionStatus, KindStatus, ProgressStatus
from pgstrata.core.errors import PgstrataError
from pgstrata.core.reasons import Reason, Situation
from pgstrata.core.resource import RECONCILE_ANNOTATION, Clock, ObjectStore, RawResource
from pgstrata.engine.status import READY, RECONCILING, STALLED, Claim, conditions, standing

StatusT = TypeVar("StatusT", bound=KindStatus)

FIGURES_SECONDS = 10.0
"""Measured figures are written at most so often, the start of a step at most every second."""
STEPS_SECONDS = 1.0


class Reporter(Generic[StatusT]):
    """Holds the status of one resource during one look."""

    def __init__(self, store: ObjectStore, clock: Clock, raw: RawResource, status: StatusT) -> None:
        self._store = store
        self._clock = clock
        self._raw = raw
        self._flags: dict[str, Claim] = {}
        self._due: dict[str, Callable[[], object]] = {}
        self._held: tuple[Reason, str] | None = None
        """The step that was told last, where that came too soon to be written."""
        self._writing = asyncio.Lock()
        self._written_at = 0.0
        self._written_status: Mapping[str, JsonValue] = dict(raw.status)
        self.status = status

    def know(self, **facts: object) -> None:
        """Put facts into the status; they are written with the next report."""
        self.status = self.status.model_copy(update=facts)
        for name in facts:
            self._due.pop(name, None)

    def know_when_written(self, **facts: Callable[[], object]) -> None:
        """Put facts into the status that cost something to put together: only for a report."""
        self._due |= facts

    def flag(self, type_: str, holds: ConditionStatus, reason: Reason, message: str) -> None:
        """Set one of the kind's own conditions, for `kubectl wait`."""
        self._flags[type_] = Claim(type_, holds, reason, message)

    async def working(
        self,
        reason: Reason,
        message: str,
        progress: ProgressStatus | None = None,
        *,
        quiet: float = STEPS_SECONDS,
    ) -> None:
        """Say what is being done now: at once where the reason is new, else every `quiet` s."""
        if "progress" in type(self.status).model_fields:
            self.know(progress=progress)
        changed = (self._said(RECONCILING) or self._said(READY)) != reason
        if changed or time.monotonic() - self._written_at > quiet:
            await self._write(reason, message, stalled=False)
        elif quiet == STEPS_SECONDS:
            self._held = (reason, message)

    def hold(self, reason: Reason, message: str, progress: ProgressStatus | None) -> None:
        """Say it only if it lasts: what is tried once more may end as it did before."""
        if "progress" in type(self.status).model_fields:
            self.know(progress=progress)
        self._held = (reason, message)

    @asynccontextmanager
    async def telling(self) -> AsyncIterator[None]:
        """While the block runs, write what came too soon when its time has come: it may last."""
        telling = asyncio.create_task(self._tell_held())
        try:
            yield
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)

    async def _tell_held(self) -> None:
        while True:
            await asyncio.sleep(STEPS_SECONDS)
            if self._held is not None and not self._writing.locked():
                with suppress(PgstrataError):  # the API server is away: it is told when it is back
                    await self._write(*self._held, stalled=False)

    @property
    def has_failed(self) -> bool:
        """Whether the status says of the newest generation that it failed, or had to wait."""
        return self._said(STALLED) is not None or self._said(READY) == Reason.LOCK_TIMEOUT

    async def conclude(self, reason: Reason, message: str, *, stalled: bool = False) -> None:
        """Write how the look ended, and tell of it in an event where it is news."""
        if "progress" in type(self.status).model_fields:
            self.know(progress=None)
        await self._write(reason, message, stalled=stalled)

    async def event(self, reason: Reason, message: str, *, warning: bool = False) -> None:
        """Tell users of something that happened once."""
        await self._store.record_event(
            self._raw, warning=warning, reason=reason.value, message=message
        )

    async def _write(self, reason: Reason, message: str, *, stalled: bool) -> None:
        async with self._writing:
            held = self._held
            await self._write_alone(reason, message, stalled=stalled)
            if self._held is held:
                self._held = None

    async def _write_alone(self, reason: Reason, message: str, *, stalled: bool) -> None:
        self.know(**{name: fact() for name, fact in self._due.items()})
        before = {c.type: c for c in self.status.conditions}
        claims = [*standing(reason, message, stalled=stalled), *self._own_claims()]
        asked = self._raw.annotations.get(RECONCILE_ANNOTATION)
        self.know(
            observed_generation=self._raw.generation,
            conditions=conditions(
                claims,
                self.status.conditions,
                generation=self._raw.generation,
                now=self._clock.now(),
            ),
            last_handled_reconcile_at=asked,
        )
        self._written_at = time.monotonic()
        written = self.status.model_dump(mode="json", by_alias=True, exclude_none=True)
        if written == self._written_status:
            return
        await self._store.write_status(self._raw, written)
        self._written_status = written
        old = before.get(READY)
        new = claims[0]
        now_stalled = any(claim.type == STALLED for claim in claims)
        if old is None or (old.status, old.reason, STALLED in before) != (
            new.status,
            new.reason,
            now_stalled,
        ):
            situation = Situation.STALLED if stalled else reason.situation
            await self.event(
                reason, message, warning=situation in {Situation.RETRY, Situation.STALLED}
            )

    def _own_claims(self) -> list[Claim]:
        """The kind's own conditions: those set in this look, else those that stood before.

        What was said of an earlier generation says nothing of this one.
        """
        is_current = self.status.observed_generation == self._raw.generation
        kept = {
            c.type: Claim(c.type, c.status, c.reason, c.message)
            if is_current
            else Claim(c.type, ConditionStatus.UNKNOWN, Reason.PROGRESSING, "not looked at yet")
            for c in self.status.conditions
            if c.type not in {READY, RECONCILING, STALLED}
        }
        return list({**kept, **self._flags}.values())

    def _said(self, type_: str) -> str | None:
        found = (c.reason for c in self.status.conditions if c.type == type_)
        generation = self.status.observed_generation
        return next(found, None) if generation == self._raw.generation else None
