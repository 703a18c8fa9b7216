"""The application after Expand of version 002: it makes organizations, and users join them.

Called by the demo and by tests and measurements, between Expand and Migrate: without it the
backfills of organization_id find nothing to do. The same arguments over the same users give the
same rows. What code of version 002 would leave to the backfills is left to them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TypeVar

import psycopg
from psycopg.rows import TupleRow

USERS_PER_ORGANIZATION = 12
FEWEST_ORGANIZATIONS = 3
SIZE_EXPONENT = 0.9
"""An organization's share of the members falls as 1 / rank ** exponent: a few have most of them."""

LONER_SHARE = 0.18
"""Users who belong to no organization."""

MEMBERLESS = 1
"""Organizations that nobody has joined yet, the youngest ones."""

WORDS = (
    "Atlas",
    "Borealis",
    "Cobalt",
    "Dune",
    "Ember",
    "Fjord",
    "Götz",
    "Harbor",
    "Île",
    "Juniper",
)
PLAIN_LETTERS = str.maketrans("öî", "oi")
KINDS = ("Labs", "Systems", "Health", "Bank", "& Sons", "Analytics", "Logistics")
PLANS = (("free", 45), ("team", 35), ("business", 15), ("enterprise", 5))
SETTINGS = (
    ("{}", 60),
    ('{"sso": {"provider": "okta", "enforced": true}, "seats": 50}', 15),
    ('{"theme": "dark", "locale": "de-DE"}', 15),
    ('{"note": "moved from “Böhm & Co” — ask Ana"}', 8),
    (None, 2),
)
ROLES = (("user", 85), ("viewer", 10), ("admin", 5))

_Choice = TypeVar("_Choice")


@dataclass(frozen=True, slots=True)
class Organization:
    """One row of organizations; settings is JSON as text."""

    id: str
    name: str
    slug: str
    plan: str
    billing_email: str | None
    settings: str | None
    is_active: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Membership:
    """Which organization a user joins, and as what."""

    user_id: str
    organization_id: str
    role: str


@dataclass(frozen=True, slots=True)
class Joined:
    """How many rows there are now."""

    organizations: int
    members: int
    """Users with an organization."""
    loners: int
    """Users without one."""


def join_organizations(conninfo: str, seed: int = 1, *, until: datetime) -> Joined:
    """Write organizations, and let most users join one; all of it or nothing.

    No call that is recorded meanwhile waits for it: the users' keys are not changed.

    Args:
        conninfo: a filled database at Expand of version 002 or later, without organizations.
        seed: another seed makes other organizations.
        until: the present. An aware time is taken as UTC; a naive one as it is.
    """
    now = until.astimezone(UTC).replace(tzinfo=None) if until.tzinfo else until
    rng = Random(f"organizations/{seed}")  # noqa: S311 - data for tests, nothing is kept secret
    with psycopg.connect(conninfo) as connection:
        users = [row[0] for row in connection.execute("SELECT id FROM users ORDER BY id")]
        organizations = make_organizations(rng, len(users), now)
        memberships = make_memberships(rng, users, organizations)
        _write(connection, organizations, memberships, now)
        connection.execute("ANALYZE organizations")
        connection.execute("ANALYZE users")
    return Joined(len(organizations), len(memberships), len(users) - len(memberships))


def make_organizations(rng: Random, users: int, until: datetime) -> tuple[Organization, ...]:
    """Return organizations for so many users, the largest first."""
    count = max(FEWEST_ORGANIZATIONS, users // USERS_PER_ORGANIZATION)
    return tuple(_make_organization(rng, rank, until) for rank in range(count))


def _make_organization(rng: Random, rank: int, until: datetime) -> Organization:
    word = rng.choice(WORDS)
    slug = f"{word.lower().translate(PLAIN_LETTERS)}-{rank}"
    return Organization(
        id=f"org_{rng.getrandbits(64):016x}",
        name=f"{word} {rng.choice(KINDS)}",
        slug=slug,
        plan=_choose(rng, PLANS),
        billing_email=None if rng.random() < 0.2 else f"billing@{slug}.example",
        settings=_choose(rng, SETTINGS),
        is_active=rank == 0 or rng.random() < 0.95,
        created_at=until - timedelta(hours=rng.uniform(0, 24)),
    )


def make_memberships(
    rng: Random, users: Sequence[str], organizations: Sequence[Organization]
) -> tuple[Membership, ...]:
    """Return who joins what: LONER_SHARE of the users nothing, the others at most one each."""
    joinable = organizations[:-MEMBERLESS]
    weights = [1 / (rank + 1) ** SIZE_EXPONENT for rank in range(len(joinable))]
    members = [user for user in users if rng.random() >= LONER_SHARE]
    chosen = rng.choices(joinable, weights, k=len(members))
    return tuple(
        Membership(user, organization.id, _choose(rng, ROLES))
        for user, organization in zip(members, chosen, strict=True)
    )


def _choose(rng: Random, weighted: Sequence[tuple[_Choice, int]]) -> _Choice:
    return rng.choices([value for value, _ in weighted], [weight for _, weight in weighted])[0]


def _write(
    connection: psycopg.Connection[TupleRow],
    organizations: Sequence[Organization],
    memberships: Sequence[Membership],
    now: datetime,
) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO organizations (id, name, slug, plan, billing_email, settings, is_active,"
            " created_at, updated_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (o.id, o.name, o.slug, o.plan, o.billing_email, o.settings, o.is_active,
                 o.created_at, o.created_at)
                for o in organizations
            ],
        )  # fmt: skip
        document = json.dumps([[m.user_id, m.organization_id, m.role] for m in memberships])
        cursor.execute(
            "UPDATE users SET organization_id = joined ->> 1, role = joined ->> 2, updated_at = %s"
            " FROM jsonb_array_elements(%s::jsonb) AS joined WHERE users.id = joined ->> 0",
            (now, document),
        )
