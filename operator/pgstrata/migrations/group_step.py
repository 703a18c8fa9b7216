"""The step that runs a group of statements in one transaction, journal included.

All locks up front under one deadline, then the statements, then the journal, then COMMIT: whatever
dies in between, either all of it stands or nothing does.
"""

import time
from dataclasses import dataclass

from pgstrata.core.errors import PgstrataError
from pgstrata.engine.exclusive import Exclusive
from pgstrata.engine.failpoints import failpoint
from pgstrata.engine.lock_retry import with_lock_retries
from pgstrata.engine.owned import Owned, drop_owned
from pgstrata.engine.plan import Outline
from pgstrata.engine.progress import Progress
from pgstrata.engine.table_locks import LockTarget, resolve_locks, take_locks
from pgstrata.migrations.backfill.keep_trigger import EndOfKept
from pgstrata.migrations.groups import Group
from pgstrata.migrations.journal import Entry, step_finished
from pgstrata.migrations.script_file import FileStatement
from pgstrata.migrations.settings import settle, unsettle
from pgstrata.migrations.statement_failure import (
    KeptColumn,
    cancelled,
    explain,
    timed_out,
)
from pgstrata.pg.classification import StatementKind
from pgstrata.pg.failures import LockNotAvailable, StatementFailed, StatementTimeout
from pgstrata.pg.lock_modes import LockMode, RelationRef, TableLock
from pgstrata.pg.session import Session, verbatim
from pgstrata.pg.timeouts import Limits, StatementClass, limits_of

TIMEOUT_TRIES = 3
_SHORTEST_MS = 10
_SCANS = frozenset({StatementKind.VALIDATE_CONSTRAINT, StatementKind.REFRESH_CONCURRENTLY})
"""Steps of their own that read a whole table under a lock which stops nobody."""

_SMALL = frozenset({StatementKind.DML, StatementKind.QUERY})
"""Sent with BEGIN, journal and COMMIT in one round trip, where no strong lock is taken."""


