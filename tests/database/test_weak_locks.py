"""Limits by what a statement does: scans have time, weak locks wait for autovacuum to give way, and
strong locks outside transactions stall nobody for longer than timeouts.lock."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.testbed.command_line import CommandLine
from tests.testbed.database import Database
from tests.testbed.declarations import declared
from tests.testbed.polling import poll
from tests.testbed.stalls import applications

pytestmark = pytest.mark.pg18only

LOCK_SECONDS = 0.3
TIMEOUTS = {"lock": "300ms"}
SLACK = 0.5
"""Seconds that a stall may be longer than the lock timeout on a machine with other work."""
SCHEMA = """
create table t (id int generated always as identity primary key, v int);
insert into t (v) select n from generate_series(1, 5) n;
"""
SLOW_CHECK = """
create function slow(v int) returns bool language plpgsql as $$
begin perform pg_sleep(0.3); return v > 0; end $$;
alter table t add constraint t_slow check (slow(v)) not valid;
"""


@contextmanager
def holding(database: Database, statement: str) -> Iterator[psycopg.Connection[TupleRow]]:
    """Hold what a statement locks in an open transaction."""
    with database.connect() as session:
        session.execute("begin")
        session.execute(statement.encode())
        yield session


def test_a_validation_may_take_longer_than_the_statement_timeout(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql(SCHEMA + SLOW_CHECK)
    files = {"1_a.sql": "ALTER TABLE t VALIDATE CONSTRAINT t_slow;"}
    limits = {**TIMEOUTS, "statement": "1s"}
    ended = pgstrata.apply(declared("1", files, timeouts=limits), database.uri)
    assert ended.said()[:2] == (0, "Succeeded")
    assert database.psql("select convalidated from pg_constraint where conname = 't_slow'") == "t\n"


LASTING_WAIT = """
select count(*) from pg_locks join pg_stat_activity using (pid)
where application_name like 'pgstrata:%' and not granted
and relation = 't'::regclass and clock_timestamp() - waitstart > interval '1.1 s'
"""
WEAK = {
    "comment": "COMMENT ON TABLE t IS 'of numbers';",
    "statistics": "ALTER TABLE t ALTER COLUMN v SET STATISTICS 200;",
    "validate": "ALTER TABLE t VALIDATE CONSTRAINT t_v;",
}


@pytest.mark.parametrize("statement", [pytest.param(s, id=name) for name, s in WEAK.items()])
def test_a_weak_lock_is_waited_for_until_autovacuum_would_have_given_way(
    pgstrata: CommandLine, database: Database, statement: str
) -> None:
    """Autovacuum does so for who waits deadlock_timeout, 1 s; nobody queues behind the wait."""
    database.psql(f"{SCHEMA} alter table t add constraint t_v check (v > 0) not valid")
    with holding(database, "lock table t in share update exclusive mode") as vacuum:
        documents = declared("1", {"1_a.sql": statement}, timeouts=TIMEOUTS)
        running = pgstrata.start_apply(documents, database.uri)
        poll(lambda: database.psql(LASTING_WAIT) != "0\n", 20, "one wait of more than 1.1 s")
        vacuum.execute("commit")
        assert running.wait().said()[:2] == (0, "Succeeded")


def test_writers_do_not_stall_behind_a_vacuum_full_that_waits(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql(SCHEMA)
    with (
        holding(database, "select count(*) from t") as reader,
        applications(database, write="insert into t (v) values (1)") as stalls,
    ):
        documents = declared("1", {"1_a.sql": "VACUUM (FULL, ANALYZE) t;"}, timeouts=TIMEOUTS)
        running = pgstrata.start_apply(documents, database.uri)
        said = running.wait_for("LockTimeout: ")
        assert f"held by pid {reader.info.backend_pid}" in said
        reader.execute("commit")
        assert running.wait().said()[:2] == (0, "Succeeded")
        assert stalls.repetitions > 10
    assert stalls.beyond()["write"] < LOCK_SECONDS + SLACK
