"""The ranges of rows that a backfill goes over, one a batch: by the table's blocks, or by its key.

By blocks where something else finds the rows that move meanwhile: one scan in the order in which
the rows lie. By the key's order otherwise, with the bound looked up before and never a LIMIT in the
batch itself, which would skip rows inserted in between (traps 13 and 14). A range ends at a
position: in blocks a number of block * UNITS + row, by key the last key that belongs to it. Called
by batches.py.
"""

import re
from dataclasses import dataclass, field
from typing import Protocol

from pgstrata.core.errors import MigrationFailed
from pgstrata.migrations.backfill.cursor import BY_BLOCKS, Position
from pgstrata.migrations.backfill.shape import BackfillShape
from pgstrata.pg.batch_statement import BatchStatement
from pgstrata.pg.quoting import literal, quoted
from pgstrata.pg.session import Session, Verbatim, verbatim

UNITS = 2048
"""Positions that a block of the table has: more than it can have rows."""
_USUAL_ROWS = 100.0
"""Rows of a block where there are no statistics yet."""
_ROWS = "pgstrata_rows"
_LOW, _HIGH = "pgstrata:low:{}", "pgstrata:high:{}"
_MARK = re.compile(r"'pgstrata:(low|high):(\d+)'")


class InexactKey(MigrationFailed):
    """Under the session's settings the text of a key is read as another one."""


@dataclass(frozen=True, slots=True)
class Extent:
    """A table at one instant."""

    blocks: int
    rows: int
    """By the statistics; 0: not known."""
    pages: int
    """Blocks at the time of these statistics."""
    filenode: int


class Ranges(Protocol):
    """Cuts a table into ranges. Sizes are in units of its own: rows, or places in the file."""

    unit: str
    """What `progress` counts."""
    first_size: int
    smallest: int
    """That a batch gets by taking long."""
    largest: int

    @property
    def way(self) -> str:
        """By what it goes; positions of another way mean nothing to it."""
        ...

    async def begin(self) -> Position:
        """Return where a pass that begins now has to end; empty: there is no row."""
        ...

    async def end_of(self, position: Position | None, size: int, upper: Position) -> Position:
        """Return where a range of that size from `position` ends, at most `upper`."""
        ...

    def statement(self, position: Position | None, end: Position) -> Verbatim:
        """Return the file's statement over one range."""
        ...

    def unlocked(self, position: Position | None, end: Position) -> Verbatim:
        """Return the same, leaving out rows that others have locked."""
        ...

    def smaller(self, size: int) -> int:
        """Return about half the size; 1 is one row."""
        ...

    def size_of(self, rows: int) -> int:
        """Return the size of a range with about so many rows."""
        ...

    def progress(self, position: Position | None, upper: Position) -> tuple[int, int | None] | None:
        """Return how much is done and how much there is; None: only the changed rows can tell."""
        ...

    async def row_in(self, position: Position | None, end: Position) -> str | None:
        """Return the key of the first row of a range, for people; None: it has none."""
        ...


async def extent(session: Session, oid: int) -> Extent:
    """Return how large a table is."""
    return await session.one("migrations/table_extent", Extent, oid=oid)


def ranges_of(shape: BackfillShape, session: Session, size: Extent) -> Ranges:
    """Return the ranges that a backfill goes by."""
    if shape.by_blocks:
        return BlockRanges(shape, session, size)
    return KeyRanges(shape, session, size)


def _source(shape: BackfillShape) -> str:
    """The table itself, as a query beside the statement names it."""
    only = "" if shape.statement.parsed.node.relation.inh else "ONLY "
    return f"{only}{quoted(shape.table.schema, shape.table.name)} AS {_ROWS}"


def _lock(statement: BatchStatement) -> str:
    return "FOR UPDATE" if statement.is_delete else "FOR NO KEY UPDATE"


def _key_text(shape: BackfillShape) -> str:
    return ", ".join(f"{_ROWS}.{quoted(column.name)}::text" for column in shape.key)


def _named(shape: BackfillShape, values: tuple[object, ...]) -> str:
    pairs = zip(shape.key, values, strict=True)
    return ", ".join(f"{column.name}={value}" for column, value in pairs)


