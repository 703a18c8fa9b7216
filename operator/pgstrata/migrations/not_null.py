"""Which SET NOT NULL of a source will not scan its table, since a valid CHECK proves the column.

The CHECK stands there already, or earlier statements of the same source add and validate it. Such a
statement is neither gated by its table's size nor estimated by it. A primary key that takes over an
index sets NOT NULL likewise. In doubt nothing is proven. Called by observe.py.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pgstrata.migrations.script_file import FileStatement, MigrationFile
from pgstrata.pg.classification import StatementKind
from pgstrata.pg.lock_modes import RelationRef
from pgstrata.pg.not_null import (
    Column,
    Constraint,
    Index,
    added_proofs,
    dropped,
    key_index,
    made_index,
    moved,
    not_null_columns,
    validated,
)
from pgstrata.pg.quoting import quoted_relation
from pgstrata.pg.session import Session

_KINDS = frozenset(
    {
        StatementKind.DDL,
        StatementKind.VALIDATE_CONSTRAINT,
        StatementKind.CREATE_INDEX,
        StatementKind.CREATE_INDEX_CONCURRENTLY,
    }
)
_Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class _Proven:
    position: int
    name: str | None


@dataclass(frozen=True, slots=True)
class _IndexColumns:
    position: int
    columns: list[str | None]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A statement that sets NOT NULL, and what is known where it stands."""

    columns: tuple[Column, ...]
    index: Index | None
    proven: frozenset[Column]
    dropped: frozenset[Constraint]


@dataclass(slots=True)
class _Reader:
    """Reads statements in their order, and keeps what they prove."""

    added: dict[Constraint, str] = field(default_factory=dict)
    dropped: set[Constraint] = field(default_factory=set)
    proven: set[Column] = field(default_factory=set)
    indexes: dict[Index, tuple[str, ...]] = field(default_factory=dict)
    moved: set[RelationRef] = field(default_factory=set)
    """Tables of which the catalog cannot tell any more."""
    wanted: dict[_Key, _Wanted] = field(default_factory=dict)
    file: str = ""
    has_other_path: bool = False
    """search_path was set in this file: names without a schema are not those of the catalog."""

    def read(self, file: MigrationFile, statement: FileStatement) -> None:
        if file.file != self.file:
            self.file = file.file
            if self.has_other_path:
                self._forget_unqualified()
                self.has_other_path = False
        setting = statement.what.setting
        if setting is not None and setting.name == "search_path":
            self._forget_unqualified()
            self.has_other_path = True
        if statement.what.kind in _KINDS:
            self._read(statement.text, (file.file, statement.index))

    def _read(self, text: str, key: _Key) -> None:
        self.added |= added_proofs(text)
        for constraint in validated(text):
            if constraint in self.added:
                self.proven.add((constraint[0], self.added[constraint]))
        for constraint in dropped(text):
            self.dropped.add(constraint)
            self.proven.discard((constraint[0], self.added.get(constraint, "")))
        for table in moved(text):
            self._forget(table)
        if (made := made_index(text)) is not None:
            self.indexes[made[0]] = made[1]
        self._want(text, key)

    def _want(self, text: str, key: _Key) -> None:
        columns, index = not_null_columns(text), key_index(text)
        if index in self.indexes:
            columns, index = tuple((index[0], name) for name in self.indexes[index]), None
        if columns or index is not None:
            open_ = tuple(column for column in columns if column not in self.proven)
            tables = {table for table, _ in open_} | ({index[0]} if index is not None else set())
            if not any(map(self._is_moved, tables)):
                self.wanted[key] = _Wanted(
                    open_, index, frozenset(self.proven), frozenset(self.dropped)
                )
            self.proven.update(columns)

    def _is_moved(self, table: RelationRef) -> bool:
        is_elsewhere = self.has_other_path and table.schema is None
        return is_elsewhere or any(table.may_be(other) for other in self.moved)

    def _forget(self, table: RelationRef) -> None:
        self.moved.add(table)
        self.proven = {c for c in self.proven if not c[0].may_be(table)}
        self.added = {c: n for c, n in self.added.items() if not c[0].may_be(table)}
        self.indexes = {i: c for i, c in self.indexes.items() if not i[0].may_be(table)}

    def _forget_unqualified(self) -> None:
        self.proven = {c for c in self.proven if c[0].schema is not None}
        self.added = {c: n for c, n in self.added.items() if c[0].schema is not None}
        self.indexes = {i: c for i, c in self.indexes.items() if i[0].schema is not None}


async def proven_not_null(
    session: Session, pending: Iterable[tuple[MigrationFile, FileStatement]]
) -> frozenset[tuple[str, int]]:
    """Return those statements, by file and index, that set NOT NULL and need no scan."""
    reader = _Reader()
    for file, statement in pending:
        reader.read(file, statement)
    wanted = await _with_columns(session, reader.wanted)
    unknown = sorted({c for want in wanted.values() for c in want.columns}, key=str)
    standing = await _standing(session, unknown) if unknown else {}
    return frozenset(
        key
        for key, want in wanted.items()
        if all(_holds(column, want.dropped, standing) for column in want.columns)
    )


def _holds(
    column: Column,
    gone: frozenset[Constraint],
    standing: Mapping[Column, Sequence[str | None]],
) -> bool:
    """Whether something proves the column that no statement has dropped before."""
    names = {name for table, name in gone if table.may_be(column[0])}
    return any(name not in names for name in standing.get(column, ()))


async def _with_columns(session: Session, wanted: Mapping[_Key, _Wanted]) -> dict[_Key, _Wanted]:
    """Put in the columns of indexes that exist; what takes over one that does not is left out."""
    indexes = sorted({w.index for w in wanted.values() if w.index is not None}, key=str)
    if not indexes:
        return dict(wanted)
    rows = await session.all(
        "migrations/index_columns",
        _IndexColumns,
        tables=[quoted_relation(table) for table, _ in indexes],
        indexes=[name for _, name in indexes],
    )
    found = {indexes[row.position - 1]: row.columns for row in rows}
    whole: dict[_Key, _Wanted] = {}
    for key, want in wanted.items():
        if want.index is None:
            whole[key] = want
            continue
        names = found.get(want.index, [None])
        columns = tuple((want.index[0], name) for name in names if name is not None)
        if len(columns) == len(names):
            open_ = tuple(column for column in columns if column not in want.proven)
            whole[key] = _Wanted(open_, None, want.proven, want.dropped)
    return whole


async def _standing(
    session: Session, columns: list[Column]
) -> dict[Column, tuple[str | None, ...]]:
    """Return what proves columns in the catalog: a CHECK's name, or None for NOT NULL itself."""
    rows = await session.all(
        "migrations/not_null_proofs",
        _Proven,
        tables=[quoted_relation(table) for table, _ in columns],
        columns=[name for _, name in columns],
    )
    found: dict[Column, tuple[str | None, ...]] = {}
    for row in rows:
        column = columns[row.position - 1]
        found[column] = (*found.get(column, ()), row.name)
    return found
