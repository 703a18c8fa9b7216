"""What pgstrata itself made in the application's tables for a while, and how it goes away again.

Today that is the triggers that keep backfills right until Contract
(migrations/backfill/keep_trigger.py). They cost writers, so they stand in the status, are dropped
by the contract of their version, and go when the resource goes. `DROP FUNCTION pgstrata.<name>()
CASCADE` removes one without pgstrata.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pgstrata.core.errors import WaitingForVacuum
from pgstrata.core.names import LockedObject
from pgstrata.engine.failpoints import failpoint
from pgstrata.engine.table_locks import LockTarget, take_locks
from pgstrata.pg.failures import LockNotAvailable
from pgstrata.pg.lock_modes import LockMode
from pgstrata.pg.quoting import compose
from pgstrata.pg.session import Session
from pgstrata.pg.timeouts import Limits, StatementClass, limits_of


@dataclass(frozen=True, slots=True)
class Owned:
    """One trigger of ours with its function."""

    name: str
    """Of the function in the schema pgstrata."""
    step: str
    version: str
    table_name: str
    purpose: str
    until: str
    made_at: datetime
    schema: str | None
    table: str | None
    table_oid: int
    """0: trigger and table are gone."""
    columns: Sequence[str] = ()
    """Whose UPDATE the trigger is for."""
    is_enabled: bool = True
    """Nobody has disabled it, on a partition neither."""

    @property
    def trigger(self) -> str:
        """Triggers fire in the order of their names: ours last."""
        return trigger_name(self.name)

    def keeps(self, table_oid: int) -> bool:
        """Whether it works on this table."""
        return self.table_oid == table_oid and self.is_enabled

    @property
    def lock(self) -> LockTarget | None:
        """What dropping it takes."""
        if self.schema is None or self.table is None:
            return None
        return LockTarget(
            self.schema,
            self.table,
            self.table_oid,
            LockMode.ACCESS_EXCLUSIVE,
            may_lock=True,
            vacuum_age_exceeded=False,
        )


def trigger_name(function: str) -> str:
    """Return the trigger's name for its function's."""
    return f"zzz_pgstrata_{function}"


async def list_owned(session: Session, object_: LockedObject) -> list[Owned]:
    """Return what was made for an object, oldest first. The control schema must exist."""
    return await session.all("engine/list_owned", Owned, object=object_.text)


async def drop_owned(session: Session, owned: Sequence[Owned], limits: Limits) -> None:
    """Drop triggers with their functions, in the caller's transaction, under one deadline.

    Raises LockNotAvailable, WaitingForVacuum.
    """
    locks = {one.lock.table: one.lock for one in owned if one.lock is not None}
    await take_locks(session, [locks[table] for table in sorted(locks)], limits)
    for one in owned:
        if one.schema is not None and one.table is not None:
            await session.execute(
                compose(
                    "DROP TRIGGER IF EXISTS {trigger} ON {table}",
                    trigger=one.trigger,
                    table=(one.schema, one.table),
                )
            )
        await session.execute(
            compose("DROP FUNCTION IF EXISTS {function}()", function=("pgstrata", one.name))
        )
        await session.run("engine/forget_owned", name=one.name)
        failpoint("owned.dropped")


async def drop_all_owned(session: Session, object_: LockedObject) -> bool:
    """Try once to drop each trigger of an object without a manager; return whether all are gone."""
    limits = limits_of(StatementClass.OTHER, session.target.timeouts, session.facts.deadlock_ms)
    complete = True
    for one in await list_owned(session, object_):
        try:
            async with session.transaction():
                await drop_owned(session, [one], limits)
        except (LockNotAvailable, WaitingForVacuum):
            complete = False
    return complete
