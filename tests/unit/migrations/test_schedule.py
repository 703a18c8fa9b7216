"""Which phases of which versions run, in which order, and where it ends for now."""

import pytest

from pgstrata.core.errors import InvalidSpec
from pgstrata.migrations.schedule import Asked, asked_by, schedule
from pgstrata.migrations.source import MigrationSource
from pgstrata.migrations.spec import Phase, SchemaVersionSpec, Through
from pgstrata.migrations.versions import Version
from tests.testbed.migration_files import file, source

PHASES = {"e": Phase.EXPAND, "m": Phase.MIGRATE, "c": Phase.CONTRACT}
BARRIER = "-- pgstrata: barrier\nSELECT 1;"


def versions(*names: str) -> MigrationSource:
    """A source of versions 1, 2, ... given by their phases; `!` makes a barrier: "em", "emc!"."""
    files = [
        file(
            f"{number}_v.{PHASES[phase].value.lower()}.sql",
            BARRIER if name.endswith("!") and phase == name[0] else "SELECT 1;",
        )
        for number, name in enumerate(names, start=1)
        for phase in name.rstrip("!")
    ]
    return source(str(len(names)), *files)


def order(
    found: MigrationSource,
    through: Through = Through.MIGRATE,
    contract_through: str | None = None,
    done: str = "",
) -> str:
    """The phases to run, as "1e 2e 1m"; `done` names complete ones likewise."""
    limit = None if contract_through is None else Version(contract_through)
    completed = frozenset((word[:-1], PHASES[word[-1]].value) for word in done.split())
    planned = schedule(found, Asked(through, limit), completed)
    return " ".join(f"{v.version}{p.value[0].lower()}" for v, p in planned.phases)


def spec(**fields: object) -> SchemaVersionSpec:
    """A spec that is whole but for what matters here."""
    return SchemaVersionSpec.model_validate(
        {"databaseRef": {"name": "d"}, "source": {"bundle": "b"}, "version": "2", **fields}
    )


@pytest.mark.parametrize(
    ("through", "runs"),
    [
        (Through.EXPAND, "1e 2e 3e"),
        (Through.MIGRATE, "1e 2e 3e 1m 2m 3m"),
        (Through.CONTRACT, "1e 2e 3e 1m 2m 3m 1c 2c 3c"),
    ],
)
def test_a_phase_runs_for_all_versions_before_the_next_one_begins(
    through: Through, runs: str
) -> None:
    assert order(versions("emc", "emc", "emc"), through) == runs


@pytest.mark.parametrize(
    ("through", "limit", "runs"),
    [
        (Through.EXPAND, "1", "1e 2e 3e 1m 1c"),
        (Through.MIGRATE, "2", "1e 2e 3e 1m 2m 3m 1c 2c"),
        (Through.MIGRATE, "02.0", "1e 2e 3e 1m 2m 3m 1c 2c"),
        (Through.CONTRACT, "1", "1e 2e 3e 1m 2m 3m 1c 2c 3c"),
        (Through.EXPAND, "0.5", "1e 2e 3e"),
    ],
)
def test_contract_through_implies_all_phases_of_the_lower_versions_alone(
    through: Through, limit: str, runs: str
) -> None:
    assert order(versions("emc", "emc", "emc"), through, limit) == runs


def test_contract_through_above_the_version_is_refused_with_both() -> None:
    with pytest.raises(InvalidSpec, match=r"contractThrough 2\.1 is above spec\.version 2:"):
        asked_by(spec(contractThrough="2.1"))
    assert asked_by(spec(contractThrough="02")) == Asked(Through.MIGRATE, Version("2"))


def test_a_barrier_finishes_its_version_before_a_later_one_starts() -> None:
    found = versions("emc", "emc!", "emc")
    assert order(found, Through.CONTRACT) == "1e 2e 1m 2m 1c 2c 3e 3m 3c"
    assert order(found, Through.MIGRATE, "2") == "1e 2e 1m 2m 1c 2c 3e 3m"


def test_two_barriers_each_hold_what_is_behind_them() -> None:
    found = versions("ec!", "ec!", "ec")
    assert order(found, Through.MIGRATE, "2") == "1e 1m 1c 2e 2m 2c 3e 3m"
    assert order(found, Through.MIGRATE, "1") == "1e 1m 1c 2e 2m"
    assert order(found, Through.MIGRATE) == "1e 1m"


@pytest.mark.parametrize(
    ("through", "missing"), [(Through.MIGRATE, "Contract"), (Through.EXPAND, "Migrate")]
)
def test_what_waits_behind_a_barrier_is_said_with_the_phase_that_was_not_asked_for(
    through: Through, missing: str
) -> None:
    waits = schedule(versions("em", "emc!", "e", "e"), Asked(through)).waits
    assert waits is not None
    assert waits.startswith("version 3 and later wait behind the barrier of version 2")
    assert f"whose {missing} was not asked for" in waits
    assert 'contractThrough to "2"' in waits


def test_it_is_said_how_far_to_go_for_what_waits() -> None:
    waits = schedule(versions("em!", "e"), Asked(Through.EXPAND)).waits
    assert str(waits).endswith('set spec.contractThrough to "1", or spec.through to Migrate')


def test_a_barrier_of_the_last_version_or_without_later_phases_holds_nothing() -> None:
    assert schedule(versions("em", "emc!"), Asked(Through.MIGRATE)).waits is None
    assert order(versions("em!", "em")) == "1e 1m 2e 2m"
    assert order(versions("e!", "em"), Through.EXPAND) == "1e 2e"


def test_a_barrier_whose_phases_are_complete_holds_nothing_any_more() -> None:
    found = versions("emc!", "em")
    assert order(found, Through.MIGRATE, done="1e 1m 1c") == "1e 1m 2e 2m"
    assert order(found, Through.MIGRATE, done="1e 1m") == "1e 1m"
