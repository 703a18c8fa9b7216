"""What the catalog says of a schema, as values: made by observe.py, read by plan.py."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pgstrata.core.names import TableName
from pgstrata.migrations.script_file import FileStatement, MigrationFile
from pgstrata.pg.lock_modes import Reach, RelationRef, TableLock


@dataclass(frozen=True, slots=True)
class ObservedTable:
    """A relation that exists and that a statement names."""

    name: TableName
    owns: bool
    """Whether our role is a member of its owner."""
    owner: str
    privileges: frozenset[str] = frozenset()
    """Of SELECT, INSERT, UPDATE and DELETE those that our role has, be it on one column alone."""


@dataclass(frozen=True, slots=True)
class Reached:
    """The tables that a lock is on besides the relation that it names."""

    tables: tuple[TableName, ...]
    bytes: int = 0
    """Of all of them, where it matters."""


@dataclass(frozen=True, slots=True)
class BackfillNote:
    """What is known of a backfill before it runs."""

    said: tuple[str, ...]
    """For the plan."""
    sources: frozenset[str] = frozenset()
    """The columns that its trigger will be for; none: no trigger, or nobody knows."""
    keeps: bool = False
    """Whether it will make a trigger, as far as can be told."""


@dataclass(frozen=True, slots=True)
class ObservedSchema:
    """What the catalog says of the schema and of the tables that the source names."""

    exists: bool
    may_create: bool
    tables: Mapping[RelationRef, ObservedTable]
    """Relations that exist, by the names that statements use."""
    may_use: bool = True
    may_keep: bool = True
    """Whether functions of kept triggers may be made in the control schema."""
    is_empty: bool = True
    """Whether there is no relation in the schema."""
    sizes: Mapping[RelationRef, int] = field(default_factory=dict)
    """Bytes of the tables of which it matters."""
    reached: Mapping[tuple[RelationRef, Reach], Reached] = field(default_factory=dict)
    """What locks are on besides what they name."""
    proven: frozenset[tuple[str, int]] = frozenset()
    """Statements that set NOT NULL without a scan, by file and index."""
    constrained: frozenset[RelationRef] = frozenset()
    """Types of new columns that are domains with constraints."""
    notes: Mapping[tuple[str, int], BackfillNote] = field(default_factory=dict)
    """What is known of backfills, by file and index of the statement."""

    def reached_by(self, lock: TableLock) -> tuple[TableName, ...]:
        """The tables that a lock is on besides the relation that it names."""
        found = self.reached.get((lock.table, lock.reach))
        return () if found is None else found.tables

    def bytes_of(self, lock: TableLock) -> int:
        """The size of all that a lock is on, as far as it matters."""
        found = self.reached.get((lock.table, lock.reach))
        beside = 0 if found is None else found.bytes
        return (self.sizes.get(lock.table, 0) if lock.is_on_relation else 0) + beside

    def rewrites(self, statement: FileStatement) -> bool:
        """Whether a statement writes a new copy of a table."""
        return statement.what.rewrites or bool(self.domains_of(statement))

    def domains_of(self, statement: FileStatement) -> tuple[RelationRef, ...]:
        """The domains with constraints of which a statement adds a column."""
        return tuple(t for t in statement.what.added_types if t in self.constrained)

    def is_proven(self, file: MigrationFile, statement: FileStatement) -> bool:
        """Whether a statement sets NOT NULL without a scan."""
        return (file.file, statement.index) in self.proven
