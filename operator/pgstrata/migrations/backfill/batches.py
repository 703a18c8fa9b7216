"""One pass of a backfill over its table: batch by batch, each with its cursor in one transaction.

A batch is a plain UPDATE or DELETE over its range. One that meets a lock is run again without the
rows that are locked, which a later pass finds; one that fails by its data is halved until the row
is known that it fails for. Called by step.py. Raises MigrationFailed naming the row,
LockTimeout naming who holds it.
"""

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from pgstrata.core.errors import LockTimeout, MigrationFailed, PgstrataError
from pgstrata.core.reasons import Reason
from pgstrata.engine.exclusive import Exclusive
from pgstrata.engine.failpoints import failpoint
from pgstrata.engine.table_locks import LockTarget, lock_holders
from pgstrata.engine.throttle import Throttle
from pgstrata.migrations.backfill.cursor import Cursor, Position, cursor_moved
from pgstrata.migrations.backfill.neighbours import Neighbours
from pgstrata.migrations.backfill.pace import Pace
from pgstrata.migrations.backfill.progress import BackfillProgress
from pgstrata.migrations.backfill.row_ranges import Ranges
from pgstrata.migrations.backfill.shape import BackfillShape
from pgstrata.pg.failures import Contention, LockNotAvailable, StatementFailed, StatementTimeout
from pgstrata.pg.lock_modes import LockMode
from pgstrata.pg.session import Effect, Verbatim
from pgstrata.pg.timeouts import StatementClass, limits_of

LOCK_PATIENCE_SECONDS = 30.0
"""How long one row that others hold is waited for in one run, where it cannot be left for later."""
_TOLD_AFTER_SECONDS = 2.0
"""A lock that goes by itself is nobody's business."""
_PAUSE_SECONDS = 0.2
_TIMEOUT_TRIES = 3
_CAUTION = 8
_NEVER_BY_DATA = frozenset({"08", "40", "42", "53", "55", "57", "58", "XX", "0A", "25"})
"""SQLSTATE classes that no single row is the cause of, unless a trigger raises them."""
_NAMED = 3
_SECONDS = Effect("migrations/batch_seconds", {})
_COMMIT_LATER = Effect("migrations/commit_later", {})
"""Cursor and rows are lost together or not at all, so a batch need not wait for the disk; the end
of its step does, and makes all before it durable."""


@dataclass(frozen=True, slots=True)
class _Done:
    """A batch that was committed."""

    rows: int
    """Changed by it."""
    seconds: float
    """Of the server's work, without the way to it."""


