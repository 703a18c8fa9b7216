"""Statements that change a column which a kept trigger depends on, of any version."""

import re
from typing import Any

import pytest

from tests.testbed.command_line import CommandLine
from tests.testbed.database import Database
from tests.testbed.declarations import Manifest, declared, managed_database, schema_version

pytestmark = pytest.mark.pg18only

TABLE = """
CREATE TABLE t (id int PRIMARY KEY, v int, w int, d text);
INSERT INTO t (id, v, w) SELECT i, i, i FROM generate_series(1, 20) AS i;
"""
TRIGGERS = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'zzz_pgstrata_%'"
OTHER = """
ALTER TABLE t ADD CONSTRAINT is_there CHECK (d IS NOT NULL);
"""
TYPE = """
SELECT data_type FROM information_schema.columns
WHERE table_name IN ('t', 't2') AND column_name = 'v'
"""
BACKFILL = "-- pgstrata: batch keep=always\nUPDATE t SET d = v::text WHERE d IS NULL;\n"
HASH = re.compile(r"\b[0-9a-f]{16}\b")
CHANGES = [
    "ALTER TABLE t ALTER COLUMN v TYPE bigint;",
    "ALTER TABLE t DROP COLUMN v;",
    "ALTER TABLE t RENAME COLUMN v TO v2;",
]
HIDDEN = "DO $$ BEGIN EXECUTE 'ALTER TABLE ' || 't DROP COLUMN v'; END $$;"


