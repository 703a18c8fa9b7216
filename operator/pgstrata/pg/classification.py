"""What pgstrata knows of one SQL statement without asking a server: plain values.

Made by classify.py; read by migrations/ to cut groups, take locks, gate and lint.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

from pgstrata.pg.lock_modes import LockMode, RelationRef, TableLock


class StatementKind(Enum):
    """The sorts of statement that migrations are cut by."""

    CREATE_INDEX = auto()
    CREATE_INDEX_CONCURRENTLY = auto()
    DROP_INDEX_CONCURRENTLY = auto()
    REINDEX = auto()
    REINDEX_CONCURRENTLY = auto()
    DETACH_CONCURRENTLY = auto()
    REFRESH = auto()
    REFRESH_CONCURRENTLY = auto()
    VALIDATE_CONSTRAINT = auto()
    """ALTER TABLE with VALIDATE CONSTRAINT and nothing else."""
    ADD_ENUM_VALUE = auto()
    """Transactional, but the value cannot be used before its transaction has committed."""
    TRANSACTION_BEGIN = auto()
    TRANSACTION_COMMIT = auto()
    TRANSACTION_ROLLBACK = auto()
    TRANSACTION_PREPARED = auto()
    """PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED."""
    SAVEPOINT = auto()
    RELEASE_SAVEPOINT = auto()
    ROLLBACK_TO_SAVEPOINT = auto()
    SET = auto()
    """SET, SET LOCAL, and SELECT set_config(...) and nothing else."""
    RESET = auto()
    VACUUM = auto()
    ANALYZE = auto()
    CLUSTER = auto()
    NON_TRANSACTIONAL = auto()
    """Databases, tablespaces, subscriptions, ALTER SYSTEM, DISCARD ALL."""
    DDL = auto()
    DML = auto()
    """INSERT, UPDATE, DELETE, MERGE, COPY from a file of the server."""
    QUERY = auto()
    COPY_IN = auto()
    """COPY ... FROM STDIN: its data are the script item's copy_data."""
    COPY_OUT = auto()
    DO_BLOCK = auto()
    CALL = auto()
    SESSION = auto()
    """What concerns the session or the server alone: LISTEN, NOTIFY, PREPARE, SHOW, CHECKPOINT."""
    UNKNOWN = auto()
    """The parser does not know it; the server may."""


_OWN_STEP = frozenset(
    {
        StatementKind.CREATE_INDEX,
        StatementKind.REINDEX,
        StatementKind.REFRESH,
        StatementKind.REFRESH_CONCURRENTLY,
        StatementKind.VALIDATE_CONSTRAINT,
        StatementKind.ADD_ENUM_VALUE,
        StatementKind.CLUSTER,
    }
)


@dataclass(frozen=True, slots=True)
class IndexBuild:
    """What a CREATE INDEX statement builds, as it names it."""

    name: str | None
    """None: PostgreSQL chooses the name."""
    table: RelationRef
    is_unique: bool
    is_concurrent: bool
    if_not_exists: bool
    on_only: bool
    """ON ONLY: of a partitioned table, without its partitions."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What SET changes: the setting's name in lower case, as PostgreSQL knows it."""

    name: str
    is_local: bool


@dataclass(frozen=True, slots=True)
class Classification:
    """All that the text of one statement tells about it."""

    kind: StatementKind
    is_transactional: bool = True
    """Whether it may run inside a transaction block."""
    locks: tuple[TableLock, ...] = ()
    """The strongest lock on each relation that the text names and that exists before it.

    Sorted by schema and name. Locks on what is not named (partitions, referenced tables of existing
    foreign keys, the tables below a view) are for the caller to find, as is what a lock's reach
    stands for; where they are known to occur a hazard says so.
    """
    creates: tuple[RelationRef, ...] = ()
    """Tables, views and indexes that exist only since this statement; none for IF NOT EXISTS."""
    index: IndexBuild | None = None
    is_destructive: bool = False
    """Drops a table, column, schema, type, sequence or materialized view, truncates or deletes."""
    rewrites: bool = False
    """Writes a new copy of a table, to the best of what the text tells."""
    scans: bool = False
    """Reads a whole table under the lock in `locks`, or builds an index of it under that lock."""
    stops_unnamed: bool = False
    """Goes over tables that it does not name, of a schema or the database, while writers wait."""
    added_types: tuple[RelationRef, ...] = ()
    """Types of new columns: the table is rewritten for those that are domains with constraints."""
    hazards: tuple[str, ...] = ()
    """Short sentences for the plan."""
    forbidden: str | None = None
    """Why a migration must not have this statement, as a sentence; None: it may."""
    setting: Setting | None = None
    """For SET and RESET of one setting."""

    @property
    def is_own_step(self) -> bool:
        """Whether it is a step of its own, never in one transaction with its neighbours."""
        return not self.is_transactional or self.kind in _OWN_STEP

    @property
    def strongest(self) -> LockMode | None:
        """The strongest mode among `locks`, or None."""
        return max((lock.mode for lock in self.locks), default=None)


@dataclass(frozen=True, slots=True)
class Effects:
    """What one part of a statement does; parts are added up. Used while classifying only."""

    locks: tuple[TableLock, ...] = ()
    creates: tuple[RelationRef, ...] = ()
    is_destructive: bool = False
    rewrites: bool = False
    scans: bool = False
    hazards: tuple[str, ...] = ()
    added_types: tuple[RelationRef, ...] = ()

    def __add__(self, other: "Effects") -> "Effects":
        return Effects(
            self.locks + other.locks,
            self.creates + other.creates,
            self.is_destructive or other.is_destructive,
            self.rewrites or other.rewrites,
            self.scans or other.scans,
            tuple(dict.fromkeys(self.hazards + other.hazards)),
            tuple(dict.fromkeys(self.added_types + other.added_types)),
        )


def sum_effects(parts: Iterable[Effects]) -> Effects:
    """Return the effects of all parts together."""
    total = Effects()
    for part in parts:
        total = total + part
    return total