@dataclass(frozen=True, slots=True)
class RunGroup:
    """Run `group` and write `entry`, both or neither."""

    outline: Outline
    group: Group
    entry: Entry
    schema: str
    ends: EndOfKept | None = None
    """Triggers of ours that go with it."""

    async def probe(self, work: Exclusive) -> bool:
        """The journal was read under the lock and lacks this step; its key refuses a second one."""
        return False

    async def execute(self, work: Exclusive, progress: Progress) -> None:
        """Raise MigrationFailed or AccessDenied with the place; LockTimeout with the holders."""
        await settle(work, self.schema, self.entry.file, self.group)
        triggers = await self.ends.triggers(work) if self.ends is not None else []
        locks = (*self.group.locks, *map(_lock_of, triggers))
        # Of weak locks it matters which tables they are on only where one was not had.
        are_strong = any(lock.mode >= LockMode.SHARE_UPDATE_EXCLUSIVE for lock in locks)
        targets = await resolve_locks(work.session, locks) if are_strong else []
        timeouts = 0

        async def attempt(lock_ms: int) -> None:
            nonlocal timeouts
            try:
                await self._attempt(work, targets, triggers, lock_ms)
            except LockNotAvailable:
                targets[:] = targets or await resolve_locks(work.session, locks)
                raise
            except _TimedOut as error:
                timeouts += 1
                if timeouts >= TIMEOUT_TRIES:
                    raise timed_out(
                        error.cause,
                        self.entry.file,
                        error.statement,
                        work.session,
                        tries=timeouts,
                        standing=self.entry.first_statement,
                    ) from error
                raise cancelled(error.cause, work.session) from error

        try:
            await with_lock_retries(attempt, targets, work.session, progress, self.entry.title)
        except KeptColumn as error:
            raise await error.with_version(work, self.entry.file) from error
        unsettle(work, self.group)

    async def verify(self, work: Exclusive) -> None:
        """The transaction committed or it did not; there is nothing in between."""

    async def record(self, work: Exclusive) -> None:
        """Recorded by execute, in its own transaction."""

    async def _attempt(
        self, work: Exclusive, targets: list[LockTarget], triggers: list[Owned], lock_ms: int
    ) -> None:
        """Run the transaction once; `lock_ms` bounds the wait for all locks together."""
        session = work.session
        last = self.group.statements[-1] if self.group.statements else None
        limits = self._limits(session, targets, lock_ms)
        try:
            if not targets and self._is_small:
                failpoint("group.before_commit")
                done = step_finished(work, self.entry)
                await work.at_once(limits, verbatim(self.group.first.text), done)
            else:
                await self._one_by_one(work, targets, triggers, limits)
        except StatementTimeout as error:
            if last is None:
                raise
            raise _TimedOut(last, error) from error
        except StatementFailed as error:
            if last is None or isinstance(error, LockNotAvailable):
                raise
            raise explain(
                error, self.entry.file, last, session, standing=self.entry.first_statement
            ) from error  # the statement, or a deferred constraint
        failpoint("group.committed")

    @property
    def _is_small(self) -> bool:
        """Whether it is one statement that says all by failing or not."""
        statements = self.group.statements
        return len(statements) == 1 and statements[0].what.kind in _SMALL

    async def _one_by_one(
        self, work: Exclusive, targets: list[LockTarget], triggers: list[Owned], limits: Limits
    ) -> None:
        """Begin, take the strong locks under one deadline, run the statements, commit."""
        session = work.session
        async with work.group(limits) as transaction:
            failpoint("group.begun")
            if any(t.is_strong for t in targets):
                limits = await take_locks(session, targets, limits)
                failpoint("group.locked")
            await drop_owned(session, triggers, limits)
            await self._run_statements(work, limits)
            transaction.closing.append(step_finished(work, self.entry))
            failpoint("group.before_commit")

    def _limits(self, session: Session, targets: list[LockTarget], lock_ms: int) -> Limits:
        """Weak locks stall nobody, so that they may be waited for until a vacuum has given way."""
        timeouts, deadlock_ms = session.target.timeouts, session.facts.deadlock_ms
        patient = limits_of(StatementClass.SCAN, timeouts, deadlock_ms)
        if any(s.what.kind in _SCANS for s in self.group.statements[:1]):
            return patient
        limits = limits_of(StatementClass.OTHER, timeouts, deadlock_ms)
        if any(t.is_strong for t in targets):
            return Limits(lock_ms, limits.statement_ms)
        if any(t.mode == LockMode.SHARE_UPDATE_EXCLUSIVE for t in targets):
            return Limits(max(limits.lock_ms, patient.lock_ms), limits.statement_ms)
        return limits

    async def _run_statements(self, work: Exclusive, limits: Limits) -> None:
        """Run the statements; together they get no more time than one of them may have."""
        end = time.monotonic() + limits.statement_ms / 1000
        for number, statement in enumerate(self.group.statements):
            if number and limits.statement_ms:
                left = max(round((end - time.monotonic()) * 1000), _SHORTEST_MS)
                if left < limits.statement_ms * 0.9:
                    await work.session.limit_to(Limits(limits.lock_ms, left), local=True)
            await self._run_one(work, statement)
            failpoint("group.statement")

    async def _run_one(self, work: Exclusive, statement: FileStatement) -> None:
        session = work.session
        try:
            if statement.what.kind is StatementKind.COPY_IN:
                await session.copy_in(verbatim(statement.text), statement.copy_data or "")
            else:
                await session.execute(verbatim(statement.text))
        except StatementTimeout as error:
            raise _TimedOut(statement, error) from error
        except StatementFailed as error:
            raise explain(
                error, self.entry.file, statement, session, standing=self.entry.first_statement
            ) from error


def _lock_of(trigger: Owned) -> TableLock:
    return TableLock(RelationRef(trigger.schema, trigger.table or ""), LockMode.ACCESS_EXCLUSIVE)


class _TimedOut(PgstrataError):
    """A statement was cancelled: by its timeout, or by somebody."""

    def __init__(self, statement: FileStatement, cause: StatementTimeout) -> None:
        super().__init__(cause.message)
        self.statement = statement
        self.cause = cause
