"""A role that may not own, and not create: what rows and kept triggers need is asked for before
anything runs, no more than that, and each cure cures."""

import pytest

from tests.testbed.command_line import PASSWORD, CommandLine
from tests.testbed.database import Database
from tests.testbed.declarations import declared
from tests.testbed.roles import cures_in, new_role

TABLE = "create table t (id int primary key, x int, y int); insert into t values (1, 1, null);"
FILL = "-- pgstrata: batch\nUPDATE t SET y = x WHERE y IS DISTINCT FROM x;"
BACKFILL = {"1_fill.migrate.sql": FILL}
LEFT = "select count(*) from t where y is null"


@pytest.fixture
def role(database: Database) -> str:
    """A role that may make the control schema, and nothing in public, beside a table t."""
    name = new_role(database.server)
    database.psql(TABLE)
    database.psql(f"grant create on database {database.name} to {name}")
    return name


def uri_of(database: Database, role: str) -> str:
    return database.server.uri(database.name, role, PASSWORD)


def test_the_control_schema_of_another_is_used_with_the_rights_that_are_named_for_it(
    pgstrata: CommandLine, database: Database, role: str
) -> None:
    pgstrata.apply(declared("0", {"0_a.sql": "SELECT 1;"}), database.uri)
    database.psql(f"alter table t owner to {role}; grant create on schema public to {role}")
    documents = declared("1", {"0_a.sql": "SELECT 1;", "1_e.sql": "SELECT 2;", **BACKFILL})
    uri = uri_of(database, role)
    code, reason, message = pgstrata.apply(documents, uri).said()
    assert (code, reason) == (2, "AccessDenied")
    told = cures_in(message)
    database.psql(" ".join(told))
    code, reason, message = pgstrata.apply(documents, uri).said()
    assert (code, reason) == (0, "Succeeded"), message
    assert database.psql(LEFT) == "0\n"


@pytest.mark.parametrize("missing", ["INSERT", "UPDATE", "DELETE"])
def test_a_control_schema_that_may_only_be_read_is_told_before_anything_runs(
    pgstrata: CommandLine, database: Database, role: str, missing: str
) -> None:
    files = {"1_a.sql": "SELECT 1;"}
    pgstrata.apply(declared("0", {"0_a.sql": "SELECT 1;"}, schema="other"), database.uri)
    database.psql(
        f"grant usage, create on schema pgstrata to {role};"
        f"grant all on all tables in schema pgstrata to {role};"
        f"revoke {missing} on pgstrata.step from {role}"
    )
    uri = uri_of(database, role)
    code, reason, message = pgstrata.apply(declared("1", files), uri).said()
    assert (code, reason) == (2, "AccessDenied")
    assert "may not use the control schema" in message
    database.psql(" ".join(cures_in(message)))
    assert pgstrata.apply(declared("1", files), uri).said()[:2] == (0, "Succeeded")


def test_a_trigger_that_cannot_be_made_in_the_control_schema_is_told_before_anything_runs(
    pgstrata: CommandLine, database: Database, role: str
) -> None:
    pgstrata.apply(declared("0", {"0_a.sql": "SELECT 1;"}, schema="other"), database.uri)
    database.psql(
        f"grant usage on schema pgstrata to {role};"
        f"grant all on all tables in schema pgstrata to {role};"
        f"grant create on schema public to {role}; alter table t owner to {role}"
    )
    documents = declared("1", {"1_e.sql": "CREATE TABLE fresh (id int);", **BACKFILL})
    uri = uri_of(database, role)
    code, reason, message = pgstrata.apply(documents, uri).said()
    assert (code, reason) == (2, "AccessDenied")
    assert cures_in(message) == [f"GRANT CREATE ON SCHEMA pgstrata TO {role};"]
    assert database.psql("select to_regclass('fresh')") == "\n"
    database.psql(" ".join(cures_in(message)))
    assert pgstrata.apply(documents, uri).said()[:2] == (0, "Succeeded")
    assert database.psql(LEFT) == "0\n"


def test_without_a_trigger_nothing_is_made_in_the_control_schema(
    pgstrata: CommandLine, database: Database, role: str
) -> None:
    pgstrata.apply(declared("0", {"0_a.sql": "SELECT 1;"}, schema="other"), database.uri)
    database.psql(
        f"grant usage on schema pgstrata to {role};"
        f"grant all on all tables in schema pgstrata to {role};"
        f"grant select, update on t to {role}"
    )
    code, reason, message = pgstrata.apply(declared("1", BACKFILL), uri_of(database, role)).said()
    assert (code, reason) == (0, "Succeeded"), message


