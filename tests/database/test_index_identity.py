"""Which index is meant by a name: never another table's, never remains of a name given up, and
never one whose builder a run that woke late could disturb."""

import signal
from pathlib import Path

import pytest

from tests.testbed.apply import READY, ApplyProcess, write_manifests
from tests.testbed.command_line import CommandLine
from tests.testbed.database import Database
from tests.testbed.declarations import declared
from tests.testbed.long_build import old_snapshot, waiting_build
from tests.testbed.polling import poll

pytestmark = pytest.mark.pg18only

SCHEMA = """
create table t (id int, name text);
insert into t select n, 'n' || n from generate_series(1, 100) n;
create table other (id int, name text);
"""
STARTED = 90.0
FINISHED = 60.0
INDEXES = """
select indexrelid::regclass, indexrelid, indrelid::regclass, indisvalid
from pg_index where indrelid in ('t'::regclass, 'other'::regclass) order by 1
"""
NAMES = """
select indexrelid::regclass || ' ' || indisvalid
from pg_index where indrelid in ('t'::regclass, 'other'::regclass) order by 1
"""
UNFINISHED = "select count(*) from pgstrata.step where state <> 'Applied'"


def names(database: Database) -> list[str]:
    """Return the tables' indexes, each with whether it is valid."""
    return database.psql(NAMES).splitlines()


def end_session(database: Database, pid: int) -> None:
    """End a backend whose client is dead, which the server itself would notice within 10 s."""
    database.psql(f"select pg_terminate_backend({pid})")
    gone = f"select count(*) from pg_stat_activity where pid = {pid}"
    poll(lambda: database.psql(gone) == "0\n", 10, "the session has ended")


@pytest.mark.parametrize("if_not_exists", ["", "IF NOT EXISTS "], ids=["plain", "if-not-exists"])
@pytest.mark.parametrize("is_valid", [True, False], ids=["valid", "invalid"])
def test_an_index_of_another_table_is_neither_adopted_nor_dropped(
    pgstrata: CommandLine, database: Database, is_valid: bool, if_not_exists: str
) -> None:
    database.psql(f"{SCHEMA} create index t_id on other (id)")
    database.psql(f"update pg_index set indisvalid = {is_valid} where indrelid = 'other'::regclass")
    before = database.psql(INDEXES)
    files = {"1_a.sql": f"CREATE INDEX CONCURRENTLY {if_not_exists}t_id ON t (id);"}
    ended = pgstrata.apply(declared("1", files), database.uri)
    code, reason, message = ended.said()
    assert (code, reason) == (2, "Blocked")
    assert message.startswith("1_a.sql:1:1: ")
    assert "public.t_id" in message
    assert database.psql(INDEXES) == before
    assert database.psql("select count(*) from pgstrata.step where state = 'Applied'") == "0\n"
    assert database.psql("select count(*) from pgstrata.file") == "0\n"


