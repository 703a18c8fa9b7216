"""The organizations that the application makes, and who joins them."""

from collections import Counter
from datetime import datetime
from random import Random

from tests.testbed.monitoring.organizations import (
    LONER_SHARE,
    MEMBERLESS,
    make_memberships,
    make_organizations,
)

UNTIL = datetime(2026, 3, 4, 12, 0)
USERS = [f"user_{number:04}" for number in range(2_000)]


def seeded() -> Random:
    return Random(1)  # noqa: S311 - chooses test data, hides nothing


def test_a_few_organizations_have_most_of_the_members() -> None:
    organizations = make_organizations(seeded(), len(USERS), UNTIL)
    memberships = make_memberships(seeded(), USERS, organizations)
    sizes = [size for _, size in Counter(m.organization_id for m in memberships).most_common()]

    assert sum(sizes[: len(sizes) // 10]) > 0.4 * sum(sizes)
    assert sizes[0] > 10 * sizes[-1]
    assert len(sizes) <= len(organizations) - MEMBERLESS, "the youngest has nobody yet"


def test_some_users_join_nothing_and_none_joins_twice() -> None:
    memberships = make_memberships(seeded(), USERS, make_organizations(seeded(), len(USERS), UNTIL))
    members = [m.user_id for m in memberships]
    assert len(members) == len(set(members))
    assert abs(1 - len(members) / len(USERS) - LONER_SHARE) < 0.03
    assert {m.role for m in memberships} == {"user", "viewer", "admin"}


def test_organizations_differ_as_real_ones_do() -> None:
    organizations = make_organizations(seeded(), len(USERS), UNTIL)
    assert len({o.slug for o in organizations}) == len(organizations), "slug is unique"
    assert all(o.slug.isascii() for o in organizations)
    assert not all(o.name.isascii() for o in organizations)
    assert {o.plan for o in organizations} == {"free", "team", "business", "enterprise"}
    assert {True, False} == {o.is_active for o in organizations}
    assert any(o.billing_email is None for o in organizations)
    assert any(o.settings is None for o in organizations)


def test_even_a_small_dashboard_has_some() -> None:
    assert len(make_organizations(seeded(), 1, UNTIL)) == 3
