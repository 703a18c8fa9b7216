"""How far a backfill is: read at its start, moved in the transaction of each batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pgstrata.core.names import LockedObject
from pgstrata.engine.exclusive import Exclusive
from pgstrata.pg.session import Effect, Session

Position = tuple[str, ...]
"""Where a range ends, as text: the key's values, or a place in the table's file."""
BY_BLOCKS = "by blocks"
"""The way of a cursor that goes by the table's file: what went so was kept right by a trigger, and
may be done to a row twice."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A backfill that was begun, by its cursor."""

    id: str
    """Of the step."""
    checksum: str
    """See `mark`."""
    position: Sequence[str] | None
    rows: int

    @property
    def statement(self) -> str:
        """The checksum of the statement itself."""
        return self.checksum.partition(" ")[0]

    @property
    def way(self) -> str:
        """By what it goes."""
        return self.checksum.partition(" ")[2]

    @property
    def has_done_by_key(self) -> bool:
        """Whether rows are behind it that may have been of a kind that is taken once only."""
        return self.position is not None and self.way != BY_BLOCKS


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


async def list_begun(session: Session, object_: LockedObject) -> list[Begun]:
    """Return the backfills of a schema that were begun and are not done."""
    return await session.all("migrations/list_cursors", Begun, object=object_.text)


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


def cursor_dropped(work: Exclusive, id_: str) -> Effect:
    """Return what forgets how far a backfill is."""
    return Effect("migrations/drop_cursor", {"object": work.fence.object.text, "id": id_})


async def rename_begun(work: Exclusive, names: Mapping[str, str]) -> None:
    """Give cursors and triggers to the steps that their statements are now, all in one."""
    aside = {old: f"{old} aside" for old in names}
    object_ = work.fence.object.text
    begun = {one.id for one in await list_begun(work.session, work.fence.object)}
    async with work.journalled():
        for id_ in begun & set(names.values()) - set(names):
            await work.session.run_effect(cursor_dropped(work, id_))
        for old, new in (
            (list(aside), list(aside.values())),
            (list(aside.values()), list(names.values())),
        ):
            await work.session.run("migrations/rename_cursors", object=object_, old=old, new=new)
        await work.session.run(
            "migrations/rename_owned", object=object_, old=list(names), new=list(names.values())
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
