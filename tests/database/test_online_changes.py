"""Constraints come the online way: checked beside writers, then taken over without another look."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.testbed.command_line import CommandLine
from tests.testbed.database import Database
from tests.testbed.declarations import declared
from tests.testbed.polling import poll
from tests.testbed.stalls import applications

pytestmark = pytest.mark.pg18only

ROWS = 200_000
SCHEMA = f"""
create table zeta (id int primary key, a_id int, n int);
create table alpha (id int primary key, n int);
insert into alpha select g, g from generate_series(1, 1000) as g;
insert into zeta select g, g % 1000 + 1, g from generate_series(1, {ROWS}) as g;
"""
ONLINE = {
    "1_check.sql": "ALTER TABLE zeta ADD CONSTRAINT n_is_there CHECK (n IS NOT NULL) NOT VALID;\n"
    "ALTER TABLE zeta VALIDATE CONSTRAINT n_is_there;",
    "2_set.sql": "ALTER TABLE zeta ALTER n SET NOT NULL, ALTER n SET DEFAULT 0;\n"
    "ALTER TABLE zeta DROP CONSTRAINT n_is_there;",
    "3_index.sql": "CREATE UNIQUE INDEX CONCURRENTLY zeta_n ON zeta (n, id);\n"
    "ALTER TABLE zeta ADD CONSTRAINT n_once UNIQUE USING INDEX zeta_n;",
    "4_key.sql": "ALTER TABLE zeta ADD CONSTRAINT of_alpha FOREIGN KEY (a_id) REFERENCES alpha "
    "NOT VALID;\nALTER TABLE zeta VALIDATE CONSTRAINT of_alpha;",
}
READ = "select seq_tup_read from pg_stat_user_tables where relname = 'zeta'"
BOUND = 0.3 + 0.5
"""timeouts.lock, and what a machine with other work adds."""


def up_to(version: int) -> dict[str, str]:
    return {name: text for name, text in ONLINE.items() if int(name[0]) <= version}


def test_writers_go_on_beside_every_constraint_that_comes_and_not_null_reads_no_row(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql(SCHEMA)
    timeouts = {"lock": "300ms"}

    def bring(version: int) -> None:
        documents = declared(str(version), up_to(version), timeouts=timeouts)
        assert pgstrata.apply(documents, database.uri).said()[:2] == (0, "Succeeded")

    with applications(
        database,
        zeta="update zeta set a_id = a_id where id = 7",
        alpha="update alpha set n = n + 1 where id = 7",
    ) as stalls:
        bring(1)
        read = int(database.psql(READ))
        assert read >= ROWS, "the validation was counted"
        bring(2)
        assert int(database.psql(READ)) == read, "a valid CHECK spares the scan"
        bring(4)
    assert stalls.repetitions > 50
    print(stalls.beyond())
    assert max(stalls.beyond().values()) < BOUND
    valid = (
        "select string_agg(conname || ' ' || convalidated, ', ' order by conname)"
        " from pg_constraint where conrelid = 'zeta'::regclass and contype in ('u', 'f')"
    )
    assert database.psql(valid) == "n_once true, of_alpha true\n"


def test_an_invalid_index_is_taken_for_no_constraint(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql(SCHEMA + "create unique index zeta_n on zeta (n);")
    database.psql("update pg_index set indisvalid = false where indexrelid = 'zeta_n'::regclass")
    files = {"1_a.sql": "\nALTER TABLE zeta ADD CONSTRAINT n_once UNIQUE USING INDEX zeta_n;"}
    code, reason, message = pgstrata.apply(declared("1", files), database.uri).said()
    assert (code, reason) == (2, "MigrationFailed")
    assert message.startswith('1_a.sql:2:22: index "zeta_n" is not valid')
    assert database.psql("select count(*) from pg_constraint where conname = 'n_once'") == "0\n"


WAITS = """
select array_agg(c.relname || ' ' || l.mode || ' ' || l.granted)
from pg_locks as l join pg_stat_activity as a using (pid) join pg_class as c on c.oid = l.relation
where a.application_name like 'pgstrata:%' and c.relname in ('alpha', 'zeta')
    and l.mode = 'ShareRowExclusiveLock'
having bool_or(not l.granted)
"""


@contextmanager
def written(database: Database, table: str) -> Iterator[None]:
    """Somebody has an open transaction that has written to the table."""
    with database.connect() as session:
        session.execute("begin")
        session.execute(f"lock table {table} in row exclusive mode".encode())
        yield
        session.execute("rollback")


def test_both_tables_of_a_foreign_key_are_locked_by_name_whatever_the_statement_says_first(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql(SCHEMA)
    key = "ALTER TABLE zeta ADD CONSTRAINT k FOREIGN KEY (a_id) REFERENCES alpha NOT VALID;"
    documents = declared("1", {"1_a.sql": key}, timeouts={"lock": "2s"})

    with written(database, "alpha"), database.connect() as connection:

        def waits() -> list[str] | None:
            row = connection.execute(WAITS).fetchone()
            return row[0] if row else None

        run = pgstrata.start_apply(documents, database.uri, timeout="85s")
        seen = poll(waits, 60.0, "it waits for a strong lock")
        assert seen == ["alpha ShareRowExclusiveLock false"], "and has none on zeta"
    assert run.wait().said()[:2] == (0, "Succeeded")
