"""Whether a backfill notices that others write to its table, and takes its own rows for its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest

from pgstrata.migrations.backfill import neighbours as looks
from pgstrata.migrations.backfill.neighbours import Neighbours
from pgstrata.pg.connect import connect
from pgstrata.pg.session import Session
from pgstrata.pg.target import Target, parse_url
from tests.testbed.database import Database

PARTITIONED = """
create table t (n integer) partition by list (n);
create table t1 partition of t for values in (1);
"""


@pytest.fixture(autouse=True)
def _look_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(looks, "FIRST_LOOK_SECONDS", 0.0)


@asynccontextmanager
async def session_to(database: Database) -> AsyncIterator[Session]:
    target = Target(parse_url(database.uri, origin="the test"))
    session = await connect(target, application_name="test")
    try:
        yield session
    finally:
        await session.close()


@pytest.mark.parametrize("table", ["create table t (n integer)", PARTITIONED])
async def test_only_rows_of_others_count(database: Database, table: str) -> None:
    with psycopg.connect(database.uri, autocommit=True) as other:
        other.execute(table.encode())
        other.execute("insert into t select 1 from generate_series(1, 100)")
        other.execute("select pg_stat_force_next_flush()")
        row = other.execute("select 't'::regclass::oid::int").fetchone()
        assert row is not None
        async with session_to(database) as session, session_to(database) as monitor:
            neighbours = Neighbours(session, monitor, row[0])
            assert not await neighbours.are_writing(0)
            await session.execute("update t set n = n")
            assert not await neighbours.are_writing(100)
            other.execute("insert into t values (1)")
            other.execute("select pg_stat_force_next_flush()")
            assert await neighbours.are_writing(100)


async def test_nobody_writes_once_nobody_was_seen_for_a_while(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "QUIET_SECONDS", 0.0)
    with psycopg.connect(database.uri, autocommit=True) as other:
        other.execute("create table t (n integer)")
        row = other.execute("select 't'::regclass::oid::int").fetchone()
        assert row is not None
        async with session_to(database) as session, session_to(database) as monitor:
            neighbours = Neighbours(session, monitor, row[0])
            await neighbours.are_writing(0)
            other.execute("insert into t values (1)")
            other.execute("select pg_stat_force_next_flush()")
            await neighbours.are_writing(0)
            assert not await neighbours.are_writing(0)


@pytest.mark.pg18only
@pytest.mark.parametrize("first_seconds", [0.0, 3600.0])
async def test_in_the_beginning_it_looks_more_often(
    database: Database, monkeypatch: pytest.MonkeyPatch, first_seconds: float
) -> None:
    monkeypatch.setattr(looks, "LOOK_SECONDS", 3600.0)
    monkeypatch.setattr(looks, "FIRST_SECONDS", first_seconds)
    with psycopg.connect(database.uri, autocommit=True) as other:
        other.execute("create table t (n integer)")
        row = other.execute("select 't'::regclass::oid::int").fetchone()
        assert row is not None
        async with session_to(database) as session, session_to(database) as monitor:
            neighbours = Neighbours(session, monitor, row[0])
            await neighbours.are_writing(0)
            other.execute("insert into t values (1)")
            other.execute("select pg_stat_force_next_flush()")
            assert await neighbours.are_writing(0) == bool(first_seconds)
