"""The step that runs one statement outside any transaction: VACUUM, REINDEX CONCURRENTLY, and what
`-- pgstrata: no-transaction` asks for.

Such a statement and its journal entry cannot be one: after a crash between the two it runs a second
time. The plan says so. What can be seen in the catalog is looked at first.
"""

from dataclasses import dataclass

from pgstrata.engine.exclusive import Exclusive
from pgstrata.engine.failpoints import failpoint
from pgstrata.engine.lock_retry import with_lock_retries
from pgstrata.engine.plan import Outline
from pgstrata.engine.progress import Progress
from pgstrata.engine.table_locks import resolve_locks
from pgstrata.migrations.groups import Group
from pgstrata.migrations.journal import Entry, finish_step, start_step
from pgstrata.migrations.settings import settle, unsettle
from pgstrata.migrations.statement_failure import explain, timed_out
from pgstrata.pg.classification import StatementKind
from pgstrata.pg.failures import LockNotAvailable, StatementFailed, StatementTimeout
from pgstrata.pg.quoting import quoted_relation
from pgstrata.pg.session import verbatim
from pgstrata.pg.timeouts import StatementClass

_TIMEOUT_TRIES = 3
_CLASSES = {
    StatementKind.DROP_INDEX_CONCURRENTLY: StatementClass.CONCURRENT_INDEX,
    StatementKind.REINDEX_CONCURRENTLY: StatementClass.CONCURRENT_INDEX,
    StatementKind.REFRESH_CONCURRENTLY: StatementClass.SCAN,
    StatementKind.VACUUM: StatementClass.SCAN,
    StatementKind.ANALYZE: StatementClass.SCAN,
    StatementKind.DETACH_CONCURRENTLY: StatementClass.DETACH,
}


@dataclass(frozen=True, slots=True)
class _Started:
    started: bool


@dataclass(frozen=True, slots=True)
class _Found:
    found: bool


@dataclass(frozen=True, slots=True)
class RunAlone:
    """Run the group's one statement outside any transaction."""

    outline: Outline
    group: Group
    entry: Entry
    schema: str

    async def probe(self, work: Exclusive) -> bool:
        """An index that this step began to drop and that is gone needs no second drop."""
        await settle(work, self.schema, self.entry.file, self.group)
        if self.group.first.what.kind is not StatementKind.DROP_INDEX_CONCURRENTLY:
            return False
        before = await work.session.one(
            "migrations/step_was_started",
            _Started,
            object=work.fence.object.text,
            id=self.entry.id,
        )
        return before.started and not await self._index_exists(work)

    async def execute(self, work: Exclusive, progress: Progress) -> None:
        await start_step(work, self.entry, None)
        failpoint("alone.started")
        session = work.session
        statement = self.group.first
        kind = _CLASSES.get(statement.what.kind, StatementClass.OTHER)
        targets = await resolve_locks(session, self.group.locks)
        timeouts = 0

        async def attempt(lock_ms: int) -> None:
            nonlocal timeouts
            del lock_ms  # outside a transaction no lock can be taken up front
            await session.limit(kind)
            try:
                await session.execute(verbatim(statement.text))
            except StatementTimeout as error:
                timeouts += 1
                if timeouts >= _TIMEOUT_TRIES:
                    raise timed_out(
                        self.entry.file,
                        statement,
                        session,
                        standing=self.entry.first_statement,
                    ) from error
                raise LockNotAvailable("57014", "the statement was cancelled") from error
            except StatementFailed as error:
                raise explain(
                    error, self.entry.file, statement, session, standing=self.entry.first_statement
                ) from error
            finally:
                if session.is_open:
                    await session.limit(StatementClass.LOOK)

        await with_lock_retries(attempt, targets, session, progress, self.entry.title)
        unsettle(work, self.group)
        failpoint("alone.executed")

    async def verify(self, work: Exclusive) -> None:
        """The statement failed or did it, as far as anybody can see."""

    async def record(self, work: Exclusive) -> None:
        async with work.journalled():
            await finish_step(work, self.entry)

    async def _index_exists(self, work: Exclusive) -> bool:
        names = [lock.table for lock in self.group.locks if lock.is_index]
        for name in names:
            seen = await work.session.one(
                "migrations/relation_exists", _Found, name=quoted_relation(name)
            )
            if seen.found:
                return True
        return False
