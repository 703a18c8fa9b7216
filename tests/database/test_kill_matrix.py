"""The heart: a run that dies at any place is carried on by the next as if nothing had happened.

Each scenario is first run undisturbed, which lists its failpoints. Then, from the same beginning,
the process is ended at one of them (by its own exit, without cleaning up), and a second run must
bring the very same end: catalog, rows and journal. Rows tell what was done twice, because no
statement of the scenarios leaves the same rows when it is repeated.
"""

from collections.abc import Iterator
from random import Random

import pytest

from tests.testbed.apply import DIED, READY
from tests.testbed.kill_backfills import ROWS
from tests.testbed.kill_scenarios import SCENARIOS, Undisturbed, undisturbed
from tests.testbed.postgres import PostgresServer

SAMPLE = {"monitoring-over-data": 4, "monitoring-from-nothing": 3, "shop": 8, "backfills": 8}
"""Places of a default run; together they cost less than a minute."""
MOST_DEATHS = 12

VARYING = ("control.", "batch.")
"""How often these are passed varies: both resources of a run may install the control schema, and a
batch that a busy machine does not run within its limit is halved."""


@pytest.fixture(scope="module", params=SCENARIOS)
def scenario(
    request: pytest.FixtureRequest,
    postgres: PostgresServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Undisturbed]:
    """Each scenario in turn."""
    with undisturbed(request.param, postgres, tmp_path_factory.mktemp("kill")) as scenario:
        yield scenario


@pytest.mark.timeout(3600)
def test_a_run_that_died_anywhere_is_carried_on_by_the_next(
    scenario: Undisturbed,
    whole: bool,
    chance: Random,
    subtests: pytest.Subtests,
    request: pytest.FixtureRequest,
) -> None:
    name = request.node.callspec.params["scenario"]
    places = worth_dying_at(name, scenario.places)
    chosen = places if whole else sample(places, SAMPLE[name], chance)
    died = 0
    for place in chosen:
        with subtests.test(place=place):
            scenario.fresh()
            first = scenario.run(place)
            if not (first.status == READY and place.startswith(VARYING)):
                assert first.status == DIED, first.output
                died += 1
            second = scenario.run()
            assert second.status == READY, second.output
            scenario.assert_reached()
    assert died


def test_runs_that_die_one_after_the_other_come_to_the_end_all_the_same(
    scenario: Undisturbed, chance: Random
) -> None:
    scenario.fresh()
    names = sorted({place.partition("#")[0] for place in scenario.places})
    deaths = [f"{chance.choice(names)}#{chance.randint(1, 3)}" for _ in range(MOST_DEATHS)]
    for place in [*deaths, ""]:
        done = scenario.run(place)
        if done.status == READY:
            break
        assert done.status == DIED, done.output
    scenario.assert_reached()


@pytest.mark.parametrize("scenario", ["backfills"], indirect=True)
def test_backfills_write_each_row_once(scenario: Undisturbed) -> None:
    """What a run and its successor agree upon could still be wrong in both."""
    assert len([place for place in scenario.places if place.startswith("batch.committed")]) > 40
    written = scenario.end.rows["rows.written"]
    assert len(written) == len(set(written)) == 4.5 * ROWS
    assert scenario.end.control["cursor"] == []
    assert scenario.end.control["owned"] == []


@pytest.mark.parametrize("scenario", ["shop"], indirect=True)
def test_the_shop_ends_with_the_settings_that_its_files_ask_for(scenario: Undisturbed) -> None:
    """What a run and its successor agree upon could still be wrong in both."""
    ledger = scenario.end.rows["shop.ledger"]
    for entry in (
        '("work_mem locally 3MB")',
        '("work_mem of the file 7MB")',
        '("still 7MB")',
        '("work_mem was left true")',
    ):
        assert ledger.count(entry) == 1


def worth_dying_at(scenario: str, places: tuple[str, ...]) -> tuple[str, ...]:
    """All places, but for index builds that another scenario goes through in the same way."""
    if scenario == "monitoring-from-nothing":
        return places[: places.index("index.started#2")]
    return places


def sample(places: tuple[str, ...], size: int, chance: Random) -> list[str]:
    """Choose places of different names as far as there are any, each at a random passing."""
    by_name: dict[str, list[str]] = {}
    for place in places:
        by_name.setdefault(place.partition("#")[0], []).append(place)
    names = chance.sample(sorted(by_name), min(size, len(by_name)))
    return [chance.choice(by_name[name]) for name in names]
