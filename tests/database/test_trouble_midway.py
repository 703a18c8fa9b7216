"""A statement that fails in the middle: what stands, what was undone, and how it goes on."""

from dataclasses import dataclass

import pytest

from tests.testbed.command_line import CommandLine
from tests.testbed.database import Database
from tests.testbed.declarations import declared

FIRST = {"1_log.sql": "CREATE TABLE log (what text);\nINSERT INTO log VALUES ('one');"}
SECOND = """\
CREATE TABLE b (id int);
INSERT INTO log VALUES ('two');
CREATE INDEX CONCURRENTLY b_id ON b (id);
-- a comment with ümlauts
CREATE TABLE c (id int);
INSERT INTO log
  VALUES ({});
CREATE TABLE d (id int);
"""
BROKEN = SECOND.format("'dr' || ei")
MENDED = SECOND.format("'three'")
STEPS = "select id, xmin, started_at from pgstrata.step order by 1"
LOG = "select string_agg(what, ' ' order by what) from log"


def fail(pgstrata: CommandLine, database: Database) -> str:
    """Apply the broken version; return the message."""
    ended = pgstrata.apply(declared("2", {**FIRST, "2_more.sql": BROKEN}), database.uri)
    code, reason, message = ended.said()
    assert (code, reason) == (2, "MigrationFailed")
    status = ended.status()
    assert status["currentVersion"] == "1"
    assert status["targetVersion"] == "2"
    [newest, before] = status["versions"]
    assert (newest["version"], newest["phases"][0]["state"]) == ("2", "Failed")
    assert (before["version"], before["phases"][0]["state"]) == ("1", "Done")
    assert ended.condition("Expanded")["status"] == "False"
    assert [step["state"] for step in status["plan"]["steps"]] == ["Failed"]
    return message


def test_a_failed_group_is_undone_and_earlier_ones_stand(
    pgstrata: CommandLine, database: Database
) -> None:
    message = fail(pgstrata, database)
    assert message == (
        '2_more.sql:7:19: column "ei" does not exist (SQLSTATE 42703); '
        "the first 3 of the file's 6 statements stand, the rest was undone"
    )
    exists = (
        "select to_regclass('b') is null, to_regclass('b_id') is null, to_regclass('c') is null"
    )
    assert database.psql(exists) == "f|f|t\n"
    assert database.psql(LOG) == "one two\n"


def test_a_mended_file_goes_on_from_there_and_nothing_runs_twice(
    pgstrata: CommandLine, database: Database
) -> None:
    fail(pgstrata, database)
    steps = database.psql(STEPS)
    ended = pgstrata.apply(declared("2", {**FIRST, "2_more.sql": MENDED}), database.uri)
    assert ended.said()[:2] == (0, "Succeeded")
    assert database.psql(LOG) == "one three two\n"
    assert database.psql("select count(*) from d") == "0\n"
    kept = set(steps.splitlines()) & set(database.psql(STEPS).splitlines())
    assert kept == set(steps.splitlines())


@pytest.mark.pg18only
def test_failing_again_changes_nothing(pgstrata: CommandLine, database: Database) -> None:
    first = fail(pgstrata, database)
    steps = database.psql(STEPS)
    assert fail(pgstrata, database) == first
    assert database.psql(STEPS) == steps


EDITS = {
    "first-statement": ("CREATE TABLE b (id int)", "CREATE TABLE b (id bigint)", "2_more.sql:1:1"),
    "statement-of-a-group": ("'two'", "'zwei'", "2_more.sql:2:1"),
    "index": ("ON b (id)", "ON b (id DESC)", "2_more.sql:3:1"),
    "statement-put-before": (
        "CREATE TABLE b",
        "CREATE TABLE a0 (id int);\nCREATE TABLE b",
        "2_more.sql:1:1",
    ),
}


