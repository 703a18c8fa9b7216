"""Domains with constraints, found in statements."""

import pytest

from pgstrata.pg.classify import classify
from pgstrata.pg.domains import MadeDomain, made_domain
from pgstrata.pg.lock_modes import RelationRef


def ref(name: str, schema: str | None = None) -> RelationRef:
    return RelationRef(schema, name)


@pytest.mark.parametrize(
    ("column", "types"),
    [
        ("c age", [ref("age")]),
        ("c s.age DEFAULT 1", [ref("age", "s")]),
        ('c "Age", ADD d mood', [ref("Age"), ref("mood")]),
        ("c age[]", []),
        ("c int", []),
        ("c timestamptz", []),
        ("c numeric(3, 1)", []),
        ("c pg_catalog.text", []),
    ],
)
def test_types_that_may_be_domains_are_named(column: str, types: list[RelationRef]) -> None:
    known = classify(f"ALTER TABLE t ADD {column}")
    assert list(known.added_types) == types
    assert not known.rewrites


@pytest.mark.parametrize(
    ("sql", "made"),
    [
        ("CREATE DOMAIN d AS int", MadeDomain(ref("d"), None, has_constraint=False)),
        ("CREATE DOMAIN s.d AS age", MadeDomain(ref("d", "s"), ref("age"), has_constraint=False)),
        ("CREATE DOMAIN d AS int NOT NULL", MadeDomain(ref("d"), None, has_constraint=True)),
        (
            "CREATE DOMAIN d AS int CHECK (value > 0)",
            MadeDomain(ref("d"), None, has_constraint=True),
        ),
        ("ALTER DOMAIN d SET NOT NULL", MadeDomain(ref("d"), None, has_constraint=True)),
        (
            "ALTER DOMAIN d ADD CHECK (value > 0) NOT VALID",
            MadeDomain(ref("d"), None, has_constraint=True),
        ),
        ("ALTER DOMAIN d DROP NOT NULL", None),
        ("CREATE TABLE t (a d)", None),
        ("no statement", None),
    ],
)
def test_what_makes_a_domain_or_binds_it_is_known(sql: str, made: MadeDomain | None) -> None:
    assert made_domain(sql) == made
