"""PostgreSQL's table-level lock modes, and which of them each subcommand of ALTER TABLE takes.

A table of facts, used by classify.py and by whoever takes locks up front. The modes are those of
https://www.postgresql.org/docs/18/explicit-locking.html and of AlterTableGetLockLevel() in
src/backend/commands/tablecmds.c; tests/database/test_lock_modes.py runs each statement on a real
server and compares with what pg_locks shows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from types import MappingProxyType


class LockMode(IntEnum):
    """The eight modes in PostgreSQL's own numbers (src/include/storage/lockdefs.h).

    A greater number conflicts with all that a smaller one conflicts with, except SHARE, which two
    sessions can hold at once while each then waits for the other's writes: see `joined`.
    """

    ACCESS_SHARE = 1
    ROW_SHARE = 2
    ROW_EXCLUSIVE = 3
    SHARE_UPDATE_EXCLUSIVE = 4
    SHARE = 5
    SHARE_ROW_EXCLUSIVE = 6
    EXCLUSIVE = 7
    ACCESS_EXCLUSIVE = 8

    @property
    def sql(self) -> str:
        """The mode as LOCK TABLE ... IN <mode> MODE spells it."""
        return self.name.replace("_", " ")

    @property
    def catalog_name(self) -> str:
        """The mode as pg_locks.mode prints it: `ShareUpdateExclusiveLock`."""
        return "".join(word.capitalize() for word in self.name.split("_")) + "Lock"

    def joined(self, other: "LockMode") -> "LockMode":
        """Return the weakest mode whose holder need not wait again for either of the two."""
        weaker, stronger = sorted((self, other))
        writes = (LockMode.ROW_EXCLUSIVE, LockMode.SHARE_UPDATE_EXCLUSIVE)
        if stronger is LockMode.SHARE and weaker in writes:
            return LockMode.SHARE_ROW_EXCLUSIVE
        return stronger

    @property
    def stops_writers(self) -> bool:
        """Whether INSERT, UPDATE and DELETE (ROW EXCLUSIVE) wait while it is held or waited for."""
        return self >= LockMode.SHARE

    @property
    def stops_readers(self) -> bool:
        """Whether SELECT (ACCESS SHARE) waits too."""
        return self is LockMode.ACCESS_EXCLUSIVE


@dataclass(frozen=True, slots=True)
class RelationRef:
    """A relation as a statement names it: without a schema it is looked up by search_path."""

    schema: str | None
    name: str

    def __str__(self) -> str:
        return self.name if self.schema is None else f"{self.schema}.{self.name}"

    def may_be(self, other: "RelationRef") -> bool:
        """Whether both may mean the same: search_path is not known here."""
        has_no_schema = None in (self.schema, other.schema)
        return self.name == other.name and (has_no_schema or self.schema == other.schema)


class Reach(IntEnum):
    """Which tables a lock is on besides the relation that the statement names.

    The catalog says which those are: see sql/engine/reached_tables.sql. A partitioned table stands
    for its partitions everywhere.
    """

    ITSELF = 0
    CHILDREN = 1
    """Its inheritance children too, to any depth."""
    TABLE = 2
    """Of an index: its table, which is read to build it anew."""
    TYPE = 3
    """The name is a type's: every table with a column of that domain, or made of that type."""


@dataclass(frozen=True, slots=True)
class TableLock:
    """One lock that a statement takes on a relation that exists before it."""

    table: RelationRef
    mode: LockMode
    is_index: bool = False
    """`table` is an index: whoever takes locks up front takes the mode on the index's own table."""
    reach: Reach = Reach.ITSELF

    @property
    def is_on_relation(self) -> bool:
        """Whether `table` is a relation's name, and not a type's."""
        return self.reach is not Reach.TYPE


def strongest_locks(locks: Iterable[TableLock]) -> tuple[TableLock, ...]:
    """Return one lock per relation, the strongest, in order of schema and name."""
    best: dict[tuple[str, str, bool, bool], TableLock] = {}
    for lock in locks:
        key = (lock.table.schema or "", lock.table.name, lock.is_index, lock.is_on_relation)
        known = best.get(key, lock)
        reach = max(lock.reach, known.reach)
        best[key] = replace(lock, mode=lock.mode.joined(known.mode), reach=reach)
    return tuple(best[key] for key in sorted(best))