def test_an_unfinished_index_of_another_table_is_no_remains_of_a_build_that_was_refused_for_it(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql(f"{SCHEMA} create index t_id on other (id)")
    database.psql("update pg_index set indisvalid = false where indrelid = 'other'::regclass")
    before = database.psql(INDEXES)
    text = "CREATE INDEX CONCURRENTLY {} ON t (id);"
    refused = pgstrata.apply(declared("1", {"1_a.sql": text.format("t_id")}), database.uri)
    assert refused.said()[:2] == (2, "Blocked")
    cured = declared("1", {"1_a.sql": text.format("t_id_2")})
    assert pgstrata.apply(cured, database.uri).said()[:2] == (0, "Succeeded")
    assert database.psql(INDEXES).startswith(before)
    assert names(database) == ["t_id false", "t_id_2 true"]
    assert database.psql(UNFINISHED) == "0\n"


GIVEN_UP = {
    "another-name": ("CREATE INDEX CONCURRENTLY t_second ON t (id);", ["t_second true"]),
    "no-index": ("INSERT INTO other VALUES (1);", []),
}


@pytest.mark.parametrize(
    "mended", [pytest.param(mended, id=name) for name, mended in GIVEN_UP.items()]
)
def test_remains_of_a_build_that_was_killed_go_also_when_the_file_has_given_it_up(
    pgstrata: CommandLine, database: Database, mended: tuple[str, list[str]]
) -> None:
    database.psql(SCHEMA)
    text = "CREATE TABLE early (id int);\n{}"
    files = {"1_a.sql": text.format("CREATE INDEX CONCURRENTLY t_first ON t (id);")}
    with old_snapshot(database):
        running = pgstrata.start_apply(declared("1", files), database.uri)
        build = waiting_build(database, STARTED)
        running.send(signal.SIGKILL)
        running.wait()
        end_session(database, build.pid)
    assert names(database) == ["t_first false"]
    statement, left = mended
    files = {"1_a.sql": text.format(statement)}
    assert pgstrata.apply(declared("1", files), database.uri).said()[:2] == (0, "Succeeded")
    assert names(database) == left
    assert database.psql(UNFINISHED) == "0\n"


def test_an_index_on_whole_rows_is_built_and_adopted(
    pgstrata: CommandLine, database: Database
) -> None:
    """A copy of the table, to compare with, has another row type, which the function refuses."""
    database.psql(
        f"{SCHEMA} create function whole(t) returns text immutable language sql as 'select $1.name'"
    )
    files = {"1_a.sql": "CREATE INDEX CONCURRENTLY t_whole ON t (whole(t.*));"}
    assert pgstrata.apply(declared("1", files), database.uri).said()[:2] == (0, "Succeeded")
    built = database.psql(INDEXES)
    assert built.endswith("|t|t\n")
    steps = database.psql("select * from pgstrata.step")
    assert pgstrata.apply(declared("1", files), database.uri).said()[:2] == (0, "Succeeded")
    assert database.psql(INDEXES) == built
    assert database.psql("select * from pgstrata.step") == steps


LOCK_HOLDER = """
select pid from pg_locks where locktype = 'advisory' and granted
and database = (select oid from pg_database where datname = current_database())
"""
BEATS = "select at from pgstrata.heartbeat"


def wait_for_beat(database: Database) -> None:
    """Wait until the run that is at work says again that it is alive."""
    with database.connect() as watcher:
        last = watcher.execute(BEATS).fetchall()
        poll(lambda: watcher.execute(BEATS).fetchall() != last, 15, "a heartbeat")


def test_a_run_that_wakes_before_its_first_beat_does_not_disturb_its_successor(
    database: Database, tmp_path: Path
) -> None:
    """Its first beat, said by another session than the lock's, would unsay the successor's."""
    database.psql(SCHEMA)
    source = {"inline": {"1_a.sql": "CREATE INDEX CONCURRENTLY t_id ON t (id);"}}
    manifests = write_manifests(tmp_path, source, "1")
    pause = {"PGSTRATA_FAILPOINT_PAUSE": "exclusive.locked#1"}

    def start(name: str, environment: dict[str, str]) -> ApplyProcess:
        log = tmp_path / f"{name}.log"
        return ApplyProcess(manifests, database.uri, log, environment=environment)

    with old_snapshot(database) as holder, start("first", pause) as first:
        poll(lambda: first.is_stopped, STARTED, "the first has stopped with the lock in its hand")
        # what a successor does after 15 s of silence
        end_session(database, int(database.psql(LOCK_HOLDER)))
        with start("second", {}) as second:
            build = waiting_build(database, STARTED)
            first.thaw()
            for _ in range(2):  # one beat may have been due before the first was at work again
                wait_for_beat(database)
            assert waiting_build(database, 0).pid == build.pid
            holder.close()
            done = second.result(FINISHED)
    assert done.status == READY, done.output
    assert names(database) == ["t_id true"]
    assert "interrupted" not in done.output
