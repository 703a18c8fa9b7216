"""Backfills of every shape, from the command line to the rows: each as the plain statement would
have made it, with a trigger where one can hold it."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.testbed.backfill_shapes import SHAPES
from tests.testbed.command_line import CommandLine, Ended
from tests.testbed.database import Database
from tests.testbed.declarations import managed_database, schema_version
from tests.testbed.postgres import PostgresServer

TRIGGERS = """
SELECT count(*) FROM pg_trigger AS t JOIN pg_class AS c ON t.tgrelid = c.oid
JOIN pg_namespace AS n ON c.relnamespace = n.oid
WHERE n.nspname = %s AND tgname LIKE 'zzz\\_pgstrata\\_%%' AND tgparentid = 0
"""


@dataclass(frozen=True, slots=True)
class Applied:
    """All shapes after one run."""

    database: Database
    ended: Ended


@pytest.fixture(scope="module")
def applied(postgres: PostgresServer, shared_command_line: CommandLine) -> Iterator[Applied]:
    """Make the tables, and run all backfills at once."""
    database = Database(f"test_{secrets.token_hex(6)}", postgres)
    postgres.createdb(database.name)
    database.psql(
        "".join(
            f'CREATE SCHEMA "{name}"; SET search_path = "{name}"; {shape.table}\n'
            for name, shape in SHAPES.items()
        )
    )
    documents = [
        schema_version("1", shape.files(), name=name.replace("_", "-"), schema=name)
        for name, shape in SHAPES.items()
    ]
    try:
        ended = shared_command_line.apply(
            [managed_database(maxConnections=40), *documents],
            database.uri,
            "--approve",
            "all",
            timeout="60s",
        )
        yield Applied(database, ended)
    finally:
        postgres.dropdb(database.name)


@pytest.mark.parametrize("name", SHAPES)
def test_a_backfill_makes_the_rows_that_its_statement_makes(applied: Applied, name: str) -> None:
    shape = SHAPES[name]
    _, reason, message = applied.ended.said(name=name.replace("_", "-"))
    assert reason == "Succeeded", message
    with applied.database.connect() as connection:
        connection.execute(f'SET search_path = "{name}"'.encode())
        assert connection.execute(f"SELECT {shape.holds}".encode()).fetchall() == [(True,)]
        triggers = connection.execute(TRIGGERS, (name,)).fetchall()
        assert triggers == [(int(shape.keeps),)]
        left = connection.execute(
            "SELECT id FROM pgstrata.cursor WHERE object LIKE %s", (f"%{name}",)
        )
        assert left.fetchall() == []
