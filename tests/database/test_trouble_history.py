"""A source that does not fit what was applied is refused; what fits goes on."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest
import yaml

from tests.testbed.command_line import CommandLine, Ended
from tests.testbed.database import Database
from tests.testbed.declarations import config_map, declared, managed_database, schema_version

JOURNAL = """
select (select string_agg(f::text, ' ' order by version, file) from (
    select version, file, phase, checksum, completed_at, xmin from pgstrata.file) as f),
(select string_agg(v::text, ' ' order by version, phase) from (
    select version, phase, completed_at, xmin from pgstrata.version) as v),
(select string_agg(s::text, ' ' order by id) from (
    select id, state, started_at, finished_at, xmin from pgstrata.step) as s)
"""
APPLIED = {
    "001_a.sql": "CREATE TABLE a (id int);",
    "003_c.sql": "CREATE TABLE c (id int);",
    "003_c.migrate.sql": "INSERT INTO c VALUES (1);",
}


def apply(
    pgstrata: CommandLine,
    database: Database,
    version: str,
    files: Mapping[str, str],
    through: str = "Migrate",
) -> Ended:
    return pgstrata.apply(declared(version, files, through=through), database.uri)


@dataclass(frozen=True, slots=True)
class Change:
    """What became of the source, and what is said of it."""

    files: dict[str, str | None]
    """Files by name, put over APPLIED; None: gone."""
    reason: str
    says: str
    version: str = "003"


CHANGES = {
    "edited": Change(
        {"001_a.sql": "CREATE TABLE a (id bigint);"},
        "ChecksumMismatch",
        "file 001_a.sql was changed after it was applied",
    ),
    "comment-edited": Change(
        {"003_c.migrate.sql": "-- why\nINSERT INTO c VALUES (1);"},
        "ChecksumMismatch",
        "file 003_c.migrate.sql was changed after it was applied",
    ),
    "vanished": Change(
        {"003_c.migrate.sql": None},
        "ChecksumMismatch",
        "file 003_c.migrate.sql was applied and has vanished",
    ),
    "renamed": Change(
        {"001_a.sql": None, "001_z.sql": APPLIED["001_a.sql"]},
        "ChecksumMismatch",
        "file 001_a.sql was applied and has vanished",
    ),
    "lower-target": Change(
        {}, "DowngradeRefused", "the schema has version 3, above the target 001", "001"
    ),
    "version-put-below": Change(
        {"002_b.sql": "CREATE TABLE b (id int);"},
        "OutOfOrder",
        "version 002 was never applied, but 3 above it was",
    ),
    "version-put-below-with-a-new-one": Change(
        {"002_b.sql": "CREATE TABLE b (id int);", "004_d.sql": "CREATE TABLE d (id int);"},
        "OutOfOrder",
        "version 002 was never applied",
        "004",
    ),
    "file-put-to-a-complete-version": Change(
        {"003_more.sql": "CREATE TABLE more (id int);"},
        "OutOfOrder",
        "file 003_more.sql was added to version 003, whose Expand is complete",
    ),
    "migrate-file-put-to-a-complete-version": Change(
        {"001_a.migrate.sql": "CREATE TABLE more (id int);"},
        "OutOfOrder",
        "file 001_a.migrate.sql was added to version 001, whose Migrate is complete",
    ),
    "target-not-in-the-source": Change(
        {}, "SourceNotReady", "the source has no version 007; it has 001, 003", "007"
    ),
}


@pytest.mark.pg18only
@pytest.mark.parametrize("change", [pytest.param(c, id=name) for name, c in CHANGES.items()])
def test_a_source_that_does_not_fit_is_refused_and_nothing_runs(
    pgstrata: CommandLine, database: Database, change: Change
) -> None:
    assert apply(pgstrata, database, "003", APPLIED).said()[:2] == (0, "Succeeded")
    journal, catalog = database.psql(JOURNAL), database.dump_schema()

    files = {name: text for name, text in (APPLIED | change.files).items() if text is not None}
    ended = apply(pgstrata, database, change.version, files)
    code, reason, message = ended.said()
    assert (code, reason) == (2, change.reason)
    assert change.says in message
    assert (database.psql(JOURNAL), database.dump_schema()) == (journal, catalog)

    assert apply(pgstrata, database, "003", APPLIED).said()[:2] == (0, "Succeeded")
    assert (database.psql(JOURNAL), database.dump_schema()) == (journal, catalog)


@pytest.mark.pg18only
def test_another_spelling_of_the_same_text_is_no_change(
    pgstrata: CommandLine, database: Database
) -> None:
    """Line ends and a byte order mark come and go with editors and Git's settings."""
    text = "CREATE TABLE a (id int);\nCREATE TABLE b (id int);\n"
    assert apply(pgstrata, database, "1", {"1_a.sql": text}).code == 0
    journal = database.psql(JOURNAL)
    for other in (text.replace("\n", "\r\n"), f"\ufeff{text}"):
        assert apply(pgstrata, database, "001", {"1_a.sql": other}).said()[:2] == (0, "Succeeded")
    assert database.psql(JOURNAL) == journal


