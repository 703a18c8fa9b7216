"""What no backfill can be made of is refused with its place before anything runs, and the plan says
where no trigger can keep what is written meanwhile."""

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
import yaml

from tests.testbed.command_line import CommandLine, Ended
from tests.testbed.database import Database
from tests.testbed.declarations import Manifest, managed_database, schema_version
from tests.testbed.postgres import PostgresServer

TABLES = """
CREATE TABLE t (id int PRIMARY KEY, a text, b text, g text GENERATED ALWAYS AS (a || '!') STORED,
                part int, maybe int UNIQUE, token uuid, code text NOT NULL UNIQUE,
                late int NOT NULL UNIQUE DEFERRABLE, drawn text DEFAULT md5(random()::text));
CREATE UNIQUE INDEX t_part ON t (id, part) WHERE part > 0;
CREATE UNIQUE INDEX t_lower ON t (lower(code));
CREATE TABLE keyless (id int, a text, b text);
CREATE TABLE parent (id int PRIMARY KEY, a text, b text);
CREATE TABLE child () INHERITS (parent);
CREATE TABLE o (id int PRIMARY KEY, v text);
CREATE TABLE parted (id int PRIMARY KEY, a text, b text) PARTITION BY RANGE (id);
CREATE TABLE leaf PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE FUNCTION sets_a() RETURNS trigger LANGUAGE plpgsql AS 'begin new.a := 1; return new; end';
CREATE TRIGGER of_the_leaf BEFORE UPDATE OF b ON leaf FOR EACH ROW EXECUTE FUNCTION sets_a();
CREATE VIEW v AS SELECT id, a, b FROM t;
CREATE VIEW sums AS SELECT sum(part) AS total, count(a) AS texts FROM t;
CREATE VIEW above AS SELECT total + 1 AS more FROM sums;
CREATE TABLE after_t (id int REFERENCES t ON DELETE CASCADE);
INSERT INTO t (id, code, late) VALUES (1, 'x', 1);
"""
REFUSED = {
    "no unique key": ("key=id", "UPDATE keyless SET b = a", "public.keyless has no unique key"),
    "no primary key": ("", "UPDATE keyless SET b = a", "has no unique key on its primary key"),
    "a key of too few columns": ("key=id,a", "UPDATE t SET b = a", "has no unique key on (id, a)"),
    "a key given twice": ("key=id,id", "UPDATE t SET b = a", "no unique key on (id, id)"),
    "a nullable key": ("key=maybe", "UPDATE t SET b = a", "has no unique key on (maybe)"),
    "a partial key": ("key=id,part", "UPDATE t SET b = a", "has no unique key on (id, part)"),
    "a deferrable key": ("key=late", "UPDATE t SET b = a", "has no unique key on (late)"),
    "an unknown key column": ('key="ID"', "UPDATE t SET b = a", 'column "ID" of public.t does not'),
    "a key that is set": ("key=code", "UPDATE t SET code = b", "sets code, a column of the key"),
    "a view": ("key=id", "UPDATE v SET b = a", "public.v is no table"),
    "an unknown column": ("key=id", "UPDATE t SET nope = a", 'column "nope" of relation "t" does'),
    "an unknown table": ("key=id", "UPDATE nope SET b = a", 'relation "nope" does not exist'),
    "a wrong type": ("key=id", "UPDATE t SET part = a", "is of type integer but expression is"),
    "its own table": (
        "",
        "UPDATE t SET part = (SELECT max(x.part) + 1 FROM public.t AS x)",
        "reads part from other rows of public.t, which it sets",
    ),
    "its own rows decide": (
        "",
        "DELETE FROM t WHERE id IN (SELECT id FROM t ORDER BY id LIMIT 5)",
        "other rows of public.t decide which of its rows are deleted",
    ),
    "its own table by views": (
        "",
        "UPDATE t SET part = (SELECT more FROM above)",
        "reads part from other rows of public.t, which it sets",
    ),
    "its own table by a partition": (
        "",
        "UPDATE parted SET b = (SELECT max(b) FROM leaf)",
        "reads b from other rows of public.parted, which it sets",
    ),
    "what goes with its rows decides": (
        "",
        "DELETE FROM t WHERE id IN (SELECT id FROM after_t ORDER BY id LIMIT 5)",
        "other rows of public.t decide which of its rows are deleted",
    ),
    "always, and volatile": (
        "keep=always",
        "UPDATE t SET token = gen_random_uuid() WHERE token IS NULL",
        "keep=always cannot be held: gen_random_uuid() is volatile",
    ),
    "always, and not once": (
        "keep=always",
        "UPDATE t SET part = part + 1",
        "keep=always cannot be held: what is set depends on what was set before",
    ),
    "always, and a DELETE": (
        "keep=always",
        "DELETE FROM t WHERE id < 0",
        "a DELETE has nothing that could be kept; leave keep=always out",
    ),
    "always, and children": (
        "keep=always",
        "UPDATE parent SET b = a",
        "keep=always cannot be held: public.parent has child tables",
    ),
}


