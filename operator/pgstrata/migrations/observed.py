"""What the catalog says of a schema, as values: made by observe.py, read by plan.py."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pgstrata.core.names import TableName
from pgstrata.migrations.script_file import FileStatement, MigrationFile
from pgstrata.pg.lock_modes import RelationRef


@dataclass(frozen=True, slots=True)
class ObservedTable:
    """A relation that exists and that a statement names."""

    name: TableName
    owns: bool
    """Whether our role is a member of its owner."""
    owner: str


@dataclass(frozen=True, slots=True)
class BackfillNote:
    """What is known of a backfill before it runs."""

    said: tuple[str, ...]
    """For the plan."""
    sources: frozenset[str] = frozenset()
    """The columns that its trigger will be for; none: no trigger, or nobody knows."""


@dataclass(frozen=True, slots=True)
class ObservedSchema:
    """What the catalog says of the schema and of the tables that the source names."""

    exists: bool
    may_create: bool
    tables: Mapping[RelationRef, ObservedTable]
    """Relations that exist, by the names that statements use."""
    is_empty: bool = True
    """Whether there is no relation in the schema."""
    sizes: Mapping[RelationRef, int] = field(default_factory=dict)
    """Bytes of the tables of which it matters."""
    proven: frozenset[tuple[str, int]] = frozenset()
    """Statements that set NOT NULL without a scan, by file and index."""
    notes: Mapping[tuple[str, int], BackfillNote] = field(default_factory=dict)
    """What is known of backfills, by file and index of the statement."""

    def is_proven(self, file: MigrationFile, statement: FileStatement) -> bool:
        """Whether a statement sets NOT NULL without a scan."""
        return (file.file, statement.index) in self.proven
