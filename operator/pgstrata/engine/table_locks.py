"""Takes the table locks of a group of statements up front, and tells who stands in the way.

Two rounds, because lock_timeout counts per lock and because a blocked backend asks autovacuum to
give way only after deadlock_timeout: first SHARE UPDATE EXCLUSIVE on all tables, which stops no
reader and no writer and may wait long; then the strong locks in the same order under one deadline,
which is the longest that an application can be made to stall.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from pgstrata.core.errors import WaitingForVacuum
from pgstrata.core.names import TableName
from pgstrata.pg.failures import LockNotAvailable, StatementTimeout
from pgstrata.pg.lock_modes import LockMode, Reach, RelationRef, TableLock
from pgstrata.pg.quoting import compose, quoted_relation
from pgstrata.pg.session import Session
from pgstrata.pg.timeouts import Limits

_SUE = LockMode.SHARE_UPDATE_EXCLUSIVE
_MARGIN_MS = 1_000
_STATEMENT_SLACK_MS = 50
_SHORTEST_MS = 50

_CONFLICTS: dict[LockMode, frozenset[LockMode]] = {
    LockMode.ACCESS_SHARE: frozenset({LockMode.ACCESS_EXCLUSIVE}),
    LockMode.ROW_SHARE: frozenset({LockMode.EXCLUSIVE, LockMode.ACCESS_EXCLUSIVE}),
    LockMode.ROW_EXCLUSIVE: frozenset(m for m in LockMode if m >= LockMode.SHARE),
    LockMode.SHARE_UPDATE_EXCLUSIVE: frozenset(m for m in LockMode if m >= _SUE),
    LockMode.SHARE: frozenset(
        m for m in LockMode if m >= LockMode.ROW_EXCLUSIVE and m is not LockMode.SHARE
    ),
    LockMode.SHARE_ROW_EXCLUSIVE: frozenset(m for m in LockMode if m >= LockMode.ROW_EXCLUSIVE),
    LockMode.EXCLUSIVE: frozenset(m for m in LockMode if m >= LockMode.ROW_SHARE),
    LockMode.ACCESS_EXCLUSIVE: frozenset(LockMode),
}
"""Table 13.2 of the manual's chapter on explicit locking."""


@dataclass(frozen=True, slots=True)
class LockTarget:
    """A table that exists and the strongest lock that a group takes on it."""

    schema: str
    name: str
    oid: int
    mode: int
    may_lock: bool
    vacuum_age_exceeded: bool

    @property
    def table(self) -> TableName:
        return TableName(self.schema, self.name)

    @property
    def is_strong(self) -> bool:
        """Whether writers stall while it is held or waited for."""
        return LockMode(self.mode).stops_writers


@dataclass(frozen=True, slots=True)
class LockHolder:
    """A session or prepared transaction that stands in the way."""

    pid: int
    application_name: str
    state: str
    backend_type: str
    prepared: str
    age_seconds: float
    table_name: str
    mode: str

    def __str__(self) -> str:
        if self.prepared:
            return f'prepared transaction "{self.prepared}" ({self.age_seconds:.0f} s old)'
        who = self.application_name or self.backend_type or "application name not visible"
        state = f", {self.state}" if self.state else ""
        return (
            f"pid {self.pid} ({who}{state}, {self.age_seconds:.0f} s old, {self.mode} on "
            f"{self.table_name})"
        )


@dataclass(frozen=True, slots=True)
class _Reached:
    position: int
    schema: str
    name: str


async def reached_tables(
    session: Session, locks: Sequence[TableLock]
) -> dict[TableLock, tuple[TableName, ...]]:
    """Return the tables that locks are on besides the relations they name; none: left out."""
    wide = [lock for lock in locks if lock.reach is not Reach.ITSELF]
    if not wide:
        return {}
    rows = await session.all(
        "engine/reached_tables",
        _Reached,
        names=[quoted_relation(lock.table) for lock in wide],
        reaches=[lock.reach.name for lock in wide],
    )
    found: dict[TableLock, tuple[TableName, ...]] = {}
    for row in rows:
        lock = wide[row.position - 1]
        found[lock] = (*found.get(lock, ()), TableName(row.schema, row.name))
    return found


async def resolve_locks(session: Session, locks: Sequence[TableLock]) -> list[LockTarget]:
    """Return the tables that exist now of those named, in the order in which they are locked.

    LOCK TABLE takes children along and an index stands for its table; the tables of a type are
    looked up.
    """
    types = [lock for lock in locks if not lock.is_on_relation]
    reached = await reached_tables(session, types)
    locks = [lock for lock in locks if lock.is_on_relation]
    locks += [
        TableLock(RelationRef(table.schema, table.name), lock.mode)
        for lock, tables in reached.items()
        for table in tables
    ]
    if not locks:
        return []
    return await session.all(
        "engine/resolve_locks",
        LockTarget,
        names=[quoted_relation(lock.table) for lock in locks],
        modes=[int(lock.mode) for lock in locks],
    )


async def lock_holders(session: Session, targets: Sequence[LockTarget]) -> list[LockHolder]:
    """Return who holds conflicting locks, oldest transaction first. Takes no lock."""
    pairs = [
        (target.oid, mode.catalog_name)
        for target in targets
        for mode in _CONFLICTS[LockMode(target.mode)]
    ]
    if not pairs:
        return []
    return await session.all(
        "engine/lock_holders",
        LockHolder,
        oids=[oid for oid, _ in pairs],
        modes=[mode for _, mode in pairs],
    )


async def take_locks(session: Session, targets: Sequence[LockTarget], limits: Limits) -> Limits:
    """Take the strong locks of a group inside its transaction, all under one deadline.

    Args:
        limits: the deadline in its lock_ms, and what the statements behind may take.

    Returns the limits that are in force for what follows: locks that nobody named must fit into the
    same deadline.

    Weak locks are left to the statements: nobody stalls behind them. Raises LockNotAvailable, and
    WaitingForVacuum where a vacuum that prevents wraparound holds a table.
    """
    lock_ms = limits.lock_ms
    strong = [t for t in targets if t.is_strong and t.may_lock]
    for target in strong:
        if target.vacuum_age_exceeded:
            raise WaitingForVacuum(
                f"a vacuum to prevent transaction id wraparound runs on {target.table}; no lock "
                "that would stop it is tried until it has ended"
            )
    for target in strong:
        wait = session.facts.deadlock_ms + _MARGIN_MS
        await _lock(session, target, _SUE, wait, only=True)
    end = time.monotonic() + lock_ms / 1000
    for target in strong:
        left = round((end - time.monotonic()) * 1000)
        if left <= 0:
            raise LockNotAvailable("55P03", f"the locks of the group were not had in {lock_ms} ms")
        await _lock(session, target, LockMode(target.mode), left, only=False)
    left = round((end - time.monotonic()) * 1000)
    rest = Limits(max(left, _SHORTEST_MS), limits.statement_ms)
    await session.limit_to(rest, local=True)
    return rest


async def _lock(
    session: Session, target: LockTarget, mode: LockMode, wait_ms: int, *, only: bool
) -> None:
    await session.limit_to(Limits(wait_ms, wait_ms + _STATEMENT_SLACK_MS), local=True)
    reach = "ONLY " if only else ""
    statement = compose(
        f"LOCK TABLE {reach}{{table}} IN {mode.sql} MODE", table=(target.schema, target.name)
    )
    try:
        await session.execute(statement)
    except StatementTimeout as error:  # partitions are locked one by one, each with its own timeout
        raise LockNotAvailable("55P03", f"no lock on {target.table} within {wait_ms} ms") from error