NOT_KEPT = {
    "volatile": (
        "UPDATE t SET token = gen_random_uuid() WHERE token IS NULL",
        "gen_random_uuid() is volatile",
    ),
    "not once": ("UPDATE t SET part = part + 1", "depends on what was set before"),
    "a generated source": ("UPDATE t SET b = g", "column g is generated"),
    "children": ("UPDATE parent SET b = a", "public.parent has child tables"),
    "who sets it": ("UPDATE t SET b = current_user", "depends on who sets it"),
    "the whole row": ("UPDATE t SET b = t::text", "reads the row as a whole"),
    "a system column": ("UPDATE t SET b = xmin::text WHERE b IS NULL", "system column"),
    "nothing that joins": ("UPDATE t SET b = o.v FROM o", "which row of the other table"),
    "a partition": ("UPDATE parted SET b = a", "trigger of_the_leaf may set a behind the"),
    "a default that is drawn": ("UPDATE t SET drawn = a", "random() in its default"),
}


TRIGGERS = {
    "a column": "new.a := lower(new.a); return new;",
    "a quoted column": 'NEW . "a" = 1; return new;',
    "into": "select v into new.a from o; return new;",
    "the row": "new := null; return new;",
    "another row": "other := new; other.a := 1; return other;",
    "an element": "new.a[1] := 1; return new;",
}
LEAVES = {
    "another column": "new.code := lower(new.code); return new;",
    "nothing": "if new.a is null then return null; end if; return coalesce(new, old);",
    "in a comment": "-- new.b := 1; return to sender\n return new;",
}


TOUCH = """
CREATE SCHEMA {schema}; SET search_path = {schema};
CREATE TABLE t (id int PRIMARY KEY, a text, b text, code text);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ declare other t; begin {does} end $$;
CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch();
"""
SETS_A = "UPDATE t SET b = a WHERE b IS NULL"


@dataclass(frozen=True, slots=True)
class Judged:
    """All of them, after one run each of apply and plan."""

    database: Database
    refused: Ended
    planned: Mapping[str, str]
    """What the plan prints, by resource."""


@pytest.fixture(scope="module")
def judged(postgres: PostgresServer, shared_command_line: CommandLine) -> Iterator[Judged]:
    database = Database(f"test_{secrets.token_hex(6)}", postgres)
    postgres.createdb(database.name)
    try:
        touching = TRIGGERS | LEAVES
        script = [TOUCH.format(schema=called(name), does=touching[name]) for name in touching]
        database.psql("".join([TABLES, *script]))
        apply = [_refused(name) for name in REFUSED]
        plan = [_resource(name, NOT_KEPT[name][0]) for name in NOT_KEPT]
        plan += [_resource(name, SETS_A) for name in touching]
        refused = shared_command_line.apply(
            [managed_database(maxConnections=40), *apply], database.uri
        )
        given = yaml.safe_dump_all([managed_database(), *plan])
        planned = shared_command_line.run(
            "plan", "-f", "-", "--database-url", database.uri, given=given
        )
        assert planned.code == 0, planned.stderr
        parts = [part.partition(": ") for part in planned.stdout.split("SchemaVersion default/")]
        yield Judged(database, refused, {name: text for name, _, text in parts})
    finally:
        postgres.dropdb(database.name)


