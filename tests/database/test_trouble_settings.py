"""Schemas, search_path, SET, COPY, and files that pg_dump has written."""

import pytest

from tests.testbed.command_line import CommandLine
from tests.testbed.database import Database
from tests.testbed.declarations import config_map, declared, managed_database, schema_version
from tests.testbed.monitoring.bundle import apply_expand

ODD_NAMES = ['Odd "Schema"', "select", "größe", "a.b", "100%", "x" * 63]


@pytest.mark.pg18only
@pytest.mark.parametrize("schema", ODD_NAMES)
def test_a_schema_is_made_whatever_its_name(
    pgstrata: CommandLine, database: Database, schema: str
) -> None:
    files = {
        "1_a.sql": "CREATE TABLE t (id int); CREATE INDEX CONCURRENTLY t_id ON t (id);",
        "2_b.sql": "ALTER TABLE t ADD COLUMN v int; INSERT INTO t VALUES (1, 2);",
    }
    for version in ("1", "2"):  # made by the first, found by the second
        ended = pgstrata.apply(declared(version, files, schema=schema), database.uri)
        assert ended.said()[:2] == (0, "Succeeded")
    quoted = schema.replace('"', '""')
    assert database.psql(f'select id, v from "{quoted}".t') == "1|2\n"
    assert database.psql("select to_regclass('public.t')") == "\n"
    objects = "select object from pgstrata.claim"
    assert database.psql(objects) == f"schema:{schema}\n"


def test_names_mean_the_schema_and_then_public(pgstrata: CommandLine, database: Database) -> None:
    database.psql(
        "create table shared (id int); create table both_places (id int); create schema app;"
        "create table app.both_places (id int)"
    )
    files = {
        "1_a.sql": "INSERT INTO shared VALUES (1); INSERT INTO both_places VALUES (1);"
        "CREATE TABLE own (path text DEFAULT current_setting('search_path'));"
        "INSERT INTO own DEFAULT VALUES;"
    }
    ended = pgstrata.apply(declared("1", files, schema="app"), database.uri)
    assert ended.said()[:2] == (0, "Succeeded")
    counts = "select (select count(*) from shared), (select count(*) from app.both_places), path"
    assert database.psql(f"{counts} from app.own") == '1|1|"app", "public"\n'


@pytest.mark.pg18only
def test_two_schemas_of_one_database_have_versions_of_their_own(
    pgstrata: CommandLine, database: Database
) -> None:
    documents = [
        managed_database(),
        schema_version("2", {"1_a.sql": "CREATE TABLE t ();", "2_b.sql": "SELECT 1;"}),
        schema_version("1", {"1_a.sql": "CREATE TABLE t (n int);"}, name="other", schema="other"),
    ]
    ended = pgstrata.apply(documents, database.uri)
    assert ended.code == 0
    assert ended.status(name="app")["currentVersion"] == "2"
    assert ended.status(name="other")["currentVersion"] == "1"
    assert database.psql("select count(n) from other.t") == "0\n"


@pytest.mark.pg18only
def test_two_resources_for_one_schema_do_not_fight(
    pgstrata: CommandLine, database: Database
) -> None:
    files = {"1_a.sql": "CREATE TABLE t ();"}
    assert pgstrata.apply(declared("1", files), database.uri).code == 0
    documents = [managed_database(), schema_version("1", files, name="second")]
    code, reason, message = pgstrata.apply(documents, database.uri).said()
    assert (code, reason) == (2, "ConflictingManager")
    assert "is managed by SchemaVersion default/app of cluster cli" in message
    assert "apply --take-over" in message
    assert pgstrata.apply(documents, database.uri, "--take-over").said()[:2] == (0, "Succeeded")


