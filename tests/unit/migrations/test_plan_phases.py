"""Where in a plan verify files, baselines, barriers and dropped triggers stand."""

from dataclasses import replace

import pytest

from pgstrata.core.errors import InvalidSpec
from pgstrata.migrations.journal import AppliedFile, DonePhase, Journal
from pgstrata.migrations.observed import ObservedSchema
from pgstrata.migrations.plan import VersionPlan, Wanted, make_plan
from pgstrata.migrations.schedule import Asked
from pgstrata.migrations.source import MigrationSource
from pgstrata.migrations.spec import Phase, Through
from pgstrata.migrations.versions import Version
from tests.testbed.migration_files import MOMENT, file, journal_of, source, with_verify

ADOPTABLE = ObservedSchema(exists=True, may_create=True, tables={}, is_empty=False)
EXPAND, MIGRATE = file("1_a.sql"), file("1_a.migrate.sql", "UPDATE t SET b = a;")
CONTRACT = file("1_a.contract.sql", "ALTER TABLE t DROP a;")
SECOND_CONTRACT = file("1_b.contract.sql", "DROP TABLE u;")
VERIFY = file("1_a.verify.sql", "SELECT 1 FROM t WHERE b <> a;")
ALL = (Phase.EXPAND, Phase.MIGRATE, Phase.CONTRACT)


def plan(
    wanted: MigrationSource,
    journal: Journal | None = None,
    *,
    through: Through = Through.CONTRACT,
    baseline: str | None = None,
    observed: ObservedSchema = ADOPTABLE,
) -> VersionPlan:
    limit = None if baseline is None else Version(baseline)
    return make_plan(
        wanted, journal or Journal(), observed, Wanted("public", Asked(through), limit)
    )


def ids(planned: VersionPlan) -> list[str]:
    return [step.outline.id for step in planned.steps]


ONE = with_verify(source("1", EXPAND, MIGRATE, CONTRACT, SECOND_CONTRACT), VERIFY)


def test_a_version_is_verified_after_migrate_and_on_both_sides_of_its_contract() -> None:
    assert ids(plan(ONE)) == [
        "1/Expand/1_a.sql/1",
        "1/Migrate/1_a.migrate.sql/1",
        "1/verify/Migrate",
        "1/verify/Before",
        "1/Contract/1_a.contract.sql/1",
        "1/Contract/1_b.contract.sql/1",
        "1/verify/Contract",
    ]


def test_a_contract_that_has_begun_is_verified_before_the_rest_of_it() -> None:
    before = journal_of(EXPAND, MIGRATE, phases=(Phase.EXPAND, Phase.MIGRATE))
    begun = replace(before, files=[*before.files, *journal_of(CONTRACT).files])
    assert ids(plan(ONE, begun)) == [
        "1/verify/Within",
        "1/Contract/1_b.contract.sql/1",
        "1/verify/Contract",
    ]


def test_an_edited_verify_file_of_a_contracted_version_is_asked_for_its_new_shape_alone() -> None:
    done = journal_of(EXPAND, MIGRATE, CONTRACT, SECOND_CONTRACT, phases=ALL)
    assert ids(plan(ONE, done)) == ["1/verify/Contract"]


def test_no_version_that_was_adopted_is_with_verify() -> None:
    wanted = with_verify(source("2", EXPAND, CONTRACT, file("2_b.sql")), VERIFY)
    assert ids(plan(wanted, baseline="1")) == ["baseline/1", "2/Expand/2_b.sql/1"]
    adopted = Journal(
        files=[
            AppliedFile("1", f.file, f.phase.value, f.checksum, is_baseline=True)
            for f in (EXPAND, CONTRACT)
        ],
        phases=[DonePhase("1", phase.value, "a", MOMENT, 0) for phase in Phase],
    )
    assert ids(plan(wanted, adopted)) == ["2/Expand/2_b.sql/1"]


def test_an_adopted_barrier_holds_nothing() -> None:
    barrier = file("1_a.sql", "-- pgstrata: barrier\nSELECT 1;")
    wanted = source("2", barrier, CONTRACT, file("2_b.sql"))
    planned = plan(wanted, baseline="1", through=Through.MIGRATE)
    assert (ids(planned), planned.waits) == (["baseline/1", "2/Expand/2_b.sql/1"], None)


def test_a_baseline_above_the_version_or_over_an_empty_schema_is_refused() -> None:
    with pytest.raises(InvalidSpec, match=r"spec\.baseline 2 is above spec\.version 1"):
        plan(ONE, baseline="2")
    empty = replace(ADOPTABLE, is_empty=True)
    with pytest.raises(InvalidSpec, match="no relation that could be adopted"):
        plan(ONE, baseline="1", observed=empty)


def test_a_baseline_below_all_versions_is_refused_and_one_with_a_journal_is_ignored() -> None:
    with pytest.raises(InvalidSpec, match=r"below every version .* the lowest of which is 1:"):
        plan(ONE, baseline="0.9", through=Through.EXPAND)
    expanded = journal_of(EXPAND)
    assert "baseline" not in " ".join(ids(plan(ONE, expanded, baseline="1")))


def test_what_was_contracted_in_part_and_is_not_asked_for_any_more_is_shown_without_that_part() -> (
    None
):
    before = journal_of(EXPAND, MIGRATE, phases=(Phase.EXPAND, Phase.MIGRATE))
    begun = replace(before, files=[*before.files, *journal_of(CONTRACT).files])
    shown = plan(ONE, begun, through=Through.MIGRATE).shown
    assert [outline.id for outline in shown] == ["1/Contract/1_b.contract.sql/1"]


def test_a_vanished_file_of_the_baseline_is_told_and_stops_nothing() -> None:
    gone = AppliedFile("0", "0_old.sql", "Expand", "x", is_baseline=True)
    done = journal_of(EXPAND, MIGRATE, phases=(Phase.EXPAND, Phase.MIGRATE))
    wanted = source("1", EXPAND, MIGRATE)
    planned = plan(wanted, replace(done, files=[*done.files, gone]), through=Through.MIGRATE)
    assert (ids(planned), planned.notices) == (
        [],
        ("file 0_old.sql of the baseline has vanished from the source",),
    )


def test_kept_triggers_go_with_the_statement_that_they_stand_in_the_way_of() -> None:
    fill = file("1_a.migrate.sql", "-- pgstrata: batch\nUPDATE t SET b = a WHERE b IS NULL;")
    contract = file("1_a.contract.sql", "BEGIN;\nDROP TABLE u;\nCOMMIT;\nALTER TABLE t DROP a;")
    planned = plan(source("1", EXPAND, fill, contract))
    assert ids(planned)[2:] == [
        "1/Contract/1_a.contract.sql/2",
        "1/Contract/1_a.contract.sql/4",
        "1/Contract/kept-triggers",
    ]
    said = [any("drops the triggers" in h for h in s.outline.hazards) for s in planned.steps[2:]]
    assert said == [False, True, False]


def test_a_contract_that_died_before_its_last_step_has_that_left() -> None:
    fill = file("1_a.migrate.sql", "-- pgstrata: batch\nUPDATE t SET b = a WHERE b IS NULL;")
    done = journal_of(EXPAND, fill, CONTRACT, phases=(Phase.EXPAND, Phase.MIGRATE))
    planned = plan(source("1", EXPAND, fill, CONTRACT), done)
    assert ids(planned) == ["1/Contract/kept-triggers"]
    assert planned.steps[0].outline.approval is not None