@pytest.mark.pg18only
@pytest.mark.parametrize("edit", [pytest.param(edit, id=name) for name, edit in EDITS.items()])
def test_what_was_applied_of_a_file_may_not_be_edited(
    pgstrata: CommandLine, database: Database, edit: tuple[str, str, str]
) -> None:
    fail(pgstrata, database)
    old, new, place = edit
    text = MENDED.replace(old, new, 1)
    assert text != MENDED
    before = database.psql(STEPS)
    ended = pgstrata.apply(declared("2", {**FIRST, "2_more.sql": text}), database.uri)
    code, reason, message = ended.said()
    assert (code, reason) == (2, "ChecksumMismatch")
    assert message.startswith(f"{place}: statement ")
    assert database.psql(STEPS) == before
    assert database.psql("select to_regclass('c')") == "\n"


@pytest.mark.pg18only
def test_line_ends_comments_and_blank_lines_of_the_applied_part_are_free(
    pgstrata: CommandLine, database: Database
) -> None:
    fail(pgstrata, database)
    text = "-- now with a head\n\n" + MENDED.replace("\n", "\r\n")
    ended = pgstrata.apply(declared("2", {**FIRST, "2_more.sql": text}), database.uri)
    assert ended.said()[:2] == (0, "Succeeded")
    assert database.psql(LOG) == "one three two\n"