@dataclass(frozen=True, slots=True)
class Subcommand:
    """What one subcommand of ALTER TABLE does to its table, as far as its name alone tells.

    What goes over the table by constraints and columns goes over inheritance children as well; what
    is about its storage does not.
    """

    mode: LockMode = LockMode.ACCESS_EXCLUSIVE
    rewrites: bool = False
    scans: bool = False
    hazard: str | None = None
    descends: bool = True


_WEAK = Subcommand(LockMode.SHARE_UPDATE_EXCLUSIVE)
_TRIGGER = Subcommand(LockMode.SHARE_ROW_EXCLUSIVE)
_COPIES = Subcommand(
    rewrites=True, hazard="copies the whole table under ACCESS EXCLUSIVE", descends=False
)
_MAY_BE_FOREIGN_KEY = Subcommand(
    hazard="if a foreign key goes, ACCESS EXCLUSIVE on the table that it refers to as well"
)

_SUBCOMMANDS: Mapping[str, Subcommand] = MappingProxyType(
    {
        "AT_AlterColumnType": Subcommand(
            rewrites=True,
            hazard="rewrites the table and its indexes under ACCESS EXCLUSIVE, "
            "unless the new type is binary compatible with the old",
        ),
        "AT_SetExpression": replace(_COPIES, descends=True),
        "AT_SetLogged": _COPIES,
        "AT_SetUnLogged": _COPIES,
        "AT_SetAccessMethod": _COPIES,
        "AT_SetTableSpace": _COPIES,
        "AT_SetNotNull": Subcommand(
            scans=True,
            hazard="scans the table under ACCESS EXCLUSIVE, "
            "unless a valid CHECK (column IS NOT NULL) stands on it",
        ),
        "AT_DropConstraint": _MAY_BE_FOREIGN_KEY,
        "AT_DropColumn": _MAY_BE_FOREIGN_KEY,
        "AT_ValidateConstraint": Subcommand(LockMode.SHARE_UPDATE_EXCLUSIVE, scans=True),
        "AT_AttachPartition": _WEAK,
        "AT_DetachPartitionFinalize": _WEAK,
        "AT_SetStatistics": _WEAK,
        "AT_SetOptions": _WEAK,
        "AT_ResetOptions": _WEAK,
        "AT_ClusterOn": _WEAK,
        "AT_DropCluster": _WEAK,
        "AT_EnableTrig": _TRIGGER,
        "AT_EnableAlwaysTrig": _TRIGGER,
        "AT_EnableReplicaTrig": _TRIGGER,
        "AT_DisableTrig": _TRIGGER,
        "AT_EnableTrigAll": _TRIGGER,
        "AT_DisableTrigAll": _TRIGGER,
        "AT_EnableTrigUser": _TRIGGER,
        "AT_DisableTrigUser": _TRIGGER,
    }
)

STORAGE_PARAMETERS_WITHOUT_STRONG_LOCK = (
    "fillfactor",
    "parallel_workers",
    "toast_tuple_target",
    "log_autovacuum_min_duration",
    "vacuum_index_cleanup",
    "vacuum_truncate",
    "vacuum_max_eager_freeze_failure_rate",
    "autovacuum_",
    "deduplicate_items",
)
"""Beginnings of the reloptions that ALTER ... SET (...) changes under SHARE UPDATE EXCLUSIVE.

From src/backend/access/common/reloptions.c; every other one takes ACCESS EXCLUSIVE.
"""


def subcommand(name: str) -> Subcommand:
    """Return what the subcommand `AT_...` does; ACCESS EXCLUSIVE for all that are not known weaker.

    Constraints, columns, partitions and storage parameters depend on more than the name: see
    alter_table.py.
    """
    return _SUBCOMMANDS.get(name, Subcommand())
