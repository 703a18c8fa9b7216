"""What the bundle's source document can ask for: tables, columns, constraints, indexes, backfills.

An entry holds the document's own wording, so that it can be laid beside it; PostgreSQL itself says
what that means in its catalog (document.py). Where the document has a fault, the entry is what the
schema shall have instead, and `corrects` says what was wrong.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class _Corrected:
    corrects: str = ""
    """What the document has instead or lacks, and why that cannot stay; empty: as it says."""


@dataclass(frozen=True, slots=True)
class Table(_Corrected):
    """A table that is new; its columns are entries of their own."""

    enhancement: int
    """The number of the document's section, as in every entry."""
    name: str

    @property
    def statement(self) -> str:
        """What makes it, as in every entry that the catalog shows."""
        return f"CREATE TABLE {self.name} ()"


@dataclass(frozen=True, slots=True)
class Column(_Corrected):
    """A column, of a new table or of one that exists."""

    enhancement: int
    table: str
    name: str
    definition: str
    """Type, default, and the constraints that the document writes behind the column."""

    @property
    def statement(self) -> str:
        return f"ALTER TABLE {self.table} ADD COLUMN {self.name} {self.definition}"


@dataclass(frozen=True, slots=True)
class Constraint(_Corrected):
    """A constraint that does not stand behind a column."""

    enhancement: int
    table: str
    name: str | None
    """None: PostgreSQL names it."""
    definition: str

    @property
    def statement(self) -> str:
        named = f"CONSTRAINT {self.name} " if self.name else ""
        return f"ALTER TABLE {self.table} ADD {named}{self.definition}"


@dataclass(frozen=True, slots=True)
class NamedValues(_Corrected):
    """The words that a column may hold; the document has them in a comment behind it."""

    enhancement: int
    table: str
    column: str
    words: str
    """As in the comment: separated by comma and space."""

    @property
    def statement(self) -> str:
        listed = ", ".join(f"'{word}'" for word in self.words.split(", "))
        return (
            f"ALTER TABLE {self.table} ADD CONSTRAINT chk_{self.table}_{self.column}"
            f" CHECK ({self.column} IN ({listed}))"
        )


@dataclass(frozen=True, slots=True)
class Index(_Corrected):
    """An index that is no constraint's."""

    enhancement: int
    name: str
    definition: str
    """What the document writes behind ON."""

    @property
    def statement(self) -> str:
        return f"CREATE INDEX {self.name} ON {self.definition}"


@dataclass(frozen=True, slots=True)
class Backfill(_Corrected):
    """Columns that are filled in rows which were there before, or which older code writes."""

    enhancement: int
    table: str
    columns: tuple[str, ...]
    wrong: str
    """A condition that holds for a row of `table` which did not get what it should have.

    It speaks of rows whose columns the application never set by itself.
    """


CatalogEntry = Table | Column | Constraint | NamedValues | Index
"""What the catalog shows."""

KINDS: tuple[type[CatalogEntry], ...] = (Table, Column, Constraint, NamedValues, Index)
"""In an order in which they can be made."""
