"""Statements that change a column which a kept trigger depends on, of its own version or another."""

import pytest

from tests.testbed.command_line import CommandLine
from tests.testbed.database import Database
from tests.testbed.declarations import declared, managed_database, schema_version

pytestmark = pytest.mark.pg18only

TABLE = """
CREATE TABLE t (id int PRIMARY KEY, v int, w int, d text);
INSERT INTO t (id, v, w) SELECT i, i, i FROM generate_series(1, 20) AS i;
"""
TRIGGERS = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'zzz_pgstrata_%'"
TYPE = """
SELECT data_type FROM information_schema.columns
WHERE table_name IN ('t', 't2') AND column_name = 'v'
"""
BACKFILL = "-- pgstrata: batch keep=always\nUPDATE t SET d = v::text WHERE d IS NULL;\n"
CHANGES = ["ALTER TABLE t ALTER COLUMN v TYPE bigint;", "ALTER TABLE t DROP COLUMN v;"]
HIDDEN = "DO $$ BEGIN EXECUTE 'ALTER TABLE ' || 't DROP COLUMN v'; END $$;"


def test_what_a_kept_trigger_stops_at_run_time_names_the_version_to_contract(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql(TABLE)
    files = {"001_a.migrate.sql": BACKFILL}
    assert pgstrata.apply(declared("001", files), database.uri).said()[:2] == (0, "Succeeded")
    files["002_b.expand.sql"] = HIDDEN
    code, reason, message = pgstrata.apply(declared("002", files), database.uri).said()
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
    assert pgstrata.apply(declared("002", files), database.uri).said()[:2] == (0, "Succeeded")
    assert database.psql(TYPE) == ""
