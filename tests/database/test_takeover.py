"""Two runs on one schema: one is stopped and the other goes on, one wakes and finds itself fenced,
or both start at once. Whatever they do, everything is done once."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from time import monotonic

import pytest

from tests.testbed.apply import READY, STALLED, run_apply, write_manifests
from tests.testbed.database import Database
from tests.testbed.kill_scenarios import Undisturbed, undisturbed
from tests.testbed.long_build import old_snapshot, waiting_build
from tests.testbed.polling import poll
from tests.testbed.postgres import PostgresServer

STARTED = 90.0
TAKEN_OVER = 20.0
"""From the moment a run is stopped to the moment when another works in its place."""
FINISHED = 60.0

IN_A_GROUP = "group.before_commit#2"
"""Behind BEGIN .. COMMIT of a file: the table is locked ACCESS EXCLUSIVE, the fence FOR SHARE."""
ELSEWHERE = (
    "exclusive.locked#1",
    "exclusive.beaten#1",
    "exclusive.fenced#1",
    "group.begun#3",
    "group.committed#2",
    "index.before_build#1",
    "journal.before_commit#4",
    "journal.committed#4",
    "step.probed#5",
    "step.verified#5",
)


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


def test_a_run_frozen_in_a_build_is_taken_over_within_20_s_and_does_no_harm_when_it_wakes(
    monitoring: Undisturbed,
) -> None:
    database = monitoring.fresh()
    with old_snapshot(database) as holder, monitoring.start("frozen") as frozen:
        build = waiting_build(database, STARTED)
        with monitoring.start("next") as following:
            frozen.freeze()
            since = monotonic()
            waiting_build(database, TAKEN_OVER, besides=build.pid)
            print(f"taken over after {monotonic() - since:.1f} s")
            holder.close()
            done = following.result(FINISHED)
        assert done.status == READY, done.output
        done_once = journal_with_times(database)
        frozen.thaw()
        woken = frozen.result(FINISHED)
    assert woken.status == READY, woken.output
    assert journal_with_times(database) == done_once
    monitoring.assert_reached()


@pytest.mark.timeout(900)  # half a minute a place
@pytest.mark.parametrize("elsewhere", [False, True], ids=["in-a-group", "elsewhere"])
def test_a_run_frozen_between_two_instructions_is_taken_over_and_fenced(
    shop: Undisturbed,
    elsewhere: bool,
    whole: bool,
    chance: Random,
    subtests: pytest.Subtests,
) -> None:
    places: tuple[str, ...] = (IN_A_GROUP,)
    if elsewhere:
        places = ELSEWHERE if whole else (chance.choice(ELSEWHERE),)
    for place in places:
        with subtests.test(place=place):
            freeze_and_take_over(shop, place)


def freeze_and_take_over(shop: Undisturbed, place: str) -> None:
    database = shop.fresh()
    with shop.start("frozen", pause=place) as frozen:
        poll(lambda: frozen.is_stopped, STARTED, f"the run has stopped at {place}")
        since = monotonic()
        before = token(database)
        with shop.start("next") as following:
            poll(lambda: token(database) > before, TAKEN_OVER, "the fence is raised")
            print(f"{place}: taken over after {monotonic() - since:.1f} s")
            done = following.result(FINISHED)
        assert done.status == READY, done.output
        done_once = journal_with_times(database)
        frozen.thaw()
        woken = frozen.result(FINISHED)
    assert woken.status == READY, woken.output
    assert journal_with_times(database) == done_once
    shop.assert_reached()


def test_two_runs_at_once_both_end_ready(shop: Undisturbed) -> None:
    shop.fresh()
    with shop.start("one") as one, shop.start("other") as other:
        for run in (one, other):
            done = run.result(FINISHED)
            assert done.status == READY, done.output
    shop.assert_reached()


@pytest.mark.pg18only
def test_a_rival_of_another_name_is_refused_while_a_run_is_frozen(
    monitoring: Undisturbed, tmp_path: Path
) -> None:
    source = {"bundle": "api-monitoring"}
    rival = write_manifests(tmp_path / "rival", source, "001", name="rival")
    database = monitoring.fresh()
    with old_snapshot(database) as holder, monitoring.start("frozen") as frozen:
        waiting_build(database, STARTED)
        frozen.freeze()
        refused = run_apply(rival, database.uri, tmp_path / "rival.log")
        holder.close()
        frozen.thaw()
        done = frozen.result(FINISHED)
    assert refused.status == STALLED, refused.output
    assert "ConflictingManager" in refused.output
    assert "SchemaVersion default/dashboard" in refused.output
    assert done.status == READY, done.output
    monitoring.assert_reached()


def token(database: Database) -> int:
    """Return the highest fencing token so far; 0 before there is one."""
    with database.connect() as connection:
        [(highest,)] = connection.execute(
            "select coalesce(max(token), 0) from pgstrata.fence"
        ).fetchall()
    assert isinstance(highest, int)
    return highest


def journal_with_times(database: Database) -> list[tuple[object, ...]]:
    """Return the journal whole: a step that was recorded once more has another time or token."""
    with database.connect() as connection:
        return connection.execute("select * from pgstrata.step order by object, id").fetchall()
