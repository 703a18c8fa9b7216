"""A contract that fails or waits midway: what it has not taken away yet is kept right, and looked
at again before the rest of it."""

import psycopg
import pytest

from tests.testbed.command_line import CommandLine, Ended
from tests.testbed.database import Database
from tests.testbed.declarations import declared

pytestmark = pytest.mark.pg18only

TABLES = """
create table t (id integer primary key, x integer, y integer);
insert into t select i, i from generate_series(1, 100) as i;
create table other (id integer);
create view of_x as select id, x from t;
create view w as select id from t;
"""
FILL = "-- pgstrata: batch{}\nUPDATE t SET y = x WHERE y IS NULL;\n"
BEGUN = "BEGIN;\nDROP TABLE other;\nCOMMIT;\n"
DROP = "ALTER TABLE t DROP COLUMN x;\n"
MENDED = {"1_a.contract.sql": f"{BEGUN}DROP VIEW of_x;\n{DROP}"}
TRIGGERS = "select count(*) from pg_trigger where tgrelid = 't'::regclass and not tgisinternal"


def files(*, keep: str = "", verify: str = "SELECT id FROM t WHERE y IS NULL") -> dict[str, str]:
    return {
        "1_a.migrate.sql": FILL.format(keep),
        "1_a.verify.sql": f"{verify};\n",
        "1_a.contract.sql": BEGUN + DROP,  # which the view forbids
    }


def contract(
    pgstrata: CommandLine, database: Database, source: dict[str, str], timeout: str = "75s"
) -> Ended:
    documents = declared("1", source, through="Contract")
    return pgstrata.apply(documents, database.uri, "--approve", "all", timeout=timeout)


def test_the_trigger_stays_until_what_it_stands_in_the_way_of_is_done(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql(TABLES)
    source = files()
    code, reason, message = contract(pgstrata, database, source).said()
    assert (code, reason) == (2, "MigrationFailed"), message
    assert "view of_x depends" in message
    with database.connect() as connection:
        assert connection.execute("select to_regclass('other')").fetchone() == (None,)
        assert connection.execute(TRIGGERS).fetchone() == (1,)
        connection.execute("insert into t (id, x) values (1000, 77)")  # as older code does
        ended = contract(pgstrata, database, source | MENDED)
        assert ended.said()[:2] == (0, "Succeeded"), ended.said()
        assert connection.execute("select * from t where id = 1000").fetchall() == [(1000, 77)]
        assert connection.execute(TRIGGERS).fetchone() == (0,)
    assert not ended.status().get("temporary")


def test_the_trigger_stays_while_a_lock_is_waited_for(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql(f"{TABLES}drop view of_x;")
    source = files() | {"1_a.contract.sql": f"BEGIN;\n{DROP}DROP TABLE other;\nCOMMIT;\n"}
    assert pgstrata.apply(declared("1", source), database.uri).code == 0
    with psycopg.connect(database.uri) as other:
        other.execute("select from other")
        ended = contract(pgstrata, database, source, timeout="8s")
        assert ended.said()[1] == "LockTimeout", ended.said()
        assert other.execute(TRIGGERS).fetchone() == (1,)
    ended = contract(pgstrata, database, source)
    assert ended.said()[:2] == (0, "Succeeded"), ended.said()
    with database.connect() as connection:
        assert connection.execute(TRIGGERS).fetchone() == (0,)


def test_what_the_rest_of_a_contract_relies_on_is_verified_again(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql(TABLES)
    source = files(keep=" keep=never")
    assert contract(pgstrata, database, source).said()[1] == "MigrationFailed"
    with database.connect() as connection:
        connection.execute("insert into t (id, x) values (1000, 77)")
        code, reason, message = contract(pgstrata, database, source | MENDED).said()
        assert (code, reason) == (2, "VerificationFailed"), message
        assert "1 row returned" in message.replace("1 rows", "1 row")
        assert "before the rest of Contract of version 1" in message
        row = connection.execute("select x from t where id = 1000").fetchone()
        assert row == (77,), "what could not be filled is still there"
        connection.execute("update t set y = x where y is null")
    ended = contract(pgstrata, database, source | MENDED)
    assert ended.said()[:2] == (0, "Succeeded"), ended.said()


def test_what_a_begun_contract_has_taken_away_is_not_asked_for(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql(TABLES)
    source = files(verify="SELECT id FROM w WHERE false")
    source["1_a.contract.sql"] = f"BEGIN;\nDROP VIEW w;\nCOMMIT;\n{DROP}"
    assert contract(pgstrata, database, source).said()[1] == "MigrationFailed"
    rest = f"DROP VIEW of_x;\n{DROP}CREATE VIEW w AS SELECT id FROM t;\n"
    source["1_a.contract.sql"] = f"BEGIN;\nDROP VIEW w;\nCOMMIT;\n{rest}"
    ended = contract(pgstrata, database, source)
    assert ended.said()[:2] == (0, "Succeeded"), ended.said()


def test_what_approval_is_asked_for_names_the_first_change(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql(TABLES)
    documents = declared("1", files(), through="Contract")
    code, reason, message = pgstrata.apply(documents, database.uri).said()
    assert (code, reason) == (4, "ApprovalPending"), message
    assert message.startswith(
        "1_a.contract.sql:2: DROP TABLE other (and 3 more steps) waits for approval"
    )
