"""Fill the bundle's schema (version 000 or later) with data that looks like the real thing.

Called by the demo and by tests and measurements that need a table worth migrating. The same
arguments give the same rows, byte for byte. 200,000 metrics take some seconds: rows go in by COPY
while they are being made, and every foreign key is checked as it would be for the application.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random

import psycopg
from psycopg import sql

from tests.testbed.monitoring.population import (
    PROVIDERS,
    Alert,
    Budget,
    User,
    make_alerts,
    make_budgets,
    make_users,
)
from tests.testbed.monitoring.traffic import Call, make_calls

METRICS_PER_USER = 100
METRICS_PER_ALERT = 100
FEWEST_USERS = 25

CHUNK = 10_000
"""Rows of one COPY: PostgreSQL checks their foreign keys when it ends."""


ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
"""What COPY's text format wants escaped."""

Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows that were written, by table."""

    users: int
    api_providers: int
    api_keys: int
    api_metrics: int
    cost_budgets: int
    alerts: int


COLUMNS = {
    "api_providers": (
        "id", "name", "display_name", "description", "base_url", "status", "created_at",
        "updated_at",
    ),
    "users": ("id", "email", "name", "is_active", "created_at", "updated_at"),
    "api_keys": (
        "id", "user_id", "provider_id", "name", "key_hash", "last_used", "is_active", "created_at",
        "updated_at",
    ),
    "api_metrics": Call._fields,
    "cost_budgets": (
        "id", "user_id", "provider_id", "name", "amount", "period", "alert_threshold", "is_active",
        "created_at", "updated_at",
    ),
    "alerts": (
        "id", "user_id", "provider_id", "type", "severity", "title", "message", "metadata",
        "is_read", "is_resolved", "resolved_at", "created_at",
    ),
}  # fmt: skip
"""The tables in the order of their foreign keys, with the columns of version 000.

Columns that a later version adds keep their defaults, as they do for an application that does not
know them yet.
"""


def fill(conninfo: str, metrics: int = 200_000, seed: int = 1, *, until: datetime) -> Counts:
    """Write a population and its calls of the 90 days before `until`; all of it or nothing.

    Args:
        conninfo: a database whose search_path leads to the empty tables of the bundle.
        metrics: rows of api_metrics; users and alerts are in proportion.
        seed: another seed is another population.
        until: the newest row's arrival. An aware time is taken as UTC; a naive one as it is.

    The tables are analysed at the end, so that plans do not depend on autovacuum's timing.
    """
    now = until.astimezone(UTC).replace(tzinfo=None) if until.tzinfo else until
    rng = Random(seed)  # noqa: S311 - data for tests, nothing is kept secret by it
    users = make_users(rng, max(FEWEST_USERS, metrics // METRICS_PER_USER), now)
    with psycopg.connect(conninfo) as connection:
        load = _Loader(connection)
        return Counts(
            api_providers=load.copy("api_providers", _provider_rows(now)),
            users=load.copy("users", _user_rows(users)),
            api_keys=load.copy("api_keys", _key_rows(users)),
            api_metrics=load.copy("api_metrics", make_calls(rng, users, metrics, now)),
            cost_budgets=load.copy("cost_budgets", _budget_rows(make_budgets(rng, users, now))),
            alerts=load.copy(
                "alerts", _alert_rows(make_alerts(rng, users, metrics // METRICS_PER_ALERT, now))
            ),
        )


@dataclass(frozen=True, slots=True)
class _Loader:
    connection: psycopg.Connection[tuple[object, ...]]

    def copy(self, table: str, rows: Iterable[Row]) -> int:
        """Write `rows` and return how many they were."""
        name = sql.Identifier(table)
        columns = sql.SQL(", ").join(map(sql.Identifier, COLUMNS[table]))
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(name, columns)
        written = 0
        with self.connection.cursor() as cursor:
            for size, text in _made_ahead(rows):
                with cursor.copy(statement) as copy:
                    copy.write(text)
                written += size
        self.connection.execute(sql.SQL("ANALYZE {}").format(name))
        return written


def _made_ahead(rows: Iterable[Row]) -> Iterator[tuple[int, str]]:
    """Yield `rows` in chunks, making the next one while the server checks the last one's keys.

    A chunk comes as one text in COPY's format: written row by row, each write would wait for the
    thread that makes the next chunk.
    """
    source = iter(rows)

    def make() -> tuple[int, str]:
        lines = [_as_line(row) for row in islice(source, CHUNK)]
        return len(lines), "".join(lines)

    with ThreadPoolExecutor(max_workers=1) as maker:
        future = maker.submit(make)
        while (made := future.result())[0]:
            future = maker.submit(make)
            yield made


def _as_line(row: Row) -> str:
    """Return one line of COPY's text format."""
    return "\t".join(["\\N" if value is None else _escaped(str(value)) for value in row]) + "\n"


def _escaped(text: str) -> str:
    if text.isprintable() and "\\" not in text:
        return text
    return text.translate(ESCAPES)


def _provider_rows(now: datetime) -> Iterable[Row]:
    for number, provider in enumerate(PROVIDERS):
        created_at = now - timedelta(days=1000 - number)
        yield (
            provider.id,
            provider.name,
            provider.display_name,
            None if number % 3 else f"{provider.display_name}'s public API",
            provider.base_url,
            "active",
            created_at,
            created_at,
        )


def _user_rows(users: Iterable[User]) -> Iterable[Row]:
    for user in users:
        changed_at = user.left_at or user.created_at
        is_active = user.left_at is None
        yield (user.id, user.email, user.name, is_active, user.created_at, changed_at)


def _key_rows(users: Iterable[User]) -> Iterable[Row]:
    for key in (key for user in users for key in user.keys):
        yield (
            key.id,
            key.user_id,
            key.provider.id,
            key.name,
            key.key_hash,
            key.last_used,
            key.is_active,
            key.created_at,
            key.last_used or key.created_at,
        )


def _budget_rows(budgets: Iterable[Budget]) -> Iterable[Row]:
    for budget in budgets:
        yield (
            budget.id,
            budget.user_id,
            budget.provider_id,
            budget.name,
            budget.amount,
            budget.period,
            budget.alert_threshold,
            budget.is_active,
            budget.created_at,
            budget.created_at,
        )


def _alert_rows(alerts: Iterable[Alert]) -> Iterable[Row]:
    for alert in alerts:
        yield (
            alert.id,
            alert.user_id,
            alert.provider_id,
            alert.type,
            alert.severity,
            alert.title,
            alert.message,
            alert.metadata,
            alert.is_read,
            alert.resolved_at is not None,
            alert.resolved_at,
            alert.created_at,
        )
