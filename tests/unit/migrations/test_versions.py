"""File names and versions, of our own and of the tools that people come from."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgstrata.core.errors import InvalidSpec
from pgstrata.migrations.spec import Phase
from pgstrata.migrations.versions import Role, Version, check_scheme, read_file_name


@pytest.mark.parametrize(
    ("name", "version", "title", "phase", "role"),
    [
        ("001_add_indexes.expand.sql", "001", "add_indexes", Phase.EXPAND, Role.MIGRATION),
        ("001_add_indexes.sql", "001", "add_indexes", Phase.EXPAND, Role.MIGRATION),
        ("2.1_fill.migrate.sql", "2.1", "fill", Phase.MIGRATE, Role.MIGRATION),
        ("003_drop_old.contract.sql", "003", "drop_old", Phase.CONTRACT, Role.MIGRATION),
        ("003_drop_old.rollback.sql", "003", "drop_old", Phase.EXPAND, Role.ROLLBACK),
        ("V1__init.sql", "1", "init", Phase.EXPAND, Role.MIGRATION),
        ("V1.2__more.sql", "1.2", "more", Phase.EXPAND, Role.MIGRATION),
        ("V1_2__more.sql", "1.2", "more", Phase.EXPAND, Role.MIGRATION),
        ("U1__init.sql", "1", "init", Phase.EXPAND, Role.ROLLBACK),
        ("000001_init.up.sql", "000001", "init", Phase.EXPAND, Role.MIGRATION),
        ("000001_init.down.sql", "000001", "init", Phase.EXPAND, Role.ROLLBACK),
        ("20240101_init.sql", "20240101", "init", Phase.EXPAND, Role.MIGRATION),
    ],
)
def test_a_file_name_says_version_name_phase_and_role(
    name: str, version: str, title: str, phase: Phase, role: Role
) -> None:
    read = read_file_name(name)
    assert (read.version.text, read.name, read.phase, read.role) == (version, title, phase, role)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("init.sql", "<version>_<name>"),
        ("001_x.expnd.sql", "expnd is no phase"),
        ("R__views.sql", "repeatable"),
        ("001_x.verified.sql", "verified is no phase"),
        ("001_x.SQL", "<version>_<name>"),
        ("001-x.sql", "<version>_<name>"),
        ("_x.sql", "<version>_<name>"),
    ],
)
def test_a_name_that_says_no_version_is_refused(name: str, says: str) -> None:
    with pytest.raises(InvalidSpec, match=says):
        read_file_name(name)


@pytest.mark.parametrize(
    ("smaller", "greater"),
    [("2", "010"), ("1.2", "1.10"), ("1", "1.0.1"), ("000", "1"), ("9", "20240101")],
)
def test_versions_compare_as_dotted_integers(smaller: str, greater: str) -> None:
    assert Version(smaller) < Version(greater)
    assert not Version(greater) < Version(smaller)


@pytest.mark.parametrize(("one", "other"), [("1", "001"), ("1", "1.0"), ("0", "000"), ("0", "0.0")])
def test_leading_zeros_and_empty_parts_do_not_count(one: str, other: str) -> None:
    assert Version(one) == Version(other)
    assert hash(Version(one)) == hash(Version(other))
    assert Version(one).key == Version(other).key


@given(st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=4), min_size=2, max_size=6))
def test_the_order_of_versions_is_total_and_agrees_with_equality(parts: list[list[int]]) -> None:
    versions = sorted(Version(".".join(map(str, p))) for p in parts)
    for before, after in pairwise(versions):
        assert (before < after) != (before == after)
        assert (before.key == after.key) == (before == after)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["V1__a.sql", "2_b.sql"], "different ways"),
        (["1_a.up.sql", "2_b.sql"], "different ways"),
        (["1_a.sql", "001_b.sql"], "spell one version in two ways: 1 and 001"),
        (["001_a.sql", "20240101_b.sql"], "do not order among each other"),
    ],
)
def test_a_source_of_mixed_schemes_is_refused(names: list[str], says: str) -> None:
    with pytest.raises(InvalidSpec, match=says):
        check_scheme({name: read_file_name(name) for name in names})


def test_one_scheme_with_several_phases_is_accepted() -> None:
    names = ["001_a.expand.sql", "001_a.migrate.sql", "002_b.sql", "002_b.rollback.sql"]
    check_scheme({name: read_file_name(name) for name in names})
