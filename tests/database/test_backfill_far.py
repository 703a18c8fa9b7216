"""A backfill of a server that is far away: the way there makes no batch smaller."""

import pytest

from tests.testbed.command_line import CommandLine
from tests.testbed.database import Database
from tests.testbed.declarations import declared
from tests.testbed.far import FarAway

ROWS = 50_000
ONE_WAY_SECONDS = 0.025
BATCHES = 100
"""A batch of 50 ms has thousands of these rows, on a busy machine many hundreds. With the way to
the server each takes 100 ms, and by that they would end at a block each: near 200."""
TABLE = f"""
create table t (id integer primary key, x integer);
insert into t select i from generate_series(1, {ROWS}) as i;
create table batches (at timestamptz default clock_timestamp());
create function batch() returns trigger language plpgsql as
$$ begin insert into batches default values; return null; end $$;
create trigger batch after update on t for each statement execute function batch();
"""
FILES = {"1_x.migrate.sql": "-- pgstrata: batch\nUPDATE t SET x = id WHERE x IS NULL;\n"}


@pytest.mark.pg18only
def test_batches_are_as_large_as_those_of_a_near_server(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql(TABLE)
    near = f":{database.server.port}/"
    assert near in database.uri
    with FarAway(database.server.port, ONE_WAY_SECONDS) as far:
        uri = database.uri.replace(near, f":{far.port}/")
        ended = pgstrata.apply(declared("1", FILES), uri, timeout="80s")
    assert ended.said()[:2] == (0, "Succeeded"), ended.said()
    with database.connect() as connection:
        [(batches,)] = connection.execute("select count(*) from batches").fetchall()
        assert 1 < batches < BATCHES
        assert connection.execute("select count(*) from t where x is null").fetchone() == (0,)
