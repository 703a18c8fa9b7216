"""Who calls which API: the providers, users, keys, budgets and alerts of a made-up dashboard.

Called by generator.py, which loads them, and by traffic.py, which lets these users make calls.
Values only, no I/O. The same seed gives the same population, down to the ids.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

ACTIVITY_EXPONENT = 1.0
"""A user's share of the calls falls as 1 / rank ** exponent (Zipf), as it does in real systems."""

LEFT_SHARE = 0.08
"""Share of the users who have left: inactive, with calls up to that day only."""

FAITHFUL = 20
"""The busiest users, none of whom ever leaves."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation of a provider; `weight` is its share among the provider's calls."""

    method: str
    path: str
    weight: int


@dataclass(frozen=True, slots=True)
class Provider:
    """One API that users call, and how it behaves."""

    name: str
    display_name: str
    base_url: str
    popularity: int
    """Keys for it, relative to the other providers."""
    error_rate: float
    median_ms: float
    spread: float
    """Sigma of the log-normal response time: 0.4 is steady, 1.0 has a long tail."""
    price: float | None
    """US dollars for one call, or for 1,000 tokens where it counts tokens; None: it never says."""
    endpoints: tuple[Endpoint, ...]
    models: tuple[str, ...] = ()
    """Language models on offer; a provider that has any counts tokens."""

    @property
    def id(self) -> str:
        return f"prov_{self.name}"


