"""What is planned, and what a source and a journal that do not fit are refused for."""

import pytest

from pgstrata.core.errors import ChecksumMismatch, DowngradeRefused, OutOfOrder, PgstrataError
from pgstrata.core.names import TableName
from pgstrata.engine.plan import Gate, Plan
from pgstrata.migrations.journal import Journal
from pgstrata.migrations.observed import ObservedSchema, ObservedTable
from pgstrata.migrations.plan import Wanted, make_plan
from pgstrata.migrations.schedule import Asked
from pgstrata.migrations.source import MigrationSource
from pgstrata.migrations.spec import Phase, Through
from pgstrata.pg.lock_modes import RelationRef
from tests.testbed.migration_files import applied_part, file, journal_of, source

EMPTY = ObservedSchema(exists=True, may_create=True, tables={})


def plan(
    wanted: MigrationSource,
    journal: Journal | None = None,
    *,
    observed: ObservedSchema = EMPTY,
    through: Through = Through.MIGRATE,
) -> Plan:
    """Plan for schema public."""
    return make_plan(wanted, journal or Journal(), observed, Wanted("public", Asked(through)))


def ids(planned: Plan) -> list[str]:
    """Return the ids of the steps to run."""
    return [step.outline.id for step in planned.steps]


ONE = file("001_a.sql", "SELECT 1;")
TWO = file("002_b.sql", "SELECT 2;")
TWO_MIGRATE = file("002_b.migrate.sql", "INSERT INTO t VALUES (1);")
THREE = file("003_c.sql", "SELECT 3;")
CONTRACT = file("002_b.contract.sql", "DROP TABLE t;")


def test_all_expand_comes_before_all_migrate() -> None:
    one_migrate = file("001_a.migrate.sql", "INSERT INTO t VALUES (0);")
    assert ids(plan(source("2", ONE, one_migrate, TWO, TWO_MIGRATE))) == [
        "1/Expand/001_a.sql/1",
        "2/Expand/002_b.sql/1",
        "1/Migrate/001_a.migrate.sql/1",
        "2/Migrate/002_b.migrate.sql/1",
    ]


def test_through_expand_stops_before_migrate() -> None:
    planned = plan(source("2", ONE, TWO, TWO_MIGRATE), through=Through.EXPAND)
    assert ids(planned) == ["1/Expand/001_a.sql/1", "2/Expand/002_b.sql/1"]


def test_contract_files_are_shown_and_never_run() -> None:
    planned = plan(source("2", ONE, TWO, CONTRACT))
    assert all("contract" not in step for step in ids(planned))
    assert [(o.id, o.gates) for o in planned.shown] == [
        ("2/Contract/002_b.contract.sql/1", (Gate.CONTRACT,))
    ]
    assert "shown and not run" in planned.summary


def test_what_was_applied_is_not_planned_again() -> None:
    done = journal_of(ONE, phases=(Phase.EXPAND, Phase.MIGRATE))
    assert ids(plan(source("2", ONE, TWO), done)) == ["2/Expand/002_b.sql/1"]
    both = journal_of(ONE, TWO, phases=(Phase.EXPAND, Phase.MIGRATE))
    assert plan(source("2", ONE, TWO), both).steps == ()


def test_a_file_under_way_goes_on_behind_its_applied_part() -> None:
    half = file("001_a.sql", "SELECT 1; VACUUM t; SELECT 3;")
    journal = Journal(steps=[applied_part(half, 1)])
    assert ids(plan(source("1", half), journal)) == [
        "1/Expand/001_a.sql/2",
        "1/Expand/001_a.sql/3",
    ]


def test_phases_without_files_are_completed_by_the_step_before_them() -> None:
    [first, second] = plan(source("2", ONE, TWO)).steps
    assert [(m.version.key, m.phase) for m in first.entry.completes] == [  # type: ignore[attr-defined]  # a RunGroup
        ("1", Phase.EXPAND)
    ]
    assert [(m.version.key, m.phase) for m in second.entry.completes] == [  # type: ignore[attr-defined]  # a RunGroup
        ("2", Phase.EXPAND),
        ("1", Phase.MIGRATE),
        ("2", Phase.MIGRATE),
    ]


