"""How files are cut: what stands or falls together."""

import pytest

from pgstrata.core.errors import MigrationFailed
from pgstrata.migrations.groups import Group, GroupKind, cut
from pgstrata.pg.lock_modes import LockMode
from tests.testbed.migration_files import file


def shape(groups: tuple[Group, ...]) -> list[tuple[str, list[str]]]:
    """Return kind and first words of each group."""
    return [(g.kind.name, [s.text.split()[0] for s in g.statements]) for g in groups]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "CREATE TABLE t (a int); INSERT INTO t VALUES (1);",
            [("TRANSACTION", ["CREATE", "INSERT"])],
            id="neighbours are one transaction",
        ),
        pytest.param(
            "CREATE TABLE t (a int); CREATE INDEX CONCURRENTLY i ON t (a); ANALYZE t;",
            [
                ("TRANSACTION", ["CREATE"]),
                ("INDEX_BUILD", ["CREATE"]),
                ("TRANSACTION", ["ANALYZE"]),
            ],
            id="a concurrent build stands alone",
        ),
        pytest.param(
            "CREATE TABLE t (a int); CREATE INDEX i ON t (a); SELECT 1;",
            [("TRANSACTION", ["CREATE"]), ("TRANSACTION", ["CREATE"]), ("TRANSACTION", ["SELECT"])],
            id="an index is a step of its own",
        ),
        pytest.param(
            "SELECT 1; BEGIN; SELECT 2; SELECT 3; COMMIT; SELECT 4;",
            [
                ("TRANSACTION", ["SELECT"]),
                ("TRANSACTION", ["SELECT", "SELECT"]),
                ("TRANSACTION", ["SELECT"]),
            ],
            id="BEGIN and COMMIT frame a group",
        ),
        pytest.param("VACUUM t;", [("ALONE", ["VACUUM"])], id="no transaction can hold it"),
        pytest.param(
            "-- pgstrata: no-transaction\nSELECT 1; CALL p();",
            [("TRANSACTION", ["SELECT"]), ("ALONE", ["CALL"])],
            id="no-transaction: each its own, and what may commit outside",
        ),
        pytest.param(
            "SELECT 1;\n-- pgstrata: batch\nUPDATE t SET a = 1; SELECT 2;",
            [("TRANSACTION", ["SELECT"]), ("BACKFILL", ["UPDATE"]), ("TRANSACTION", ["SELECT"])],
            id="a backfill stands alone",
        ),
        pytest.param(
            "-- pgstrata: no-transaction\n-- pgstrata: batch key=a size=10\nDELETE FROM t;",
            [("BACKFILL", ["DELETE"])],
            id="a backfill is one outside a transaction too",
        ),
        pytest.param("-- nothing", [], id="an empty file has no group"),
        pytest.param("SET work_mem = '1GB';", [], id="settings alone are no group"),
    ],
)
def test_a_file_is_cut_into_what_stands_or_falls_together(
    text: str, expected: list[tuple[str, list[str]]]
) -> None:
    assert shape(cut(file("1_a.sql", text))) == expected


def test_settings_last_for_the_rest_of_the_file() -> None:
    first, second, third = cut(
        file(
            "1_a.sql",
            "CREATE TABLE t (a int); SET work_mem = '8MB'; CREATE INDEX CONCURRENTLY i ON t (a);"
            " SET work_mem = '9MB'; SELECT 1;",
        )
    )
    assert [s.text for s in first.settings] == []
    assert [s.text for s in second.settings] == ["SET work_mem = '8MB'"]
    assert [s.text for s in third.settings] == ["SET work_mem = '8MB'", "SET work_mem = '9MB'"]


def test_a_resumed_file_goes_on_behind_what_was_applied_with_its_settings() -> None:
    text = "SET work_mem = '8MB'; CREATE TABLE t (a int); VACUUM t; SELECT 1;"
    whole = file("1_a.sql", text)
    [vacuum, rest] = cut(whole, applied=2)
    assert (vacuum.first.index, rest.first.index) == (2, 3)
    assert [s.text for s in vacuum.settings] == ["SET work_mem = '8MB'"]


def test_a_file_resumed_behind_an_explicit_transaction_has_no_open_begin() -> None:
    text = "BEGIN; SELECT 1; COMMIT; SELECT 2;"
    [rest] = cut(file("1_a.sql", text), applied=2)
    assert [s.text for s in rest.statements] == ["SELECT 2"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("BEGIN; SELECT 1;", "1_a.sql:1:1: BEGIN without COMMIT"),
        ("COMMIT;", "1_a.sql:1:1: COMMIT without BEGIN"),
        ("BEGIN; BEGIN; COMMIT;", "1_a.sql:1:8: BEGIN inside BEGIN"),
        ("BEGIN ISOLATION LEVEL SERIALIZABLE; COMMIT;", "options of BEGIN"),
        (
            "BEGIN;\n-- pgstrata: batch\nUPDATE t SET a = 1; COMMIT;",
            "1_a.sql:3:1: .*between the BEGIN of line 1",
        ),
        ("BEGIN; VACUUM t; COMMIT;", "1_a.sql:1:8: .*between the BEGIN of line 1"),
        ("CREATE INDEX CONCURRENTLY ON t (a);", "1_a.sql:1:1: .*needs a name"),
    ],
)
def test_what_cannot_be_grouped_is_refused_with_its_place(text: str, says: str) -> None:
    with pytest.raises(MigrationFailed, match=says):
        cut(file("1_a.sql", text))


def test_a_group_locks_what_exists_before_it_at_its_strongest() -> None:
    [group] = cut(
        file(
            "1_a.sql",
            "CREATE TABLE new (a int); INSERT INTO old VALUES (1); ALTER TABLE old ADD b int;"
            " ALTER TABLE new ADD b int;",
        )
    )
    assert [(str(lock.table), lock.mode) for lock in group.locks] == [
        ("old", LockMode.ACCESS_EXCLUSIVE)
    ]


def test_group_kinds_are_all_shown_above() -> None:
    assert {kind.name for kind in GroupKind} == {"TRANSACTION", "INDEX_BUILD", "ALONE", "BACKFILL"}
