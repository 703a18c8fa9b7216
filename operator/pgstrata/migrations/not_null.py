"""Which SET NOT NULL of a source will not scan its table, since a valid CHECK proves the column.

The CHECK stands there already, or earlier statements of the same source add and validate it. Such a
statement is neither gated by its table's size nor estimated by it. Called by reconcile.py.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pgstrata.migrations.script_file import FileStatement, MigrationFile
from pgstrata.pg.classification import StatementKind
from pgstrata.pg.not_null import (
    Column,
    Constraint,
    added_proofs,
    dropped,
    not_null_columns,
    validated,
)
from pgstrata.pg.quoting import quoted_relation
from pgstrata.pg.session import Session

_KINDS = frozenset({StatementKind.DDL, StatementKind.VALIDATE_CONSTRAINT})


@dataclass(frozen=True, slots=True)
class _Proven:
    position: int
    name: str


async def proven_not_null(
    session: Session, pending: Iterable[tuple[MigrationFile, FileStatement]]
) -> frozenset[tuple[str, int]]:
    """Return those statements, by file and index, that set NOT NULL and need no scan."""
    added: dict[Constraint, str] = {}
    proven: set[Column] = set()
    wanted: dict[tuple[str, int], tuple[Column, ...]] = {}
    for file, statement in pending:
        if statement.what.kind not in _KINDS:
            continue
        added |= added_proofs(statement.text)
        for constraint in validated(statement.text):
            if constraint in added:
                proven.add((constraint[0], added[constraint]))
        for constraint in dropped(statement.text):
            proven.discard((constraint[0], added.get(constraint, "")))
        columns = not_null_columns(statement.text)
        if columns:
            wanted[file.file, statement.index] = tuple(c for c in columns if c not in proven)
    unknown = sorted({c for columns in wanted.values() for c in columns}, key=str)
    standing = await _standing(session, unknown) if unknown else set()
    return frozenset(key for key, columns in wanted.items() if standing.issuperset(columns))


async def _standing(session: Session, columns: list[Column]) -> set[Column]:
    """Return the columns that a CHECK of the catalog proves."""
    rows = await session.all(
        "migrations/not_null_proofs",
        _Proven,
        tables=[quoted_relation(table) for table, _ in columns],
        columns=[name for _, name in columns],
    )
    return {columns[row.position - 1] for row in rows}
