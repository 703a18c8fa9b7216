"""Which steps a person must agree to, and what their agreement is given to."""

import pytest

from pgstrata.core.names import TableName
from pgstrata.engine.estimate import Work
from pgstrata.migrations.gating import LARGE_BYTES, approval_hash, is_gated, work_of
from pgstrata.migrations.groups import cut
from pgstrata.migrations.journal import Journal
from pgstrata.migrations.observed import ObservedSchema, ObservedTable
from pgstrata.migrations.plan import VersionPlan, Wanted, approvals_wanted, make_plan
from pgstrata.migrations.schedule import Asked
from pgstrata.migrations.source import MigrationSource
from pgstrata.migrations.spec import Phase, Through
from pgstrata.pg.lock_modes import RelationRef
from tests.testbed.migration_files import applied_part, file, source

T = RelationRef(None, "t")
BATCH = "-- pgstrata: batch size={}\nDELETE FROM t WHERE id < 0;"


def gated(sql: str, size: int = LARGE_BYTES, phase: Phase = Phase.EXPAND) -> bool:
    """Whether a file's one group is gated where table t has that size."""
    whole = file(f"1_a.{phase.value.lower()}.sql", sql)
    [group] = cut(whole)
    return is_gated(group, whole, observed(size))


def observed(size: int = 0, *proven: tuple[str, int]) -> ObservedSchema:
    """A schema with table t of that size."""
    return ObservedSchema(
        exists=True, may_create=True, tables={}, sizes={T: size}, proven=frozenset(proven)
    )


def work(sql: str, *proven: tuple[str, int]) -> Work | None:
    """What a file's one group does to whole tables."""
    whole = file("1_a.sql", sql)
    [group] = cut(whole)
    return work_of(group, whole, observed(0, *proven))


def hash_of_phase(
    sql: str, phase: str = "contract", version: str = "1", schema: str = "public"
) -> str:
    [found] = source(version, file(f"{version}_a.{phase}.sql", sql)).versions
    return approval_hash(found, Phase(phase.capitalize()), schema)


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE t",
        "DROP TABLE IF EXISTS t CASCADE",
        "ALTER TABLE t DROP COLUMN a",
        "ALTER TABLE t ADD b int, DROP a",
        "DROP SCHEMA s",
        "DROP TYPE s",
        "DROP SEQUENCE s",
        "DROP MATERIALIZED VIEW s",
        "TRUNCATE t",
        "DELETE FROM t WHERE a = 1",
        "WITH gone AS (DELETE FROM t RETURNING *) INSERT INTO s SELECT * FROM gone",
        "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE",
        "DROP OWNED BY somebody",
        BATCH.format(100),
        "SELECT 1; DROP TABLE t; SELECT 2",
        "PREPARE p AS DELETE FROM t; EXECUTE p",
        "DO $$ begin drop table t; end $$",
        "DO LANGUAGE plpgsql 'begin execute format(''TRUNCATE %I'', ''t''); end'",
        "DO $$ begin execute 'ALTER TABLE t ' || 'DROP COLUMN a'; end $$",
        "DO $$ begin delete\tfrom t; end $$",
    ],
)
def test_what_destroys_is_gated_in_every_phase_whatever_its_size(sql: str) -> None:
    assert gated(sql, size=0)
    assert gated(sql, size=0, phase=Phase.MIGRATE)


@pytest.mark.parametrize(
    "sql",
    [
        "VACUUM FULL",
        "VACUUM (FULL, ANALYZE)",
        "CLUSTER",
        "REINDEX SCHEMA s",
        "REINDEX DATABASE",
        "REINDEX SYSTEM",
        "ALTER TABLE ALL IN TABLESPACE a SET TABLESPACE b",
    ],
)
def test_what_goes_over_tables_that_it_does_not_name_is_gated_always(sql: str) -> None:
    assert gated(sql, size=0)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE INDEX t_a ON t (a)",
        "ALTER TABLE t ALTER a TYPE bigint",
        "ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0)",
        "ALTER TABLE t ALTER a SET NOT NULL",
        "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES s (a)",
        "ALTER TABLE t ADD PRIMARY KEY (a)",
        "VACUUM FULL t",
        "CLUSTER t USING i",
        "REINDEX TABLE t",
        "BEGIN; ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT VALID;"
        " ALTER TABLE t VALIDATE CONSTRAINT c; COMMIT",
        "BEGIN; ALTER TABLE t VALIDATE CONSTRAINT c; ALTER TABLE t ADD b int; COMMIT",
    ],
)
def test_what_goes_over_a_table_while_writers_wait_is_gated_from_100_mb_on(sql: str) -> None:
    assert gated(sql, LARGE_BYTES + 1)
    assert not gated(sql, LARGE_BYTES)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE INDEX CONCURRENTLY t_a ON t (a)",
        "ALTER TABLE t VALIDATE CONSTRAINT c",
        "ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT VALID",
        "ALTER TABLE t ADD CONSTRAINT c UNIQUE USING INDEX t_a",
        "ALTER TABLE t ADD b int DEFAULT 7",
        "ALTER TABLE t DROP CONSTRAINT c",
        "UPDATE t SET a = 1",
        "VACUUM",
        "REINDEX SCHEMA CONCURRENTLY s",
        "DROP INDEX t_a",
        "DROP VIEW v",
        "DROP FUNCTION f()",
        "DO $$ begin drop index t_a; raise notice 'deleted'; end $$",
    ],
)
def test_what_destroys_nothing_and_lets_writers_go_on_is_never_gated_before_contract(
    sql: str,
) -> None:
    assert not gated(sql, size=10**12)
    assert gated(sql, size=0, phase=Phase.CONTRACT)


