"""Locks that are not had in time: who holds them is named, and nobody stalls behind the wait.

Stalls are measured against a statement that no lock touches; the bounds are generous, since the
machine has other work. Without the cure each would be as long as the lock is held.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg.rows import TupleRow

from pgstrata.core.names import TableName
from pgstrata.engine.table_locks import resolve_locks, take_locks
from pgstrata.pg.connect import connect
from pgstrata.pg.failures import LockNotAvailable
from pgstrata.pg.lock_modes import LockMode, RelationRef, TableLock
from pgstrata.pg.target import Target, parse_url
from pgstrata.pg.timeouts import Limits
from tests.conftest import MakePostgres
from tests.testbed.command_line import CommandLine
from tests.testbed.database import Database
from tests.testbed.declarations import declared
from tests.testbed.polling import poll
from tests.testbed.postgres import ServerConfig
from tests.testbed.stalls import applications

SCHEMA = """
create table t (id int generated always as identity primary key, v int);
insert into t (v) select n from generate_series(1, 100) n;
create table u (id int primary key);
insert into u select n from generate_series(1, 100) n;
"""
ADD_COLUMN = {"1_a.sql": "ALTER TABLE t ADD COLUMN w int;"}
LOCK_SECONDS = 0.3
TIMEOUTS = {"lock": "300ms"}
SLACK = 0.5
"""Seconds that a stall may be longer than the lock timeout on a machine with other work."""
TRIES = """
select query_start from pg_stat_activity
where application_name like 'pgstrata:%' and state = 'active'
and query like 'LOCK TABLE%' and query not like '%SHARE UPDATE%'
"""


@contextmanager
def open_transaction(database: Database, statement: str) -> Iterator[psycopg.Connection[TupleRow]]:
    """Hold what a statement locks in a transaction of an application called `nightly report`."""
    with database.connect() as session:
        session.execute("set application_name = 'nightly report'")
        session.execute("begin")
        session.execute(statement.encode())
        yield session


def wait_for_tries(database: Database, count: int) -> None:
    """Wait until strong locks were tried so often from now on."""
    seen: set[object] = set()

    def look() -> bool:
        seen.update(row[0] for row in watcher.execute(TRIES).fetchall())
        return len(seen) >= count

    with database.connect() as watcher:
        poll(look, 60, f"{count} tries of a strong lock")


HOLDERS = {
    "reader": ("select count(*) from t", "AccessShareLock"),
    "writer": ("insert into t (v) values (1)", "RowExclusiveLock"),
    "explicit": ("lock table t in share mode", "ShareLock"),
}


@pytest.mark.parametrize("holder", [pytest.param(h, id=name) for name, h in HOLDERS.items()])
def test_who_holds_the_lock_is_named_and_the_statement_lands_when_it_ends(
    pgstrata: CommandLine, database: Database, holder: tuple[str, str]
) -> None:
    database.psql(SCHEMA)
    statement, mode = holder
    with open_transaction(database, statement) as session:
        running = pgstrata.start_apply(declared("1", ADD_COLUMN, timeouts=TIMEOUTS), database.uri)
        said = running.wait_for("SchemaVersion default/app: LockTimeout: ")
        assert "1_a.sql:1: ALTER TABLE t ADD COLUMN w int: no lock on public.t within" in said
        assert (
            f"held by pid {session.info.backend_pid} (nightly report, idle in transaction, " in said
        )
        assert f"s old, {mode} on public.t)" in said
        session.execute("commit")
        ended = running.wait(30)
    assert ended.said()[:2] == (0, "Succeeded")
    assert database.psql("select count(w) from t") == "0\n"


def test_nobody_stalls_behind_the_wait_for_a_lock(
    pgstrata: CommandLine, database: Database
) -> None:
    """The reader's transaction outlasts three tries; psql's ALTER would stop all others for it."""
    database.psql(SCHEMA)
    with (
        open_transaction(database, "select count(*) from t") as session,
        applications(
            database, write="insert into t (v) values (1)", read="select v from t where id = 1"
        ) as stalls,
    ):
        running = pgstrata.start_apply(declared("1", ADD_COLUMN, timeouts=TIMEOUTS), database.uri)
        wait_for_tries(database, 3)
        session.execute("commit")
        assert running.wait(30).said()[:2] == (0, "Succeeded")
        assert stalls.repetitions > 10
    longest = stalls.beyond()
    assert longest["write"] < LOCK_SECONDS + SLACK
    assert longest["read"] < LOCK_SECONDS + SLACK


def test_a_prepared_transaction_is_named(pgstrata: CommandLine, database: Database) -> None:
    database.psql(SCHEMA)
    with open_transaction(database, "select count(*) from t") as session:
        session.execute("prepare transaction 'left behind'")
        running = pgstrata.start_apply(declared("1", ADD_COLUMN, timeouts=TIMEOUTS), database.uri)
        try:
            running.wait_for('held by prepared transaction "left behind" (')
        finally:
            session.execute("rollback prepared 'left behind'")
        assert running.wait(30).said()[:2] == (0, "Succeeded")


def test_a_lock_that_is_never_had_times_out(pgstrata: CommandLine, database: Database) -> None:
    database.psql(SCHEMA)
    with open_transaction(database, "select count(*) from t") as session:
        documents = declared("1", ADD_COLUMN, timeouts=TIMEOUTS)
        ended = pgstrata.apply(documents, database.uri, timeout="10s")
        code, reason, message = ended.said()
        assert (code, reason) == (3, "LockTimeout")
        assert f"pid {session.info.backend_pid} (nightly report" in message
        assert ended.condition("Ready")["status"] == "False"
        assert ended.condition("Reconciling")["reason"] == "LockTimeout"
        gone = "select count(*) from pg_stat_activity where application_name like 'pgstrata:%'"
        poll(lambda: database.psql(gone) == "0\n", 10, "the sessions of the run have ended")
    assert database.psql("select count(*) from pgstrata.step") == "0\n"


def test_a_foreign_key_takes_both_its_tables(pgstrata: CommandLine, database: Database) -> None:
    """The referenced table is held: writers of the referencing one must not stall for it."""
    database.psql(SCHEMA)
    files = {
        "1_a.sql": "ALTER TABLE t ADD CONSTRAINT t_u FOREIGN KEY (v) REFERENCES u (id) NOT VALID;"
    }
    with (
        open_transaction(database, "insert into u values (101)") as session,
        applications(database, write="insert into t (v) values (1)") as stalls,
    ):
        running = pgstrata.start_apply(declared("1", files, timeouts=TIMEOUTS), database.uri)
        said = running.wait_for("LockTimeout: ")
        assert f"held by pid {session.info.backend_pid} (nightly report" in said
        assert "RowExclusiveLock on public.u)" in said
        wait_for_tries(database, 3)
        session.execute("commit")
        assert running.wait(30).said()[:2] == (0, "Succeeded")
    assert stalls.beyond()["write"] < LOCK_SECONDS + SLACK
    assert database.psql("select convalidated from pg_constraint where conname = 't_u'") == "f\n"


async def test_the_locks_of_a_group_are_had_under_one_deadline(database: Database) -> None:
    """Each of three tables is given free soon after it was asked for, each within the timeout: one
    after the other they would stall writers of the first table for 1.8 timeouts."""
    names = ("t1", "t2", "t3", "t4")
    database.psql("".join(f"create table {name} (id int);" for name in names))
    locks = [TableLock(RelationRef("public", name), LockMode.ACCESS_EXCLUSIVE) for name in names]
    target = Target(parse_url(database.uri, origin="the test"))
    session = await connect(target, application_name="in order")
    held = [
        threading.Thread(target=hold_until_asked, args=(database, name, session.pid))
        for name in names[1:]
    ]
    try:
        for thread in held:
            thread.start()
        poll(lambda: all(is_held(database, name) for name in names[1:]), 30, "all tables are held")
        targets = await resolve_locks(session, locks)
        assert [t.table for t in targets] == [TableName("public", name) for name in names]
        with applications(database, write="insert into t1 values (1)") as stalls:
            poll(lambda: stalls.repetitions > 3, 30, "the application is at work")
            with pytest.raises(LockNotAvailable):
                async with session.transaction():
                    await take_locks(session, targets, Limits(1000, 30_000))
    finally:
        await session.close()
        for thread in held:
            thread.join()
    assert stalls.beyond()["write"] < 1.0 + SLACK


ASKED = """
select count(*) from pg_locks
where pid = %s and relation = %s::regclass and mode = 'AccessExclusiveLock' and not granted
"""
HELD = "select count(*) from pg_locks where relation = %s::regclass and mode = 'RowExclusiveLock'"


def hold_until_asked(database: Database, name: str, pid: int) -> None:
    """Hold a table as a writer does, and let it go 0.6 s after `pid` waits for all of it."""
    with database.connect() as session, database.connect() as watcher:
        session.execute("begin")
        session.execute(f"lock table {name} in row exclusive mode".encode())

        def is_asked() -> bool:
            row = watcher.execute(ASKED, (pid, name)).fetchone()
            gone = watcher.execute("select from pg_stat_activity where pid = %s", (pid,)).fetchone()
            return row != (0,) or gone is None

        poll(is_asked, 60, f"{name} is asked for")
        session.execute("select pg_sleep(0.6)")
        session.execute("commit")


def is_held(database: Database, name: str) -> bool:
    with database.connect() as session:
        return session.execute(HELD, (name,)).fetchone() != (0,)


VACUUMED = """
select count(*) from pg_locks join pg_stat_activity using (pid)
where backend_type = 'autovacuum worker' and relation = 't'::regclass
and mode = 'ShareUpdateExclusiveLock'
"""
SLOW_VACUUM = """
create table t (id int) with (
    autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1,
    autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0
);
insert into t select generate_series(1, 100000);
delete from t where id % 2 = 0;
"""


def test_autovacuum_gives_way(pgstrata: CommandLine, make_postgres: MakePostgres) -> None:
    """It does so only for who waits longer than deadlock_timeout, which no strong lock may here."""
    server = make_postgres(config=ServerConfig(settings={"autovacuum_naptime": "1s"}))
    database = Database("postgres", server)
    database.psql(SLOW_VACUUM)
    poll(lambda: database.psql(VACUUMED) != "0\n", 60, "autovacuum works on the table")
    running = pgstrata.start_apply(declared("1", ADD_COLUMN, timeouts=TIMEOUTS), database.uri)
    assert running.wait().said()[:2] == (0, "Succeeded")
    assert "canceling autovacuum task" in server.log.read_text()
