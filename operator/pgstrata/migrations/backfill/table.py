"""The table of a backfill as the catalog has it: columns, and the unique key to go by."""

from collections.abc import Sequence
from dataclasses import dataclass

from pgstrata.core.errors import MigrationFailed
from pgstrata.core.names import TableName


class NoKey(MigrationFailed):
    """The table has no unique key on the columns that the directive names."""


@dataclass(frozen=True, slots=True)
class BackfillTable:
    """The table as the catalog has it (sql/migrations/backfill_table.sql)."""

    oid: int
    schema: str
    name: str
    relkind: str
    has_children: bool
    is_owned: bool
    """By a role that this one is a member of: who is not may make no trigger."""
    hides_rows: bool
    """Row-level security is active for this role: neither batch nor proof would see all rows."""
    columns: Sequence[str]
    types: Sequence[str]
    """Of the columns, as a cast names them, with length and scale."""
    generated: Sequence[str]
    key_columns: Sequence[str] | None
    key_types: Sequence[str] | None

    @property
    def table(self) -> TableName:
        return TableName(self.schema, self.name)

    def types_of(self, columns: Sequence[str]) -> list[str]:
        """Return the types of some columns."""
        by_name = dict(zip(self.columns, self.types, strict=True))
        return [by_name[column] for column in columns]


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """A column of the key, with its type as a cast names it, and maybe a collation behind it."""

    name: str
    type: str
