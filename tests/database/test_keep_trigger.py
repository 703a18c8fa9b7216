"""What a kept trigger does to the application's writes: traps 26, case by case.

Each case runs in a transaction that is rolled back, beside triggers that real backfills have made.
"""

import secrets
from collections.abc import Iterator
from typing import LiteralString

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.testbed.command_line import CommandLine
from tests.testbed.database import Database
from tests.testbed.declarations import declared
from tests.testbed.postgres import PostgresServer

TABLES = """
CREATE TABLE guarded (id int PRIMARY KEY, a text, b text, c int);
CREATE TABLE defaulted (id int PRIMARY KEY, a text, b text NOT NULL DEFAULT 'none');
CREATE TABLE empty_by_default (id int PRIMARY KEY, a text, b text);
CREATE TABLE few (id int PRIMARY KEY, kind text, a text, b text);
CREATE TABLE two (id int PRIMARY KEY, a text, b text, c int);
CREATE TABLE divided (id int PRIMARY KEY, d int, q numeric(10,2));
CREATE TABLE parsed (id int PRIMARY KEY, a text, n smallint);
CREATE DOMAIN short AS text CHECK (length(VALUE) <= 3);
CREATE DOMAIN given AS text NOT NULL;
CREATE TABLE domained (id int PRIMARY KEY, a text, b short, c text);
CREATE TABLE demanding (id int PRIMARY KEY, a text, b given DEFAULT 'x');
CREATE TABLE other (id int PRIMARY KEY, v text);
INSERT INTO other VALUES (1, 'one'), (2, 'two');
CREATE TABLE joined (id int PRIMARY KEY, other_id int, v text);
CREATE TABLE timed (id int PRIMARY KEY, at timestamptz, day date);
CREATE TABLE parted (id int PRIMARY KEY, a text, b text) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100);
CREATE TABLE coalesced (id int PRIMARY KEY, a text, b text);
CREATE FUNCTION refuse(text) RETURNS text LANGUAGE plpgsql STABLE AS $$
begin
    if $1 = 'assert' then assert false; end if;
    if $1 = 'unique' then raise unique_violation; end if;
    if $1 = 'own' then raise 'no' using errcode = 'AB123'; end if;
    return upper($1);
end $$;
CREATE TABLE half (id int PRIMARY KEY, a text, b text, n smallint);
CREATE TABLE called (id int PRIMARY KEY, a text, b text);
"""
BACKFILLS = (
    "UPDATE guarded SET b = upper(a) WHERE b IS NULL",
    "UPDATE defaulted SET b = upper(a)",
    "UPDATE empty_by_default SET b = upper(a)",
    "UPDATE few SET b = upper(a) WHERE kind = 'x' AND b IS NULL",
    "UPDATE two SET b = upper(a), c = length(a) WHERE b IS NULL OR c IS NULL",
    "UPDATE divided SET q = 100.0 / d WHERE q IS NULL",
    "UPDATE parsed SET n = a::int WHERE n IS NULL",
    "UPDATE domained SET b = a WHERE b IS NULL",
    "UPDATE demanding SET b = a",
    "UPDATE joined AS j SET v = o.v FROM other AS o WHERE o.id = j.other_id AND j.v IS NULL",
    "UPDATE timed SET day = at::date WHERE day IS NULL",
    "UPDATE parted SET b = upper(a) WHERE b IS NULL",
    "UPDATE coalesced SET b = COALESCE(b, upper(a))",
    "UPDATE called SET b = refuse(a) WHERE b IS NULL",
    "UPDATE half SET b = upper(a), n = a::int WHERE b IS NULL",
)
MIGRATION = "".join(f"-- pgstrata: batch keep=always\n{text};\n" for text in BACKFILLS)


def kept_database(pgstrata: CommandLine, postgres: PostgresServer) -> Database:
    database = Database(f"test_{secrets.token_hex(6)}", postgres)
    postgres.createdb(database.name)
    database.psql(TABLES)
    ended = pgstrata.apply(declared("1", {"1_b.migrate.sql": MIGRATION}), database.uri)
    assert ended.said()[:2] == (0, "Succeeded"), ended.said()
    return database


