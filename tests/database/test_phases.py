"""Barriers, baselines, verify files and suspension: what runs, what waits, and what is said."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.testbed.command_line import CommandLine, Ended
from tests.testbed.database import Database
from tests.testbed.declarations import managed_database, schema_version

pytestmark = pytest.mark.pg18only

BARRIER = {
    "1_a.sql": "-- pgstrata: barrier\nCREATE TABLE a (old int, id int);",
    "1_a.contract.sql": "ALTER TABLE a DROP COLUMN old;",
    "2_b.sql": "CREATE TABLE b (id int);",
}


def apply(
    pgstrata: CommandLine,
    database: Database,
    files: Mapping[str, str],
    version: str = "2",
    *options: str,
    **spec: Any,
) -> Ended:
    documents = [
        managed_database(),
        schema_version(version, files, **{"approval": "Automatic", **spec}),
    ]
    return pgstrata.apply(documents, database.uri, *options)


def standing(database: Database, *relations: str) -> list[str]:
    """Those of the relations that exist."""
    return [r for r in relations if database.psql(f"select to_regclass('{r}')") != "\n"]


def applied(database: Database) -> str:
    """The journal's files, with those that were only adopted in parentheses."""
    query = "select string_agg(case when is_baseline then '(' || file || ')' else file end, ' ' \
order by completed_at, file) from pgstrata.file"
    return database.psql(query).strip()


def test_later_versions_wait_for_the_barriers_contract_and_for_nothing_once_that_is_done(
    pgstrata: CommandLine, database: Database
) -> None:
    code, reason, message = apply(pgstrata, database, BARRIER).said()
    assert (code, reason) == (4, "ContractPending")
    assert message.startswith("version 2 and later wait behind the barrier of version 1")
    assert standing(database, "a", "b") == ["a"]

    assert apply(pgstrata, database, BARRIER, contractThrough="1").code == 0
    assert standing(database, "a", "b") == ["a", "b"]
    more = {**BARRIER, "3_c.sql": "CREATE TABLE c ();"}
    ended = apply(pgstrata, database, more, "3")
    assert ended.said()[:2] == (0, "Succeeded"), "the contract is done, whatever is asked for now"
    assert (ended.status()["currentVersion"], standing(database, "c")) == ("3", ["c"])

    code, reason, message = apply(pgstrata, database, more, "3", contractThrough="4").said()
    assert (code, reason) == (2, "InvalidSpec")
    assert "contractThrough 4 is above spec.version 3" in message


def test_a_baseline_adopts_what_is_there_and_judges_nothing_of_it(
    pgstrata: CommandLine, database: Database
) -> None:
    files = {
        **BARRIER,
        "1_a.migrate.sql": "-- pgstrata: batch key=nothing\nUPDATE a SET id = old;",
        "1_a.verify.sql": "SELECT old FROM a WHERE old IS NULL;",
    }
    empty = apply(pgstrata, database, files, baseline="1")
    assert empty.said()[:2] == (2, "InvalidSpec")
    assert "take spec.baseline away" in empty.said()[2]
    assert applied(database) == ""

    database.psql("create table a (id int)")
    ended = apply(pgstrata, database, files, baseline="1")
    assert ended.said()[:2] == (0, "Succeeded")
    adopted = "(1_a.sql) (1_a.migrate.sql) (1_a.contract.sql)"
    assert applied(database) == f"{adopted} 2_b.sql"
    assert ended.condition("Migrated")["status"] == "True"
    assert "adopted" in pgstrata.run("history", "--database-url", database.uri).stdout

    later = {"2_b.sql": files["2_b.sql"], "3_c.sql": "CREATE TABLE c ();"}
    ended = apply(pgstrata, database, later, "3", baseline="3")
    assert ended.said()[:2] == (0, "Succeeded")
    assert applied(database) == f"{adopted} 2_b.sql 3_c.sql", "later on it is ignored"
    assert standing(database, "c") == ["c"]


VERIFIED = {
    "1_a.sql": "CREATE TABLE a (id int, n int, old int); INSERT INTO a SELECT g, g - 2, g FROM "
    "generate_series(1, 5) AS g;",
    "1_a.contract.sql": "ALTER TABLE a DROP COLUMN old;",
    "1_a.verify.sql": "SELECT 1 WHERE false;\n\n"
    "SELECT id, n FROM a WHERE (n > 0) IS NOT TRUE ORDER BY id;",
}


