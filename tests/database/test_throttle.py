"""What the throttle reads of real servers, as a role that owns nothing but its own database."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

import psycopg
import pytest

from pgstrata.core.errors import AccessDenied
from pgstrata.engine import throttle as throttle_module
from pgstrata.engine.throttle import Throttle
from pgstrata.pg.connect import connect
from pgstrata.pg.session import Session
from pgstrata.pg.target import Target, ThrottleLimits, parse_url
from tests.conftest import MakePostgres
from tests.testbed.database import Database
from tests.testbed.polling import poll, poll_async
from tests.testbed.postgres import PostgresServer, ServerConfig

LIMITS = ThrottleLimits()
ROLE = "worker"
DEADLINE = 30.0


@pytest.fixture(autouse=True)
def _read_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle_module, "READING_SECONDS", 0.0)


@asynccontextmanager
async def monitoring(uri: str) -> AsyncIterator[Session]:
    session = await connect(Target(parse_url(uri, origin="the test")), application_name="monitor")
    try:
        yield session
    finally:
        await session.close()


@asynccontextmanager
async def throttle(
    server: PostgresServer,
    limits: ThrottleLimits = LIMITS,
    *,
    role: str = ROLE,
    table_oid: int | None = None,
) -> AsyncIterator[Throttle]:
    """The throttle of work in the database postgres."""
    async with monitoring(server.socket_uri("postgres", role)) as session:
        yield Throttle(session, limits, table_oid)


@pytest.fixture
def server(make_postgres: MakePostgres) -> PostgresServer:
    """A server of the test's own, with an ordinary role."""
    return with_role(make_postgres())


def with_role(server: PostgresServer) -> PostgresServer:
    server.psql("postgres", f"create role {ROLE} login; grant create on schema public to {ROLE}")
    return server


def write_wal(server: PostgresServer, mib: int = 1) -> None:
    text = f"repeat('x', {mib << 20})"
    server.psql("postgres", f"select from pg_logical_emit_message(true, 'filler', {text})")


async def test_a_server_at_rest_bears_more_work(server: PostgresServer) -> None:
    async with throttle(server) as own:
        assert await own.reason() is None


# -- the user's own query --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT true", "returned True"),
        ("SELECT 7", "returned 7"),
        ("SELECT -0.5", "returned -0.5"),
        ("SELECT 'NaN'::float8", "returned nan"),
        ("SELECT 'jobs wait'", "returned jobs wait"),
        ("VALUES ('a', 0), ('b', 1);", "returned a"),
        ("WITH t AS (SELECT 1 AS n) SELECT n FROM t -- with a comment", "returned 1"),
        ("SELECT generate_series(1, 1000000000000)", "returned 1"),
        ("SELECT repeat('x', 1000)", "returned " + "x" * 100),
        ("SELECT '100%'", "returned 100%"),
        ("SELECT NULL", "returned NULL, which counts as a reason to wait"),
        ("SELECT NULL::boolean", "returned NULL, which counts as a reason to wait"),
        ("SELECT", "returned a row without columns"),
        ("SELECT 1/0", "failed: division by zero (SQLSTATE 22012)"),
        ("SELECT * FROM nowhere", 'failed: relation "nowhere" does not exist (SQLSTATE 42P01)'),
        ("SELEC", 'failed: syntax error at or near "SELEC" (SQLSTATE 42601)'),
        ("UPDATE kept SET n = 2", 'failed: syntax error at or near "UPDATE" (SQLSTATE 42601)'),
        ("COMMIT", 'failed: syntax error at or near "COMMIT" (SQLSTATE 42601)'),
        (
            "SELECT 0; COMMIT",
            "failed: cannot insert multiple commands into a prepared statement (SQLSTATE 42601)",
        ),
        ("SELECT nextval('ids')", "failed: it writes, and may not (SQLSTATE 25006)"),
        (
            "SELECT pg_sleep(60)",
            "failed: canceling statement due to statement timeout (SQLSTATE 57014)",
        ),
        (
            "SELECT 'infinity'::date",
            "failed: date too large (after year 10K): 'infinity' (SQLSTATE XX000)",
        ),
        ("SELECT false", None),
        ("SELECT 0", None),
        ("SELECT 0.0", None),
        ("SELECT ''", None),
        ("SELECT true WHERE false", None),
        ("SELECT interval '0'", None),
        ("SELECT set_config('statement_timeout', '0', false) = 'x'", None),
    ],
)  # fmt: skip
async def test_what_the_users_query_says(database: Database, query: str, said: str | None) -> None:
    database.psql("create table kept (n int); insert into kept values (1); create sequence ids")
    async with monitoring(database.uri) as session:
        own = Throttle(session, replace(LIMITS, query=query), None)
        expected = f"the throttle's query {said}" if said is not None else None
        assert await own.reason() == expected
        assert await own.reason() == expected, "nothing is left of the first time"
        [settings] = await session.rows_of(
            "select current_setting('statement_timeout'), current_setting('transaction_read_only'),"
            "(select count(*) from pg_cursors), (select n from kept)"
        )
        assert settings == ("10s", "off", 0, 1)