@pytest.fixture(scope="module")
def kept(postgres: PostgresServer, shared_command_line: CommandLine) -> Iterator[Database]:
    """Empty tables, each with its trigger."""
    database = kept_database(shared_command_line, postgres)
    yield database
    postgres.dropdb(database.name)


@pytest.fixture
def application(kept: Database) -> Iterator[psycopg.Connection[TupleRow]]:
    """A session in a transaction that is rolled back."""
    with kept.connect() as connection:
        connection.execute("begin")
        yield connection
        connection.execute("rollback")


CASES: dict[str, tuple[LiteralString, LiteralString, list[tuple[object, ...]]]] = {
    "an INSERT that does not know the column": (
        "INSERT INTO guarded (id, a) VALUES (1, 'x'), (2, NULL)",
        "SELECT id, b FROM guarded ORDER BY id",
        [(1, "X"), (2, None)],
    ),
    "an INSERT that sets it": (
        "INSERT INTO guarded (id, a, b) VALUES (1, 'x', 'own')",
        "SELECT b FROM guarded",
        [("own",)],
    ),
    "an INSERT whose guard is a default value": (
        "INSERT INTO defaulted (id, a) VALUES (1, 'x')",
        "SELECT b FROM defaulted",
        [("X",)],
    ),
    "an INSERT that sets another value than the default": (
        "INSERT INTO defaulted (id, a, b) VALUES (1, 'x', 'own')",
        "SELECT b FROM defaulted",
        [("own",)],
    ),
    "an INSERT where there is neither guard nor default": (
        "INSERT INTO empty_by_default (id, a) VALUES (1, 'x');"
        "INSERT INTO empty_by_default (id, a, b) VALUES (2, 'x', 'own')",
        "SELECT b FROM empty_by_default ORDER BY id",
        [("X",), ("own",)],
    ),
    "a derived NULL for a column that must not be": (
        "INSERT INTO demanding (id, a) VALUES (1, NULL)",
        "SELECT b FROM demanding",
        [("x",)],
    ),
    "an INSERT ... SELECT": (
        "INSERT INTO guarded (id, a) SELECT i, 'x' || i FROM generate_series(1, 3) AS i",
        "SELECT b FROM guarded ORDER BY id",
        [("X1",), ("X2",), ("X3",)],
    ),
    "a row that WHERE leaves out": (
        "INSERT INTO few (id, kind, a) VALUES (1, 'x', 'a'), (2, 'y', 'a'), (3, NULL, 'a')",
        "SELECT b FROM few ORDER BY id",
        [("A",), (None,), (None,)],
    ),
    "a row that comes under WHERE later": (
        "INSERT INTO few (id, kind, a) VALUES (1, 'y', 'a'), (2, 'y', 'a');"
        "UPDATE few SET b = 'own' WHERE id = 2; UPDATE few SET kind = 'x'",
        "SELECT b FROM few ORDER BY id",
        [("A",), ("own",)],
    ),
    "an UPDATE of what it was derived from": (
        "INSERT INTO guarded (id, a) VALUES (1, 'x'); UPDATE guarded SET a = 'y'",
        "SELECT b FROM guarded",
        [("Y",)],
    ),
    "an UPDATE of what an own value stands beside": (
        "INSERT INTO guarded (id, a, b) VALUES (1, 'x', 'own'); UPDATE guarded SET a = 'y'",
        "SELECT b FROM guarded",
        [("own",)],
    ),
    "an UPDATE that sets both": (
        "INSERT INTO guarded (id, a) VALUES (1, 'x'); UPDATE guarded SET a = 'y', b = 'own'",
        "SELECT b FROM guarded",
        [("own",)],
    ),
    "an own value that is set and then left": (
        "INSERT INTO guarded (id, a) VALUES (1, 'x'); UPDATE guarded SET b = 'own';"
        "UPDATE guarded SET a = 'y'",
        "SELECT b FROM guarded",
        [("own",)],
    ),
    "an UPDATE of what has nothing to do with it": (
        "INSERT INTO guarded (id, a) VALUES (1, 'x');"
        "UPDATE guarded SET c = 1; UPDATE guarded SET id = 2",
        "SELECT id, b, c FROM guarded",
        [(2, "X", 1)],
    ),
    "one of two columns set by the application": (
        "INSERT INTO two (id, a) VALUES (1, 'x'); UPDATE two SET c = 7; UPDATE two SET a = 'yy'",
        "SELECT b, c FROM two",
        [("X", 7)],
    ),
    "both columns followed": (
        "INSERT INTO two (id, a) VALUES (1, 'x'); UPDATE two SET a = 'yy'",
        "SELECT b, c FROM two",
        [("YY", 2)],
    ),
    "a value that the column rounds": (
        "INSERT INTO divided (id, d) VALUES (1, 3); UPDATE divided SET d = 7",
        "SELECT q::text FROM divided",
        [("14.29",)],
    ),
    "a division by zero": (
        "INSERT INTO divided (id, d) VALUES (1, 0), (2, 4); UPDATE divided SET d = 0 WHERE id = 2",
        "SELECT d, q::text FROM divided ORDER BY id",
        [(0, None), (0, "25.00")],
    ),
    "a cast that fails, and a value out of range": (
        "INSERT INTO parsed (id, a) VALUES (1, 'no number'), (2, '99999'), (3, '12')",
        "SELECT n FROM parsed ORDER BY id",
        [(None,), (None,), (12,)],
    ),
    "a value that its domain refuses": (
        "INSERT INTO domained (id, a) VALUES (1, 'toolong'), (2, 'fit');"
        "UPDATE domained SET a = 'toolong' WHERE id = 2",
        "SELECT a, b FROM domained ORDER BY id",
        [("toolong", None), ("toolong", "fit")],
    ),
    "a function that raises whatever it likes": (
        "INSERT INTO called (id, a) VALUES (1, 'unique'), (2, 'own'), (3, 'assert'), (4, 'x')",
        "SELECT b FROM called ORDER BY id",
        [(None,), (None,), (None,), ("X",)],
    ),
    "one of two values that fails": (
        "INSERT INTO half (id, a) VALUES (1, '99999'), (2, '7')",
        "SELECT b, n FROM half ORDER BY id",
        [(None, None), ("7", 7)],
    ),
    "a value out of another table": (
        "INSERT INTO joined (id, other_id) VALUES (1, 1), (2, 7); UPDATE other SET v = 'new'",
        "SELECT v FROM joined ORDER BY id",
        [("one",), (None,)],
    ),
    "another row of the other table": (
        "INSERT INTO joined (id, other_id) VALUES (1, 1); UPDATE joined SET other_id = 2",
        "SELECT v FROM joined",
        [("two",)],
    ),
    "ON CONFLICT DO UPDATE of the source": (
        "INSERT INTO guarded (id, a) VALUES (1, 'x');"
        "INSERT INTO guarded (id, a) VALUES (1, 'y') ON CONFLICT (id) DO UPDATE SET a = EXCLUDED.a",
        "SELECT a, b FROM guarded",
        [("y", "Y")],
    ),
    "ON CONFLICT DO NOTHING": (
        "INSERT INTO guarded (id, a) VALUES (1, 'x');"
        "INSERT INTO guarded (id, a) VALUES (1, 'y') ON CONFLICT DO NOTHING",
        "SELECT a, b FROM guarded",
        [("x", "X")],
    ),
    "MERGE": (
        "INSERT INTO guarded (id, a) VALUES (1, 'x');"
        "MERGE INTO guarded AS g USING (VALUES (1, 'y'), (2, 'z')) AS n (id, a) ON n.id = g.id "
        "WHEN MATCHED THEN UPDATE SET a = n.a WHEN NOT MATCHED THEN INSERT (id, a) "
        "VALUES (n.id, n.a)",
        "SELECT a, b FROM guarded ORDER BY id",
        [("y", "Y"), ("z", "Z")],
    ),
    "a replica's session": (
        "SET LOCAL session_replication_role = replica;INSERT INTO guarded (id, a) VALUES (1, 'x')",
        "SELECT b FROM guarded",
        [("X",)],
    ),
    "a leaf of a partitioned table": (
        "INSERT INTO parted_1 (id, a) VALUES (1, 'x'); INSERT INTO parted (id, a) VALUES (2, 'y');"
        "UPDATE parted_1 SET a = 'z' WHERE id = 2",
        "SELECT b FROM parted ORDER BY id",
        [("X",), ("Z",)],
    ),
    "a session of another time zone": (
        "SET LOCAL TimeZone = 'Pacific/Auckland';"
        "INSERT INTO timed (id, at) VALUES (1, '2026-01-01 20:00+00')",
        "SELECT day::text FROM timed",
        [("2026-01-01",)],
    ),
    "a session of another search_path": (
        "SET LOCAL search_path = pg_catalog;INSERT INTO public.joined (id, other_id) VALUES (1, 1)",
        "SELECT v FROM public.joined",
        [("one",)],
    ),
    "COALESCE": (
        "INSERT INTO coalesced (id, a) VALUES (1, 'x');"
        "INSERT INTO coalesced (id, a, b) VALUES (2, 'x', 'own')",
        "SELECT b FROM coalesced ORDER BY id",
        [("X",), ("own",)],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_the_trigger_makes_of(application: psycopg.Connection[TupleRow], case: str) -> None:
    statements, query, expected = CASES[case]
    application.execute(statements)
    assert application.execute(query).fetchall() == expected


def test_what_the_trigger_makes_of_copy(application: psycopg.Connection[TupleRow]) -> None:
    with application.cursor().copy("COPY guarded (id, a) FROM STDIN") as copy:
        for number in range(300):
            copy.write_row((number, f"x{number}"))
    wrong = application.execute("SELECT count(*) FROM guarded WHERE b IS DISTINCT FROM upper(a)")
    assert wrong.fetchall() == [(0,)]


@pytest.mark.parametrize("change", [
    "ADD COLUMN more int",
    "DROP COLUMN c",
    "ALTER COLUMN c TYPE text",
    "RENAME COLUMN c TO renamed",
])  # fmt: skip
def test_a_session_that_has_used_the_trigger_goes_on_after_the_table_has_changed(
    application: psycopg.Connection[TupleRow], change: LiteralString
) -> None:
    application.execute("INSERT INTO guarded (id, a) VALUES (1, 'x'); UPDATE guarded SET a = 'y'")
    application.execute("ALTER TABLE guarded " + change)
    application.execute("INSERT INTO guarded (id, a) VALUES (2, 'x'); UPDATE guarded SET a = 'z'")
    assert application.execute("SELECT b FROM guarded").fetchall() == [("Z",), ("Z",)]


def test_a_role_without_rights_on_the_other_table_still_writes(
    application: psycopg.Connection[TupleRow],
) -> None:
    role = f"clerk_{secrets.token_hex(4)}"
    application.execute(f"CREATE ROLE {role}; GRANT INSERT, SELECT ON joined TO {role}".encode())
    application.execute(f"SET LOCAL ROLE {role}".encode())
    application.execute("INSERT INTO joined (id, other_id) VALUES (1, 1)")
    assert application.execute("SELECT v FROM joined").fetchall() == [("one",)]


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_writer_of_a_stricter_isolation_level(kept: Database, level: LiteralString) -> None:
    with kept.connect() as writer, kept.connect() as beside:
        writer.execute("BEGIN ISOLATION LEVEL " + level)
        writer.execute("SELECT count(*) FROM other")
        beside.execute("UPDATE other SET v = v")
        writer.execute("INSERT INTO joined (id, other_id) VALUES (1, 1)")
        writer.execute("UPDATE joined SET other_id = 2")
        writer.execute("INSERT INTO guarded (id, a) VALUES (1, 'x')")
        writer.execute("COMMIT")
        assert writer.execute("SELECT v, b FROM joined JOIN guarded USING (id)").fetchall() == [
            ("two", "X")
        ]
        writer.execute("DELETE FROM joined; DELETE FROM guarded")
