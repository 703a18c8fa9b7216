"""What the catalog says of a schema, as values: made by observe.py, read by plan.py."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pgstrata.core.names import TableName
from pgstrata.pg.lock_modes import RelationRef


@dataclass(frozen=True, slots=True)
class ObservedTable:
    """A relation that exists and that a statement names."""

    name: TableName
    owns: bool
    """Whether our role is a member of its owner."""
    owner: str


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
    notes: Mapping[tuple[str, int], tuple[str, ...]] = field(default_factory=dict)
    """What is to be said of backfills, by file and index of the statement."""
