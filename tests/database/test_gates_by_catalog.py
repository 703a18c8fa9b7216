"""What the text alone does not tell: which tables a statement goes over, and whether it does.

Of tables that it does not name, such as those of a domain, the catalog says it; a gate and an
estimate must know them as well as those that are named.
"""

import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import yaml

from tests.testbed.command_line import CommandLine
from tests.testbed.database import Database
from tests.testbed.declarations import declared
from tests.testbed.postgres import PostgresServer

pytestmark = pytest.mark.pg18only

SCHEMA = """
create domain age as int;
create domain older as age;
create domain positive as int check (value > 0);
create domain plain as int;
create domain unused as int;
create domain above as positive;
create type pair as (a int, b text);
create type mood as enum ('good');
create table par (id int, x int, n int, d older, y text);
create unlogged table big () inherits (par);
create unique index big_id on big (id);
create unique index big_x on big (x);
create unlogged table typed of pair;
create table parts (id int, y text) partition by range (id);
create unlogged table parts_1 partition of parts for values from (0) to (100000);
do $$ declare one text; begin
    foreach one in array array['big', 'typed', 'parts_1'] loop
        execute format('alter table %s alter %s set storage external', one,
            case one when 'typed' then 'b' else 'y' end);
    end loop;
end $$;
insert into big select g, g, g, g, repeat('y', 8100) from generate_series(1, 14000) as g;
insert into typed select g, repeat('y', 8100) from generate_series(1, 14000) as g;
insert into parts select g, repeat('y', 8100) from generate_series(1, 14000) as g;
alter table big add constraint x_is_there check (x is not null);
create view names as select id from par;
create materialized view kept as select id from names;
"""


@pytest.fixture(scope="module")
def large(postgres: PostgresServer) -> Iterator[Database]:
    """A database with tables of more than 100 MB that the tests share: none is changed."""
    name = f"large_{secrets.token_hex(6)}"
    postgres.createdb(name)
    shared = Database(name, postgres)
    shared.psql(SCHEMA)
    yield shared
    postgres.dropdb(name)


def planned(pgstrata: CommandLine, database: Database, *files: str) -> list[list[dict[str, Any]]]:
    """The steps of a plan, file by file: each is a version of its own."""
    sources = {f"{number}_a.sql": f"{sql};" for number, sql in enumerate(files, start=1)}
    given = yaml.safe_dump_all(declared(str(len(files)), sources))
    url = ("--database-url", database.uri)
    ended = pgstrata.run("plan", "-f", "-", "-o", "json", *url, given=given)
    assert ended.code == 0, ended.stderr
    steps: list[dict[str, Any]] = ended.document["plans"][0]["steps"]
    return [[s for s in steps if f"/{file}/" in s["id"]] for file in sources]


def last_gates(
    pgstrata: CommandLine, database: Database, files: Sequence[str]
) -> dict[str, str | None]:
    plans = zip(files, planned(pgstrata, database, *files), strict=True)
    return {sql: steps[-1]["gate"] for sql, steps in plans}


GATED = [
    "ALTER TABLE big ADD PRIMARY KEY USING INDEX big_id",
    "CREATE UNIQUE INDEX CONCURRENTLY i ON big (id); ALTER TABLE big ADD PRIMARY KEY USING INDEX i",
    "REINDEX INDEX big_id",
    "ALTER TABLE par ALTER id TYPE bigint",
    "ALTER TABLE par ALTER id SET NOT NULL",
    "ALTER TABLE par ADD CHECK (id > 0)",
    "ALTER TABLE par ADD c int DEFAULT random()",
    "ALTER TABLE big ADD c positive",
    "ALTER TABLE par ADD c positive DEFAULT 1",
    "ALTER TABLE big ADD c public.above",
    "CREATE DOMAIN fresh AS int NOT NULL DEFAULT 1; ALTER TABLE big ADD c fresh",
    "ALTER DOMAIN plain ADD CHECK (value > 0) NOT VALID; ALTER TABLE big ADD c plain",
    "ALTER DOMAIN age ADD CHECK (value > 0)",
    "ALTER DOMAIN older SET NOT NULL",
    "ALTER DOMAIN age VALIDATE CONSTRAINT c",
    "ALTER TYPE pair ALTER ATTRIBUTE a TYPE bigint CASCADE",
    "VACUUM FULL",
    "CLUSTER",
    "REINDEX SCHEMA public",
    "DROP VIEW names CASCADE",
]
FREE = [
    "ALTER TABLE big ADD PRIMARY KEY USING INDEX big_x",
    "ALTER TABLE big ADD CONSTRAINT c CHECK (id IS NOT NULL) NOT VALID; "
    "ALTER TABLE big VALIDATE CONSTRAINT c; CREATE UNIQUE INDEX CONCURRENTLY i ON big (x, id); "
    "ALTER TABLE big ADD PRIMARY KEY USING INDEX i",
    "REINDEX INDEX CONCURRENTLY big_id",
    "ALTER INDEX big_id SET TABLESPACE pg_default",
    "ALTER TABLE ONLY par ADD CHECK (id > 0) NO INHERIT",
    "CREATE INDEX ON par (id)",
    "ALTER TABLE big ADD c plain DEFAULT 1",
    "ALTER TABLE big ADD c positive[]",
    "ALTER TABLE big ADD c mood DEFAULT 'good'",
    "CREATE DOMAIN loose AS int; ALTER TABLE big ADD c loose",
    "ALTER DOMAIN age ADD CHECK (value > 0) NOT VALID",
    "ALTER DOMAIN age SET DEFAULT 1",
    "ALTER DOMAIN unused ADD CHECK (value > 0)",
    "ALTER TYPE pair ADD ATTRIBUTE c int CASCADE",
    "VACUUM",
    "REINDEX SCHEMA CONCURRENTLY public",
    "DROP VIEW names",
]


