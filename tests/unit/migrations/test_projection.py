"""What the journal says of a schema, as its status shows it."""

from dataclasses import replace

from pgstrata.engine.owned import Owned
from pgstrata.migrations.journal import DonePhase, Journal
from pgstrata.migrations.projection import facts, is_complete
from pgstrata.migrations.schedule import Asked, schedule
from pgstrata.migrations.source import MigrationSource
from pgstrata.migrations.spec import Phase, Through
from tests.testbed.migration_files import MOMENT, applied_part, file, source

ONE = file("001_a.sql")
ONE_MIGRATE = file("001_a.migrate.sql")
ONE_CONTRACT = file("001_a.contract.sql")
TWO = file("002_b.sql")
BOTH = source("002", ONE, ONE_MIGRATE, ONE_CONTRACT, TWO)


def journal(*done: str) -> Journal:
    """Complete phases as "1e", "2m"."""
    phases = {"e": "Expand", "m": "Migrate", "c": "Contract"}
    return Journal(phases=[DonePhase(d[0], phases[d[1]], "a", MOMENT, 1500) for d in done])


def told(
    done: Journal, through: Through = Through.MIGRATE, of: MigrationSource = BOTH
) -> tuple[object, ...]:
    """Current version, phase and applied count."""
    found = facts(of, done, schedule(of, Asked(through), done.completed))
    return found["current_version"], found["phase"], found["applied_count"]


def test_the_phase_is_the_one_that_runs_or_else_the_last_that_was_done() -> None:
    assert told(journal()) == (None, Phase.EXPAND, 0)
    assert told(journal("1e")) == (None, Phase.EXPAND, 0)
    assert told(journal("1e", "2e")) == (None, Phase.MIGRATE, 0)
    assert told(journal("1e", "2e", "1m", "2m")) == ("002", Phase.MIGRATE, 2)
    whole = journal("1e", "2e", "1m", "2m")
    assert told(whole, Through.CONTRACT) == ("002", Phase.CONTRACT, 2)
    assert told(journal("1e", "2e"), Through.EXPAND) == ("002", Phase.EXPAND, 2)


def test_a_version_counts_as_had_once_what_was_asked_for_of_it_is_done() -> None:
    assert told(journal("1e", "2e"), Through.EXPAND)[0] == "002"
    assert told(journal("1e"), Through.EXPAND)[0] == "001"


def test_no_version_is_had_before_those_below_it() -> None:
    assert told(journal("1e", "2e", "2m"))[0] is None
    assert told(journal("1e", "2e", "1m"))[0] == "002"


def through(
    done: Journal, of: MigrationSource = BOTH, asked: Through = Through.MIGRATE
) -> tuple[object, ...]:
    """Through which version each phase is complete."""
    found = facts(of, done, schedule(of, Asked(asked), done.completed))
    return found["expanded_through"], found["migrated_through"], found["contracted_through"]


def test_a_phase_is_complete_only_with_all_versions_and_phases_below() -> None:
    assert through(journal()) == (None, None, None)
    assert through(journal("1e", "2e", "2m")) == ("002", None, None)
    assert through(journal("1e", "2e", "1m", "2m")) == ("002", "002", None)
    assert through(journal("1e", "2e", "1m", "2m", "2c")) == ("002", "002", None)
    assert through(journal("1e", "2e", "1m", "2m", "1c")) == ("002", "002", "002")
    assert through(journal("1e", "1m", "1c")) == ("001", "001", "001")

    def complete(done: Journal) -> list[bool]:
        order = schedule(BOTH, Asked(Through.MIGRATE), done.completed)
        return [is_complete(BOTH, done, order, phase) for phase in Phase]

    assert complete(journal("1e", "2e", "1m", "2m")) == [True, True, False]
    assert complete(journal("1e", "1m", "1c")) == [False, False, False]


def test_how_far_phases_are_complete_is_told_of_versions_too_old_to_be_listed_too() -> None:
    contracts = [file("003_a.contract.sql"), file("025_a.contract.sql")]
    many = source("025", *contracts, *(file(f"{n:03}_a.sql") for n in range(1, 26)))
    names = [str(n) for n in range(1, 26)]
    done = [DonePhase(n, p, "a", MOMENT, 5) for n in names for p in ("Expand", "Migrate")]
    kept = Journal(phases=[*done, DonePhase("3", "Contract", "a", MOMENT, 5)])
    assert through(Journal(phases=done), many) == ("025", "025", "002")
    assert through(kept, many) == ("025", "025", "024")


def test_a_later_phase_without_files_is_complete_before_its_mark_only_where_it_is_asked_for() -> (
    None
):
    two = source("2", file("1_a.sql"), file("2_b.sql"))
    assert through(journal("1e"), two) == ("1", "1", "1")
    assert through(journal("1e"), two, Through.EXPAND) == ("1", None, None)


def test_a_version_is_not_contracted_while_it_has_a_trigger_that_its_contract_drops() -> None:
    only = source("1", ONE, ONE_MIGRATE)
    kept = Owned("keep_x", "s", "1", "t", "keeps", "Contract", MOMENT, "public", "t", 1)
    migrated = journal("1e", "1m")
    assert through(migrated, only) == ("001", "001", "001")
    assert through(replace(migrated, owned=[kept]), only) == ("001", "001", None)


def test_the_newest_versions_come_first_each_with_the_phases_that_have_files() -> None:
    under_way = Journal(phases=journal("1e").phases, steps=[applied_part(TWO, 1)])
    order = schedule(BOTH, Asked(Through.MIGRATE))
    listed = facts(BOTH, under_way, order)["versions"]
    assert isinstance(listed, tuple)
    states = [(v.version, [(p.phase.value, p.state.value) for p in v.phases]) for v in listed]
    assert states == [
        ("002", [("Expand", "Running")]),
        ("001", [("Expand", "Done"), ("Migrate", "Pending"), ("Contract", "Pending")]),
    ]
    assert listed[1].phases[0].duration_seconds == 1.5