@dataclass(slots=True)
class Batches:
    """The passes of one backfill in one run."""

    work: Exclusive
    shape: BackfillShape
    ranges: Ranges
    pace: Pace
    throttle: Throttle
    neighbours: Neighbours
    report: BackfillProgress
    id: str
    """Of the step: the cursor's key."""
    _caution: int = 0
    """Batches that must go well before they grow again: a row that fails is near."""
    _timeouts: int = 0
    _waiting_since: float | None = field(default=None, init=False)
    _changed: int = field(default=0, init=False)
    """Rows changed in all passes of this run."""

    async def run_pass(self, cursor: Cursor) -> int:
        """Go on with a pass to its end; return the rows changed in this pass by this run."""
        position, before = cursor.position, self._changed
        while position != cursor.upper and cursor.upper:
            await self._heed()
            self.pace.beside(await self.neighbours.are_writing(self._changed))
            failpoint("batch.before")
            size = self.pace.size
            end = await self.ranges.end_of(position, size, cursor.upper)
            done = await self._try(position, end, size)
            if done is None:
                continue
            failpoint("batch.committed")
            self._grow(done.seconds, size)
            position, self._changed = end, self._changed + done.rows
            self._timeouts, self._waiting_since = 0, None
            await self.report.moved(position, cursor.upper, done.rows)
            if pause := self.pace.pause_after(done.seconds):
                await self.report.progress.pause(pause)
        return self._changed - before

    async def run_rows(self, statements: Iterable[Verbatim], cursor: Cursor) -> int:
        """Run the file's statement over rows by their keys, once a pass has ended; return how many
        were changed. What is locked or fails is left for the next pass, which says so.
        """
        before = self._changed
        for statement in statements:
            await self._heed()
            with suppress(StatementFailed):
                done = await self._batch(statement, cursor.upper)
                self._changed += done.rows
                await self.report.moved(cursor.upper, cursor.upper, done.rows)
        return self._changed - before

    async def _heed(self) -> None:
        """Stop where the run is to stop; wait while something throttles."""
        self.report.progress.check()
        while (reason := await self.throttle.reason()) is not None:
            await self.report.throttled(reason)
            await self.report.progress.pause(1.0)
        await self.report.resumed()

    async def _try(self, position: Position | None, end: Position, size: int) -> _Done | None:
        """Run one batch; None: it is to be tried anew."""
        try:
            return await self._batch(self.ranges.statement(position, end), end)
        except LockNotAvailable:
            return await self._beside_locks(position, end)
        except Contention:
            self._shrink(size)
            await self._wait_for_locks()
        except StatementTimeout as error:
            await self._too_slow(position, end, size, error)
        except StatementFailed as error:
            if error.sqlstate[:2] in _NEVER_BY_DATA and not error.is_raised:
                raise
            await self._fails_by_data(position, end, size, error)
        return None

    async def _batch(self, statement: Verbatim, end: Position) -> _Done:
        session = self.work.session
        limits = limits_of(StatementClass.BATCH, session.target.timeouts, session.facts.deadlock_ms)
        opening = (_COMMIT_LATER, statement, _SECONDS)
        async with self.work.group(limits, *opening) as transaction:
            [_, _, changed, _] = transaction.opened
            failpoint("batch.changed")
            transaction.closing.append(cursor_moved(self.work, self.id, end, changed))
        [seconds] = transaction.answer or ()
        return _Done(changed, float(str(seconds)))

    async def _beside_locks(self, position: Position | None, end: Position) -> _Done | None:
        """Leave the locked rows for a later pass; where there is none, wait for them."""
        if self.shape.may_repeat:
            try:
                return await self._batch(self.ranges.unlocked(position, end), end)
            except (LockNotAvailable, Contention, StatementTimeout):
                self._shrink(self.pace.size)  # a trigger's or a foreign key's lock
        else:
            self._shrink(self.pace.size)
        await self._wait_for_locks()
        return None

    async def _wait_for_locks(self) -> None:
        """Pause; raise LockTimeout once it has lasted too long without any batch done."""
        now = time.monotonic()
        self._waiting_since = self._waiting_since or now
        who = await holders_of(self.work, self.shape)
        if now - self._waiting_since > LOCK_PATIENCE_SECONDS:
            raise LockTimeout(f"{self.report.title}: rows are locked{who}; next try in seconds")
        if now - self._waiting_since > _TOLD_AFTER_SECONDS:
            text = f"{self.report.title}: rows are locked{who}"
            await self.report.progress.repeat(Reason.LOCK_TIMEOUT, text)
        await self.report.progress.pause(_PAUSE_SECONDS)

    async def _too_slow(
        self, position: Position | None, end: Position, size: int, error: StatementTimeout
    ) -> None:
        if size > 1:
            return self._shrink(size)
        self._timeouts += 1
        if self._timeouts >= _TIMEOUT_TRIES:
            row = await self.ranges.row_in(position, end) or "?"
            raise MigrationFailed(
                f"{self.report.title}: row {row} alone takes longer than a batch may "
                f"({error.message}); a trigger or a foreign key without an index?"
            ) from error

    async def _fails_by_data(
        self, position: Position | None, end: Position, size: int, error: StatementFailed
    ) -> None:
        """Halve the range; raise MigrationFailed once it is one row."""
        if size > 1:
            self._caution = _CAUTION
            return self._shrink(size)
        row = await self.ranges.row_in(position, end)
        raise MigrationFailed(
            f"{self.report.title}: row {row or '?'}: {error.message}; all rows before it are done; "
            "mend the row or the statement, and the backfill goes on from there"
        ) from error

    def _grow(self, seconds: float, size: int) -> None:
        """Let batches grow, unless a row that fails was near a moment ago."""
        if self._caution:
            self._caution -= 1
        else:
            self.pace.took(seconds, size)

    def _shrink(self, size: int) -> None:
        self.pace.size = self.ranges.smaller(size)


async def holders_of(work: Exclusive, shape: BackfillShape) -> str:
    """Return who may hold rows of the table: ` by pid ...`; empty where nobody is seen."""
    table = shape.table
    target = LockTarget(
        table.schema,
        table.name,
        table.oid,
        LockMode.EXCLUSIVE,
        may_lock=True,
        vacuum_age_exceeded=False,
    )
    try:
        found: Sequence[object] = await lock_holders(work.monitor, [target])
    except PgstrataError:
        return ""
    return f" by {'; '.join(map(str, found[:_NAMED]))}" if found else ""
