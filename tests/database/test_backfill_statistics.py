"""Before a joined backfill the planner learns of the columns that it knows nothing of: else a batch
of thousands of rows is planned for a handful."""

import psycopg
import pytest

from tests.testbed.command_line import CommandLine
from tests.testbed.database import Database
from tests.testbed.declarations import declared

TABLES = """
create table o (id integer primary key, x integer) with (autovacuum_enabled = off);
create table t (id integer primary key, o_id integer) with (autovacuum_enabled = off);
insert into o select i, i from generate_series(1, 100) as i;
insert into t select i, 1 + i % 100 from generate_series(1, 1000) as i;
analyze t, o;
alter table t add column x integer;
"""
JOINED = "UPDATE t SET x = o.x FROM o WHERE o.id = t.o_id AND t.x IS NULL"
BY_QUERY = "UPDATE t SET x = 1 WHERE x IS NULL AND o_id IN (SELECT id FROM o)"
ALONE = "UPDATE t SET x = o_id WHERE x IS NULL"
ANALYZED = "select pg_stat_get_analyze_count('t'::regclass)"
KNOWN = "select attname::text from pg_stats where tablename = 't' order by 1"
BEFORE = [("id",), ("o_id",)]


def backfill(statement: str) -> dict[str, str]:
    return {"1_x.migrate.sql": f"-- pgstrata: batch\n{statement};\n"}


@pytest.mark.parametrize("statement", [JOINED, BY_QUERY])
def test_an_unknown_column_is_analyzed_where_other_tables_are_read(
    pgstrata: CommandLine, database: Database, statement: str
) -> None:
    database.psql(TABLES)
    ended = pgstrata.apply(declared("1", backfill(statement)), database.uri)
    assert ended.said()[:2] == (0, "Succeeded"), ended.said()
    with database.connect() as connection:
        assert connection.execute(KNOWN).fetchall() == [*BEFORE, ("x",)]
        assert connection.execute("select count(*) from t where x is null").fetchone() == (0,)


@pytest.mark.pg18only
@pytest.mark.parametrize(
    ("statement", "first"),
    [(ALONE, ""), (JOINED, "analyze t;"), (JOINED, "alter table t alter x set statistics 0;")],
    ids=["no other table", "all are known", "no statistics are wanted"],
)
def test_nothing_is_analyzed_for_nothing(
    pgstrata: CommandLine, database: Database, statement: str, first: str
) -> None:
    database.psql(TABLES + first)
    with database.connect() as connection:
        before = connection.execute(ANALYZED).fetchone()
    ended = pgstrata.apply(declared("1", backfill(statement)), database.uri)
    assert ended.said()[:2] == (0, "Succeeded"), ended.said()
    with database.connect() as connection:
        assert connection.execute(ANALYZED).fetchone() == before


@pytest.mark.pg18only
def test_a_lock_is_not_waited_for(pgstrata: CommandLine, database: Database) -> None:
    files = {"1_x.migrate.sql": f"-- pgstrata: batch keep=never\n{JOINED};\n"}
    database.psql(TABLES)
    with psycopg.connect(database.uri) as other:
        other.execute("lock table t in share update exclusive mode")  # as VACUUM does
        ended = pgstrata.apply(declared("1", files), database.uri)
    assert ended.said()[:2] == (0, "Succeeded"), ended.said()
    with database.connect() as connection:
        assert connection.execute(KNOWN).fetchall() == BEFORE
        assert connection.execute("select count(*) from t where x is null").fetchone() == (0,)