def called(name: str) -> str:
    return "the_" + re.sub("[^a-z]+", "_", name)


def _resource(name: str, statement: str) -> Manifest:
    files = {"1_b.migrate.sql": f"-- pgstrata: batch key=id\n{statement};\n"}
    own = called(name)
    return schema_version("1", files, name=own.replace("_", "-"), schema=own)


def _refused(name: str) -> Manifest:
    options, statement, _ = REFUSED[name]
    files = {
        "1_a.expand.sql": f"CREATE TABLE public.by_{called(name)} (id int);",
        "1_b.migrate.sql": f"-- pgstrata: batch {options}\n{statement};\n",
    }
    if "unknown" in name:  # else an earlier statement may make it
        del files["1_a.expand.sql"]
    own = called(name)
    return schema_version("1", files, name=own.replace("_", "-"), schema=own)


@pytest.mark.pg18only
@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_run_in_batches_stops_all_before_anything_runs(
    judged: Judged, what: str
) -> None:
    says = REFUSED[what][2]
    _, reason, message = judged.refused.said(name=called(what).replace("_", "-"))
    assert reason == "MigrationFailed"
    assert message.startswith("1_b.migrate.sql:2:1: ")
    assert says in message
    assert "nothing was run" in message
    with judged.database.connect() as connection:
        made = connection.execute(
            "SELECT to_regclass(%s), to_regnamespace(%s)", (f"by_{called(what)}", called(what))
        )
        assert made.fetchall() == [(None, None)]


@pytest.mark.pg18only
@pytest.mark.parametrize("why", NOT_KEPT)
def test_the_plan_says_why_no_trigger_keeps_rows_right(judged: Judged, why: str) -> None:
    assert NOT_KEPT[why][1] in judged.planned[called(why).replace("_", "-")]


@pytest.mark.pg18only
@pytest.mark.parametrize("does", [*TRIGGERS, *LEAVES])
def test_a_trigger_that_sets_what_is_read_makes_one_of_ours_impossible(
    judged: Judged, does: str
) -> None:
    said = judged.planned[called(does).replace("_", "-")]
    if does in TRIGGERS:
        assert "no trigger keeps rows right that are written meanwhile: trigger touch may" in said
    else:
        assert "a temporary trigger keeps rows right" in said


