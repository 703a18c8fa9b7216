"""The step that runs one UPDATE or DELETE in batches, until nothing is left of what it is to
change.

First the trigger that keeps right what is written meanwhile, then passes over the table, then the
proof: a count of the rows that are still wrong, which must be none. The cursor moves in each
batch's transaction, so that a death costs one batch. Design: traps 5, 13, 14, 26, 27.
"""

import time
from dataclasses import dataclass, replace

from pgstrata.core.errors import LockTimeout, MigrationFailed, VerificationFailed
from pgstrata.core.reasons import Reason
from pgstrata.engine.exclusive import Exclusive
from pgstrata.engine.failpoints import failpoint
from pgstrata.engine.plan import Outline
from pgstrata.engine.progress import Progress
from pgstrata.engine.throttle import Throttle
from pgstrata.migrations.backfill.batches import LOCK_PATIENCE_SECONDS, Batches, holders_of
from pgstrata.migrations.backfill.column_statistics import analyze_unknown
from pgstrata.migrations.backfill.cursor import (
    Begun,
    Cursor,
    begin_pass,
    cursor_dropped,
    mark,
    read_cursor,
)
from pgstrata.migrations.backfill.directive import BatchOptions
from pgstrata.migrations.backfill.keep_trigger import ensure_keep
from pgstrata.migrations.backfill.neighbours import Neighbours
from pgstrata.migrations.backfill.pace import Pace
from pgstrata.migrations.backfill.progress import BackfillProgress
from pgstrata.migrations.backfill.resume import goes_on, is_kept_right, refusal, trust
from pgstrata.migrations.backfill.row_ranges import Extent, InexactKey, Ranges, extent, ranges_of
from pgstrata.migrations.backfill.rows_left import FEW, keys_left, statements
from pgstrata.migrations.backfill.shape import BackfillShape, read_shape
from pgstrata.migrations.groups import Group
from pgstrata.migrations.journal import Entry, start_step, step_finished
from pgstrata.migrations.settings import settle
from pgstrata.migrations.statement_failure import explain
from pgstrata.pg.failures import LockNotAvailable, StatementFailed
from pgstrata.pg.session import verbatim
from pgstrata.pg.timeouts import StatementClass

IDLE_PASSES = 3
"""Passes without fewer wrong rows after which somebody must look."""
_PAUSE_SECONDS = 1.0
_ALONE = verbatim("SET LOCAL max_parallel_workers_per_gather = 0")
"""Beside others who write the scan that proves the end takes one core, and leaves them the rest."""


@dataclass(frozen=True, slots=True)
class RunBackfill:
    """Run the group's one statement in batches."""

    outline: Outline
    group: Group
    entry: Entry
    schema: str

    async def probe(self, work: Exclusive) -> bool:
        """The journal was read under the lock and lacks this step."""
        return False

    async def execute(self, work: Exclusive, progress: Progress) -> None:
        """Raise MigrationFailed naming a row, VerificationFailed where there is no progress."""
        await settle(work, self.schema, self.entry.file, self.group)
        shape = await self._shape(work)
        is_kept = False
        while not is_kept:
            await self._pass(work, progress, shape)
            # dropped or disabled meanwhile it has let rows pass that were done
            is_kept = await is_kept_right(work, self.entry, shape)

    async def _pass(self, work: Exclusive, progress: Progress, shape: BackfillShape) -> None:
        await trust(work, self.entry, shape, self.place)
        await start_step(work, self.entry, None)
        failpoint("backfill.started")
        await ensure_keep(work, progress, self.entry, shape.keep)
        failpoint("backfill.kept")
        try:
            await _Passes(self, work, progress, shape).run()
        except InexactKey as error:
            raise MigrationFailed(f"{self.place}: {error.message}") from error
        except StatementFailed as error:
            error.position = None  # in a text that the file does not have
            file, first, standing = self.entry.file, self.group.first, self.entry.first_statement
            raise explain(error, file, first, work.session, standing=standing) from error

    async def verify(self, work: Exclusive) -> None:
        """Proven by execute: no row is left to be changed."""

    async def record(self, work: Exclusive) -> None:
        cursor = await read_cursor(work, self.entry.id)
        rows = cursor.rows if cursor is not None else 0
        async with work.journalled() as transaction:
            transaction.closing.append(step_finished(work, replace(self.entry, rows=rows)))
            transaction.closing.append(cursor_dropped(work, self.entry.id))

    @property
    def options(self) -> BatchOptions:
        """What the directive asks for."""
        options = self.group.first.batch
        if options is None:
            raise AssertionError("groups.py makes a backfill only of what has a directive")
        return options

    @property
    def place(self) -> str:
        """Where the statement stands."""
        return self.entry.file.place(self.group.first)

    async def _shape(self, work: Exclusive) -> BackfillShape:
        try:
            return await read_shape(
                work.session, self.group.first.text, self.options, step=self.entry.id
            )
        except LockNotAvailable as error:
            raise LockTimeout(f"{self.place}: its table is locked; next try in seconds") from error
        except MigrationFailed as error:
            raise MigrationFailed(f"{self.place}: {error.message}") from error


