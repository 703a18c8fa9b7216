"""Runs that are killed by others, at moments that nobody chose: the process, its sessions, the
server. Either the next run carries on, or the same process recovers by itself."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from time import monotonic

import pytest

from tests.conftest import MakePostgres
from tests.testbed.apply import READY, ApplyProcess, write_manifests
from tests.testbed.database import Database
from tests.testbed.end_state import assert_at_rest, sessions_of_ours
from tests.testbed.kill_scenarios import Undisturbed, undisturbed
from tests.testbed.long_build import old_snapshot, waiting_build
from tests.testbed.polling import poll
from tests.testbed.postgres import PostgresServer

STARTED = 90.0
"""Seconds for a process to start and to reach its first index, on a busy machine."""
TAKEN_OVER = 20.0
RECOVERED = 60.0
"""A lost session is noticed within a beat (5 s); looks after it come 5, 10, 20 s later."""
KILLS = 3
TERMINATIONS = 2
LONGEST = 1.5
"""Seconds that a run of the shop takes, roughly: moments are drawn from them."""


@pytest.fixture
def monitoring(postgres: PostgresServer, tmp_path: Path) -> Iterator[Undisturbed]:
    """Thirteen indexes to be built over data."""
    with undisturbed("monitoring-over-data", postgres, tmp_path) as scenario:
        yield scenario


@pytest.fixture
def shop(postgres: PostgresServer, tmp_path: Path) -> Iterator[Undisturbed]:
    """Every kind of step."""
    with undisturbed("shop", postgres, tmp_path) as scenario:
        yield scenario


def test_the_build_of_a_killed_process_is_ended_and_done_again_within_20_s(
    monitoring: Undisturbed,
) -> None:
    database = monitoring.fresh()
    with old_snapshot(database) as holder, monitoring.start("killed") as killed:
        abandoned = waiting_build(database, STARTED)
        with monitoring.start("next") as following:
            killed.kill()
            since = monotonic()
            waiting_build(database, TAKEN_OVER, besides=abandoned.pid)
            print(f"taken over after {monotonic() - since:.1f} s")
            holder.close()
            done = following.result(RECOVERED)
    assert done.status == READY, done.output
    monitoring.assert_reached()


def test_a_process_killed_at_random_moments_leaves_what_the_next_can_carry_on(
    shop: Undisturbed, chance: Random
) -> None:
    database = shop.fresh()
    for number in range(KILLS):
        with shop.start(f"killed-{number}") as process:
            wait_for_work(database, process)
            process.ends_within(chance.uniform(0, LONGEST))
            process.kill()
    done = shop.run()
    assert done.status == READY, done.output
    shop.assert_reached(indexes_once=False)


@pytest.mark.parametrize("name", ["work", "monitor"])
@pytest.mark.pg18only
def test_a_process_whose_session_is_terminated_in_a_build_recovers_by_itself(
    monitoring: Undisturbed, name: str
) -> None:
    pattern = {"work": "^pgstrata:[^:]*:[0-9]+$", "monitor": ":monitor$"}[name]
    database = monitoring.fresh()
    with old_snapshot(database) as holder, monitoring.start("apply") as process:
        build = waiting_build(database, STARTED)
        assert terminate(database, pattern) == 1
        waiting_build(database, RECOVERED, besides=build.pid)
        holder.close()
        done = process.result(RECOVERED)
    assert done.status == READY, done.output
    monitoring.assert_reached()


@pytest.mark.pg18only
def test_a_reindex_that_was_terminated_leaves_no_index_behind(
    database: Database, tmp_path: Path
) -> None:
    database.psql("create table notes (note text); create index by_note on notes (note)")
    files = {"1_notes.expand.sql": "REINDEX INDEX CONCURRENTLY by_note;"}
    manifests = write_manifests(tmp_path, {"inline": files}, "1")
    with (
        old_snapshot(database) as holder,
        ApplyProcess(manifests, database.uri, tmp_path / "log") as process,
    ):
        build = waiting_build(database, STARTED)
        assert terminate(database, "^pgstrata:[^:]*:[0-9]+$") == 1
        waiting_build(database, RECOVERED, besides=build.pid)
        holder.close()
        done = process.result(RECOVERED)
    assert done.status == READY, done.output
    assert_at_rest(database)
    indexes = "select indexrelid::regclass from pg_index where indrelid = 'notes'::regclass"
    assert database.psql(indexes).split() == ["by_note"]


@pytest.mark.pg18only
def test_a_process_whose_sessions_are_terminated_at_random_moments_recovers_by_itself(
    shop: Undisturbed, chance: Random
) -> None:
    database = shop.fresh()
    with shop.start("apply") as process:
        for _ in range(TERMINATIONS):
            wait_for_work(database, process)
            process.ends_within(chance.uniform(0, LONGEST / 2))
            terminate(database, "^pgstrata:")
        done = process.result(RECOVERED)
    assert done.status == READY, done.output
    shop.assert_reached(indexes_once=False)


def test_a_process_whose_server_crashes_in_a_build_recovers_by_itself(
    make_postgres: MakePostgres, tmp_path: Path
) -> None:
    server = make_postgres()
    with undisturbed("monitoring-over-data", server, tmp_path) as monitoring:
        database = monitoring.fresh()
        with old_snapshot(database) as holder, monitoring.start("apply") as process:
            waiting_build(database, STARTED)
            server.crash()
            holder.close()
            server.start()
            done = process.result(RECOVERED)
        assert done.status == READY, done.output
        monitoring.assert_reached()


def wait_for_work(database: Database, process: ApplyProcess) -> None:
    """Wait until the process works behind its lock, or has ended."""

    def look() -> bool:
        with database.connect() as connection:
            at_work = any(name.endswith(":monitor") for name in sessions_of_ours(connection))
        return at_work or process.ends_within(0)

    poll(look, STARTED, "the process is at work")


def terminate(database: Database, pattern: str) -> int:
    """End the sessions whose application names match; return how many there were."""
    with database.connect() as connection:
        ended = connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and application_name ~ %s",
            (pattern,),
        ).fetchall()
    return len(ended)