ROWS = {
    "a backfill without UPDATE": (FILL, "grant select on t to {role}", "UPDATE"),
    "a backfill without SELECT": (FILL, "grant update on t to {role}", "SELECT"),
    "a backfill without either": (FILL, "", "SELECT, UPDATE"),
    "an UPDATE": ("UPDATE t SET y = x;", "grant update on t to {role}", "SELECT"),
    "an UPDATE that reads nothing": ("UPDATE t SET y = 1;", "", "UPDATE"),
    "a DELETE": ("DELETE FROM t WHERE x > 1;", "grant select on t to {role}", "DELETE"),
    "an INSERT": ("INSERT INTO t VALUES (2, 2, 2);", "grant select on t to {role}", "INSERT"),
    "a table that is read": ("UPDATE u SET v = x FROM t;", "grant all on u to {role}", "SELECT"),
}


@pytest.mark.parametrize("case", ROWS.values(), ids=ROWS)
def test_a_right_to_rows_is_asked_for_before_anything_runs(
    pgstrata: CommandLine, database: Database, role: str, case: tuple[str, str, str]
) -> None:
    statement, may, cure = case
    database.psql("create table u (v int);" + may.format(role=role))
    database.psql(f"grant create on schema public to {role}")
    files = {"1_a.sql": "CREATE TABLE fresh (id int);", "1_b.migrate.sql": statement}
    documents = declared("1", files)
    documents[1]["spec"]["approval"] = "Automatic"
    uri = uri_of(database, role)
    code, reason, message = pgstrata.apply(documents, uri).said()
    assert (code, reason) == (2, "AccessDenied")
    assert cures_in(message) == [f"GRANT {cure} ON public.t TO {role};"]
    assert database.psql("select to_regclass('fresh')") == "\n"
    database.psql(" ".join(cures_in(message)))
    code, reason, message = pgstrata.apply(documents, uri).said()
    assert (code, reason) == (0, "Succeeded"), message


ENOUGH = {
    "a backfill by columns": (FILL, "grant select (id, x, y), update (y) on t to {role}"),
    "an owner's": (FILL, "alter table t owner to {role}"),
    "an UPDATE": ("UPDATE t SET y = x;", "grant select (x), update (y) on t to {role}"),
    "an INSERT": ("INSERT INTO t (id) VALUES (2);", "grant insert (id) on t to {role}"),
    "a column": ("ALTER TABLE t ADD COLUMN z int;", "alter table t owner to {role}"),
    "a trigger": (
        "CREATE TRIGGER s BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION "
        "suppress_redundant_updates_trigger();",
        "alter table t owner to {role}",
    ),
    "another schema": ("CREATE TABLE o.made (id int);", "create schema o authorization {role}"),
}


@pytest.mark.parametrize(("statement", "may"), ENOUGH.values(), ids=ENOUGH)
def test_no_right_is_asked_for_that_no_statement_needs(
    pgstrata: CommandLine, database: Database, role: str, statement: str, may: str
) -> None:
    database.psql(may.format(role=role))
    documents = declared("1", {"1_a.migrate.sql": statement})
    code, reason, message = pgstrata.apply(documents, uri_of(database, role)).said()
    assert (code, reason) == (0, "Succeeded"), message


CREATES = [
    "CREATE INDEX CONCURRENTLY t_x ON t (x);",
    "ALTER TABLE t ADD CONSTRAINT t_x UNIQUE (x);",
    "ALTER TABLE t ADD COLUMN n serial;",
    "ALTER TABLE t RENAME TO s;",
    "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';",
    "CREATE TYPE mood AS ENUM ('good');",
]


@pytest.mark.parametrize("statement", CREATES)
def test_the_right_to_create_is_asked_for_where_something_is_made(
    pgstrata: CommandLine, database: Database, role: str, statement: str
) -> None:
    database.psql(f"alter table t owner to {role}")
    uri = uri_of(database, role)
    code, reason, message = pgstrata.apply(declared("1", {"1_a.sql": statement}), uri).said()
    assert (code, reason) == (2, "AccessDenied")
    assert cures_in(message) == [f"GRANT USAGE, CREATE ON SCHEMA public TO {role};"]
    database.psql(" ".join(cures_in(message)))
    assert pgstrata.apply(declared("1", {"1_a.sql": statement}), uri).code == 0


def test_a_right_that_only_the_statement_shows_is_told_with_the_grant(
    pgstrata: CommandLine, database: Database, role: str
) -> None:
    files = {"1_a.sql": "DO $$BEGIN UPDATE t SET y = 1; END$$;"}
    uri = uri_of(database, role)
    code, reason, message = pgstrata.apply(declared("1", files), uri).said()
    assert (code, reason) == (2, "AccessDenied")
    assert message.startswith("1_a.sql:1:1: permission denied for table t (SQLSTATE 42501)")
    assert f'GRANT SELECT, INSERT, UPDATE, DELETE ON t TO "{role}";' in message
    assert "OWNER TO" not in message