@pytest.mark.pg18only
def test_a_file_above_the_target_may_change_and_vanish(
    pgstrata: CommandLine, database: Database
) -> None:
    files = {"1_a.sql": "CREATE TABLE a (id int);"}
    for later in ({"2_b.sql": "SELECT 1;"}, {"2_b.sql": "SELECT 2;"}, {"2_other.sql": ""}, {}):
        assert apply(pgstrata, database, "1", files | later).said()[:2] == (0, "Succeeded")


PHASED = {
    "1_a.sql": "CREATE TABLE log (what text);",
    "1_a.migrate.sql": "INSERT INTO log VALUES ('1 migrate');",
    "1_a.contract.sql": "DROP TABLE log;",
    "2_b.sql": "INSERT INTO log VALUES ('2 expand');",
    "2_b.migrate.sql": "INSERT INTO log VALUES ('2 migrate');",
    "2_b.contract.sql": "TRUNCATE log;",
}
LOG = "select string_agg(what, ', ' order by ctid) from log"


def test_phases_run_in_their_order_and_contract_never(
    pgstrata: CommandLine, database: Database
) -> None:
    ended = apply(pgstrata, database, "2", PHASED, through="Expand")
    assert ended.said()[:2] == (0, "Succeeded")
    assert ended.condition("Expanded")["status"] == "True"
    assert ended.condition("Migrated")["status"] == "False"
    assert ended.status()["phase"] == "Expand"
    assert database.psql(LOG) == "2 expand\n"

    ended = apply(pgstrata, database, "2", PHASED, through="Migrate")
    assert ended.said()[:2] == (0, "Succeeded")
    assert ended.condition("Migrated")["status"] == "True"
    assert ended.status()["phase"] == "Migrate"
    assert database.psql(LOG) == "2 expand, 1 migrate, 2 migrate\n"
    gated = [step["gate"] for step in ended.status()["plan"]["steps"]]
    assert gated == ["Contract", "Contract"]

    journal = database.psql(JOURNAL)
    ended = apply(pgstrata, database, "2", PHASED, through="Expand")  # lower than was reached
    assert ended.said()[:2] == (0, "Succeeded")
    assert database.psql(JOURNAL) == journal
    assert database.psql(LOG) == "2 expand, 1 migrate, 2 migrate\n"


@pytest.mark.pg18only
def test_contract_files_are_shown_in_the_plan(pgstrata: CommandLine, database: Database) -> None:
    options = ("-f", "-", "-o", "json", "--database-url", database.uri)
    documents = yaml.safe_dump_all(declared("2", PHASED))
    [plan] = pgstrata.run("plan", *options, given=documents).document["plans"]
    shown = [(step["gate"], *step["statements"]) for step in plan["steps"] if step["gate"]]
    assert shown == [("Contract", "DROP TABLE log"), ("Contract", "TRUNCATE log")]
    assert plan["summary"] == "4 steps to version 2; 2 contract steps are shown and not run"


@pytest.mark.pg18only
def test_a_contract_file_may_still_change_and_come_later(
    pgstrata: CommandLine, database: Database
) -> None:
    assert apply(pgstrata, database, "2", PHASED).code == 0
    changed = PHASED | {"2_b.contract.sql": "DROP TABLE log;", "2_c.contract.sql": "SELECT 1;"}
    assert apply(pgstrata, database, "2", changed).said()[:2] == (0, "Succeeded")


@pytest.mark.pg18only
def test_an_expand_of_a_later_version_waits_for_no_migrate_of_an_earlier_one(
    pgstrata: CommandLine, database: Database
) -> None:
    """A version that is added while the one before has yet to migrate: Expand first, of both."""
    files = {name: text for name, text in PHASED.items() if name.startswith("1_")}
    assert apply(pgstrata, database, "1", files, through="Expand").code == 0
    assert apply(pgstrata, database, "2", PHASED).said()[:2] == (0, "Succeeded")
    assert database.psql(LOG) == "2 expand, 1 migrate, 2 migrate\n"


def test_three_hundred_files(pgstrata: CommandLine, database: Database) -> None:
    files = {f"{n:03}_t.sql": f"CREATE TABLE t{n} (id int);" for n in range(1, 301)}
    documents = [
        managed_database(),
        schema_version("300", config_maps=("many",)),
        config_map("many", files),
    ]
    ended = pgstrata.apply(documents, database.uri, timeout="60s")
    assert ended.said()[:2] == (0, "Succeeded")
    assert ended.status()["appliedCount"] == 300
    assert len(ended.status()["versions"]) == 20
    assert database.psql("select count(*) from pg_class where relname ~ '^t[0-9]+$'") == "300\n"