@pytest.mark.pg18only
async def test_what_others_send_meanwhile_does_not_land_in_the_querys_transaction(
    database: Database,
) -> None:
    """The heartbeat writes on the same connection."""
    database.psql("create table beats (n int)")
    async with monitoring(database.uri) as session:
        own = Throttle(session, replace(LIMITS, query="SELECT pg_sleep(0.05)::text"), None)
        asking = asyncio.create_task(_ask(own, 10))
        beats = 0
        while not asking.done():
            await session.execute("insert into beats values (1)")
            beats += 1
            await asyncio.sleep(0)
        await asking
    assert beats > 5
    assert database.psql("select count(*) from beats") == f"{beats}\n"


async def _ask(own: Throttle, times: int) -> None:
    for _ in range(times):
        assert await own.reason() is None


@pytest.mark.pg18only
async def test_a_cancelled_question_leaves_the_connection_as_it_was(database: Database) -> None:
    async with monitoring(database.uri) as session:
        own = Throttle(session, replace(LIMITS, query="SELECT pg_sleep(0.9)"), None)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await own.reason()
        assert session.is_open
        assert await session.rows_of(
            "select pg_is_in_recovery(), now() = statement_timestamp()"
        ) == [(False, True)]


@pytest.mark.pg18only
async def test_an_answer_holds_for_a_second(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle_module, "READING_SECONDS", 3600.0)
    database.psql("create table held (n int)")
    async with monitoring(database.uri) as session:
        own = Throttle(session, replace(LIMITS, query="SELECT n FROM held"), None)
        assert await own.reason() is None
        database.psql("insert into held values (1)")
        assert await own.reason() is None
        monkeypatch.setattr(throttle_module, "READING_SECONDS", 0.0)
        assert await own.reason() == "the throttle's query returned 1"


# -- replicas --------------------------------------------------------------------------------------


async def test_a_replica_whose_replay_is_paused_is_behind_for_those_who_may_see_it(
    make_postgres: MakePostgres, server: PostgresServer
) -> None:
    async with throttle(server) as own:
        assert await own.reason() is None, "there is none"
    standby = make_postgres(standby_of=server)
    async with throttle(server) as own:
        with pytest.raises(AccessDenied, match=f'GRANT pg_read_all_stats TO "{ROLE}";'):
            await own.reason()
    server.psql("postgres", f"grant pg_read_all_stats to {ROLE}")

    limits = replace(LIMITS, max_replica_lag=1.0)
    async with throttle(server, limits) as own:

        async def reason() -> str | None:
            write_wal(server)
            return await own.reason()

        assert await reason() is None
        standby.psql("postgres", "select pg_wal_replay_pause()")
        said = await poll_async(reason, DEADLINE, "the replica is behind")
        assert said is not None
        assert said.startswith("replica walreceiver is ")
        assert said.endswith(" s behind, limit 1 s")
        standby.psql("postgres", "select pg_wal_replay_resume()")

        async def is_quiet() -> bool:
            return await own.reason() is None

        await poll_async(is_quiet, DEADLINE, "the replica has caught up")
        assert await reason() is None


# -- slots, archive, connections -------------------------------------------------------------------


async def test_a_slot_that_holds_back_wal(server: PostgresServer) -> None:
    server.psql("postgres", "select pg_create_physical_replication_slot('idle')")
    server.psql("postgres", "select pg_create_physical_replication_slot('forgotten', true)")
    limits = replace(LIMITS, max_slot_retained=4 << 20)
    async with throttle(server, limits) as own:
        assert await own.reason() is None
        write_wal(server, 6)
        server.psql("postgres", "checkpoint")  # a new slot begins at the last one
        server.psql("postgres", "select pg_create_physical_replication_slot('new', true)")
        said = await own.reason()
        assert said is not None
        assert said.startswith("replication slot forgotten holds back ")
        assert said.endswith("Mi of WAL, limit 4Mi")
        server.psql("postgres", "select pg_drop_replication_slot('forgotten')")
        assert await own.reason() is None


