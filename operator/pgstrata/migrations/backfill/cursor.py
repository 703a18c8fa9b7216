"""How far a backfill is: read at its start, moved in the transaction of each batch."""

from collections.abc import Sequence
from dataclasses import dataclass

from pgstrata.engine.exclusive import Exclusive
from pgstrata.pg.session import Effect

Position = tuple[str, ...]
"""Where a range ends, as text: the key's values, or a place in the table's file."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """One backfill's place in its table."""

    checksum: str
    """Of the statement, and by what it goes: see `mark`."""
    pass_: int
    position: Position | None
    """All up to here is done in this pass; None: nothing."""
    upper: Position
    """Where this pass ends; empty: the table has no row."""
    filenode: int
    rows: int
    """Changed in all passes."""
    pass_rows: int
    remaining: int | None
    """The fewest rows that were still to be changed when a pass before had ended."""


@dataclass(frozen=True, slots=True)
class _Row:
    checksum: str
    pass_: int
    position: Sequence[str] | None
    upper: Sequence[str]
    filenode: int
    rows: int
    pass_rows: int
    remaining: int | None


def mark(checksum: str, way: str) -> str:
    """Return what a cursor is known by: the statement, and the key or blocks that it goes by."""
    return f"{checksum} {way}"


async def read_cursor(work: Exclusive, id_: str) -> Cursor | None:
    """Return the place that an earlier run reached, whatever the statement then was; or None."""
    row = await work.session.one_or_none(
        "migrations/read_cursor", _Row, object=work.fence.object.text, id=id_
    )
    if row is None:
        return None
    return Cursor(
        checksum=row.checksum,
        pass_=row.pass_,
        position=None if row.position is None else tuple(row.position),
        upper=tuple(row.upper),
        filenode=row.filenode,
        rows=row.rows,
        pass_rows=row.pass_rows,
        remaining=row.remaining,
    )


async def begin_pass(work: Exclusive, id_: str, cursor: Cursor) -> None:
    """Write down that a pass begins."""
    async with work.journalled():
        await work.session.run(
            "migrations/begin_pass",
            object=work.fence.object.text,
            id=id_,
            checksum=cursor.checksum,
            pass_=cursor.pass_,
            upper=list(cursor.upper),
            filenode=cursor.filenode,
            rows=cursor.rows,
            remaining=cursor.remaining,
        )


def cursor_moved(work: Exclusive, id_: str, position: Position, changed: int) -> Effect:
    """Return what writes down that a batch is done."""
    return Effect(
        "migrations/move_cursor",
        {
            "object": work.fence.object.text,
            "id": id_,
            "position": list(position),
            "changed": changed,
        },
    )