def test_phases_without_any_step_before_them_have_a_step_of_their_own() -> None:
    only_contract = source("2", CONTRACT)
    assert ids(plan(only_contract)) == ["2/Expand"]


def test_a_missing_schema_is_created_first() -> None:
    absent = ObservedSchema(exists=False, may_create=False, tables={})
    assert ids(plan(source("1", ONE), observed=absent))[0] == "schema/public"


def test_the_same_arguments_give_the_same_plan() -> None:
    wanted = source("2", ONE, TWO, TWO_MIGRATE, CONTRACT)
    assert plan(wanted) == plan(wanted)


def test_a_step_names_its_strongest_lock_and_its_tables() -> None:
    table = ObservedTable(TableName("app", "t"), owns=True, owner="me")
    observed = ObservedSchema(exists=True, may_create=True, tables={RelationRef(None, "t"): table})
    altered = file("1_a.sql", "UPDATE t SET a = 1; ALTER TABLE t ADD b int;")
    [step] = plan(source("1", altered), observed=observed).steps
    assert step.outline.lock == "ACCESS EXCLUSIVE"
    assert step.outline.tables == (TableName("app", "t"),)


EDITED = file("001_a.sql", "SELECT 'edited';")
HALF = file("001_a.sql", "SELECT 1; SELECT 2; SELECT 3;")
HALF_EDITED = file("001_a.sql", "SELECT 1; SELECT 'two'; SELECT 3;")
DONE_ONE = journal_of(ONE, phases=(Phase.EXPAND, Phase.MIGRATE))
DONE_BOTH = journal_of(ONE, TWO, phases=(Phase.EXPAND, Phase.MIGRATE))
DONE_TWO = journal_of(TWO, phases=(Phase.EXPAND, Phase.MIGRATE))


@pytest.mark.parametrize(
    ("wanted", "journal", "error", "says"),
    [
        pytest.param(
            source("1", ONE), DONE_BOTH, DowngradeRefused, "has version 2", id="a lower target"
        ),
        pytest.param(
            source("1", EDITED), DONE_ONE, ChecksumMismatch, "001_a.sql", id="an edited file"
        ),
        pytest.param(
            source("2", TWO), DONE_BOTH, ChecksumMismatch, "vanished", id="a vanished file"
        ),
        pytest.param(
            source("1", HALF_EDITED),
            Journal(steps=[applied_part(HALF, 2)]),
            ChecksumMismatch,
            "001_a.sql:1:11: statement 2",
            id="an edited statement of a file under way",
        ),
        pytest.param(
            source("2", ONE, TWO), DONE_TWO, OutOfOrder, "version 001", id="a version added below"
        ),
        pytest.param(
            source("1", ONE, file("001_z.sql", "SELECT 9;")),
            DONE_ONE,
            OutOfOrder,
            "001_z.sql",
            id="a file added to a complete phase",
        ),
        pytest.param(
            source("1"),
            Journal(steps=[applied_part(HALF, 1)]),
            ChecksumMismatch,
            "vanished",
            id="a vanished file under way",
        ),
    ],
)
def test_a_history_that_does_not_fit_is_refused(
    wanted: MigrationSource, journal: Journal, error: type[PgstrataError], says: str
) -> None:
    with pytest.raises(error, match=says):
        plan(wanted, journal)


def test_the_rest_of_a_file_under_way_may_be_mended() -> None:
    mended = file("001_a.sql", "SELECT 1; SELECT 'mended';")
    journal = Journal(steps=[applied_part(HALF, 1)])
    assert ids(plan(source("1", mended), journal)) == ["1/Expand/001_a.sql/2"]


def test_a_migrate_file_added_while_only_expand_is_done_is_run() -> None:
    expanded = journal_of(ONE, TWO, phases=(Phase.EXPAND,))
    planned = plan(source("2", ONE, TWO, TWO_MIGRATE), expanded)
    assert ids(planned) == ["1/Migrate", "2/Migrate/002_b.migrate.sql/1"]