@pytest.mark.parametrize("role", [ROLE, "postgres"])
async def test_an_archiver_that_fails(make_postgres: MakePostgres, role: str) -> None:
    """An ordinary role counts by names, one with pg_monitor's rights lists the files."""
    settings = {"archive_mode": "on", "archive_command": "/bin/false"}
    server = with_role(make_postgres(ServerConfig(settings=settings)))
    limits = replace(LIMITS, max_archive_backlog=2)
    async with throttle(server, limits, role=role) as own:
        assert await own.reason() is None
        for _ in range(3):
            server.psql(
                "postgres", "select pg_logical_emit_message(true, 'a', 'b'); select pg_switch_wal()"
            )
        said = await poll_async(own.reason, DEADLINE, "three files wait")
        assert said == "3 WAL files wait for the archiver, limit 2"

        server.psql("postgres", "alter system set archive_command = '/bin/true'")
        server.psql("postgres", "select pg_reload_conf()")
        write_wal(server)
        server.psql("postgres", "select pg_switch_wal()")  # wakes the archiver

        async def is_quiet() -> bool:
            return await own.reason() is None

        await poll_async(is_quiet, DEADLINE, "the archiver has caught up")


async def test_connections_of_everyone_are_counted(make_postgres: MakePostgres) -> None:
    server = with_role(make_postgres(ServerConfig(settings={"max_connections": "20"})))
    async with throttle(server, replace(LIMITS, max_connection_utilization=50)) as own:
        assert await own.reason() is None
        others = [server.connect() for _ in range(9)]
        try:
            assert await own.reason() is None
            others.append(server.connect())
            assert await own.reason() == "11 of 20 connections are in use (55 %), limit 50 %"
        finally:
            for other in others:
                other.close()


# -- vacuum ----------------------------------------------------------------------------------------

SLOW = "alter table t set (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)"


def filled_table(server: PostgresServer) -> int:
    """A table of 1,000 pages and its oid."""
    oid = server.psql(
        "postgres",
        "create table t (n int, x text) with (autovacuum_enabled = off, fillfactor = 20);"
        "insert into t select n, repeat('x', 700) from generate_series(1, 1000) n;"
        "select 't'::regclass::oid",
    )
    return int(oid)


async def test_an_autovacuum_of_the_table_is_waited_for(make_postgres: MakePostgres) -> None:
    settings = {"autovacuum_naptime": "1s"}
    server = with_role(make_postgres(ServerConfig(settings=settings)))
    oid = filled_table(server)
    other = int(server.psql("postgres", "create table other (); select 'other'::regclass::oid"))
    server.psql("postgres", f"{SLOW}; alter table t set (autovacuum_enabled = on)")
    server.psql("postgres", "delete from t")
    async with (
        throttle(server, table_oid=oid) as own,
        throttle(server, table_oid=other) as beside,
        throttle(server, replace(LIMITS, pause_on_autovacuum=False), table_oid=oid) as careless,
    ):
        said = await poll_async(own.reason, DEADLINE, "an autovacuum of the table")
        assert said is not None
        assert "is at work on the table, waited for 0 s, 5 min at most" in said
        assert await beside.reason() is None
        assert await careless.reason() is None
        assert await own.reason() is not None, "it still runs"


@contextmanager
def vacuuming(server: PostgresServer) -> Iterator[None]:
    """A VACUUM that a person has started and that takes its time."""
    with server.connect() as connection:
        connection.execute("set vacuum_cost_delay = 100")
        connection.execute("set vacuum_cost_limit = 1")

        def vacuum() -> None:
            with pytest.raises(psycopg.errors.QueryCanceled):
                connection.execute("vacuum t")

        thread = threading.Thread(target=vacuum)
        thread.start()
        try:
            running = "select count(*) from pg_stat_progress_vacuum where relid = 't'::regclass"
            poll(lambda: server.psql("postgres", running) == "1\n", DEADLINE, "the VACUUM")
            yield
            assert server.psql("postgres", running) == "1\n", "it still runs"
        finally:
            connection.cancel_safe()
            thread.join()


async def test_a_vacuum_that_a_person_started_is_none_of_ours(server: PostgresServer) -> None:
    oid = filled_table(server)
    server.psql("postgres", "delete from t")
    async with throttle(server, table_oid=oid) as own:
        with vacuuming(server):
            assert await own.reason() is None
