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
            [managed_database(maxConnections=40), *documents], database.uri, "--approve", "all", timeout="60s"
        )
        yield Applied(database, ended)
    finally:
        postgres.dropdb(database.name)


@pytest.mark.parametrize("name", SHAPES)
def test_a_backfill_makes_the_rows_that_its_statement_makes(applied: Applied, name: str) -> None:
    shape = SHAPES[name]
    _, reason, message = applied.ended.said(name=name.replace("_", "-"))
    assert reason == "Succeeded", message
    database = applied.database
    assert database.psql(f'SET search_path = "{name}"; SELECT {shape.holds}') == "t\n"
    triggers = database.psql(
        "SELECT count(*) FROM pg_trigger AS t JOIN pg_class AS c ON t.tgrelid = c.oid "
        f"WHERE c.relnamespace = quote_ident('{name}')::regnamespace AND tgname LIKE 'zzz_pgstrata_%' "
        "AND tgparentid = 0"
    )
    assert triggers == f"{int(shape.keeps)}\n"
    left = f"SELECT count(*) FROM pgstrata.cursor WHERE object LIKE '%{name}'"
    assert database.psql(left) == "0\n"
