"""Servers, databases and roles that are not as usual, and work all the same or say what is odd."""

from collections.abc import Iterator
from secrets import token_hex

import psycopg
import pytest
from psycopg import sql

from pgstrata.core.names import LockedObject
from tests.testbed.command_line import PASSWORD, CommandLine
from tests.testbed.database import Database
from tests.testbed.declarations import declared
from tests.testbed.postgres import PostgresServer
from tests.testbed.roles import new_role

pytestmark = pytest.mark.pg18only

FILES = {"1_a.sql": "CREATE TABLE a (id int);"}
ENCODINGS = {"SQL_ASCII": "4dc3bc6c6c6572", "LATIN1": "4dfc6c6c6572"}
"""How each stores the name Müller: as the bytes that came, or in its own letters."""


@pytest.fixture(params=ENCODINGS)
def encoded(request: pytest.FixtureRequest, postgres: PostgresServer) -> Iterator[Database]:
    """A database in another encoding than UTF8."""
    name = f"test_{token_hex(6)}"
    statement = sql.SQL("create database {} template template0 encoding {} locale 'C'")
    with postgres.connect() as connection:
        connection.execute(statement.format(sql.Identifier(name), sql.Literal(request.param)))
    yield Database(name, postgres)
    postgres.dropdb(name)


def test_a_database_in_another_encoding_is_migrated_like_any(
    pgstrata: CommandLine, encoded: Database
) -> None:
    files = {
        "1_a.sql": "-- für Leute\nCREATE TABLE people (name text);\n"
        "INSERT INTO people VALUES ('Müller');\n"
        "CREATE INDEX CONCURRENTLY people_name ON people (name);",
        "2_b.sql": "ALTER TABLE people ADD COLUMN größe int;",
    }
    for _ in range(2):
        ended = pgstrata.apply(declared("2", files), encoded.uri)
        assert ended.said()[:2] == (0, "Succeeded")
    encoding = encoded.psql("show server_encoding").strip()
    stored = f"set client_encoding = {encoding}; select encode(textsend(name), 'hex') from people"
    assert encoded.psql(stored) == f"{ENCODINGS[encoding]}\n"

    wrong = {**files, "3_c.sql": "SELECT nothing, 'für' FROM people;"}
    code, reason, message = pgstrata.apply(declared("3", wrong), encoded.uri).said()
    assert (code, reason) == (2, "MigrationFailed")
    assert message.startswith('3_c.sql:1:8: column "nothing" does not exist')


def test_a_role_that_may_not_connect_is_told_the_statement_that_lets_it(
    pgstrata: CommandLine, database: Database
) -> None:
    role = new_role(database.server)
    database.psql(
        f"revoke connect on database {database.name} from public;"
        f"grant create on database {database.name} to {role};"
        f"grant usage, create on schema public to {role}"
    )
    uri = database.server.uri(database.name, role, PASSWORD)
    code, reason, message = pgstrata.apply(declared("1", FILES), uri).said()
    assert (code, reason) == (2, "AccessDenied")
    assert "GRANT CONNECT ON DATABASE " in message
    assert database.name in message
    assert role in message
    database.psql(f"grant connect on database {database.name} to {role}")
    assert pgstrata.apply(declared("1", FILES), uri).said()[:2] == (0, "Succeeded")


def test_truncating_needs_no_more_than_the_right_to_truncate(
    pgstrata: CommandLine, database: Database
) -> None:
    role = new_role(database.server)
    database.psql(
        "create table full_one (id int); insert into full_one values (1);"
        f"grant truncate on full_one to {role};"
        f"grant create on database {database.name} to {role};"
        f"grant usage, create on schema public to {role}"
    )
    uri = database.server.uri(database.name, role, PASSWORD)
    ended = pgstrata.apply(declared("1", {"1_a.sql": "TRUNCATE full_one;"}), uri, "--approve=all")
    assert ended.said()[:2] == (0, "Succeeded")
    assert database.psql("select count(*) from full_one") == "0\n"


@pytest.mark.parametrize("host", [f"{'a' * 64}.example", "two..dots.example"])
def test_a_host_name_that_cannot_be_one_is_told_in_one_line(
    pgstrata: CommandLine, host: str, postgres_major: int
) -> None:
    del postgres_major
    url = f"postgresql://somebody@{host}:5432/app"
    code, reason, message = pgstrata.apply(declared("1", FILES), url, timeout="10s").said()
    assert (code, reason) == (3, "ConnectionFailed")
    assert host in message
    assert "\n" not in message


@pytest.mark.parametrize("token", ["9" * 20, "9" * 19, "-1", "one"])
def test_a_foreign_session_with_a_name_like_ours_keeps_no_run_from_happening(
    pgstrata: CommandLine, database: Database, token: str
) -> None:
    name = f"pgstrata:{LockedObject.of_schema('public').short_hash}:{token}"
    with psycopg.connect(database.uri, application_name=name, autocommit=True) as foreign:
        assert pgstrata.apply(declared("1", FILES), database.uri).said()[:2] == (0, "Succeeded")
        assert foreign.execute("show application_name").fetchone() == (name,)
