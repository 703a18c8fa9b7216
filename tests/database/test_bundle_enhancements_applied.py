"""Versions 002 and 003 of the bundle as pgstrata applies them: beside older code, and in the end
the same schema and the same rows as by the files' statements alone."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import TupleRow

from tests.testbed.apply import READY, ApplyProcess
from tests.testbed.database import Database
from tests.testbed.monitoring.bundle import failures
from tests.testbed.monitoring.document import BACKFILLS, Differences, differences
from tests.testbed.monitoring.document_entries import Backfill
from tests.testbed.monitoring.generator import fill
from tests.testbed.monitoring.older_code import USERS, write_as_before
from tests.testbed.monitoring.organizations import join_organizations
from tests.testbed.monitoring.story import (
    APPLY_DEADLINE,
    LAST_VERSION,
    UNTIL,
    ByPgstrata,
    Plainly,
    tell,
)
from tests.testbed.monitoring.writer_process import WriterProcess
from tests.testbed.postgres import PostgresServer

METRICS = 10_000
METRICS_UNDER_WRITERS = 30_000
MOMENT = 0.05
"""Seconds between two writes of older code while pgstrata works."""

TABLES = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1
"""

Connection = psycopg.Connection[TupleRow]


def rows(connection: Connection) -> dict[str, list[str]]:
    """Return every table's rows as text, sorted; a different order of columns shows too."""
    found = {}
    for (table,) in connection.execute(TABLES).fetchall():
        query = sql.SQL("SELECT t::text FROM {} AS t ORDER BY 1").format(sql.Identifier(table))
        found[table] = [str(row[0]) for row in connection.execute(query)]
    return found


def wrong(connection: Connection, backfill: Backfill) -> list[str]:
    """Return the ids of rows that a backfill left wrong, at most ten."""
    query = f"SELECT id FROM {backfill.table} WHERE {backfill.wrong} ORDER BY id LIMIT 10"
    return [str(row[0]) for row in connection.execute(query)]


def count(connection: Connection, condition: str, table: str = "api_metrics") -> int:
    row = connection.execute(f"SELECT count(*) FROM {table} WHERE {condition}").fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture(scope="module")
def plain(postgres: PostgresServer) -> Iterator[Database]:
    """The truth: the story told by the files' statements. Only read it."""
    database = Database(f"plain_{secrets.token_hex(6)}", postgres)
    postgres.createdb(database.name)
    tell(Plainly(database), database, METRICS)
    yield database
    postgres.dropdb(database.name)


@pytest.fixture(scope="module")
def applied(
    postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """The same story by pgstrata. Only read it."""
    database = Database(f"applied_{secrets.token_hex(6)}", postgres)
    postgres.createdb(database.name)
    tell(ByPgstrata(database, tmp_path_factory.mktemp("applied")), database, METRICS)
    yield database
    postgres.dropdb(database.name)


def test_the_catalog_is_the_documents(applied: Database) -> None:
    with applied.connect() as connection:
        assert differences(connection) == Differences(missing=(), surplus=())


@pytest.mark.parametrize("backfill", BACKFILLS, ids=lambda b: f"{b.table}-{b.columns[0]}")
def test_a_backfill_leaves_no_row_wrong(applied: Database, backfill: Backfill) -> None:
    with applied.connect() as connection:
        assert wrong(connection, backfill) == []
        assert count(connection, f"{backfill.columns[0]} IS NOT NULL", backfill.table) > 0


def test_the_rows_are_those_of_the_statements_alone(applied: Database, plain: Database) -> None:
    with applied.connect() as ours, plain.connect() as theirs:
        found, truth = rows(ours), rows(theirs)
    assert found.keys() == truth.keys()
    for table in truth:
        assert found[table] == truth[table], table


def test_what_is_verified_holds(applied: Database) -> None:
    with applied.connect() as connection:
        assert failures(connection, "002") == []


def test_older_code_writes_on_and_no_row_is_left_wrong(database: Database, tmp_path: Path) -> None:
    """From before Expand to the end of Migrate: calls all the time, and now and then a provider,
    keys and budgets. Nothing that older code writes fails, waits in vain or is left half filled."""
    way = ByPgstrata(database, tmp_path)
    way.go("000", "expand")
    fill(database.uri, METRICS_UNDER_WRITERS, until=UNTIL)

    with WriterProcess(database.uri) as writer, database.connect() as older_code:
        write_as_before(older_code, "early", UNTIL)
        way.go(LAST_VERSION, "expand")
        join_organizations(database.uri, until=UNTIL)
        marks = write_while_migrating(way, database, older_code, tmp_path)
        write_as_before(older_code, "migrated", UNTIL)
        report = writer.stop()
    assert report.errors == {}
    assert report.rows_inserted > 0

    with database.connect() as connection:
        live = "metadata ->> 'source' = 'live'"
        assert count(connection, live) == report.rows_inserted
        assert count(connection, f"{live} AND organization_id IS NOT NULL") > 0
        assert {b.table: wrong(connection, b) for b in BACKFILLS if wrong(connection, b)} == {}
        way.go(LAST_VERSION, "contract")
        assert {b.table: wrong(connection, b) for b in BACKFILLS if wrong(connection, b)} == {}
        assert differences(connection) == Differences(missing=(), surplus=())
        for mark in ("early", *marks, "migrated"):
            assert count(connection, f"id LIKE 'key_{mark}user_%'", "api_keys") == USERS


def write_while_migrating(
    way: ByPgstrata, database: Database, older_code: Connection, directory: Path
) -> list[str]:
    """Run Migrate of the last version, writing as older code until it ends; return the marks."""
    marks: list[str] = []
    manifests = way.manifests(LAST_VERSION, "migrate")
    log = directory / "migrating.log"
    with ApplyProcess(manifests, database.uri, log, *way.OPTIONS) as running:
        while not running.ends_within(MOMENT):
            marks.append(f"during{len(marks)}")
            write_as_before(older_code, marks[-1], UNTIL)
        done = running.result(APPLY_DEADLINE)
    assert done.status == READY, done.output
    return marks
