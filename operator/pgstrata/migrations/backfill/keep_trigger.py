"""Makes the trigger that keeps a backfill right, and drops it at the end of its version's contract.

Both are one short transaction under the recipe for strong locks (engine/lock_retry.py): CREATE
TRIGGER stops writers for a moment, DROP TRIGGER readers too.
"""

from dataclasses import dataclass

from pgstrata.core.errors import AccessDenied
from pgstrata.core.names import TableName
from pgstrata.engine.exclusive import Exclusive
from pgstrata.engine.failpoints import failpoint
from pgstrata.engine.lock_retry import with_lock_retries
from pgstrata.engine.owned import Owned, drop_owned, list_owned, trigger_name
from pgstrata.engine.plan import Gate, Outline
from pgstrata.engine.progress import Progress
from pgstrata.engine.table_locks import LockTarget, take_locks
from pgstrata.migrations.backfill.keep_rule import KeepRule
from pgstrata.migrations.journal import Entry, PhaseMark, finish_phases
from pgstrata.migrations.versions import Version
from pgstrata.pg.failures import InsufficientPrivilege
from pgstrata.pg.lock_modes import LockMode
from pgstrata.pg.quoting import compose, quoted
from pgstrata.pg.session import verbatim
from pgstrata.pg.timeouts import Limits, StatementClass, limits_of


async def ensure_keep(
    work: Exclusive, progress: Progress, entry: Entry, rule: KeepRule | None
) -> None:
    """Make the trigger, unless it is there; one for another text of the same step goes.

    Args:
        rule: None: there shall be none.
    """
    owned = [o for o in await list_owned(work.session, work.fence.object) if o.step == entry.id]
    if rule is None:
        if owned:
            await drop_keep(work, progress, owned)
        return
    table = rule.table
    name = rule.name(work.fence.object)
    [(search_path,)] = await work.session.rows_of("select current_setting('search_path')")
    stale = [o for o in owned if o.name != name]
    if not stale and any(o.name == name and o.keeps(table.oid) for o in owned):
        return
    mode = LockMode.ACCESS_EXCLUSIVE if stale else LockMode.SHARE_ROW_EXCLUSIVE
    target = LockTarget(
        table.schema, table.name, table.oid, mode, may_lock=True, vacuum_age_exceeded=False
    )

    async def attempt(lock_ms: int) -> None:
        limits = _limits(work, lock_ms)
        async with work.group(limits):
            limits = await take_locks(work.session, [target], limits)
            failpoint("keep.locked")
            if stale:
                await drop_owned(work.session, stale, limits)
            await work.session.execute(verbatim(rule.function_text(name, str(search_path))))
            await work.session.execute(verbatim(rule.trigger_text(name, table.schema, table.name)))
            await work.session.execute(
                compose(
                    "ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}",
                    table=(table.schema, table.name),
                    trigger=trigger_name(name),
                )
            )
            await work.session.run(
                "migrations/write_owned",
                name=name,
                object=work.fence.object.text,
                step=entry.id,
                version=entry.file.version.key,
                table_name=str(table.table),
                purpose=f"keeps {', '.join(rule.statement.targets)} right: {entry.title}",
            )
            failpoint("keep.before_commit")
        failpoint("keep.committed")

    what = f"making the trigger that keeps {table.table} right"
    try:
        await with_lock_retries(attempt, [target], work.session, progress, what)
    except InsufficientPrivilege as error:
        role = work.session.facts.role
        raise AccessDenied(
            f"{entry.title}: {error.message} in {what}; role {role} must own {table.table} and "
            "may need, from an administrator: GRANT USAGE, CREATE ON SCHEMA pgstrata TO "
            f"{quoted(role)};"
        ) from error


async def drop_keep(work: Exclusive, progress: Progress, owned: list[Owned]) -> None:
    """Drop triggers behind the fence, with nothing else in the transaction."""
    targets = [one.lock for one in owned if one.lock is not None]

    async def attempt(lock_ms: int) -> None:
        limits = _limits(work, lock_ms)
        async with work.group(limits):
            await drop_owned(work.session, owned, limits)

    await with_lock_retries(attempt, targets, work.session, progress, "dropping kept triggers")


@dataclass(frozen=True, slots=True)
class EndOfKept:
    """Triggers of versions that stand in the way of a group of a contract.

    They go in the group's own transaction: where the group fails, or does not get its locks, they
    stay with the columns that it was to take away, and go on keeping rows right.
    """

    kept: frozenset[tuple[Version, TableName]]
    """Whose they are, and on which tables."""

    @property
    def said(self) -> str:
        """For the plan."""
        tables = ", ".join(sorted({str(table) for _, table in self.kept}))
        return f"drops the triggers that keep the backfills of {tables} right"

    async def triggers(self, work: Exclusive) -> list[Owned]:
        """Return those that are there."""
        kept = {(version.key, table) for version, table in self.kept}
        return [
            one
            for one in await list_owned(work.session, work.fence.object)
            if one.schema is not None and one.table is not None
            if (one.version, TableName(one.schema, one.table)) in kept
        ]


@dataclass(frozen=True, slots=True)
class DropKeep:
    """End what is left of what a version's backfills kept: the last step of its contract."""

    version: Version
    tables: tuple[TableName, ...]
    completes: tuple[PhaseMark, ...]
    approval: str | None = None
    """The hash that must be agreed to first."""
    consumes: str | None = None
    """The approval that is carried out with it."""
    gates: tuple[Gate, ...] = ()
    before: str = ""
    """The step that they stand in the way of; empty: it is the last."""

    @property
    def outline(self) -> Outline:
        place = f" before {self.before}" if self.before else ""
        return Outline(
            id=f"{self.version.key}/Contract/kept-triggers{place}",
            title=f"drop the triggers that keep the backfills of version {self.version} right",
            tables=self.tables,
            lock=LockMode.ACCESS_EXCLUSIVE.sql,
            gates=self.gates,
            approval=self.approval,
        )

    async def probe(self, work: Exclusive) -> bool:
        """It writes the journal too, so that it is done with that alone."""
        return False

    async def execute(self, work: Exclusive, progress: Progress) -> None:
        found = await list_owned(work.session, work.fence.object)
        owned = [one for one in found if one.version == self.version.key]
        targets = [one.lock for one in owned if one.lock is not None]

        async def attempt(lock_ms: int) -> None:
            limits = _limits(work, lock_ms)
            async with work.group(limits):
                await drop_owned(work.session, owned, limits)
                if self.completes or self.consumes:
                    await finish_phases(work, self.completes, self.consumes)
                failpoint("keep.before_drop_commit")
            failpoint("keep.dropped")

        await with_lock_retries(attempt, targets, work.session, progress, self.outline.title)

    async def verify(self, work: Exclusive) -> None:
        """The transaction committed or it did not."""

    async def record(self, work: Exclusive) -> None:
        """Recorded by execute, in its own transaction."""


def _limits(work: Exclusive, lock_ms: int) -> Limits:
    session = work.session
    other = limits_of(StatementClass.OTHER, session.target.timeouts, session.facts.deadlock_ms)
    return Limits(lock_ms, other.statement_ms)
