"""When a kept trigger comes and goes: with backfill, mending, contract and resource."""

import pytest

from tests.testbed.command_line import CommandLine
from tests.testbed.database import Database
from tests.testbed.declarations import declared, managed_database, schema_version

pytestmark = pytest.mark.pg18only

TABLE = """
CREATE TABLE t (id int PRIMARY KEY, a text, b text);
INSERT INTO t (id, a) SELECT i, 'a' || i FROM generate_series(1, 20) AS i;
"""
OURS = """
SELECT (SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'zzz_pgstrata_%'),
       (SELECT count(*) FROM pg_proc WHERE proname LIKE 'keep_%'),
       (SELECT count(*) FROM pgstrata.owned)
"""
BACKFILL = "-- pgstrata: batch keep=always size=5\nUPDATE t SET b = {} WHERE b IS NULL;\n"
UPPER = BACKFILL.format("upper(a)")


def migration(migrate: str = UPPER, **files: str) -> dict[str, str]:
    return {"1_b.migrate.sql": migrate} | {f"1_b.{p}.sql": text for p, text in files.items()}


def test_it_stands_in_the_status_until_the_contract_drops_it(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql(TABLE)
    files = migration(contract="ALTER TABLE t ALTER COLUMN b SET DEFAULT 'x';")
    ended = pgstrata.apply(declared("1", files), database.uri)
    assert ended.said()[:2] == (0, "Succeeded")
    [temporary] = ended.status()["temporary"]
    assert temporary["table"] == "public.t"
    assert temporary["until"] == "Contract"
    assert "b" in temporary["purpose"]
    assert database.psql(OURS) == "1|1|1\n"
    ended = pgstrata.apply(
        declared("1", files, through="Contract"), database.uri, "--approve", "all"
    )
    assert ended.said()[:2] == (0, "Succeeded")
    assert not ended.status().get("temporary")
    assert database.psql(OURS) == "0|0|0\n"


@pytest.mark.parametrize(
    "contract",
    [
        "ALTER TABLE t DROP COLUMN a;",
        "ALTER TABLE t ALTER COLUMN b SET NOT NULL; ALTER TABLE t DROP COLUMN a;",
        "ALTER TABLE t ALTER COLUMN a TYPE varchar(20);",
        "ALTER TABLE t RENAME COLUMN a TO old;",
        "DROP TABLE t;",
    ],
)
def test_a_contract_may_end_what_the_backfill_read(
    pgstrata: CommandLine, database: Database, contract: str
) -> None:
    database.psql(TABLE)
    files = migration(contract=contract)
    documents = declared("1", files, through="Contract")
    ended = pgstrata.apply(documents, database.uri, "--approve", "all")
    assert ended.said()[:2] == (0, "Succeeded"), ended.said()
    assert ended.condition("Contracted")["status"] == "True"
    assert database.psql(OURS) == "0|0|0\n"
    assert database.psql("SELECT count(*) FROM pgstrata.approval WHERE consumed_at IS NULL") == (
        "0\n"
    )


def test_schemas_of_the_same_files_have_triggers_of_their_own(
    pgstrata: CommandLine, database: Database
) -> None:
    for schema in ("one", "two"):
        database.psql(f"CREATE SCHEMA {schema}; SET search_path = {schema}; {TABLE}")

    def documents(**through: str) -> list[dict[str, object]]:
        versions = [
            schema_version("1", migration(), name=name, schema=name, through=through[name])
            for name in ("one", "two")
        ]
        return [managed_database(), *versions]

    ended = pgstrata.apply(documents(one="Migrate", two="Migrate"), database.uri)
    assert ended.code == 0, ended.stderr
    assert database.psql(OURS) == "2|2|2\n"
    ended = pgstrata.apply(
        documents(one="Contract", two="Migrate"), database.uri, "--approve", "all"
    )
    assert ended.code == 0, ended.stderr
    assert database.psql(OURS) == "1|1|1\n"
    assert database.psql("INSERT INTO two.t (id, a) VALUES (0, 'x') RETURNING b") == "X\n"
    assert database.psql("INSERT INTO one.t (id, a) VALUES (0, 'x') RETURNING b IS NULL") == "t\n"


MENDED = {
    "to another text": (migration(BACKFILL.format("lower(a)")), "1|1|1\n", "w"),
    "to one without": (
        migration(BACKFILL.format("a").replace("keep=always", "keep=never")),
        "0|0|0\n",
        "",
    ),
    "to nothing": (migration("SELECT 1;"), "0|0|0\n", ""),
}


@pytest.mark.parametrize("mended", MENDED)
def test_it_follows_a_statement_that_is_mended(
    pgstrata: CommandLine, database: Database, mended: str
) -> None:
    database.psql(TABLE)
    failing = migration(BACKFILL.format("CASE WHEN id = 12 THEN (1 / (id - 12))::text ELSE a END"))
    ended = pgstrata.apply(declared("1", failing), database.uri)
    assert ended.said()[:2] == (2, "MigrationFailed")
    assert database.psql(OURS) == "1|1|1\n"
    files, left, derived = MENDED[mended]
    assert pgstrata.apply(declared("1", files), database.uri).said()[:2] == (0, "Succeeded")
    assert database.psql(OURS) == left
    assert database.psql("INSERT INTO t (id, a) VALUES (0, 'W') RETURNING b") == f"{derived}\n"


def test_it_goes_with_its_resource(pgstrata: CommandLine, database: Database) -> None:
    database.psql(TABLE)
    assert pgstrata.apply(declared("1", migration()), database.uri).code == 0
    assert database.psql(OURS) == "1|1|1\n"
    database.psql("DELETE FROM pgstrata.claim")  # as a deletion does that finds the table locked
    assert pgstrata.apply([managed_database()], database.uri).code == 0
    assert database.psql(OURS) == "0|0|0\n"


CHAINED = (
    "-- pgstrata: batch\nUPDATE t SET b = upper(a) WHERE b IS NULL;\n",
    "-- pgstrata: batch\nUPDATE t SET c = b || '!' WHERE c IS NULL;\n",
)


@pytest.mark.parametrize("order", [1, -1])
def test_two_triggers_never_wait_for_each_other(
    pgstrata: CommandLine, database: Database, order: int
) -> None:
    """What one sets is read by the other: an UPDATE OF that is no UPDATE OF for the second."""
    database.psql(TABLE + "ALTER TABLE t ADD c text; UPDATE t SET b = '' WHERE id > 0;")
    files = {"1_b.migrate.sql": "".join(CHAINED[::order])}
    ended = pgstrata.apply(declared("1", files), database.uri)
    assert ended.said()[:2] == (0, "Succeeded"), ended.said()
    assert database.psql(OURS) == "1|1|1\n"
    # a second look at the same files finds the trigger of each step, and leaves it
    assert pgstrata.apply(declared("1", files), database.uri).code == 0
    assert database.psql(OURS) == "1|1|1\n"


def test_two_triggers_that_have_nothing_to_do_with_each_other(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql(TABLE + "ALTER TABLE t ADD c text;")
    other = "-- pgstrata: batch\nUPDATE t SET c = lower(a) WHERE c IS NULL;\n"
    files = {"1_b.migrate.sql": CHAINED[0] + other}
    assert pgstrata.apply(declared("1", files), database.uri).said()[:2] == (0, "Succeeded")
    assert database.psql(OURS) == "2|2|2\n"
    assert database.psql("INSERT INTO t (id, a) VALUES (0, 'aA') RETURNING b, c") == "AA|aa\n"
    assert database.psql("UPDATE t SET a = 'bB' WHERE id = 0 RETURNING b, c") == "BB|bb\n"