def test_what_a_kept_trigger_stops_at_run_time_names_the_version_to_contract(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql(TABLE)
    files = {"001_a.migrate.sql": BACKFILL}
    assert pgstrata.apply(declared("001", files), database.uri).said()[:2] == (0, "Succeeded")
    files["002_b.expand.sql"] = HIDDEN
    later = asked("002", files, approval="Automatic")
    code, reason, message = pgstrata.apply(later, database.uri).said()
    assert (code, reason) == (2, "MigrationFailed")
    assert message.startswith("002_b.expand.sql:1:1: cannot drop column v of table t")
    assert "a trigger of pgstrata keeps d right in public.t until version 001" in message
    assert "(spec.version 001, spec.through Contract)" in message
    assert "CASCADE" not in message
    ended = pgstrata.apply(
        declared("001", {"001_a.migrate.sql": BACKFILL}, through="Contract"),
        database.uri,
        "--approve",
        "all",
    )
    assert ended.said()[:2] == (0, "Succeeded")
    assert pgstrata.apply(later, database.uri).said()[:2] == (0, "Succeeded")
    assert database.psql(TYPE) == ""


def asked(version: str, files: dict[str, str], **spec: Any) -> list[Manifest]:
    return [managed_database(), schema_version(version, files, **spec)]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("more", [{}, {"002_b.contract.sql": OTHER}])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_contract_ends_the_trigger_of_a_higher_version_that_is_contracted_with_it(
    pgstrata: CommandLine, database: Database, change: str, more: dict[str, str], is_first: bool
) -> None:
    database.psql(TABLE)
    files = {
        "001_a.contract.sql": f"SELECT 1; {change}",
        "002_b.migrate.sql": BACKFILL,
        "002_b.verify.sql": "SELECT 1 FROM t WHERE d IS NULL;",
        **more,
    }
    if is_first:
        assert pgstrata.apply(declared("002", files), database.uri).said()[:2] == (0, "Succeeded")
        assert database.psql(TRIGGERS) == "1\n"
    documents = declared("002", files, through="Contract")
    ended = pgstrata.apply(documents, database.uri, "--approve", "all")
    assert ended.said()[:2] == (0, "Succeeded"), ended.said()
    assert ended.condition("Contracted")["status"] == "True"
    assert database.psql(TYPE) == ("bigint\n" if "TYPE" in change else "")
    assert database.psql(TRIGGERS) == "0\n"
    assert database.psql("SELECT count(*) FROM pgstrata.approval WHERE consumed_at IS NULL") == (
        "0\n"
    )


def test_a_trigger_of_another_version_stays_where_the_statement_that_ends_it_fails(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql(f"{TABLE}CREATE TABLE u (id int); CREATE VIEW of_v AS SELECT v FROM t;")
    files = {
        "001_a.contract.sql": f"BEGIN;\nDROP TABLE u;\nCOMMIT;\n{CHANGES[1]}",
        "002_b.migrate.sql": BACKFILL,
    }
    documents = declared("002", files, through="Contract")
    ended = pgstrata.apply(documents, database.uri, "--approve", "all")
    assert ended.said()[:2] == (2, "MigrationFailed"), ended.said()
    database.psql("INSERT INTO t (id, v) VALUES (100, 7)")  # as older code does
    files["001_a.contract.sql"] = files["001_a.contract.sql"].replace(
        CHANGES[1], f"DROP VIEW of_v;\n{CHANGES[1]}"
    )
    documents = declared("002", files, through="Contract")
    ended = pgstrata.apply(documents, database.uri, "--approve", "all")
    assert ended.said()[:2] == (0, "Succeeded"), ended.said()
    assert database.psql("SELECT d FROM t WHERE id = 100") == "7\n"
    assert database.psql(TRIGGERS) == "0\n"


def test_a_trigger_of_another_version_ends_only_where_its_contract_is_agreed_to(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql(TABLE)
    files = {"001_a.contract.sql": CHANGES[1], "002_b.migrate.sql": BACKFILL}
    documents = declared("002", files, through="Contract")
    asked_for: list[str] = []
    for turn in ("version 002", "version 001"):
        code, reason, message = pgstrata.apply(
            documents, database.uri, *(f"--approve={hash_}" for hash_ in asked_for)
        ).said()
        assert (code, reason) == (4, "ApprovalPending"), (turn, message)
        assert database.psql(f"{TRIGGERS}; {TYPE}") == "1\ninteger\n"
        [hash_] = HASH.findall(message)
        asked_for.append(hash_)
    assert len(set(asked_for)) == len(asked_for)
    approved = [f"--approve={hash_}" for hash_ in asked_for]
    assert pgstrata.apply(documents, database.uri, *approved).said()[:2] == (0, "Succeeded")
    assert database.psql(f"{TRIGGERS}; {TYPE}") == "0\n"
    assert database.psql("SELECT count(*) FROM pgstrata.approval WHERE consumed_at IS NULL") == (
        "0\n"
    )


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_trigger_whose_contract_was_not_asked_for_stands_and_nothing_runs(
    pgstrata: CommandLine, database: Database, change: str, is_first: bool
) -> None:
    database.psql(TABLE)
    files = {"001_a.contract.sql": f"SELECT 1;\n{change}", "002_b.migrate.sql": BACKFILL}
    if is_first:
        assert pgstrata.apply(declared("002", files), database.uri).said()[:2] == (0, "Succeeded")
    documents = asked("002", files, contractThrough="001", approval="Automatic")
    code, reason, message = pgstrata.apply(documents, database.uri).said()
    assert (code, reason) == (2, "MigrationFailed")
    assert message.startswith("001_a.contract.sql:2:1: ")
    assert 'set spec.contractThrough to "002", or spec.through to Contract' in message
    assert "nothing was run" in message
    assert database.psql(TYPE) == "integer\n"
    assert database.psql(TRIGGERS) == f"{int(is_first)}\n"


def test_what_no_trigger_depends_on_may_go_while_one_stands(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql(TABLE)
    files = {
        "001_a.contract.sql": "ALTER TABLE t DROP COLUMN w;",
        "002_b.migrate.sql": BACKFILL,
    }
    documents = asked("002", files, contractThrough="001", approval="Automatic")
    assert pgstrata.apply(documents, database.uri).said()[:2] == (0, "Succeeded")
    assert database.psql(TRIGGERS) == "1\n"


@pytest.mark.parametrize("change", [*CHANGES, *(c.replace(" v", " d") for c in CHANGES)])
def test_a_later_version_names_what_to_contract_before_anything_runs(
    pgstrata: CommandLine, database: Database, change: str
) -> None:
    database.psql(TABLE)
    files = {"001_a.migrate.sql": BACKFILL}
    assert pgstrata.apply(declared("001", files), database.uri).said()[:2] == (0, "Succeeded")
    files["002_b.expand.sql"] = f"CREATE TABLE made (id int);\n{change}"
    for through in ("Migrate", "Contract"):
        documents = declared("002", files, through=through)
        ended = pgstrata.apply(documents, database.uri, "--approve", "all")
        code, reason, message = ended.said()
        assert (code, reason) == (2, "MigrationFailed")
        assert message.startswith("002_b.expand.sql:2:1: ")
        assert "first apply version 001 through Contract (spec.version 001, " in message
        assert "nothing was run" in message
    assert database.psql("SELECT to_regclass('made') IS NULL") == "t\n"


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("keep", ["auto", "always", "never"])
@pytest.mark.parametrize("is_made", [True, False], ids=["there", "made by the same version"])
def test_a_file_that_changes_what_its_own_backfill_reads_is_refused_before_it(
    pgstrata: CommandLine, database: Database, change: str, keep: str, is_made: bool
) -> None:
    files = {
        "001_a.expand.sql": "SELECT 1;" if is_made else TABLE,
        "001_b.migrate.sql": BACKFILL.replace("always", keep) + change,
    }
    if is_made:
        database.psql(TABLE)
    ended = pgstrata.apply(declared("001", files), database.uri, "--approve", "all")
    code, reason, message = ended.said()
    if keep == "never":
        assert (code, reason) == (0, "Succeeded"), message
        return
    assert (code, reason) == (2, "MigrationFailed")
    assert message.startswith("001_b.migrate.sql:3:1: ")
    assert "put the statement into the contract file of version 001" in message
    assert "nothing was run" in message
    assert database.psql("SELECT count(*) FROM pgstrata.step") == "0\n"


@pytest.mark.parametrize(
    "contract",
    [
        "ALTER TABLE t RENAME TO t2; ALTER TABLE t2 DROP COLUMN v;",
        "CREATE SCHEMA other; ALTER TABLE t SET SCHEMA other; ALTER TABLE other.t DROP COLUMN v;",
        "DO $$ BEGIN alter table T drop column v; END $$;",
        'DO $$ BEGIN alter table public."t" alter column v type bigint; END $$;',
    ],
)
@pytest.mark.parametrize("version", ["001", "002"])
def test_a_contract_ends_a_trigger_before_its_table_is_renamed_or_out_of_sight(
    pgstrata: CommandLine, database: Database, contract: str, version: str
) -> None:
    database.psql(TABLE)
    files = {f"{version}_a.migrate.sql": BACKFILL, "001_a.contract.sql": contract}
    documents = declared(version, files, through="Contract")
    ended = pgstrata.apply(documents, database.uri, "--approve", "all")
    assert ended.said()[:2] == (0, "Succeeded"), ended.said()
    assert database.psql(TRIGGERS) == "0\n"


def test_a_contract_that_hides_what_it_changes_names_what_stopped_it(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql(TABLE)
    hidden = "DO $$ BEGIN EXECUTE format('ALTER TABLE %I DROP COLUMN v', chr(116)); END $$;"
    files = {"001_a.migrate.sql": BACKFILL, "001_a.contract.sql": hidden}
    documents = declared("001", files, through="Contract")
    ended = pgstrata.apply(documents, database.uri, "--approve", "all")
    code, reason, message = ended.said()
    assert (code, reason) == (2, "MigrationFailed")
    assert "until version 001 is contracted: the trigger goes before a statement of a" in message
    assert "CASCADE" not in message
