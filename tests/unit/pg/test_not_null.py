"""SET NOT NULL and the CHECKs that prove it, found in statements."""

import pytest

from pgstrata.pg.lock_modes import RelationRef
from pgstrata.pg.not_null import added_proofs, dropped, not_null_columns, validated

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
        ("ALTER TABLE t ADD CONSTRAINT c CHECK (f(a) IS NOT NULL) NOT VALID", {}),
    ],
)
def test_a_check_of_the_column_itself_is_a_proof(sql: str, proofs: dict[object, str]) -> None:
    assert added_proofs(sql) == proofs


def test_what_is_validated_and_dropped_is_named() -> None:
    assert validated("ALTER TABLE t VALIDATE CONSTRAINT c") == ((T, "c"),)
    assert dropped("ALTER TABLE s.t DROP CONSTRAINT c") == ((RelationRef("s", "t"), "c"),)