def test_the_hash_covers_version_phase_schema_text_and_options() -> None:
    drop = "DROP TABLE t;"
    found = {
        hash_of_phase(drop),
        hash_of_phase(drop, version="2"),
        hash_of_phase(drop, "migrate"),
        hash_of_phase(drop, schema="other"),
        hash_of_phase("DROP TABLE u;"),
        hash_of_phase("SELECT 1; DROP TABLE t;"),
        hash_of_phase(BATCH.format(100)),
        hash_of_phase(BATCH.format(200)),
        hash_of_phase("TRUNCATE t; COPY t FROM stdin;\n1\n\\.\n"),
        hash_of_phase("TRUNCATE t; COPY t FROM stdin;\n2\n\\.\n"),
        hash_of_phase(f"-- pgstrata: no-transaction\n{drop}"),
        hash_of_phase(BATCH.format("100 keep=never")),
    }
    assert len(found) == 12


def test_the_hash_of_an_earlier_phase_covers_what_is_gated_and_nothing_else() -> None:
    drop = hash_of_phase("DROP TABLE t;", "expand")
    assert hash_of_phase("CREATE TABLE u (); DROP TABLE t; SELECT 1;", "expand") == drop
    assert hash_of_phase("-- why\nDROP TABLE t;", "expand") == drop
    assert hash_of_phase("DROP TABLE t; TRUNCATE u;", "expand") != drop


@pytest.mark.parametrize(
    "setting", ["SET search_path = {}", "SELECT set_config('search_path', '{}', false)"]
)
def test_the_hash_covers_settings_that_decide_which_table_a_name_is(setting: str) -> None:
    one, other = setting.format("one"), setting.format("other")
    drop = hash_of_phase(f"{one}; DROP TABLE t;", "expand")
    assert hash_of_phase(f"{other}; DROP TABLE t;", "expand") != drop
    assert hash_of_phase(f"{one}; {other}; DROP TABLE t;", "expand") != drop
    assert hash_of_phase(f"{one}; DROP TABLE t; {other};", "expand") == drop


def planned(found: MigrationSource, journal: Journal, size: int = 0) -> VersionPlan:
    tables = {T: ObservedTable(TableName("public", "t"), owns=True, owner="me")}
    seen = ObservedSchema(True, True, tables, is_empty=False, sizes={T: size})
    return make_plan(found, journal, seen, Wanted("public", Asked(Through.CONTRACT)))


def consumers(plan: VersionPlan) -> list[str]:
    """The steps with which an approval is consumed."""
    entries = [(s.outline.id, getattr(s, "entry", None)) for s in plan.steps]
    return [id_ for id_, entry in entries if entry is not None and entry.consumes]


def test_progress_never_changes_the_hash_and_the_last_gated_step_alone_consumes_it() -> None:
    contract = file("1_a.contract.sql", "DROP TABLE t; VACUUM s; DROP TABLE u;")
    found = source("1", file("1_a.sql"), contract)
    whole = planned(found, Journal())
    rest = planned(found, Journal(steps=[applied_part(contract, 2)]))
    assert approvals_wanted(whole).keys() == approvals_wanted(rest).keys()
    last = "1/Contract/1_a.contract.sql/3"
    assert consumers(whole) == consumers(rest) == [last]


def test_a_step_that_only_a_growing_table_may_gate_keeps_the_approval_for_itself() -> None:
    half = file("1_a.sql", "DROP TABLE u; VACUUM s; ALTER TABLE t ALTER a TYPE bigint;")
    found = source("1", half)
    assert consumers(planned(found, Journal())) == ["1/Expand/1_a.sql/3"]
    grown = planned(found, Journal(steps=[applied_part(half, 2)]), LARGE_BYTES + 1)
    assert grown.steps[0].outline.approval in approvals_wanted(planned(found, Journal()))


@pytest.mark.parametrize(
    ("sql", "does"),
    [
        ("VALIDATE CONSTRAINT c", Work.SCAN),
        ("ALTER a SET NOT NULL", Work.SCAN),
        ("ALTER a TYPE bigint", Work.REWRITE),
        ("ADD b int", None),
    ],
)
def test_the_work_of_a_step_is_what_it_does_to_whole_tables(sql: str, does: Work | None) -> None:
    assert work(f"ALTER TABLE t {sql}") is does


def test_a_proven_set_not_null_is_neither_gated_nor_any_work() -> None:
    sql = "ALTER TABLE t ALTER a SET NOT NULL"
    whole = file("1_a.sql", sql)
    [group] = cut(whole)
    large = LARGE_BYTES + 1
    assert is_gated(group, whole, observed(large))
    assert not is_gated(group, whole, observed(large, ("1_a.sql", 0)))
    assert work(sql, ("1_a.sql", 0)) is None


def test_an_index_build_is_work_and_a_backfill_that_can_be_stopped_is_none() -> None:
    assert work("CREATE INDEX CONCURRENTLY i ON t (a)") is Work.BUILD_INDEX
    assert work(BATCH.format(100)) is None
