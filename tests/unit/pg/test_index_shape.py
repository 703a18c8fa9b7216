"""Indexes are compared by what they are, not by where they stand and what they are called."""

import itertools

import pytest

from pgstrata.pg.index_shape import normalise_definition, on_other_table
from pgstrata.pg.lock_modes import RelationRef
from pgstrata.pg.syntax import StatementTooDeep, SyntaxProblem, parse_statement
from tests.unit.pg.index_cases import INDEXES

COPY = RelationRef("pg_temp", 'co"py.1')
SIMPLE = "CREATE INDEX x ON t (a)"


@pytest.mark.parametrize("name", INDEXES)
def test_a_statement_moves_to_another_table_and_keeps_its_shape(name: str) -> None:
    moved = on_other_table(INDEXES[name], COPY, "wanted.1")
    index = parse_statement(moved).node
    assert (index.relation.schemaname, index.relation.relname) == ("pg_temp", 'co"py.1')
    assert (index.idxname, index.concurrent, index.if_not_exists) == ("wanted.1", False, False)
    assert "T.t" not in moved
    assert normalise_definition(moved) == normalise_definition(INDEXES[name])


def test_every_difference_in_shape_is_seen() -> None:
    shapes = {name: normalise_definition(text) for name, text in INDEXES.items()}
    same = {"one column", "a dotted name", "concurrently"}
    for (one, shape), (other, other_shape) in itertools.combinations(shapes.items(), 2):
        assert (shape == other_shape) is ({one, other} <= same), (one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(SIMPLE, 'CREATE INDEX "Y.y" ON s."T" USING btree (a)', id="names"),
        pytest.param(SIMPLE, "CREATE INDEX y ON ONLY t (a)", id="ONLY says where, not what"),
        pytest.param(SIMPLE, "CREATE INDEX x ON t (a) TABLESPACE fast", id="tablespace"),
        pytest.param("CREATE INDEX x ON t (f(t.*))", "CREATE INDEX x ON s.u (f(u.*))", id="rows"),
    ],
)
def test_what_is_no_part_of_the_shape_does_not_count(one: str, other: str) -> None:
    assert normalise_definition(one) == normalise_definition(other)


def test_a_column_named_like_the_table_is_left_alone() -> None:
    assert normalise_definition("CREATE INDEX x ON t ((t + 1))") != normalise_definition(
        "CREATE INDEX x ON u ((u + 1))"
    )


@pytest.mark.parametrize("text", ["CREATE TABLE t (a int)", "CREATE INDEX", ""])
def test_what_is_no_create_index_is_refused(text: str) -> None:
    with pytest.raises(SyntaxProblem):
        normalise_definition(text)


def test_an_index_too_deep_to_print_is_refused_and_does_not_end_the_process() -> None:
    deep = "||".join(["b"] * 4_000)
    with pytest.raises(StatementTooDeep):
        on_other_table(f"CREATE INDEX x ON t (({deep}))", COPY, "y")
