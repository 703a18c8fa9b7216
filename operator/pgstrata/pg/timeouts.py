"""Statement classes: how long a statement may wait for locks, and how long it may run.

No statement of one class may borrow another's limits: an index build under a short lock_timeout
leaves an INVALID index, an ALTER without one stops every reader behind it.
"""

from dataclasses import dataclass
from enum import Enum, auto

from pgstrata.pg.target import Timeouts

LOOK_LOCK_MS = 1_000
LOOK_STATEMENT_MS = 10_000
FIRST_STRONG_LOCK_MS = 100
BATCH_LOCK_MS = 100
BATCH_STATEMENT_MS = 400


class StatementClass(Enum):
    """What kind of work a statement is."""

    LOOK = auto()
    """Reading catalogs, writing the journal."""
    STRONG_DDL = auto()
    """DDL under a lock that stops readers or writers; its lock wait grows from 100 ms."""
    SCAN = auto()
    """VALIDATE and other scans under a weak lock."""
    CONCURRENT_INDEX = auto()
    """Index build, drop and reindex, concurrently."""
    DETACH = auto()
    """DETACH PARTITION CONCURRENTLY."""
    BATCH = auto()
    """One batch of a backfill: short, so that nobody waits long for the rows that it holds."""
    OTHER = auto()
    """Any other statement of a file."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Milliseconds; 0 is none, as PostgreSQL has it."""

    lock_ms: int
    statement_ms: int


def limits_of(kind: StatementClass, timeouts: Timeouts, deadlock_ms: int) -> Limits:
    """Return the limits of a class on a database with these timeouts and deadlock_timeout (ms)."""
    lock = round(timeouts.lock * 1000)
    statement = round(timeouts.statement * 1000)
    return {
        StatementClass.LOOK: Limits(LOOK_LOCK_MS, LOOK_STATEMENT_MS),
        StatementClass.STRONG_DDL: Limits(min(FIRST_STRONG_LOCK_MS, lock), statement),
        StatementClass.SCAN: Limits(deadlock_ms + 1_000, 0),
        StatementClass.CONCURRENT_INDEX: Limits(0, 0),
        StatementClass.DETACH: Limits(0, 600_000),
        StatementClass.BATCH: Limits(BATCH_LOCK_MS, BATCH_STATEMENT_MS),
        StatementClass.OTHER: Limits(lock, statement),
    }[kind]
