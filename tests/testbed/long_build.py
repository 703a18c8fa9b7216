"""A concurrent index build that does not end before the test says so.

CREATE INDEX CONCURRENTLY waits at its end for every transaction whose snapshot is older than the
index, so one session that keeps a snapshot holds it open as long as it likes, without a lock on the
table and with as little data as one wants.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import IsolationLevel
from psycopg.rows import TupleRow

from tests.testbed.database import Database
from tests.testbed.polling import poll

WAITING = "waiting for old snapshots"
"""The last phase but one: the index is there, INVALID, and writers maintain it already."""


@dataclass(frozen=True, slots=True)
class Build:
    """One row of pg_stat_progress_create_index."""

    pid: int
    phase: str


@contextmanager
def old_snapshot(database: Database) -> Iterator[psycopg.Connection[TupleRow]]:
    """Hold a snapshot until the block ends, or until the connection that it yields is closed."""
    with psycopg.connect(database.uri) as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        connection.execute("select count(*) from pg_class")
        yield connection


def builds(database: Database) -> list[Build]:
    """Return the concurrent builds that go on now."""
    query = (
        "select pid, phase from pg_stat_progress_create_index "
        "where datname = current_database() and phase is not null"
    )
    with database.connect() as connection:
        return [Build(*row) for row in connection.execute(query).fetchall()]


def waiting_build(database: Database, deadline: float, *, besides: int = 0) -> Build:
    """Wait until a build waits for old snapshots; `besides`: one of another pid than this."""

    def look() -> Build | None:
        return next((b for b in builds(database) if b.phase == WAITING and b.pid != besides), None)

    return poll(look, deadline, f"a build by another pid than {besides} waits for old snapshots")
