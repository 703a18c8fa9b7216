"""Statements outside any transaction: never run twice unseen, nothing left half done."""

import signal
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.testbed.apply import DIED, READY, run_apply, write_manifests
from tests.testbed.command_line import CommandLine
from tests.testbed.database import Database
from tests.testbed.declarations import declared
from tests.testbed.long_build import old_snapshot
from tests.testbed.polling import poll

pytestmark = pytest.mark.pg18only

STARTED = 90.0

PROCEDURE = """
create table ran (n int generated always as identity, what text not null);
create procedure p(what text) language plpgsql as $$
begin
    insert into ran (what) values (p.what);
    commit;
    if p.what = 'fails' then
        raise exception 'not all of it can be done';
    elsif p.what = 'lasts' then
        perform pg_sleep(600);
    end if;
end $$;
"""
RAN = "select string_agg(what, ' ' order by n) from ran"


@pytest.mark.parametrize("how", ["fails", "lasts"])
def test_a_procedure_that_has_committed_something_is_not_run_again_until_its_text_changes(
    pgstrata: CommandLine, database: Database, how: str
) -> None:
    database.psql(PROCEDURE)
    text = "-- pgstrata: no-transaction\nCALL p('{}');"
    limits = {"lock": "300ms", "statement": "700ms"}
    documents = declared("1", {"1_a.sql": text.format(how)}, timeouts=limits)
    for _ in range(2):
        code, reason, message = pgstrata.apply(documents, database.uri).said()
        assert (code, reason) == (2, "MigrationFailed")
        assert message.startswith("1_a.sql:2:")
        assert database.psql(RAN) == f"{how}\n"
    mended = declared("1", {"1_a.sql": text.format("works")}, timeouts=limits)
    assert pgstrata.apply(mended, database.uri).said()[:2] == (0, "Succeeded")
    assert database.psql(RAN) == f"{how} works\n"


REINDEXING = """
select pid, query_start from pg_stat_activity where application_name like 'pgstrata:%'
and state = 'active' and query like 'REINDEX%' and wait_event_type = 'Lock'
"""


def test_a_reindex_that_somebody_cancels_is_done_again_and_leaves_no_second_index(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql("create table t (id int); create index t_id on t (id)")
    before = database.psql("select 't_id'::regclass::oid")
    files = {"1_a.sql": "REINDEX INDEX CONCURRENTLY t_id;"}
    with old_snapshot(database) as holder:
        running = pgstrata.start_apply(declared("1", files), database.uri)
        found = poll(lambda: database.psql(REINDEXING).strip(), STARTED, "a reindex that waits")
        pid, first = found.split("|")
        database.psql(f"select pg_cancel_backend({pid})")
        poll(lambda: first not in database.psql(REINDEXING), STARTED, "it was cancelled")
        holder.close()
        assert running.wait().said()[:2] == (0, "Succeeded")
    left = "select indexrelid::regclass, indisvalid from pg_index where indrelid = 't'::regclass"
    assert database.psql(left) == "t_id|t\n"
    assert database.psql("select 't_id'::regclass::oid") != before


PARTITIONED = """
create table p (id int) partition by range (id);
create table p1 partition of p for values from (0) to (10);
create table p2 partition of p for values from (10) to (20);
insert into p select generate_series(0, 19);
"""
DETACH = {"inline": {"1_a.sql": "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY;"}}
PARTITIONS = "select inhrelid::regclass, inhdetachpending from pg_inherits order by 1"
OURS = "select pid from pg_stat_activity where application_name like 'pgstrata:%'"
DETACHING = f"{OURS} and query like 'ALTER TABLE p DETACH%' and state = 'active'"


def assert_detached(database: Database) -> None:
    assert database.psql(PARTITIONS) == "p2|f\n"
    assert database.psql("select count(*) from p1") == "10\n"
    assert database.psql("select count(*) from p") == "10\n"
    assert database.psql("select state from pgstrata.step") == "Applied\n"


def test_a_partition_that_was_detached_before_the_process_died_is_not_missed(
    database: Database, tmp_path: Path
) -> None:
    database.psql(PARTITIONED)
    manifests, log = write_manifests(tmp_path, DETACH, "1"), tmp_path / "log"
    place = {"PGSTRATA_FAILPOINT": "alone.executed#1"}
    died = run_apply(manifests, database.uri, log, environment=place)
    assert died.status == DIED, died.output
    assert database.psql(PARTITIONS) == "p2|f\n"
    done = run_apply(manifests, database.uri, log)
    assert done.status == READY, done.output
    assert_detached(database)


@pytest.mark.parametrize("ended", [True, False], ids=["session-ended", "session-goes-on"])
def test_a_detach_that_is_pending_when_the_process_is_killed_is_finished_by_the_next(
    pgstrata: CommandLine, database: Database, ended: bool
) -> None:
    database.psql(PARTITIONED)
    documents = declared("1", DETACH["inline"])
    with reader(database) as session:
        running = pgstrata.start_apply(documents, database.uri)
        poll(lambda: "p1|t" in database.psql(PARTITIONS), STARTED, "the detach is pending")
        pid = poll(lambda: database.psql(DETACHING).strip(), 5, "the detach waits for the reader")
        running.send(signal.SIGKILL)
        running.wait()
        if ended:
            database.psql(f"select pg_terminate_backend({pid})")
        else:
            session.execute("commit")
        gone = f"select count(*) from pg_stat_activity where pid = {pid}"
        poll(lambda: database.psql(gone) == "0\n", STARTED, "the killed run's session has ended")
        assert ended == ("p1|t" in database.psql(PARTITIONS))
    done = pgstrata.apply(documents, database.uri)
    assert done.said()[:2] == (0, "Succeeded")
    assert_detached(database)


def reader(database: Database) -> psycopg.Connection[TupleRow]:
    """Return a session that has read `p` in a transaction still open; a detach waits for it."""
    session = database.connect()
    session.execute("begin")
    session.execute("select count(*) from p")
    return session
