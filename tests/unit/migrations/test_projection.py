"""What the journal says of a schema, as its status shows it."""

from dataclasses import replace

from pgstrata.core.errors import MigrationFailed, PgstrataError, VerificationFailed
from pgstrata.engine.owned import Owned
from pgstrata.migrations.journal import DonePhase, Journal
from pgstrata.migrations.projection import conditions, facts
from pgstrata.migrations.schedule import Asked, schedule
from pgstrata.migrations.source import MigrationSource
from pgstrata.migrations.spec import Phase, Through
from pgstrata.pg.script import checksum
from tests.testbed.migration_files import (
    MOMENT,
    applied_part,
    file,
    journal_of,
    source,
    with_verify,
)

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


def test_a_target_that_is_set_back_takes_no_version_away() -> None:
    set_back = source("001", ONE, ONE_MIGRATE, ONE_CONTRACT)
    assert told(journal("1e", "2e", "1m", "2m"), of=set_back)[::2] == ("2", 2)
    spelled = journal_of(ONE, ONE_MIGRATE, TWO, phases=(Phase.EXPAND, Phase.MIGRATE))
    assert told(spelled, of=set_back)[0] == "002"
    assert told(journal("1e", "2e", "1m"), of=set_back)[0] == "001", "2 was never whole"


def test_a_version_that_is_added_below_one_that_stands_takes_none_away() -> None:
    late = source("003", ONE, ONE_MIGRATE, TWO, file("003_c.sql"))
    assert told(journal("1e", "3e", "1m", "3m"), of=late)[::2] == ("003", 2)


def through(
    done: Journal, of: MigrationSource = BOTH, asked: Through = Through.MIGRATE
) -> tuple[object, ...]:
    """Through which version each phase is complete."""
    found = facts(of, done, schedule(of, Asked(asked), done.completed))
    return found["expanded_through"], found["migrated_through"], found["contracted_through"]


Told = dict[str, tuple[str, str, str]]


def told_of(done: Journal, of: MigrationSource = BOTH, error: PgstrataError | None = None) -> Told:
    """The conditions: status, reason and message by type."""
    order = schedule(of, Asked(Through.MIGRATE), done.completed)
    found = conditions(of, done, order, error)
    return {type_: (status.value, reason.value, text) for type_, status, reason, text in found}


def holding(told: Told) -> list[str]:
    return [type_ for type_, (status, _, _) in told.items() if status == "True"]


def test_a_phase_is_complete_only_with_all_versions_and_phases_below() -> None:
    assert through(journal()) == (None, None, None)
    assert through(journal("1e", "2e", "2m")) == ("002", None, None)
    assert through(journal("1e", "2e", "1m", "2m")) == ("002", "002", None)
    assert through(journal("1e", "2e", "1m", "2m", "2c")) == ("002", "002", None)
    assert through(journal("1e", "2e", "1m", "2m", "1c")) == ("002", "002", "002")
    assert through(journal("1e", "1m", "1c")) == ("001", "001", "001")

    assert holding(told_of(journal("1e", "2e", "1m", "2m"))) == ["Expanded", "Migrated"]
    assert holding(told_of(journal("1e", "1m", "1c"))) == []


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


VERIFY = file("001_a.verify.sql", "SELECT 1 WHERE false;")
VERIFIED = with_verify(BOTH, VERIFY)


def held(done: Journal, *moments: str) -> Journal:
    """The journal once the verify files of version 1 have held at these moments."""
    return replace(done, verified=frozenset(("1", m, checksum(VERIFY.checksum)) for m in moments))


def test_no_phase_is_complete_before_the_verify_files_held_that_are_due_at_its_end() -> None:
    migrated = journal("1e", "2e", "1m", "2m")
    assert through(migrated, VERIFIED) == ("002", None, None)
    assert through(held(migrated, "Migrate"), VERIFIED) == ("002", "002", None)
    contracted = held(journal("1e", "2e", "1m", "2m", "1c"), "Migrate")
    assert through(contracted, VERIFIED) == ("002", "002", None)
    assert through(held(contracted, "Migrate", "Contract"), VERIFIED) == ("002", "002", "002")
    edited = with_verify(BOTH, file("001_a.verify.sql", "SELECT 2 WHERE false;"))
    assert through(held(migrated, "Migrate"), edited) == ("002", None, None)


def test_a_version_is_not_had_before_its_verify_files_held_unless_it_is_only_expanded() -> None:
    migrated = journal("1e", "2e", "1m", "2m")
    assert told(migrated, of=VERIFIED) == (None, Phase.MIGRATE, 0)
    assert told(held(migrated, "Migrate"), of=VERIFIED)[0] == "002"
    assert told(journal("1e", "2e"), Through.EXPAND, VERIFIED)[0] == "002"


def test_what_a_verify_file_speaks_of_after_migrate_is_not_asked_once_the_contract_has_begun() -> (
    None
):
    begun = replace(journal("1e", "2e", "1m", "2m"), files=list(journal_of(ONE_CONTRACT).files))
    assert through(begun, VERIFIED) == ("002", "002", None)


def test_a_condition_names_the_verify_file_that_it_waits_for_and_how_it_failed() -> None:
    migrated = journal("1e", "2e", "1m", "2m")
    waiting = told_of(migrated, VERIFIED)
    assert holding(waiting) == ["Expanded"]
    text = "Migrate of version 002 is not complete: 001_a.verify.sql has not held yet"
    assert waiting["Migrated"] == ("False", "Progressing", text)

    failed = told_of(migrated, VERIFIED, VerificationFailed("001_a.verify.sql:1:1: 2 rows"))
    assert holding(failed) == ["Expanded"]
    text = "of version 002 is not complete: 001_a.verify.sql:1:1: 2 rows"
    assert failed["Migrated"] == ("False", "VerificationFailed", f"Migrate {text}")
    assert failed["Contracted"] == ("False", "VerificationFailed", f"Contract {text}")

    others = told_of(journal("1e", "2e", "1m"), VERIFIED, MigrationFailed("002_b.sql:1:1: no"))
    assert others["Migrated"][:2] == ("False", "Progressing")
    pending = told_of(journal("1e", "2e"), VERIFIED)
    assert pending["Migrated"][2] == "Migrate of version 002 is not complete"


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