class BlockRanges:
    """By places in the table's file (TID range scans)."""

    unit = "blocks"
    way = BY_BLOCKS
    smallest = UNITS
    largest = 4096 * UNITS

    def __init__(self, shape: BackfillShape, session: Session, size: Extent) -> None:
        self._shape = shape
        self._session = session
        self._rows_per_block = max(1.0, size.rows / size.pages) if size.rows else _USUAL_ROWS
        self.first_size = 16 * UNITS
        statement = shape.statement
        own = self._within(quoted(statement.alias))
        rows = (
            f"SELECT {_ROWS}.ctid FROM {_source(shape)} WHERE {self._within(_ROWS)} "
            f"{_lock(statement)} SKIP LOCKED"
        )
        self._text = shape.within(own)
        self._unlocked = shape.within(
            f"{own} AND {quoted(statement.alias)}.ctid = ANY (ARRAY({rows}))"
        )

    @staticmethod
    def _within(alias: str) -> str:
        low, high = literal(_LOW.format(0)), literal(_HIGH.format(0))
        return f"{alias}.ctid >= {low}::tid AND {alias}.ctid < {high}::tid"

    async def begin(self) -> Position:
        blocks = (await extent(self._session, self._shape.table.oid)).blocks
        return (str(blocks * UNITS),)

    async def end_of(self, position: Position | None, size: int, upper: Position) -> Position:
        start = _number(position)
        block_end = (start // UNITS + 1) * UNITS
        if size < UNITS:
            end = min(start + size, block_end)
        else:
            end = max(block_end, (start + size) // UNITS * UNITS)
        return (str(min(end, _number(upper))),)

    def statement(self, position: Position | None, end: Position) -> Verbatim:
        return verbatim(self._put(self._text, position, end))

    def unlocked(self, position: Position | None, end: Position) -> Verbatim:
        return verbatim(self._put(self._unlocked, position, end))

    @staticmethod
    def _put(template: str, position: Position | None, end: Position) -> str:
        text = template.replace(_LOW.format(0), _place(_number(position)))
        return text.replace(_HIGH.format(0), _place(_number(end)))

    def smaller(self, size: int) -> int:
        if size > UNITS:
            return max(UNITS, size // 2)
        return max(1, min(size, UNITS // 2) // 2)

    def size_of(self, rows: int) -> int:
        blocks = rows / self._rows_per_block
        return max(1, round(blocks)) * UNITS

    def progress(self, position: Position | None, upper: Position) -> tuple[int, int | None] | None:
        return _number(position) // UNITS, -(-_number(upper) // UNITS)

    async def row_in(self, position: Position | None, end: Position) -> str | None:
        where = self._put(self._within(_ROWS), position, end)
        text = f"SELECT {_key_text(self._shape)} FROM {_source(self._shape)} WHERE "
        rows = await self._session.rows_of(verbatim(text + where + " LIMIT 1"))
        return _named(self._shape, rows[0]) if rows else None


def _number(position: Position | None) -> int:
    return int(position[0]) if position else 0


def _place(number: int) -> str:
    """Return a place as a tid is written; row numbers begin with 1, so 0 is before all."""
    return f"({number // UNITS},{number % UNITS})"


def key_way(shape: BackfillShape) -> str:
    """Return the way of a backfill that goes by the key's order over this table."""
    columns = ", ".join(quoted(column.name) for column in shape.key)
    return f"by {columns}{key_table(shape)}"


def key_table(shape: BackfillShape) -> str:
    """Return how such a way ends: positions in one table mean nothing in another."""
    return f" of {quoted(shape.table.schema, shape.table.name)}"


@dataclass(slots=True)
class KeyRanges:
    """By the order of a unique key."""

    shape: BackfillShape
    session: Session
    size: Extent
    unit: str = field(default="rows", init=False)
    first_size: int = field(default=1000, init=False)
    smallest: int = field(default=50, init=False)
    largest: int = field(default=100_000, init=False)
    _texts: dict[tuple[bool, bool], str] = field(default_factory=dict, init=False)

    @property
    def way(self) -> str:
        return key_way(self.shape)

    async def begin(self) -> Position:
        return await self._key("", "DESC", "LIMIT 1") or ()

    async def end_of(self, position: Position | None, size: int, upper: Position) -> Position:
        conditions = [f"{self._row(_ROWS)} <= {self._values(upper)}"]
        if position is not None:
            conditions.append(f"{self._row(_ROWS)} > {self._values(position)}")
        where = f"WHERE {' AND '.join(conditions)} "
        return await self._key(where, "ASC", f"OFFSET {size - 1} LIMIT 1") or upper

    async def _key(self, where: str, direction: str, limit: str) -> Position | None:
        order = ", ".join(f"{_ROWS}.{quoted(c.name)} {direction}" for c in self.shape.key)
        texts = ", ".join(f"{_ROWS}.{quoted(c.name)}::text::{c.type}" for c in self.shape.key)
        rows = await self.session.rows_of(
            verbatim(
                f"SELECT {_key_text(self.shape)}, {self._row(_ROWS)} = ({texts}) "
                f"FROM {_source(self.shape)} {where}ORDER BY {order} {limit}"
            )
        )
        if not rows:
            return None
        *values, is_exact = rows[0]
        if not is_exact:
            raise InexactKey(
                f"row {_named(self.shape, tuple(values))}: the key's text is not the key, so that "
                "rows cannot be counted off by it; leave extra_float_digits, DateStyle and TimeZone"
                " as PostgreSQL has them, or name another unique key by key=<columns>"
            )
        return tuple(map(str, values))

    def statement(self, position: Position | None, end: Position) -> Verbatim:
        return self._put(position, end, skips=False)

    def unlocked(self, position: Position | None, end: Position) -> Verbatim:
        return self._put(position, end, skips=True)

    def _put(self, position: Position | None, end: Position, *, skips: bool) -> Verbatim:
        """Fill a statement that was taken apart once: parsing it anew would cost as much as it."""
        known = (position is None, skips)
        if known not in self._texts:
            self._texts[known] = self._template(from_start=position is None, skips=skips)
        values = {"low": position or (), "high": end}

        def bound(mark: re.Match[str]) -> str:
            return literal(values[mark[1]][int(mark[2])])

        # All at once: a key may look like a mark itself.
        return verbatim(_MARK.sub(bound, self._texts[known]))

    def _template(self, *, from_start: bool, skips: bool) -> str:
        statement = self.shape.statement
        own = self._within(quoted(statement.alias), from_start=from_start)
        if skips:
            names = ", ".join(f"{_ROWS}.{quoted(c.name)}" for c in self.shape.key)
            rows = (
                f"SELECT {names} FROM {_source(self.shape)} "
                f"WHERE {self._within(_ROWS, from_start=from_start)} {_lock(statement)} SKIP LOCKED"
            )
            own += f" AND {self._row(quoted(statement.alias))} IN ({rows})"
        return self.shape.within(own)

    def _within(self, alias: str, *, from_start: bool) -> str:
        def marks(name: str) -> Position:
            return tuple(name.format(number) for number in range(len(self.shape.key)))

        upper = f"{self._row(alias)} <= {self._values(marks(_HIGH))}"
        if from_start:
            return upper
        return f"{self._row(alias)} > {self._values(marks(_LOW))} AND {upper}"

    def _row(self, alias: str) -> str:
        return f"({', '.join(f'{alias}.{quoted(c.name)}' for c in self.shape.key)})"

    def _values(self, values: Position) -> str:
        pairs = zip(self.shape.key, values, strict=True)
        return f"({', '.join(f'{literal(value)}::{c.type}' for c, value in pairs)})"

    def smaller(self, size: int) -> int:
        return max(1, size // 2)

    def size_of(self, rows: int) -> int:
        return rows

    def progress(self, position: Position | None, upper: Position) -> tuple[int, int | None] | None:
        del position, upper
        return None

    async def row_in(self, position: Position | None, end: Position) -> str | None:
        del position
        return _named(self.shape, end)
