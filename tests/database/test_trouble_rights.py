"""A role that lacks rights: each is named with the statement that grants it, and that one cures."""

from dataclasses import dataclass

import pytest

from tests.testbed.command_line import PASSWORD, CommandLine
from tests.testbed.database import Database
from tests.testbed.declarations import declared
from tests.testbed.roles import cures_in, new_role

FILES = {
    "1_init.sql": "CREATE TABLE fresh (id int);",
    "2_more.sql": """
        ALTER TABLE orders ADD COLUMN total int;
        ALTER TABLE users ADD COLUMN name text;
        CREATE INDEX CONCURRENTLY orders_id ON orders (id);
        """,
}
TABLES = "create table orders (id int); create table users (id int);"


@dataclass(frozen=True, slots=True)
class Lack:
    """What a role may do, and the cures that it must be told, in their order."""

    may: str
    cures: tuple[str, ...]
    schema: str = "public"


CREATE_DATABASE = "GRANT CREATE ON DATABASE {db} TO {role};"
CREATE_SCHEMA = "GRANT USAGE, CREATE ON SCHEMA public TO {role};"
OWN = "ALTER TABLE public.{0} OWNER TO {{role}};"
LACKS = {
    "nothing": Lack("select", (CREATE_DATABASE, CREATE_SCHEMA, OWN.format("orders"))),
    "no-create-on-database": Lack(
        "grant usage, create on schema public to {role};"
        "alter table orders owner to {role}; alter table users owner to {role}",
        (CREATE_DATABASE,),
    ),
    "no-create-on-schema": Lack(
        "grant create on database {db} to {role};"
        "alter table orders owner to {role}; alter table users owner to {role}",
        (CREATE_SCHEMA,),
    ),
    "owner-of-one-table": Lack(
        "grant create on database {db} to {role}; grant usage, create on schema public to {role};"
        "alter table orders owner to {role}",
        (OWN.format("users"),),
    ),
    "owner-of-no-table": Lack(
        "grant create on database {db} to {role}; grant usage, create on schema public to {role};"
        "grant all on orders, users to {role}",
        (OWN.format("orders"), OWN.format("users")),
    ),
}


@pytest.mark.parametrize("lack", [pytest.param(lack, id=name) for name, lack in LACKS.items()])
def test_what_a_role_lacks_is_listed_and_the_statements_cure_it(
    pgstrata: CommandLine, database: Database, lack: Lack
) -> None:
    role = new_role(database.server)
    database.psql(TABLES)
    database.psql(lack.may.format(role=role, db=database.name))
    uri = database.server.uri(database.name, role, PASSWORD)
    documents = declared("2", FILES)
    told: list[str] = []
    for _ in range(4):  # the control schema first, then all that the files need together
        before = database.psql("select count(*) from pg_class")
        ended = pgstrata.apply(documents, uri)
        if ended.code == 0:
            break
        assert ended.said()[:2] == (2, "AccessDenied")
        if told and "control schema" not in ended.said()[2]:
            assert database.psql("select to_regclass('fresh')") == "\n"
        elif not told and "control schema" in ended.said()[2]:
            assert database.psql("select count(*) from pg_class") == before
        cures = cures_in(ended.said()[2])
        told += cures
        database.psql(" ".join(cures))
    assert ended.said()[:2] == (0, "Succeeded")
    wanted = [cure.format(role=role, db=database.name) for cure in lack.cures]
    assert [cure for cure in told if cure in wanted] == wanted
    assert len(told) == len(set(told))


def test_all_missing_rights_are_told_at_once(pgstrata: CommandLine, database: Database) -> None:
    role = new_role(database.server)
    database.psql(f"{TABLES} grant create on database {database.name} to {role}")
    uri = database.server.uri(database.name, role, PASSWORD)
    ended = pgstrata.apply(declared("2", FILES), uri)
    code, reason, message = ended.said()
    assert (code, reason) == (2, "AccessDenied")
    assert (
        f"role {role} lacks rights on schema public, table public.orders, table public.users"
        in message
    )
    assert database.psql("select count(*) from pgstrata.step, pgstrata.version") == "0\n"


def test_a_schema_that_may_not_be_made_is_told(pgstrata: CommandLine, database: Database) -> None:
    role = new_role(database.server)
    database.psql(f"create schema pgstrata authorization {role}")
    uri = database.server.uri(database.name, role, PASSWORD)
    documents = declared("1", {"1_a.sql": "CREATE TABLE a (id int);"}, schema="Odd Schema")
    code, reason, message = pgstrata.apply(documents, uri).said()
    assert (code, reason) == (2, "AccessDenied")
    cure = f'CREATE SCHEMA "Odd Schema" AUTHORIZATION "{role}";'
    assert cure in message
    assert f'GRANT CREATE ON DATABASE "{database.name}" TO "{role}";' in message
    database.psql(cure)
    assert pgstrata.apply(documents, uri).said()[:2] == (0, "Succeeded")


def test_a_right_that_only_the_statement_itself_shows_is_told_with_its_place(
    pgstrata: CommandLine, database: Database
) -> None:
    role = new_role(database.server)
    database.psql(f"{TABLES} grant create on database {database.name} to {role}")
    database.psql(f"grant usage, create on schema public to {role}")
    insert = "DO $$BEGIN INSERT INTO orders VALUES (1); END$$;"
    files = {"1_a.sql": f"CREATE TABLE a (id int);\n{insert}"}
    uri = database.server.uri(database.name, role, PASSWORD)
    ended = pgstrata.apply(declared("1", files), uri)
    code, reason, message = ended.said()
    assert (code, reason) == (2, "AccessDenied")
    assert message.startswith("1_a.sql:2:1: permission denied for table orders (SQLSTATE 42501)")
    assert database.psql("select to_regclass('a')") == "\n"
    database.psql(f"grant insert on orders to {role}")
    assert pgstrata.apply(declared("1", files), uri).said()[:2] == (0, "Succeeded")


def test_an_index_can_be_adopted_without_the_right_to_make_temporary_tables(
    pgstrata: CommandLine, database: Database
) -> None:
    role = new_role(database.server)
    database.psql(
        f"revoke temporary on database {database.name} from public;"
        f"grant create on database {database.name} to {role};"
        f"grant usage, create on schema public to {role};"
        f"set role {role}; create table t (id int); create index t_id on t (id)"
    )
    uri = database.server.uri(database.name, role, PASSWORD)
    files = {"1_a.sql": "CREATE INDEX CONCURRENTLY t_id ON t (id);"}
    code, reason, message = pgstrata.apply(declared("1", files), uri).said()
    assert (code, reason) == (2, "AccessDenied")
    assert "1_a.sql:1:1" in message
    [cure] = cures_in(message)
    assert cure == f"GRANT TEMPORARY ON DATABASE {database.name} TO {role};"
    database.psql(cure)
    assert pgstrata.apply(declared("1", files), uri).said()[:2] == (0, "Succeeded")
