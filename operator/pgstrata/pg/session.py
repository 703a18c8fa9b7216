"""One connection to one database, as the rooms use it: named SQL texts in, frozen rows out.

A session is in autocommit mode outside `transaction()`. Every call has a deadline: the server's
statement_timeout plus a margin; classes without one rely on TCP keepalives and on the monitor
connection of engine/exclusive.py. Errors come translated (pg/failures.py).
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import LiteralString, TypeVar

import psycopg
from psycopg import AsyncConnection, AsyncCursor, generators, sql
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult
from psycopg.rows import TupleRow, class_row, tuple_row

from pgstrata.core.errors import ConnectionFailed
from pgstrata.pg.failures import translated
from pgstrata.pg.target import Target
from pgstrata.pg.texts import load
from pgstrata.pg.timeouts import Limits, StatementClass, limits_of

RowT = TypeVar("RowT")

Verbatim = LiteralString | sql.SQL | sql.Composed
"""SQL that is sent as it is. A user's own statement becomes one by `verbatim`, and only so."""

_Text = tuple[Verbatim, Mapping[str, object] | None]
_NONE = TransactionStatus.IDLE
_BEGIN = "BEGIN"
_MARGIN_SECONDS = 10.0
"""How much longer than the server's own timeout a call waits before it gives the session up."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What the server said of itself when the session began (sql/pg/hello.sql)."""

    pid: int
    in_recovery: bool
    read_only: bool
    version_number: int
    version: str
    deadlock_timeout: str
    deadlock_ms: int
    database: str
    role: str


@dataclass(frozen=True, slots=True)
class Effect:
    """A text `room/statement` with its parameters, run for its effect together with others."""

    name: str
    parameters: Mapping[str, object]


@dataclass(slots=True)
class Transaction:
    """The transaction that runs."""

    opened: Sequence[int]
    """Rows that each part of the opening touched or returned."""
    answer: tuple[object, ...] | None = None
    """The first row that the last part of the opening returned, if it was a query."""
    closing: list[Effect] = field(default_factory=list)
    """What is still to be done when the block ends; it goes to the server together with COMMIT."""


def verbatim(statement: str) -> sql.SQL:
    """Mark a statement of the user's own files as SQL to be sent as it is."""
    return sql.SQL(statement)


def _text(part: "Effect | Verbatim") -> _Text:
    return (load(part.name), part.parameters) if isinstance(part, Effect) else (part, None)


def _are_sure(texts: Sequence[_Text]) -> list[bool]:
    """Of texts sent together, which are run whatever becomes of the others: the first, and what
    follows BEGIN.
    """
    surely = 2 if texts[0][0] == _BEGIN else 1
    return [number < surely for number in range(len(texts))]


