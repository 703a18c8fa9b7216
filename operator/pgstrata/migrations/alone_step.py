"""The step that runs one statement outside any transaction: VACUUM, REINDEX CONCURRENTLY, and what
`-- pgstrata: no-transaction` asks for.

Such a statement and its journal entry cannot be one: after a crash between the two it runs a second
time. The plan says so. What can be seen in the catalog is looked at first.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pgstrata.core.errors import AccessDenied, MigrationFailed
from pgstrata.engine.exclusive import Exclusive
from pgstrata.engine.failpoints import failpoint
from pgstrata.engine.lock_retry import with_lock_retries
from pgstrata.engine.plan import Outline
from pgstrata.engine.progress import Progress
from pgstrata.engine.table_locks import LockTarget, resolve_locks
from pgstrata.migrations.groups import SELF_COMMITTING, Group
from pgstrata.migrations.journal import Entry, fail_step, start_step, step_before, step_finished
from pgstrata.migrations.outside import (
    detach_is_done,
    index_is_gone,
    remove_reindex_leftovers,
)
from pgstrata.migrations.settings import settle, unsettle
from pgstrata.migrations.statement_failure import (
    KeptColumn,
    cancelled,
    explain,
    timed_out,
)
from pgstrata.pg.classification import StatementKind
from pgstrata.pg.failures import StatementFailed, StatementTimeout
from pgstrata.pg.session import Session, verbatim
from pgstrata.pg.timeouts import Limits, StatementClass, limits_of

_TIMEOUT_TRIES = 3
_CLASSES = {
    StatementKind.DROP_INDEX_CONCURRENTLY: StatementClass.CONCURRENT_INDEX,
    StatementKind.REINDEX_CONCURRENTLY: StatementClass.CONCURRENT_INDEX,
    StatementKind.REFRESH_CONCURRENTLY: StatementClass.SCAN,
    StatementKind.VACUUM: StatementClass.SCAN,
    StatementKind.ANALYZE: StatementClass.SCAN,
    StatementKind.DETACH_CONCURRENTLY: StatementClass.DETACH,
}
_UNQUEUED = {StatementClass.CONCURRENT_INDEX, StatementClass.DETACH}


@dataclass(frozen=True, slots=True)
class RunAlone:
    """Run the group's one statement outside any transaction."""

    outline: Outline
    group: Group
    entry: Entry
    schema: str

    async def probe(self, work: Exclusive) -> bool:
        """Where it began before, see what the catalog shows of it, and finish what is half done.

        Raises MigrationFailed for a statement that failed before and may have committed a part: it
        is not run again as it stands.
        """
        await settle(work, self.schema, self.entry.file, self.group)
        before = await step_before(work, self.entry)
        if before is None:
            return False
        kind = self.group.first.what.kind
        if kind in SELF_COMMITTING and before.has_failed(self.entry):
            raise MigrationFailed(
                f"{before.error}; it may have committed a part of its work, so that it is not run "
                "again as it stands: make it safe to run again, and change its text"
            )
        match kind:
            case StatementKind.DROP_INDEX_CONCURRENTLY:
                return await index_is_gone(work, self.group)
            case StatementKind.DETACH_CONCURRENTLY:
                return await detach_is_done(work, self.group)
            case _:
                return False

    async def execute(self, work: Exclusive, progress: Progress) -> None:
        await start_step(work, self.entry, None)
        failpoint("alone.started")
        session = work.session
        statement = self.group.first
        targets = await resolve_locks(session, self.group.locks)
        timeouts = 0

        async def attempt(lock_ms: int) -> None:
            nonlocal timeouts
            if statement.what.kind is StatementKind.REINDEX_CONCURRENTLY:
                await remove_reindex_leftovers(work, self.group)
            await session.limit_to(self._limits(session, targets, lock_ms))
            try:
                await session.execute(verbatim(statement.text))
            except StatementTimeout as error:
                timeouts += 1
                if timeouts >= _TIMEOUT_TRIES or statement.what.kind in SELF_COMMITTING:
                    raise timed_out(
                        error,
                        self.entry.file,
                        statement,
                        session,
                        tries=timeouts,
                        standing=self.entry.first_statement,
                    ) from error
                raise cancelled(error, session) from error
            except StatementFailed as error:
                raise explain(
                    error, self.entry.file, statement, session, standing=self.entry.first_statement
                ) from error
            finally:
                if session.is_open:
                    await session.limit(StatementClass.LOOK)

        if statement.what.kind in SELF_COMMITTING:
            await self._once(work, attempt)
        else:
            try:
                await with_lock_retries(attempt, targets, session, progress, self.entry.title)
            except KeptColumn as error:
                raise await error.with_version(work, self.entry.file) from error
        unsettle(work, self.group)
        failpoint("alone.executed")

    async def _once(self, work: Exclusive, attempt: Callable[[int], Awaitable[None]]) -> None:
        """Run what may commit by itself, one time; remember a failure, so that nothing repeats."""
        try:
            await attempt(round(work.session.target.timeouts.lock * 1000))
        except (StatementFailed, MigrationFailed, AccessDenied) as error:
            message = error.message
            if isinstance(error, StatementFailed):
                message = f"{self.entry.file.place(self.group.first)}: {message}"
            await fail_step(work, self.entry, message)
            raise MigrationFailed(message) from error

    def _limits(self, session: Session, targets: list[LockTarget], lock_ms: int) -> Limits:
        """By class; what takes a strong lock waits for it no longer than others may stall.

        Except what waits for transactions and not in a queue, and leaves half its work behind when
        a lock_timeout ends it: its strong lock is asked for when nobody else is left.
        """
        kind = _CLASSES.get(self.group.first.what.kind, StatementClass.OTHER)
        limits = limits_of(kind, session.target.timeouts, session.facts.deadlock_ms)
        if kind not in _UNQUEUED and any(t.is_strong for t in targets):
            other = limits_of(
                StatementClass.OTHER, session.target.timeouts, session.facts.deadlock_ms
            )
            return Limits(lock_ms, other.statement_ms)
        return limits

    async def verify(self, work: Exclusive) -> None:
        """The statement failed or did it, as far as anybody can see."""

    async def record(self, work: Exclusive) -> None:
        async with work.journalled() as transaction:
            transaction.closing.append(step_finished(work, self.entry))
