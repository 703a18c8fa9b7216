"""Rows that the application updates all the time, in columns that decide nothing: they move before
each pass by blocks gets to them, and are filled all the same."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from pgstrata.migrations.backfill.directive import BatchOptions, Keep
from pgstrata.migrations.backfill.rows_left import keys_left
from pgstrata.migrations.backfill.shape import read_shape
from pgstrata.pg import timeouts
from pgstrata.pg.connect import connect
from pgstrata.pg.target import Target, parse_url
from pgstrata.pg.timeouts import StatementClass
from tests.testbed.command_line import CommandLine
from tests.testbed.database import Database
from tests.testbed.declarations import declared

TABLE = """
create table t (id integer, part text, x integer, seen bigint not null default 0,
    filler text default repeat('x', 200), primary key (id, part)) with (autovacuum_enabled = off);
insert into t (id, part) select i, 'a' from generate_series(1, 10000) as i;
create index on t (seen);
"""
"""The index keeps the server from updating a row within its block."""
FILES = {"1_x.migrate.sql": "-- pgstrata: batch size=30\nUPDATE t SET x = id WHERE x IS NULL;\n"}
HOT = (5, 5000, 9999)


@contextmanager
def updating(database: Database) -> Iterator[None]:
    """Update the same rows again and again as long as the block runs."""
    over = threading.Event()

    def update() -> None:
        with psycopg.connect(database.uri, autocommit=True) as connection:
            while not over.is_set():
                connection.execute("update t set seen = seen + 1 where id = any(%s)", [list(HOT)])

    thread = threading.Thread(target=update)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.pg18only
def test_rows_that_always_move_are_filled(pgstrata: CommandLine, database: Database) -> None:
    database.psql(TABLE)
    with updating(database):
        ended = pgstrata.apply(declared("1", FILES), database.uri, timeout="60s")
    assert ended.said()[:2] == (0, "Succeeded"), ended.said()
    with database.connect() as connection:
        assert connection.execute("select count(*) from t where x is null").fetchone() == (0,)
        [(updates,)] = connection.execute("select min(seen) from t where id = any(%s)", [list(HOT)])
        assert updates > 10


@pytest.mark.pg18only
async def test_looking_for_what_is_left_may_take_as_long_as_a_scan(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.psql("create table t (id integer primary key, x integer); insert into t values (7);")
    text = "UPDATE t SET x = id WHERE x IS NULL AND (SELECT true FROM pg_sleep(0.6))"
    target = Target(parse_url(database.uri, origin="the test"))
    session = await connect(target, application_name="test")
    shape = await read_shape(session, text, BatchOptions(keep=Keep.NEVER), step="s")
    monkeypatch.setattr(timeouts, "LOOK_STATEMENT_MS", 200)
    await session.limit(StatementClass.LOOK)
    assert await keys_left(session, shape) == [("7",)]
    await session.close()