SETTINGS = """\
SET app.one = 'a';
SET search_path = elsewhere, public;
CREATE TABLE seen (one text, path text);
INSERT INTO seen VALUES (current_setting('app.one', true), current_setting('search_path'));
CREATE INDEX CONCURRENTLY seen_one ON seen (one);
SET app.one = 'b';
INSERT INTO elsewhere.seen
  VALUES (current_setting('app.one', true), current_setting('search_path'));
SET LOCAL app.one = 'local';
INSERT INTO seen VALUES (current_setting('app.one', true), current_setting('search_path'));
CREATE INDEX CONCURRENTLY seen_path ON seen (path);
INSERT INTO seen VALUES (current_setting('app.one', true), current_setting('search_path'));
{}
SET search_path = public;
INSERT INTO elsewhere.seen
  VALUES (current_setting('app.one', true), current_setting('search_path'));
"""
NEXT = {
    "2_b.sql": "INSERT INTO elsewhere.seen VALUES "
    "(coalesce(current_setting('app.one', true), ''), current_setting('search_path'));"
}
SEEN = "select one, path from elsewhere.seen order by ctid"
EXPECTED = """\
a|elsewhere, public
b|elsewhere, public
local|elsewhere, public
b|elsewhere, public
b|public
|"public"
"""


@pytest.mark.parametrize("broken", ["", "SELECT nirgends;"], ids=["at-once", "resumed"])
def test_a_setting_lasts_for_its_file_also_where_that_is_resumed(
    pgstrata: CommandLine, database: Database, broken: str
) -> None:
    database.psql("create schema elsewhere")
    if broken:
        files = {"1_a.sql": SETTINGS.format(broken)}
        assert pgstrata.apply(declared("1", files), database.uri).said()[:2] == (
            2,
            "MigrationFailed",
        )
    files = {"1_a.sql": SETTINGS.format(""), **NEXT}
    assert pgstrata.apply(declared("2", files), database.uri).said()[:2] == (0, "Succeeded")
    assert database.psql(SEEN) == EXPECTED


COPIED = r"""
CREATE TABLE people (id int, name text, note text);
COPY people (id, name, note) FROM stdin;
1	Müller; 'Ö'	\N
2	tab\there	back\\slash
3	-- no comment	$$
\.
COPY people FROM STDIN WITH (FORMAT csv, HEADER);
id,name,note
4,"a, ""quoted"" one",
5,100%,%s
\.
COPY people FROM STDIN;
\.
CREATE TABLE after_it (id int);
"""
PEOPLE = "select id, name, coalesce(note, 'NULL') from people order by id"


def test_rows_are_copied_in_as_psql_does(pgstrata: CommandLine, database: Database) -> None:
    files = {"1_people.sql": COPIED}
    assert pgstrata.apply(declared("1", files), database.uri).said()[:2] == (0, "Succeeded")
    by_us = database.psql(PEOPLE)
    database.psql("drop table people, after_it")
    database.psql(COPIED)
    assert by_us == database.psql(PEOPLE)
    assert by_us.count("\n") == 5


def test_what_pg_dump_has_written_is_a_migration(pgstrata: CommandLine, database: Database) -> None:
    """The first file of who comes from another tool: a dump of the schema as it is, with rows."""
    origin = Database(f"{database.name}_origin", database.server)
    database.server.createdb(origin.name)
    try:
        with origin.connect() as connection:
            apply_expand(connection, "000")
        origin.psql(
            "insert into users (id, email) values ('u1', 'ü@example.org'), ('u2', E'a\\\\b')"
        )
        origin.psql("create function f() returns int language sql begin atomic; select 1; end")
        dump = origin.server.dump(origin.name)
        wanted = origin.dump_schema()
    finally:
        database.server.dropdb(origin.name)
    documents = [
        managed_database(),
        schema_version("1", config_maps=("dump",)),
        config_map("dump", {"001_dump.sql": dump}),
    ]
    assert pgstrata.apply(documents, database.uri).said()[:2] == (0, "Succeeded")
    assert (
        database.psql("select string_agg(email, ' ' order by id) from users")
        == "ü@example.org a\\b\n"
    )
    database.psql("drop schema pgstrata cascade")
    assert database.dump_schema() == wanted
