"""The application that writes on (the test bed's writer): it measures what its users would feel."""

import os
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.conftest import MakePostgres
from tests.testbed.database import Database
from tests.testbed.monitoring.bundle import apply_expand
from tests.testbed.monitoring.generator import fill
from tests.testbed.monitoring.writer_process import WriterFailed, WriterProcess
from tests.testbed.polling import poll
from tests.testbed.postgres import PostgresServer
from tests.testbed.process import child_environment

ROOT = Path(__file__).parents[2]
UNTIL = datetime(2026, 3, 4, 12, 0)

Connection = psycopg.Connection[TupleRow]


@pytest.fixture(scope="module")
def template(postgres: PostgresServer) -> Iterator[str]:
    """Every database of this module starts at version 000, filled."""
    name = f"template_{secrets.token_hex(6)}"
    postgres.createdb(name)
    with postgres.connect(name) as opened:
        apply_expand(opened, "000")
    fill(postgres.uri(name), 5_000, until=UNTIL)
    yield name
    postgres.dropdb(name)


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    with database.connect() as opened:
        yield opened


def live_rows(connection: Connection) -> int:
    """Return how many metrics in the table are the writer's."""
    row = connection.execute(
        "SELECT count(*) FROM api_metrics WHERE metadata ? 'source'"
    ).fetchone()
    assert row is not None
    return int(row[0])


@contextmanager
def writing(database: Database, rate: float = 100) -> Iterator[WriterProcess]:
    with WriterProcess(database.uri, rate=rate) as writer:
        yield writer


def sessions(connection: Connection, condition: LiteralString = "true") -> list[int]:
    """Return the pids of the writer's sessions."""
    query = (
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        f" AND application_name = 'dashboard' AND {condition}"
    )
    return [row[0] for row in connection.execute(query)]


def test_the_application_writes_on_while_indexes_are_built(
    database: Database, connection: Connection
) -> None:
    with writing(database) as writer:
        apply_expand(connection, "001")
        poll(lambda: live_rows(connection) > 50, 20, "the writer writes")
        report = writer.stop()

    assert report.errors == {}
    assert report.rows_inserted == live_rows(connection)
    assert report.rows_inserted > 50
    assert report.longest_stall is not None
    assert 0 < report.p50_ms <= report.p95_ms <= report.p99_ms <= report.longest_stall.ms
    assert {"insert metric", "commit", "complete metric", "read metric"} <= set(report.statements)


def test_a_stall_costs_all_that_was_due_meanwhile(
    database: Database, connection: Connection
) -> None:
    waiting_long: LiteralString = (
        "wait_event_type = 'Lock' AND clock_timestamp() - query_start > '1 s'"
    )
    with writing(database) as writer:
        poll(lambda: len(sessions(connection)) == 2, 10, "the writer is connected")
        with database.connect() as locker, locker.transaction():
            locker.execute("LOCK TABLE api_metrics IN ACCESS EXCLUSIVE MODE")
            poll(lambda: len(sessions(connection, waiting_long)) == 2, 20, "both wait for 1 s")
        report = writer.stop()

    assert report.errors == {}
    assert report.unfinished == 0
    assert report.longest_stall is not None
    assert report.longest_stall.ms > 1000
    stalled = report.statements["insert metric"]
    assert stalled.p95_ms > 500, "only the statement that waited was counted"


def test_a_stall_that_outlasts_the_stop_is_reported(
    database: Database, connection: Connection
) -> None:
    with writing(database) as writer, database.connect() as locker, locker.transaction():
        locker.execute("LOCK TABLE api_metrics IN ACCESS EXCLUSIVE MODE")
        poll(lambda: sessions(connection, "wait_event_type = 'Lock'"), 20, "the writer waits")
        report = writer.stop()

    assert report.unfinished > 0
    assert report.longest_stall is not None
    assert report.longest_stall.statement == "unfinished operation"
    assert report.longest_stall.ms > 2000


def test_the_writer_reconnects_and_counts_what_it_lost(
    database: Database, connection: Connection
) -> None:
    with writing(database) as writer:
        poll(lambda: len(sessions(connection)) == 2, 10, "it is connected")
        old = sessions(connection)
        connection.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", [old])
        poll(lambda: len(set(sessions(connection)) - set(old)) == 2, 10, "it has connected again")
        report = writer.stop()

    assert report.reconnects == 2
    assert sum(report.errors.values()) == 2
    assert set(report.errors) <= {"57P01", "08006"}
    assert report.rows_inserted <= live_rows(connection)


def test_an_outage_of_the_server_is_a_stall(make_postgres: MakePostgres) -> None:
    server = make_postgres()
    with server.connect() as connection:
        apply_expand(connection, "000")
    fill(server.uri("postgres"), 1_000, until=UNTIL)

    with WriterProcess(server.uri("postgres"), rate=100) as writer:
        server.crash()
        crashed_at = time.monotonic()
        server.start()
        outage = time.monotonic() - crashed_at
        with server.connect() as connection:
            survived = live_rows(connection)
            poll(lambda: live_rows(connection) > survived, 10, "the writer writes again")
        report = writer.stop()

    assert report.longest_stall is not None
    assert report.longest_stall.ms > 500 * outage, "half of the outage at least"
    assert report.errors


def test_the_writer_ends_when_its_starter_is_killed(
    database: Database, connection: Connection
) -> None:
    program = (
        "import sys; from tests.testbed.monitoring.writer_process import WriterProcess;"
        "print(WriterProcess(sys.argv[1]).pid, flush=True); sys.stdin.read()"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", program, database.uri],
        cwd=ROOT,
        env=child_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert starter.stdout is not None
    writer = os.pidfd_open(int(starter.stdout.readline()))
    try:
        starter.send_signal(signal.SIGKILL)
        starter.communicate()
        assert select.select([writer], [], [], 10)[0], "the writer lives on"
        poll(lambda: not sessions(connection), 10, "its sessions have ended")
    finally:
        os.close(writer)


def test_the_writer_says_why_it_cannot_start(database: Database, connection: Connection) -> None:
    connection.execute("TRUNCATE api_keys CASCADE")
    with pytest.raises(WriterFailed, match="api_keys is empty: fill the database first"):
        WriterProcess(database.uri)
    connection.execute("DROP TABLE api_keys CASCADE")
    with pytest.raises(WriterFailed, match='relation "api_keys" does not exist'):
        WriterProcess(database.uri)