class Session:
    """A connection with its settings; made by pg/connect.py, closed by whoever opened it."""

    def __init__(self, connection: AsyncConnection, target: Target, facts: ServerFacts) -> None:
        self._connection = connection
        self._limits: Limits | None = None
        self._search_path = ""
        self.target = target
        self.facts = facts
        self.application_name = ""
        self.backend_start = ""
        """Of this backend, as text that the server reads back."""
        self.settled = ""
        """Names the user settings in effect (migrations/settings.py); empty: none."""

    @property
    def pid(self) -> int:
        """The server process behind this session."""
        return self.facts.pid

    @property
    def is_open(self) -> bool:
        """Whether the connection still stands, as far as the client knows."""
        return not self._connection.closed

    async def prepare(self, *, schema: str, application_name: str) -> None:
        """Put the session's settings to their defaults: search_path is `schema`, then public."""
        await self._set_up((), schema, application_name)

    async def reset(self, *, schema: str) -> None:
        """Undo what a file's own SET statements left behind."""
        await self._set_up(("RESET ALL",), schema, self.application_name)
        self.settled = ""

    async def _set_up(
        self, before: tuple[LiteralString, ...], schema: str, application_name: str
    ) -> None:
        limits = limits_of(StatementClass.LOOK, self.target.timeouts, self.facts.deadlock_ms)
        names = dict.fromkeys((schema, "public"))
        self._search_path = ", ".join(sql.Identifier(n).as_string() for n in names)
        parameters = {
            "search_path": self._search_path,
            "lock_ms": str(limits.lock_ms),
            "statement_ms": str(limits.statement_ms),
            "application_name": application_name,
        }
        async with self._deadline(limits.statement_ms):
            cursors = await self._together(
                [*((text, None) for text in before), (load("pg/prepare_session"), parameters)]
            )
            row = await cursors[-1].fetchone()
        assert row is not None  # noqa: S101  a SELECT without FROM has one row
        self.backend_start = str(row[-1])
        self.application_name = application_name
        self._limits = limits

    async def all(self, name: str, row: type[RowT], /, **parameters: object) -> list[RowT]:
        """Run the text `room/statement` and return its rows."""
        async with self._deadline():
            cursor = self._connection.cursor(row_factory=class_row(row))
            await cursor.execute(load(name), parameters or None)
            return await cursor.fetchall()

    async def one_or_none(self, name: str, row: type[RowT], /, **parameters: object) -> RowT | None:
        """Run a text that returns at most one row."""
        rows = await self.all(name, row, **parameters)
        return rows[0] if rows else None

    async def one(self, name: str, row: type[RowT], /, **parameters: object) -> RowT:
        """Run a text that returns one row; more or none is a programming error."""
        [only] = await self.all(name, row, **parameters)
        return only

    async def run(self, name: str, /, **parameters: object) -> int:
        """Run a text for its effect; return the number of rows that it touched."""
        async with self._deadline():
            cursor = self._connection.cursor()
            await cursor.execute(load(name), parameters or None)
            return cursor.rowcount

    async def run_effect(self, effect: Effect) -> int:
        """Run one effect by itself; return the number of rows that it touched."""
        return await self.run(effect.name, **effect.parameters)

    async def execute(self, text: Verbatim) -> None:
        """Send one statement verbatim (a user's own, or one composed with sql.Identifier)."""
        async with self._deadline():
            # Sent as it is: no parameters, so that % needs no escape.
            await self._connection.execute(text, prepare=False)

    async def rows_of(self, text: Verbatim) -> list[tuple[object, ...]]:
        """Send one statement verbatim and return its rows as tuples."""
        async with self._deadline():
            cursor = self._connection.cursor(row_factory=tuple_row)
            await cursor.execute(text, prepare=False)
            return await cursor.fetchall() if cursor.description else []

    async def read_only(
        self, text: Verbatim, limit: int
    ) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
        """Run one query in a READ ONLY transaction; return its columns and the first rows.

        No more than these are read, however many there are: the query is cancelled then.
        """
        rows: list[tuple[object, ...]] = []
        async with self.rolled_back(), self._deadline():
            await self._connection.execute("SET TRANSACTION READ ONLY")
            cursor = self._connection.cursor(row_factory=tuple_row)
            stream = cursor.stream(text)
            async with aclosing(stream) as found:  # type: ignore[type-var]  # it is a generator
                async for row in found:
                    rows.append(row)
                    if len(rows) >= limit:
                        break
            columns = tuple(column.name for column in cursor.description or ())
        return columns, rows

    async def parse(self, text: str) -> None:
        """Let the server parse one statement without running it. Raises StatementFailed."""
        async with self._deadline(), self._connection.lock:
            self._connection.pgconn.send_prepare(b"", text.encode())
            await self._answer()

    async def first_row_of(self, query: str, limits: Limits) -> tuple[object, ...] | None:
        """Return the first row of a user's own query, read in a transaction that leaves nothing.

        It is READ ONLY, one SELECT, VALUES or WITH, and no more of it is read. The connection is
        held meanwhile: a statement of another task would land in the same transaction, and fail.
        """
        pgconn, lock = self._connection.pgconn, self._connection.lock
        opening = (
            "BEGIN READ ONLY",
            f"SET LOCAL lock_timeout = {limits.lock_ms}",
            f"SET LOCAL statement_timeout = {limits.statement_ms}",
            f"DECLARE pgstrata NO SCROLL CURSOR FOR {query}",
        )
        async with self._deadline(limits.statement_ms), lock:
            try:
                for text in opening:
                    pgconn.send_query_params(text.encode(), None)
                    await self._answer()
                pgconn.send_query_params(b"FETCH 1 FROM pgstrata", None)
                answer = await self._answer()
                rows = Transformer(self._connection)
                rows.set_pgresult(answer)
                return rows.load_row(0, tuple) if answer.ntuples else None
            finally:
                await self._leave()

    async def _leave(self) -> None:
        """Roll back while the connection is held; one that cannot do it is closed instead."""
        try:
            async with asyncio.timeout(5):
                self._connection.pgconn.send_query_params(b"ROLLBACK", None)
                await self._answer()
        except (TimeoutError, psycopg.Error):
            self._connection.pgconn.finish()

    async def _answer(self) -> PGresult:
        """Wait for the answer to the one statement that was sent; raise what it failed with."""
        executing = generators.execute(self._connection.pgconn)
        result: PGresult
        [result] = await self._connection.wait(executing)
        if result.status == ExecStatus.FATAL_ERROR:
            raise error_from_result(result)
        return result

    async def copy_in(self, text: Verbatim, data: str) -> None:
        """Run `COPY ... FROM STDIN` with its data as a script has them."""
        async with self._deadline():
            cursor = self._connection.cursor()
            async with cursor.copy(text) as copy:
                await copy.write(data.encode())

    async def limit(self, kind: StatementClass) -> Limits:
        """Set a class's timeouts for what follows in this session; return them."""
        limits = limits_of(kind, self.target.timeouts, self.facts.deadlock_ms)
        await self.limit_to(limits)
        return limits

    async def limit_to(self, limits: Limits, *, local: bool = False) -> None:
        """Set timeouts; `local`: until the end of the transaction that runs."""
        if limits == self._limits and not local:
            return
        await self.run(
            "pg/set_limits",
            lock_ms=str(limits.lock_ms),
            statement_ms=str(limits.statement_ms),
            local=local,
        )
        self._limits = limits

    def limits_are(self, limits: Limits) -> None:
        """Note limits that a statement of the caller's own has put in force for its transaction."""
        self._limits = limits

    async def rename(self, application_name: str) -> None:
        """Change application_name, which tells other sessions what this one is."""
        await self.run("pg/set_application_name", application_name=application_name)
        self.application_name = application_name

    @asynccontextmanager
    async def transaction(self, *opening: Effect | Verbatim) -> AsyncIterator[Transaction]:
        """Run the block in a transaction; limits set inside with `local` end with it.

        `opening` goes to the server together with BEGIN, and `closing`, which the block may fill,
        with COMMIT: one round trip each. What fails there ends the transaction like all else.
        """
        before = self._limits
        try:
            async with self._deadline():
                begun = await self._together([(_BEGIN, None), *map(_text, opening)])
                answer = await begun[-1].fetchone() if begun[-1].description else None
            transaction = Transaction([cursor.rowcount for cursor in begun[1:]], answer)
            yield transaction
            async with self._deadline():
                await self._together([*map(_text, transaction.closing), ("COMMIT", None)])
        except BaseException:
            await self._roll_back()
            raise
        finally:
            self._limits = before

    async def at_once(self, *work: Effect | Verbatim, statement_ms: int) -> None:
        """Run a whole transaction in one round trip; where a part fails, none after it is run.

        Args:
            statement_ms: the limit that the first part puts in force; 0 is none.
        """
        texts = [_text(part) for part in work]
        try:
            async with self._deadline(statement_ms):
                await self._together([(_BEGIN, None), *texts, ("COMMIT", None)])
        except BaseException:
            await self._roll_back()
            raise

    @asynccontextmanager
    async def rolled_back(self) -> AsyncIterator[None]:
        """Run the block in a transaction that leaves nothing, however it ends."""
        async with self._deadline():
            await self._connection.execute(_BEGIN)
        try:
            yield
        finally:
            await self._roll_back()

    async def close(self) -> None:
        """Close the connection; a session that hangs is dropped."""
        try:
            async with asyncio.timeout(2):
                await self._connection.close()
        except (TimeoutError, psycopg.Error):
            self._connection.pgconn.finish()

    async def _roll_back(self) -> None:
        """Leave a failed transaction; a connection that cannot do it is closed instead."""
        if self._connection.closed or self._connection.info.transaction_status is _NONE:
            return
        try:
            async with asyncio.timeout(5):
                await self._connection.execute("ROLLBACK")
        except (TimeoutError, psycopg.Error):
            self._connection.pgconn.finish()

    async def _together(self, texts: Sequence[_Text]) -> list[AsyncCursor[TupleRow]]:
        """Run texts in one round trip. Raises what the first failed with; none after it is run."""
        execute = self._connection.execute
        if len(texts) == 1:
            return [await execute(*texts[0])]
        async with self._connection.pipeline():
            # What comes behind a text that fails is never prepared by the server, and psycopg would
            # take it for prepared; so only what surely runs may be.
            return [
                await execute(text, parameters, prepare=None if is_sure else False)
                for is_sure, (text, parameters) in zip(_are_sure(texts), texts, strict=True)
            ]

    @asynccontextmanager
    async def _deadline(self, statement_ms: int | None = None) -> AsyncIterator[None]:
        """Bound one call by the server's own limit and a margin; translate errors."""
        if statement_ms is None:
            statement_ms = self._limits.statement_ms if self._limits else 0
        seconds = statement_ms / 1000 + _MARGIN_SECONDS if statement_ms else None
        try:
            with translated():
                async with asyncio.timeout(seconds):
                    yield
        except TimeoutError:
            self._connection.pgconn.finish()
            raise ConnectionFailed(
                f"{self.target.label}: the server has not answered for {seconds:.0f} s"
            ) from None
