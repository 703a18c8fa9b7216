"""The locks that pgstrata reads from a statement's text are those that a server takes.

Each statement runs in a transaction that is rolled back, and pg_locks of its own session is read in
between. What cannot run in a transaction runs against a held lock: what it then waits for is known.
"""

import secrets
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from pgstrata.pg.alter_table import STABLE_FUNCTIONS, VOLATILE_FUNCTIONS
from pgstrata.pg.classify import LockMode, TableLock, classify
from tests.testbed.database import Database
from tests.testbed.postgres import PostgresServer
from tests.unit.pg.lock_cases import IN_TRANSACTIONS, OUTSIDE_TRANSACTIONS, LockCase
from tests.unit.pg.work_cases import WORK, WORK_SCHEMA, WorkCase

Locks = dict[str, LockMode]

EXISTING = """
select c.oid, coalesce(nullif(n.nspname, 'public') || '.', '') || c.relname, c.relkind in ('i', 'I')
from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
where n.nspname in ('public', 's') and c.relkind not in ('S', 'c')
"""
TAKEN = "select relation, mode from pg_locks where locktype = 'relation' and pid = pg_backend_pid()"
WAITING_MODE = "select mode from pg_locks where pid = %s and locktype = 'relation' and not granted"
BY_CATALOG_NAME = {mode.catalog_name: mode for mode in LockMode}


@pytest.fixture(scope="session")
def tables(postgres: PostgresServer) -> Iterator[Database]:
    """A database with WORK_SCHEMA that all tests here share, since each leaves it as it was."""
    name = f"locks_{secrets.token_hex(6)}"
    postgres.createdb(name)
    shared = Database(name, postgres)
    shared.psql(WORK_SCHEMA)
    yield shared
    postgres.dropdb(name)


def skip_before(since: int, major: int) -> None:
    if major < since:
        pytest.skip(f"PostgreSQL {major} does not know the statement or does not lock for it")


def expected(case: LockCase) -> tuple[Locks, Locks]:
    """Return what the statement shall lock: relations, and indexes with their tables' allowance."""
    relations: Locks = {}
    indexes: Locks = {}
    for lock in filter(lambda lock: lock.is_on_relation, classify(case.statement).locks):
        (indexes if lock.is_index else relations)[unqualified(lock)] = lock.mode
    for entry in filter(None, case.beyond.split(", ")):
        name, _, mode = entry.partition(" ")
        relations[name] = LockMode[mode.replace(" ", "_")]
    return relations, indexes


def unqualified(lock: TableLock) -> str:
    return str(lock.table).removeprefix("public.")


@pytest.mark.parametrize("case", IN_TRANSACTIONS, ids=lambda case: case.statement)
def test_a_statement_takes_the_locks_that_its_text_tells(
    tables: Database, postgres_major: int, case: LockCase
) -> None:
    skip_before(case.since, postgres_major)
    relations, indexes = expected(case)
    with tables.connect() as session:
        existing = {oid: (name, is_index) for oid, name, is_index in session.execute(EXISTING)}
        session.execute("begin")
        session.execute(case.statement.encode())
        taken = [(existing[oid], mode) for oid, mode in session.execute(TAKEN) if oid in existing]
        session.execute("rollback")
    seen = strongest(taken, is_index=False)
    on_indexes = strongest(taken, is_index=True)
    assert {name: on_indexes.get(name) for name in indexes} == indexes
    # A lock on an index stands for one on its table, which may be weaker but never stronger.
    tables_of_indexes = set(seen) - set(relations) if indexes else set()
    assert all(seen[name] <= max(indexes.values()) for name in tables_of_indexes)
    assert {name: mode for name, mode in seen.items() if name not in tables_of_indexes} == relations


def strongest(taken: list[tuple[tuple[str, bool], str]], *, is_index: bool) -> Locks:
    locks: Locks = {}
    for (name, on_index), mode in taken:
        if on_index is is_index:
            locks[name] = max(locks.get(name, LockMode.ACCESS_SHARE), BY_CATALOG_NAME[mode])
    return locks


@pytest.mark.parametrize("case", OUTSIDE_TRANSACTIONS, ids=lambda case: case.statement)
def test_a_statement_outside_transactions_waits_for_the_lock_that_its_text_tells(
    tables: Database, case: LockCase
) -> None:
    with tables.connect() as session:
        session.execute("begin")
        with pytest.raises(psycopg.errors.ActiveSqlTransaction):
            session.execute(case.statement.encode())

    wanted = next(lock for lock in classify(case.statement).locks)
    with tables.connect() as holder, tables.connect() as session, tables.connect() as watcher:
        name = "p" if wanted.table.name == "p" else "t"
        holder.execute("begin")
        holder.execute(sql.SQL("lock table {} in share mode").format(sql.Identifier(name)))
        runner = threading.Thread(target=run_until_cancelled, args=(session, case.statement))
        runner.start()
        try:
            mode = wait_for_mode(watcher, session.info.backend_pid)
        finally:
            session.cancel_safe()
            runner.join()
    assert BY_CATALOG_NAME[mode] is wanted.mode


def run_until_cancelled(session: psycopg.Connection[tuple[object, ...]], statement: str) -> None:
    with pytest.raises(psycopg.errors.QueryCanceled):
        session.execute(statement.encode())


def wait_for_mode(watcher: psycopg.Connection[tuple[object, ...]], pid: int) -> str:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        row = watcher.execute(WAITING_MODE, (pid,)).fetchone()
        if row is not None:
            return str(row[0])
        time.sleep(0.01)
    raise AssertionError("the statement never waited for the table")


FILES_AND_SCANS = """
select pg_relation_filenode(c.oid), pg_stat_get_xact_numscans(c.oid)
from pg_class as c where c.oid = any(%s) order by c.oid
"""


@pytest.mark.parametrize("case", WORK, ids=lambda case: case.statement)
def test_a_server_rewrites_and_scans_as_the_text_tells(
    tables: Database, postgres_major: int, case: WorkCase
) -> None:
    skip_before(case.since, postgres_major)
    with tables.connect() as session:
        [all_] = (
            session.execute(
                "select array['t'::regclass::oid, 'w'::regclass, 'keyed'::regclass]"
            ).fetchone()
            or []
        )
        session.execute("begin")
        before = session.execute(FILES_AND_SCANS, (all_,)).fetchall()
        session.execute(case.statement.encode())
        after = session.execute(FILES_AND_SCANS, (all_,)).fetchall()
        session.execute("rollback")
    is_rewritten = [file for file, _ in before] != [file for file, _ in after]
    is_scanned = [scans for _, scans in before] != [scans for _, scans in after]
    if case.is_certain:
        assert is_rewritten is case.rewrites
        assert case.rewrites or is_scanned is case.scans
    else:
        assert not is_rewritten
        assert not is_scanned


def test_the_functions_known_as_stable_and_volatile_are_so(tables: Database) -> None:
    query = "select distinct proname from pg_proc where proname = any(%s) and provolatile = any(%s)"
    with tables.connect() as session:
        volatile = session.execute(query, (list(STABLE_FUNCTIONS), ["v"])).fetchall()
        stable = session.execute(query, (list(VOLATILE_FUNCTIONS), ["i", "s"])).fetchall()
    assert (volatile, stable) == ([], [])