@dataclass(slots=True)
class _Passes:
    """Passes over the table until the count of wrong rows is zero."""

    step: RunBackfill
    work: Exclusive
    progress: Progress
    shape: BackfillShape
    matching: int = 0
    """Rows for which a WHERE that looks at what is set held when it was counted last."""

    async def run(self) -> None:
        session, entry, options = self.work.session, self.step.entry, self.step.options
        await analyze_unknown(session, self.shape)
        size = await extent(session, self.shape.table.oid)
        ranges = ranges_of(self.shape, session, size)
        asked = None if options.size is None else ranges.size_of(options.size)
        report = BackfillProgress(self.progress, ranges, entry.id, self.step.place, size.rows)
        throttle = Throttle(self.work.monitor, session.target.throttle, self.shape.table.oid)
        batches = Batches(
            self.work,
            self.shape,
            ranges,
            Pace(
                asked or ranges.first_size,
                asked or ranges.largest,
                ranges.smallest,
                is_fixed=asked is not None,
            ),
            throttle,
            Neighbours(session, self.work.monitor, self.shape.table.oid),
            report,
            entry.id,
        )
        cursor = await self._cursor(ranges, size)
        idle = 0
        locked_since: float | None = None
        while True:
            failpoint("backfill.pass")
            report.begin(cursor)
            changed = await batches.run_pass(cursor)
            wrong = await self._wrong(report, beside=batches.pace.is_beside)
            if self.shape.by_blocks and 0 < wrong <= FEW:
                left = statements(self.shape, await keys_left(session, self.shape))
                changed += await batches.run_rows(left, cursor)
                wrong = await self._wrong(report, beside=batches.pace.is_beside)
            if not wrong:
                await self._judge_what_stays()
                return
            is_idle = cursor.remaining is not None and wrong >= cursor.remaining
            who = await holders_of(self.work, self.shape) if is_idle and not changed else ""
            if who:
                locked_since = await self._wait_for_locks(wrong, who, locked_since)
            elif is_idle:
                idle += 1
                if batches.pace.is_beside and idle < IDLE_PASSES:
                    await self.progress.pause(idle * _PAUSE_SECONDS)  # for what is under way there
            else:
                idle, locked_since = 0, None
            if idle >= IDLE_PASSES:
                raise self._no_progress(wrong)
            size = await extent(session, self.shape.table.oid)
            cursor = Cursor(
                cursor.checksum,
                cursor.pass_ + 1,
                None,
                await ranges.begin(),
                size.filenode,
                report.rows,
                0,
                wrong if cursor.remaining is None else min(wrong, cursor.remaining),
            )
            await begin_pass(self.work, entry.id, cursor)

    async def _cursor(self, ranges: Ranges, size: Extent) -> Cursor:
        """Return where to go on, or begin a first pass, or this one anew.

        Another statement begins from the start; but where no row may be taken twice it goes on from
        where the one before it came to, and is refused where it cannot (resume.py).
        """
        entry = self.step.entry
        mark_ = mark(entry.checksums[0], ranges.way)
        cursor = await read_cursor(self.work, entry.id)
        if cursor is not None and cursor.checksum != mark_:
            begun = Begun(entry.id, cursor.checksum, cursor.position, cursor.rows)
            if not self.shape.may_repeat and not goes_on(begun, self.shape):
                raise MigrationFailed(refusal(self.step.place, begun, self.work.fence.object))
            if self.shape.may_repeat or begun.way != ranges.way:
                cursor = None
        if cursor is None:
            cursor = Cursor(mark_, 1, None, await ranges.begin(), size.filenode, 0, 0, None)
        elif cursor.filenode != size.filenode and self.shape.by_blocks:
            cursor = replace(
                cursor, position=None, upper=await ranges.begin(), filenode=size.filenode
            )
        else:
            return cursor
        await begin_pass(self.work, entry.id, cursor)
        return cursor

    async def _wrong(self, report: BackfillProgress, *, beside: bool) -> int:
        """Count the rows that are still to be changed; 0 where it cannot be said."""
        if self.shape.violations is None:
            return 0
        session = self.work.session
        await report.say("counting the rows that are left")
        await session.limit(StatementClass.SCAN)
        try:
            async with session.transaction(*((_ALONE,) if beside else ())):
                [(count, *matching)] = await session.rows_of(verbatim(self.shape.violations))
        finally:
            if session.is_open:
                await session.limit(StatementClass.LOOK)
        failpoint("backfill.counted")
        self.matching = int(str(matching[0])) if matching and self.shape.has_guards else 0
        return int(str(count))

    async def _judge_what_stays(self) -> None:
        """Rows that WHERE would find again: to be filled and not filled, or set to what they were.

        Raises VerificationFailed for the first, and tells of the second.
        """
        if not self.matching:
            return
        place, statement = self.step.place, self.shape.statement
        what = ", ".join(statement.targets)
        if statement.fills:
            raise VerificationFailed(
                f"{place}: the backfill makes no progress: WHERE still holds for {self.matching} "
                f"rows, since what {what} is set to is NULL for them; put these rows right, or "
                "leave them out by one condition more; what is filled stays filled"
            )
        text = (
            f"{place}: WHERE still holds for {self.matching} rows: the statement sets {what} to "
            "what it is; where a contract demands more, put those rows right first"
        )
        await self.progress.event(Reason.BACKFILLING, text, warning=True)

    async def _wait_for_locks(self, wrong: int, who: str, since: float | None) -> float:
        """What is left is locked by others: wait for them, up to a limit, and name them."""
        now = time.monotonic()
        since = since if since is not None else now
        text = f"{self.step.place}: {wrong} rows are left, and locked{who}"
        if now - since > LOCK_PATIENCE_SECONDS:
            raise LockTimeout(f"{text}; next try in seconds")
        await self.progress.repeat(Reason.LOCK_TIMEOUT, text)
        await self.progress.pause(_PAUSE_SECONDS)
        return since

    def _no_progress(self, wrong: int) -> VerificationFailed:
        cause = "does a trigger or a rule undo what is set?"
        if self.shape.keep is None:
            why = f" ({self.shape.keep_refusal})" if self.shape.keep_refusal else ""
            cause = (
                "does a trigger undo what is set, or does the application go on writing rows the "
                f"old way, which nothing keeps right here{why}?"
            )
        if self.shape.statement.fills:
            cause = f"is what it sets NULL, or {cause}"
        if self.shape.statement.others:
            cause = f"do several rows of the other tables belong to one of this, or {cause}"
        return VerificationFailed(
            f"{self.step.place}: the backfill makes no progress: after {IDLE_PASSES} passes over "
            f"the table {wrong} rows are still to be changed; {cause}"
        )
