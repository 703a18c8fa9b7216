"""What happens to a table and to our sessions between two batches of a backfill under way.

The run stops itself behind its third batch, where it holds no lock; then the world changes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import MakePostgres
from tests.testbed.apply import READY, STALLED, ApplyProcess, write_manifests
from tests.testbed.database import Database
from tests.testbed.polling import poll

TABLE = """
CREATE TABLE t (id int PRIMARY KEY, a text, b text, n int NOT NULL DEFAULT 0, filler text);
INSERT INTO t SELECT i, 'a' || i, NULL, 0, repeat('x', 700) FROM generate_series(1, 100) AS i;
"""
BY_BLOCKS = "-- pgstrata: batch size=5 keep=always\nUPDATE t SET b = upper(a) WHERE b IS NULL;"
ONCE = "-- pgstrata: batch size=10\nUPDATE t SET n = n + 1;"
WRONG = {
    BY_BLOCKS: "SELECT count(*) FROM t WHERE b IS DISTINCT FROM upper(a)",
    ONCE: "SELECT count(*) FROM t WHERE n <> 1",
}
PAUSE = "batch.committed#3"
STARTED = 60.0
ENDED = 90.0


@contextmanager
def stopped(database: Database, directory: Path, text: str) -> Iterator[ApplyProcess]:
    """A run that has stopped itself behind its third batch."""
    database.psql(TABLE)
    manifests = write_manifests(directory, {"inline": {"1_b.migrate.sql": text}}, "1")
    with ApplyProcess(
        manifests,
        database.uri,
        directory / "log",
        "--timeout=80s",
        environment={"PGSTRATA_FAILPOINT_PAUSE": PAUSE},
    ) as process:
        poll(lambda: process.is_stopped, STARTED, "three batches are done")
        yield process


def finish(process: ApplyProcess, database: Database, text: str) -> None:
    process.thaw()
    done = process.result(ENDED)
    assert done.status == READY, done.output
    assert database.psql(WRONG[text]) == "0\n"


CHANGES = {
    "rewritten": "VACUUM FULL t",
    "shorter": "DELETE FROM t WHERE id > 40; VACUUM t",
    "terminated": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE application_name LIKE 'pgstrata:%' AND application_name NOT LIKE '%:monitor'",
}


@pytest.mark.pg18only
@pytest.mark.parametrize("change", CHANGES)
def test_a_table_that_changes_midway_is_done_all_the_same(
    database: Database, tmp_path: Path, change: str
) -> None:
    with stopped(database, tmp_path, BY_BLOCKS) as process:
        for statement in CHANGES[change].split("; "):
            database.psql(statement)
        finish(process, database, BY_BLOCKS)


DISABLED = "ALTER TABLE t DISABLE TRIGGER ALL; UPDATE t SET a = 'new' WHERE id = 1;"


@pytest.mark.pg18only
def test_a_trigger_that_is_disabled_midway_has_the_passes_begin_anew(
    database: Database, tmp_path: Path
) -> None:
    text = BY_BLOCKS.replace("b IS NULL", "b IS DISTINCT FROM upper(a)")
    with stopped(database, tmp_path, text) as process:
        database.psql(DISABLED)
        process.thaw()
        assert process.result(ENDED).status == READY
    assert database.psql(WRONG[BY_BLOCKS]) == "0\n"
    assert database.psql("SELECT tgenabled FROM pg_trigger WHERE tgname LIKE 'zzz%'") == "A\n"


@pytest.mark.pg18only
def test_where_the_condition_does_not_see_what_a_disabled_trigger_let_pass_it_is_said(
    database: Database, tmp_path: Path
) -> None:
    with stopped(database, tmp_path, BY_BLOCKS) as process:
        database.psql(DISABLED)
        process.thaw()
        done = process.result(ENDED)
    assert done.status == STALLED
    assert "the trigger that kept them right is gone or disabled: where a changed" in done.output


@pytest.mark.parametrize("text", [BY_BLOCKS, ONCE], ids=["by blocks", "once"])
def test_a_server_that_crashes_midway(
    make_postgres: MakePostgres, tmp_path: Path, text: str
) -> None:
    server = make_postgres()
    database = Database("postgres", server)
    with stopped(database, tmp_path, text) as process:
        server.crash()
        server.start()
        finish(process, database, text)