def test_what_goes_over_a_large_table_by_way_of_the_catalog_is_gated(
    pgstrata: CommandLine, large: Database
) -> None:
    assert last_gates(pgstrata, large, GATED) == dict.fromkeys(GATED, "Approval")


def test_what_the_catalog_shows_to_spare_the_table_is_not_gated(
    pgstrata: CommandLine, large: Database
) -> None:
    assert last_gates(pgstrata, large, FREE) == dict.fromkeys(FREE)


SET_X = "BEGIN; ALTER TABLE big ALTER x SET NOT NULL; COMMIT"
SET_N = SET_X.replace("ALTER x", "ALTER n")
PROVE_N = (
    "ALTER TABLE big ADD CONSTRAINT c CHECK (n IS NOT NULL) NOT VALID; "
    "ALTER TABLE big VALIDATE CONSTRAINT c"
)


@pytest.mark.parametrize(
    "sql",
    [
        f"ALTER TABLE big DROP CONSTRAINT x_is_there; {SET_X}",
        f"ALTER TABLE big RENAME x TO was; ALTER TABLE big RENAME n TO x; {SET_X}",
        f"ALTER TABLE big DROP x; ALTER TABLE big ADD x int; {SET_X}",
        f"SET search_path = elsewhere, public; {PROVE_N}; SET search_path = public; {SET_N}",
    ],
)
def test_a_proof_ends_with_the_names_that_it_was_given_in(
    pgstrata: CommandLine, large: Database, sql: str
) -> None:
    [steps] = planned(pgstrata, large, sql)
    assert steps[-1]["gate"] == "Approval"
    first, second = planned(pgstrata, large, SET_X, f"{PROVE_N}; {SET_N}")
    assert (first[-1]["gate"], second[-1]["gate"]) == (None, None)


REACHED = {
    "ALTER DOMAIN age ADD CHECK (value > 0)": ["public.big", "public.par"],
    "ALTER TYPE pair ALTER ATTRIBUTE a TYPE bigint CASCADE": ["public.typed"],
    "REINDEX INDEX big_id": ["public.big", "public.big_id"],
    "ALTER TABLE par ALTER id TYPE bigint": ["public.big", "public.par"],
}


def test_the_plan_names_the_tables_that_a_statement_reaches(
    pgstrata: CommandLine, large: Database
) -> None:
    plans = planned(pgstrata, large, *REACHED)
    seen = [[table["name"] for table in steps[-1]["tables"]] for steps in plans]
    assert dict(zip(REACHED, seen, strict=True)) == REACHED


def test_the_plan_shows_a_partitioned_table_with_its_partitions(
    pgstrata: CommandLine, large: Database
) -> None:
    [[step]] = planned(pgstrata, large, "ALTER TABLE parts ADD c int")
    [table] = step["tables"]
    assert table["name"] == "public.parts"
    assert table["bytes"] > 100 * 1024 * 1024


def test_writers_do_not_queue_behind_a_domains_constraint_that_waits_for_its_tables(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql(
        "create domain age as int; create table t (id int, d age); insert into t values (1, 1)"
    )
    files = {"1_a.sql": "ALTER DOMAIN age ADD CHECK (value > 0);"}
    waited: list[float] = []

    def write() -> None:
        with database.connect() as connection:
            begun = time.monotonic()
            connection.execute("insert into t values (2, 2)")
            waited.append(time.monotonic() - begun)

    with database.connect() as holder:
        holder.execute("begin; insert into t values (3, 3)")
        documents = declared("1", files, timeouts={"lock": "300ms"})
        run = pgstrata.start_apply(documents, database.uri)
        run.wait_for("LockTimeout")
        for _ in range(5):
            writer = threading.Thread(target=write)
            writer.start()
            writer.join()
        holder.execute("rollback")
    ended = run.wait()
    assert ended.said()[:2] == (0, "Succeeded"), ended.said()
    assert "public.t" in ended.stderr
    assert max(waited) < 5.0, "else a writer waits as long as the statement may, 30 s"
