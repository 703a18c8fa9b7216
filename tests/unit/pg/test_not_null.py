"""SET NOT NULL and the CHECKs that prove it, found in statements."""

import pytest

from pgstrata.pg.lock_modes import RelationRef
from pgstrata.pg.not_null import (
    added_proofs,
    dropped,
    key_index,
    made_index,
    moved,
    not_null_columns,
    validated,
)

T = RelationRef(None, "t")


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("ALTER TABLE t ALTER a SET NOT NULL", ["a"]),
        ("ALTER TABLE t ALTER a SET NOT NULL, ALTER b SET NOT NULL", ["a", "b"]),
        ("ALTER TABLE t ALTER a SET NOT NULL, ADD c int", []),
        ("ALTER TABLE t ALTER a DROP NOT NULL", []),
        ("CREATE TABLE t (a int NOT NULL)", []),
        ("no statement", []),
    ],
)
def test_only_what_sets_not_null_and_nothing_else_needs_no_scan(
    sql: str, columns: list[str]
) -> None:
    assert not_null_columns(sql) == tuple((T, column) for column in columns)


@pytest.mark.parametrize(
    ("sql", "proofs"),
    [
        ("ALTER TABLE t ADD CONSTRAINT c CHECK (a IS NOT NULL) NOT VALID", {(T, "c"): "a"}),
        ("ALTER TABLE t ADD CONSTRAINT c CHECK (a IS NULL) NOT VALID", {}),
        ("ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT VALID", {}),
        ("ALTER TABLE t ADD CONSTRAINT c CHECK (a IS NOT NULL) NO INHERIT NOT VALID", {}),
        ("ALTER TABLE t ADD CONSTRAINT c CHECK (f(a) IS NOT NULL) NOT VALID", {}),
    ],
)
def test_a_check_of_the_column_itself_is_a_proof(sql: str, proofs: dict[object, str]) -> None:
    assert added_proofs(sql) == proofs


def test_what_is_validated_and_dropped_is_named() -> None:
    assert validated("ALTER TABLE t VALIDATE CONSTRAINT c") == ((T, "c"),)
    assert dropped("ALTER TABLE s.t DROP CONSTRAINT c") == ((RelationRef("s", "t"), "c"),)


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        ("ALTER TABLE t ADD PRIMARY KEY USING INDEX i", (T, "i")),
        ("ALTER TABLE t ADD CONSTRAINT k PRIMARY KEY USING INDEX i", (T, "i")),
        ("ALTER TABLE t ADD UNIQUE USING INDEX i", None),
        ("ALTER TABLE t ADD PRIMARY KEY (a)", None),
        ("ALTER TABLE t ADD PRIMARY KEY USING INDEX i, ADD CHECK (a > 0)", None),
    ],
)
def test_the_index_that_becomes_a_primary_key_is_named(sql: str, index: object) -> None:
    assert key_index(sql) == index


def test_the_columns_of_an_index_are_read_unless_one_is_an_expression() -> None:
    made = made_index("CREATE UNIQUE INDEX CONCURRENTLY i ON t (a, b) INCLUDE (c)")
    assert made == ((T, "i"), ("a", "b"))
    assert made_index("CREATE INDEX i ON t (a, lower(b))") is None


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("ALTER TABLE t RENAME TO u", {T, RelationRef(None, "u")}),
        ("ALTER TABLE t RENAME a TO b", {T, RelationRef(None, "b")}),
        ("ALTER TABLE t SET SCHEMA s", {T, RelationRef("s", "t")}),
        ("ALTER TABLE t DROP a", {T}),
        ("ALTER TABLE t ALTER a DROP NOT NULL", {T}),
        ("ALTER TRIGGER x ON t RENAME TO z", set()),
        ("ALTER TABLE t ADD b int", set()),
    ],
)
def test_after_a_change_of_names_nothing_is_known_of_a_table(sql: str, tables: set[object]) -> None:
    assert set(moved(sql)) == tables