@pytest.mark.pg18only
def test_a_key_whose_text_is_not_the_key_is_refused(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql(
        "CREATE TABLE f (id float8 PRIMARY KEY, n int DEFAULT 0);"
        "INSERT INTO f SELECT i / 3.0 FROM generate_series(1, 20) AS i"
    )
    text = "SET extra_float_digits = 0;\n-- pgstrata: batch\nUPDATE f SET n = n + 1;"
    documents = [managed_database(), schema_version("1", {"1_f.migrate.sql": text})]
    code, reason, message = pgstrata.apply(documents, database.uri).said()
    assert (code, reason) == (2, "MigrationFailed")
    assert message.startswith("1_f.migrate.sql:3:1: row id=6.66666666666667: the key's text is not")


ROLE = """
CREATE ROLE {role} LOGIN;
GRANT CREATE ON DATABASE {database} TO {role}; GRANT CREATE, USAGE ON SCHEMA public TO {role};
CREATE TABLE t (id int PRIMARY KEY, a text, b text);
INSERT INTO t (id, a) SELECT i, 'x' FROM generate_series(1, 20) AS i;
"""


@pytest.fixture
def role(database: Database) -> Iterator[str]:
    """A role that may little, beside a table t."""
    name = f"clerk_{secrets.token_hex(4)}"
    database.psql(ROLE.format(role=name, database=database.name))
    yield name
    database.psql(f"DROP OWNED BY {name} CASCADE; DROP ROLE {name}")


def apply_as(
    pgstrata: CommandLine, database: Database, role: str, statement: str = SETS_A
) -> tuple[int, str, str]:
    uri = database.server.socket_uri(database.name, role)
    wanted = schema_version("1", {"1_b.migrate.sql": f"-- pgstrata: batch\n{statement};\n"})
    return pgstrata.apply([managed_database(), wanted], uri).said()


HIDDEN = {
    "from the owner": (
        "ALTER TABLE t OWNER TO {role}; ALTER TABLE t FORCE ROW LEVEL SECURITY",
        "ALTER TABLE public.t NO FORCE ROW LEVEL SECURITY;",
    ),
    "from others": ("GRANT SELECT, UPDATE ON t TO {role}", "GRANT {owner} TO {role};"),
    "from all": (
        "GRANT SELECT, UPDATE ON t TO {role}; ALTER TABLE t FORCE ROW LEVEL SECURITY",
        "ALTER ROLE {role} BYPASSRLS;",
    ),
}


@pytest.mark.parametrize(("given", "cure"), HIDDEN.values(), ids=HIDDEN)
def test_rows_that_are_hidden_from_the_role_are_not_left_out_unseen(
    pgstrata: CommandLine, database: Database, role: str, given: str, cure: str
) -> None:
    owner = f"owner_{role}"
    database.psql(
        f"CREATE ROLE {owner}; ALTER TABLE t OWNER TO {owner}; {given.format(role=role)};"
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON t USING (id < 10);"
    )
    code, reason, message = apply_as(pgstrata, database, role)
    assert (code, reason) == (2, "MigrationFailed")
    assert f"row-level security hides rows of public.t from role {role}" in message
    wanted = cure.format(role=role, owner=owner)
    cures = message.partition("an administrator can run: ")[2].replace('"', "")
    assert cures.startswith(wanted)
    database.psql(wanted)
    assert apply_as(pgstrata, database, role)[:2] == (0, "Succeeded")
    assert database.psql("SELECT count(*) FROM t WHERE b IS NULL") == "0\n"
    database.psql(f"DROP OWNED BY {owner} CASCADE; DROP ROLE {owner}")


@pytest.mark.parametrize("name", ["u", "of_u"])
def test_rows_of_another_table_that_are_hidden_do_not_count_as_missing(
    pgstrata: CommandLine, database: Database, role: str, name: str
) -> None:
    database.psql(
        "CREATE TABLE u (id int PRIMARY KEY); INSERT INTO u SELECT id FROM t;"
        "ALTER TABLE u ENABLE ROW LEVEL SECURITY; CREATE POLICY none ON u USING (false);"
        f"CREATE VIEW of_u AS SELECT id FROM u; ALTER VIEW of_u OWNER TO {role};"
        f"GRANT SELECT ON u TO {role}; GRANT SELECT, DELETE ON t TO {role}"
    )
    delete = f"DELETE FROM t WHERE NOT EXISTS (SELECT FROM {name} AS u WHERE u.id = t.id)"
    code, reason, message = apply_as(pgstrata, database, role, delete)
    assert (code, reason) == (2, "MigrationFailed"), message
    assert f"row-level security hides rows of u from role {role}" in message
    assert database.psql("SELECT count(*) FROM t") == "20\n"


@pytest.mark.pg18only
def test_who_may_write_a_table_but_not_alter_it_backfills_it_without_a_trigger(
    pgstrata: CommandLine, database: Database, role: str
) -> None:
    database.psql(f"GRANT SELECT, UPDATE ON t TO {role}")
    code, _, message = apply_as(pgstrata, database, role)
    assert code == 0, message
    assert database.psql("SELECT count(*) FROM t WHERE b IS NULL") == "0\n"
    assert database.psql("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal") == "0\n"


@pytest.mark.pg18only
def test_dates_are_read_whatever_style_a_database_prefers(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql(
        f"ALTER DATABASE {database.name} SET DateStyle = 'SQL, DMY';"
        f"ALTER DATABASE {database.name} SET IntervalStyle = 'iso_8601';"
    )
    text = "CREATE TABLE d AS SELECT '01/02/2026'::date AS day;"
    documents = [managed_database(), schema_version("1", {"1_d.sql": text})]
    assert pgstrata.apply(documents, database.uri).said()[:2] == (0, "Succeeded")
    assert database.psql("SELECT to_char(day, 'YYYY-MM-DD') FROM d") == "2026-02-01\n"