PROVIDERS = (
    Provider(
        "openai", "OpenAI", "https://api.openai.com", 30, 0.025, 900, 0.8, 0.004,
        (
            Endpoint("POST", "/v1/chat/completions", 75),
            Endpoint("POST", "/v1/embeddings", 20),
            Endpoint("GET", "/v1/models", 5),
        ),
        ("gpt-4o", "gpt-4o-mini", "text-embedding-3-small"),
    ),
    Provider(
        "openrouter", "OpenRouter", "https://openrouter.ai", 18, 0.06, 1300, 1.0, 0.003,
        (
            Endpoint("POST", "/api/v1/chat/completions", 92),
            Endpoint("GET", "/api/v1/credits", 8),
        ),
        ("mistral-large", "llama-3.1-70b", "qwen-2.5-72b"),
    ),
    Provider(
        "twilio", "Twilio", "https://api.twilio.com", 16, 0.01, 180, 0.4, 0.0079,
        (
            Endpoint("POST", "/2010-04-01/Messages.json", 80),
            Endpoint("GET", "/2010-04-01/Messages.json", 15),
            Endpoint("POST", "/2010-04-01/Calls.json", 5),
        ),
    ),
    Provider(
        "exa", "Exa", "https://api.exa.ai", 10, 0.018, 650, 0.6, 0.005,
        (Endpoint("POST", "/search", 70), Endpoint("POST", "/contents", 30)),
    ),
    Provider(
        "apollo", "Apollo", "https://api.apollo.io", 8, 0.09, 420, 0.7, 0.02,
        (
            Endpoint("POST", "/v1/people/match", 60),
            Endpoint("POST", "/v1/mixed_people/search", 40),
        ),
    ),
    Provider(
        "stripe", "Stripe", "https://api.stripe.com", 8, 0.004, 240, 0.4, None,
        (
            Endpoint("POST", "/v1/payment_intents", 55),
            Endpoint("GET", "/v1/charges", 35),
            Endpoint("DELETE", "/v1/customers", 10),
        ),
    ),
    Provider(
        "sendgrid", "SendGrid", "https://api.sendgrid.com", 6, 0.012, 130, 0.5, 0.0009,
        (Endpoint("POST", "/v3/mail/send", 95), Endpoint("GET", "/v3/stats", 5)),
    ),
    Provider(
        "github", "GitHub", "https://api.github.com", 4, 0.03, 160, 0.5, None,
        (
            Endpoint("GET", "/repos", 60),
            Endpoint("PATCH", "/repos/issues", 25),
            Endpoint("PUT", "/repos/contents", 15),
        ),
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Key:
    """A user's key for one provider."""

    id: str
    user_id: str
    provider: Provider
    name: str | None
    key_hash: str
    last_used: datetime | None
    is_active: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class User:
    """A user, and the keys that the user's calls are made with (at least one)."""

    id: str
    email: str
    name: str | None
    created_at: datetime
    left_at: datetime | None
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Budget:
    """What a user wants to spend at most, for one provider or for all of them (None)."""

    id: str
    user_id: str
    provider_id: str | None
    name: str
    amount: Decimal
    period: str
    alert_threshold: int
    is_active: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Alert:
    """Something a user was told about; resolved_at is set if and only if it is resolved."""

    id: str
    user_id: str
    provider_id: str | None
    type: str
    severity: str
    title: str
    message: str | None
    metadata: str
    is_read: bool
    resolved_at: datetime | None
    created_at: datetime


GIVEN_NAMES = ("Ana", "Bo", "Chloé", "Dmitri", "Esra", "Førde", "Grace", "Hiro", "Ines", "Jürgen")
FAMILY_NAMES = ("García", "Okafor", "Šimek", "Tanaka", "Smith", "O'Neil", "Müller", "Nguyễn")


def make_users(rng: Random, count: int, until: datetime) -> tuple[User, ...]:
    """Return `count` users, the busiest first (see ACTIVITY_EXPONENT)."""
    return tuple(_make_user(rng, rank, until) for rank in range(count))


def activity_weights(users: int) -> list[float]:
    """Return how much each user calls, in the order of make_users; only the ratios matter."""
    return [1 / (rank + 1) ** ACTIVITY_EXPONENT for rank in range(users)]


def _make_user(rng: Random, rank: int, until: datetime) -> User:
    user_id = f"user_{rng.getrandbits(64):016x}"
    given, family = rng.choice(GIVEN_NAMES), rng.choice(FAMILY_NAMES)
    has_left = rank >= FAITHFUL and rng.random() < LEFT_SHARE
    left_at = until - timedelta(days=rng.uniform(1, 80)) if has_left else None
    created_at = until - timedelta(days=rng.uniform(100, 900))
    providers = set(rng.choices(PROVIDERS, [p.popularity for p in PROVIDERS], k=rng.randint(1, 4)))
    keys = [
        _make_key(rng, user_id, provider, created_at=created_at, left_at=left_at, until=until)
        for provider in PROVIDERS
        if provider in providers
    ]
    return User(
        id=user_id,
        email=f"user{rank}@tenant{rank % 97}.example",
        name=None if rng.random() < 0.05 else f"{given} {family}",
        created_at=created_at,
        left_at=left_at,
        keys=tuple(keys),
    )


def _make_key(
    rng: Random,
    user_id: str,
    provider: Provider,
    *,
    created_at: datetime,
    left_at: datetime | None,
    until: datetime,
) -> Key:
    secret = f"sk-{provider.name}-{rng.getrandbits(128):032x}"
    never_used = rng.random() < 0.05
    return Key(
        id=f"key_{rng.getrandbits(64):016x}",
        user_id=user_id,
        provider=provider,
        name=rng.choice(("production", "staging", "ci", "notebook", None)),
        key_hash=hashlib.sha256(secret.encode()).hexdigest(),
        last_used=None if never_used else (left_at or until - timedelta(hours=rng.uniform(0, 48))),
        is_active=left_at is None and rng.random() < 0.95,
        created_at=created_at + timedelta(days=rng.uniform(0, 20)),
    )


def make_budgets(rng: Random, users: tuple[User, ...], until: datetime) -> list[Budget]:
    """Return the budgets: about four users in ten have one, some of them for one provider."""
    budgets = []
    for user in users:
        if rng.random() >= 0.4:
            continue
        provider = rng.choice(user.keys).provider if rng.random() < 0.6 else None
        period = rng.choice(("daily", "weekly", "monthly", "monthly", "monthly"))
        budgets.append(
            Budget(
                id=f"budget_{rng.getrandbits(64):016x}",
                user_id=user.id,
                provider_id=provider.id if provider else None,
                name=f"{provider.display_name if provider else 'All providers'}, {period}",
                amount=Decimal(rng.choice((10, 25, 50, 100, 250, 1000, 5000))),
                period=period,
                alert_threshold=rng.choice((50, 75, 80, 80, 90)),
                is_active=user.left_at is None and rng.random() < 0.9,
                created_at=until - timedelta(days=rng.uniform(1, 100)),
            )
        )
    return budgets


def make_alerts(rng: Random, users: tuple[User, ...], count: int, until: datetime) -> list[Alert]:
    """Return `count` alerts of the last 240 days, so that some are older than is worth keeping."""
    weights = activity_weights(len(users))
    owners = rng.choices(users, weights, k=count)
    return [_make_alert(rng, user, until) for user in owners]


def _make_alert(rng: Random, user: User, until: datetime) -> Alert:
    provider = rng.choice(user.keys).provider if rng.random() < 0.8 else None
    kind = rng.choice(("cost_threshold", "error_rate", "response_time", "downtime"))
    created_at = until - timedelta(days=rng.uniform(0, 240))
    resolved_at = created_at + timedelta(hours=rng.expovariate(1 / 30))
    is_resolved = resolved_at < until and rng.random() < 0.85
    name = provider.display_name if provider else "All providers"
    return Alert(
        id=f"alert_{rng.getrandbits(64):016x}",
        user_id=user.id,
        provider_id=provider.id if provider else None,
        type=kind,
        severity=rng.choices(("low", "medium", "high", "critical"), (40, 35, 20, 5))[0],
        title=f"{name}: {kind.replace('_', ' ')}",
        message=None if rng.random() < 0.1 else f"{name} passed its limit — “{kind}”",
        metadata=json.dumps({"value": round(rng.uniform(0, 500), 2), "limit": 100}),
        is_read=is_resolved or rng.random() < 0.5,
        resolved_at=resolved_at if is_resolved else None,
        created_at=created_at,
    )