@pytest.mark.pg18only
def test_a_file_under_way_may_not_vanish(pgstrata: CommandLine, database: Database) -> None:
    fail(pgstrata, database)
    files = {**FIRST, "2_other.sql": "SELECT 1;"}
    code, reason, message = pgstrata.apply(declared("2", files), database.uri).said()
    assert (code, reason) == (2, "ChecksumMismatch")
    assert message.startswith("file 2_more.sql was applied in part and has vanished")


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that fails when it runs, and how that is told."""

    sql: str
    says: str


FAILURES = {
    "raise-in-do": Failure(
        "CREATE TABLE x (id int);\n\nDO $$ BEGIN\n  RAISE EXCEPTION 'nein: %', 42\n"
        "    USING DETAIL = 'so ist es', HINT = 'anders'; END $$;",
        "1_a.sql:3:1: nein: 42 (SQLSTATE P0001); detail: so ist es; hint: anders; "
        "nothing of the file's 2 statements stands",
    ),
    "deferred-constraint": Failure(
        "CREATE TABLE x (id int PRIMARY KEY);\n"
        "CREATE TABLE y (x int REFERENCES x DEFERRABLE INITIALLY DEFERRED);\n"
        "INSERT INTO y VALUES (1);\nSELECT 1;",
        'violates foreign key constraint "y_x_fkey" (SQLSTATE 23503); '
        'detail: Key (x)=(1) is not present in table "x".',
    ),
    "umlauts-before": Failure(
        "CREATE TABLE \"Tür\" (ä int); SELECT 'ß😀', nirgends;",
        '1_a.sql:1:42: column "nirgends" does not exist (SQLSTATE 42703)',
    ),
    "percent": Failure(
        "SELECT '%s %(x)s', 100 % 7, nirgends;",
        '1_a.sql:1:29: column "nirgends" does not exist',
    ),
    "unknown-schema": Failure(
        "CREATE TABLE nowhere.x (id int);",
        '1_a.sql:1:14: schema "nowhere" does not exist (SQLSTATE 3F000)',
    ),
    "not-null": Failure(
        "CREATE TABLE x (id int);\nINSERT INTO x VALUES (NULL);\n"
        "ALTER TABLE x ALTER id SET NOT NULL;",
        '1_a.sql:3:1: column "id" of relation "x" contains null values (SQLSTATE 23502)',
    ),
    "copy-data": Failure(
        "CREATE TABLE x (id int);\nCOPY x FROM STDIN;\n1\nzwei\n\\.\n",
        '1_a.sql:2:1: invalid input syntax for type integer: "zwei" (SQLSTATE 22P02)',
    ),
}


@pytest.mark.parametrize("failure", [pytest.param(f, id=name) for name, f in FAILURES.items()])
def test_a_statement_that_fails_is_told_with_its_place_and_leaves_nothing(
    pgstrata: CommandLine, database: Database, failure: Failure
) -> None:
    ended = pgstrata.apply(declared("1", {"1_a.sql": failure.sql}), database.uri)
    code, reason, message = ended.said()
    assert (code, reason) == (2, "MigrationFailed")
    assert failure.says in message
    assert message.startswith("1_a.sql:")
    assert "nothing of the file's" in message
    query = "select count(*) from pg_class where relnamespace = 'public'::regnamespace"
    assert database.psql(query) == "0\n"
    assert database.psql("select count(*) from pgstrata.step") == "0\n"


def test_a_statement_that_runs_into_its_timeout_again_and_again_is_told_with_advice(
    pgstrata: CommandLine, database: Database
) -> None:
    files = {"1_a.sql": "CREATE TABLE a (id int);\nSELECT pg_sleep(30);"}
    timeouts = {"statement": "200ms", "lock": "100ms"}
    ended = pgstrata.apply(declared("1", files, timeouts=timeouts), database.uri)
    code, reason, message = ended.said()
    assert (code, reason) == (2, "MigrationFailed")
    assert message.startswith(
        "1_a.sql:2:1: the statement was cancelled three times, at the latest after "
        "timeouts.statement (0.2 s, SQLSTATE 57014); split its work, or raise"
    )
    assert database.psql("select to_regclass('a')") == "\n"


ENDED = {
    "a timeout": (
        "SELECT pg_sleep(30);",
        "the statement was cancelled, at the latest after timeouts.statement (0.2 s, ",
        "the statement was cancelled three times, at the latest after timeouts.statement (0.2 s, ",
    ),
    "somebody": (
        "SELECT pg_cancel_backend(pg_backend_pid());",
        "the statement was cancelled from outside (SQLSTATE 57014)",
        "the statement was cancelled from outside, three times (SQLSTATE 57014)",
    ),
    "a serialization failure": (
        "DO $$ BEGIN RAISE 'gone by' USING errcode = '40001'; END $$;",
        "gone by (SQLSTATE 40001)",
        "",
    ),
    "code that calls it a lock": (
        "DO $$ BEGIN RAISE 'gone by' USING errcode = '55P03'; END $$;",
        "gone by (SQLSTATE 55P03)",
        "",
    ),
}


@pytest.mark.parametrize(("statement", "first", "last"), ENDED.values(), ids=ENDED)
def test_what_is_tried_again_for_another_cause_is_not_called_a_lock(
    pgstrata: CommandLine, database: Database, statement: str, first: str, last: str
) -> None:
    timeouts = {"statement": "200ms", "lock": "100ms"}
    documents = declared("1", {"1_a.sql": statement}, timeouts=timeouts)
    running = pgstrata.start_apply(documents, database.uri)
    title = f"1_a.sql:1: {statement.rstrip(';')}"[:20]
    said = running.wait_for("SchemaVersion default/app: ProgressingWithRetry: ")
    assert f"ProgressingWithRetry: {title}" in said
    assert f"{first}" in said
    if last:
        code, reason, message = running.wait().said()
        assert (code, reason) == (2, "MigrationFailed")
        assert message.startswith(f"1_a.sql:1:1: {last}")
    assert "LockTimeout" not in said


@pytest.mark.pg18only
def test_a_warning_and_a_notice_are_no_failure(pgstrata: CommandLine, database: Database) -> None:
    sql = "DROP VIEW IF EXISTS nothing; DO $$ BEGIN RAISE WARNING 'hört'; END $$; SELECT 1;"
    ended = pgstrata.apply(declared("1", {"1_a.sql": sql}), database.uri)
    assert ended.said()[:2] == (0, "Succeeded")
