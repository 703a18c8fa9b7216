"""Finds out whether a connection pooler stands between pgstrata and the server.

A pooler that hands the server's sessions out per transaction makes session locks, settings and
pids a lie. It is recognised by what it cannot hide: it invents the pid of the cancel key, and it
serves two of our connections by one server process, or one of ours by two. Called by pg/connect.py
before anything is set on the session.
"""

import asyncio
from enum import StrEnum

from psycopg import AsyncConnection

from pgstrata.pg.failures import translated


class Pooler(StrEnum):
    """What stands in between, as ManagedDatabase.status.pooler says it."""

    NONE = "None"
    SESSION = "Session"
    TRANSACTION = "Transaction"


def is_direct(connection: AsyncConnection, pid: int) -> bool:
    """Whether the pid that the server gave at login is the one of the process that answers."""
    return connection.info.backend_pid == pid


async def pooling_mode(first: AsyncConnection, second: AsyncConnection) -> Pooler:
    """Tell session from transaction pooling; both connections are idle and in autocommit mode.

    While `second` holds a transaction open, a session pooler keeps the two apart for good; a
    transaction pooler either lends `second` the process that just served `first`, or must serve
    `first` by another process than before.
    """
    seen = {await _pid(first)}
    with translated():
        await second.execute("BEGIN")
        try:
            lent = await _pid(second)
            for _ in range(3):
                seen.add(await _pid(first))
        finally:
            await second.execute("ROLLBACK")
    return Pooler.TRANSACTION if lent in seen or len(seen) > 1 else Pooler.SESSION


async def _pid(connection: AsyncConnection) -> int:
    async with asyncio.timeout(10):
        with translated():
            cursor = await connection.execute("SELECT pg_backend_pid()")
            row = await cursor.fetchone()
    if row is None:
        raise AssertionError("SELECT without FROM has one row")
    return int(row[0])