def test_rows_of_a_verify_file_stop_all_behind_them_until_the_data_is_mended(
    pgstrata: CommandLine, database: Database
) -> None:
    files = {**VERIFIED, "1_a.migrate.sql": "UPDATE a SET n = n;", "2_b.migrate.sql": "SELECT 1;"}
    ended = apply(pgstrata, database, files, through="Contract")
    code, reason, message = ended.said()
    assert (code, reason) == (2, "VerificationFailed")
    assert message == (
        "1_a.verify.sql:3:1: 2 rows returned after Migrate of version 1, each a failure: "
        "id=1, n=-1; id=2, n=0"
    )
    assert applied(database) == "1_a.sql 1_a.migrate.sql"
    assert ended.status()["plan"]["steps"][0]["state"] == "Failed"

    database.psql("update a set n = 1 where n <= 0")
    assert apply(pgstrata, database, files).said()[:2] == (0, "Succeeded")

    database.psql("update a set n = null where id = 4")
    assert apply(pgstrata, database, files).code == 0, "what held is not asked again"
    blocked = apply(pgstrata, database, files, through="Contract").said()
    assert blocked[:2] == (2, "VerificationFailed")
    assert "1 row returned before Contract of version 1, a failure: id=4, n=NULL" in blocked[2]
    assert "1_a.contract.sql" not in applied(database)

    database.psql("update a set n = 7 where id = 4")
    assert apply(pgstrata, database, files, through="Contract").code == 0
    assert "1_a.contract.sql" in applied(database)


@pytest.mark.parametrize(
    ("verify", "says"),
    [
        ("SELECT 1 WHERE false; UPDATE a SET n = 1;", "1_a.verify.sql:1:23: a verify file has"),
        ("\nSELECT setval('counter', 9);", "1_a.verify.sql:2:1: the query writes, and a verify"),
    ],
)
def test_a_verify_file_may_only_read(
    pgstrata: CommandLine, database: Database, verify: str, says: str
) -> None:
    database.psql("create sequence counter")
    ended = apply(pgstrata, database, {**VERIFIED, "1_a.verify.sql": verify}, "1")
    code, reason, message = ended.said()
    assert (code, reason) == (2, "MigrationFailed")
    assert message.startswith(says)
    assert database.psql("select last_value, is_called from counter") == "1|f\n"


def test_of_a_verify_query_with_endless_rows_the_first_are_read_and_no_more(
    pgstrata: CommandLine, database: Database
) -> None:
    endless = "SELECT g.x FROM generate_series(1, 100000) AS g(x), generate_series(1, 100000);"
    ended = apply(pgstrata, database, {**VERIFIED, "1_a.verify.sql": endless}, "1")
    assert ended.said()[:2] == (2, "VerificationFailed")
    assert "1000 rows and more returned after Migrate of version 1" in ended.said()[2]


def test_suspend_holds_a_change_and_leaves_what_is_as_declared_ready(
    pgstrata: CommandLine, database: Database
) -> None:
    one = {"1_a.sql": "CREATE TABLE a ();"}
    two = {**one, "2_b.sql": "CREATE TABLE b ();"}
    assert apply(pgstrata, database, one, "1").code == 0
    assert apply(pgstrata, database, one, "1", suspend=True).said()[:2] == (0, "Succeeded")

    held = apply(pgstrata, database, two, suspend=True)
    assert held.said() == (
        4,
        "Suspended",
        "spec.suspend is true; held back: 1 step to version 2",
    )
    assert held.status()["plan"]["steps"][0]["state"] == "Pending"
    assert standing(database, "b") == []
    database_held = [managed_database(suspend=True), schema_version("2", two)]
    code, reason, message = pgstrata.apply(database_held, database.uri).said()
    assert (code, reason) == (4, "Suspended")
    assert "ManagedDatabase main is suspended" in message
    assert standing(database, "b") == []
    assert apply(pgstrata, database, two).code == 0


def test_in_a_suspended_database_nothing_is_made_not_even_the_control_schema(
    pgstrata: CommandLine, database: Database
) -> None:
    documents = [managed_database(suspend=True), schema_version("1", {"1_a.sql": "SELECT 1;"})]
    assert pgstrata.apply(documents, database.uri, timeout="4s").said()[1] == "Suspended"
    assert database.psql("select to_regnamespace('pgstrata')") == "\n"
