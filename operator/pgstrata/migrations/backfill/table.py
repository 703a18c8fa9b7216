"""The table of a backfill as the catalog has it: columns, and the unique key to go by."""

from collections.abc import Sequence
from dataclasses import dataclass

from pgstrata.core.errors import MigrationFailed
from pgstrata.core.names import TableName
from pgstrata.pg.quoting import quoted


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
    owner: str
    hides_rows: bool
    """Row-level security is active for this role: neither batch nor proof would see all rows."""
    hides_from_owner: bool
    """It is forced, so that it would be active for the owner too."""
    columns: Sequence[str]
    types: Sequence[str]
    """Of the columns, as a cast names them, with length and scale."""
    generated: Sequence[str]
    not_null: Sequence[str]
    key_columns: Sequence[str] | None
    key_types: Sequence[str] | None

    @property
    def table(self) -> TableName:
        return TableName(self.schema, self.name)

    def refuse_hidden_rows(self, role: str) -> None:
        """Raise MigrationFailed where row-level security hides rows, with what would cure it."""
        if not self.hides_rows:
            return
        table, name = quoted(self.schema, self.name), quoted(role)
        bypass = f"ALTER ROLE {name} BYPASSRLS;"
        if self.is_owned:
            cure = f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY; or {bypass}"
        elif self.hides_from_owner:
            cure = bypass
        else:
            cure = f"GRANT {quoted(self.owner)} TO {name}; or {bypass}"
        raise MigrationFailed(
            f"row-level security hides rows of {self.table} from role {role}, so that the backfill "
            f"could leave rows out unseen; an administrator can run: {cure}"
        )

    def types_of(self, columns: Sequence[str]) -> list[str]:
        """Return the types of some columns."""
        by_name = dict(zip(self.columns, self.types, strict=True))
        return [by_name[column] for column in columns]


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """A column of the key, with its type as a cast names it, and maybe a collation behind it."""

    name: str
    type: str
