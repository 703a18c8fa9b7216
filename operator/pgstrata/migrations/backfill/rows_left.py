"""The rows that passes by blocks have left, when they are few: by their keys.

A row that is updated all the time moves to the end of the table before each pass gets to where it
was, and beyond the end that the pass has had from its beginning. By its key it cannot be missed.
Called by step.py.
"""

from collections.abc import Iterator, Sequence

from pgstrata.migrations.backfill.cursor import Position
from pgstrata.migrations.backfill.shape import BackfillShape
from pgstrata.pg.quoting import literal, quoted
from pgstrata.pg.session import Session, Verbatim, verbatim
from pgstrata.pg.timeouts import StatementClass

FEW = 1_000
"""Rows that are looked up by their keys; more than these are worth another pass."""
_AT_ONCE = 20


async def keys_left(session: Session, shape: BackfillShape) -> list[Position]:
    """Return the keys of rows that are still to be changed, at most FEW of them."""
    statement = shape.statement
    keys = ", ".join(f"{key}::text" for key in _key(shape))
    conditions: list[str] = []
    if shape.is_by_value:
        conditions.append(statement.changes(shape.table.types_of(statement.targets)))
    rows = statement.select(keys, conditions)
    await session.limit(StatementClass.SCAN)  # it goes over the whole table
    try:
        found = await session.rows_of(verbatim(f"{rows} LIMIT {FEW}"))
    finally:
        if session.is_open:
            await session.limit(StatementClass.LOOK)
    return [tuple(map(str, key)) for key in found]


def statements(shape: BackfillShape, keys: Sequence[Position]) -> Iterator[Verbatim]:
    """Yield the file's statement over some of these rows at a time."""
    for first in range(0, len(keys), _AT_ONCE):
        values = ", ".join(_values(shape, key) for key in keys[first : first + _AT_ONCE])
        row = f"({', '.join(_key(shape))})"
        yield verbatim(shape.within(f"{row} IN ({values})"))


def _key(shape: BackfillShape) -> list[str]:
    return [quoted(shape.statement.alias, column.name) for column in shape.key]


def _values(shape: BackfillShape, key: Position) -> str:
    pairs = zip(shape.key, key, strict=True)
    return f"({', '.join(f'{literal(value)}::{column.type}' for column, value in pairs)})"
