"""The questions that the dashboard asks of version 000 and later, timed and with their plans.

Called before and after a migration by the demo and by measurements. PostgreSQL itself measures:
EXPLAIN (ANALYZE) leaves out network and client, and says which way it took.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

METRICS_TABLE = "api_metrics"
BUSY_RANK = 10
"""The user who is asked about: busy, but not the one who makes a tenth of all calls."""

RUNS = 5


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom the questions are about, and when: two measurements compare only with the same one."""

    user_id: str
    provider_id: str
    now: datetime
    """Wall clock without zone, as in the column."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """How long one question took, and how PostgreSQL found the answer."""

    name: str
    median_ms: float
    plan: str
    """How api_metrics was read, for example `Index Scan using idx_api_metrics_user_timestamp`."""


QUERIES: dict[str, LiteralString] = {
    "the last 24 hours per provider": """
        SELECT p.name, count(*) AS requests,
               count(*) FILTER (WHERE m.status_code >= 400) AS errors,
               avg(m.response_time) AS response_time, sum(m.cost) AS cost
        FROM api_providers AS p
        JOIN api_metrics AS m ON m.provider_id = p.id
        WHERE m.timestamp >= %(day_ago)s AND m.timestamp < %(now)s
        GROUP BY p.name ORDER BY requests DESC
    """,
    "hourly series of a user over 30 days": """
        SELECT date_trunc('hour', timestamp) AS hour, count(*) AS requests,
               avg(response_time) AS response_time, sum(cost) AS cost,
               sum((tokens ->> 'total')::bigint) AS tokens
        FROM api_metrics
        WHERE user_id = %(user_id)s AND timestamp >= %(month_ago)s AND timestamp < %(now)s
        GROUP BY hour ORDER BY hour
    """,
    "a user's error rate per endpoint": """
        SELECT provider_id, method, endpoint, count(*) AS requests,
               avg((status_code >= 400)::integer) AS error_rate
        FROM api_metrics
        WHERE user_id = %(user_id)s AND timestamp >= %(week_ago)s AND timestamp < %(now)s
        GROUP BY provider_id, method, endpoint ORDER BY error_rate DESC LIMIT 20
    """,
    "slowest endpoints of a provider": """
        SELECT method, endpoint, count(*) AS requests,
               percentile_cont(0.95) WITHIN GROUP (ORDER BY response_time) AS p95
        FROM api_metrics
        WHERE provider_id = %(provider_id)s
          AND timestamp >= %(day_ago)s AND timestamp < %(now)s
        GROUP BY method, endpoint ORDER BY p95 DESC NULLS LAST LIMIT 20
    """,
    "the latest calls of a user": """
        SELECT timestamp, provider_id, method, endpoint, status_code, response_time, cost
        FROM api_metrics
        WHERE user_id = %(user_id)s
        ORDER BY timestamp DESC LIMIT 50
    """,
}


def choose_subject(
    connection: psycopg.Connection[TupleRow], now: datetime | None = None
) -> Subject:
    """Return a busy user and the busiest provider; `now` is the present if not given."""
    users = connection.execute(
        "SELECT user_id FROM api_metrics GROUP BY user_id ORDER BY count(*) DESC, user_id LIMIT %s",
        [BUSY_RANK],
    ).fetchall()
    providers = connection.execute(
        "SELECT provider_id FROM api_metrics GROUP BY provider_id"
        " ORDER BY count(*) DESC, provider_id LIMIT 1"
    ).fetchall()
    if not users:
        raise ValueError("api_metrics is empty: fill it first (generator.py)")
    return Subject(users[-1][0], providers[0][0], now or datetime.now(UTC).replace(tzinfo=None))


def measure(
    connection: psycopg.Connection[TupleRow], subject: Subject | None = None, runs: int = RUNS
) -> list[Measurement]:
    """Ask every question once unmeasured, then `runs` times; return medians and plans.

    Times are those of PostgreSQL, in milliseconds, planning included.
    """
    about = subject or choose_subject(connection)
    return [_measure_one(connection, name, about, runs) for name in QUERIES]


def _measure_one(
    connection: psycopg.Connection[TupleRow], name: str, subject: Subject, runs: int
) -> Measurement:
    explain = sql.SQL("EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) ") + sql.SQL(QUERIES[name])
    times = []
    for _ in range(runs + 1):
        row = connection.execute(explain, _parameters(subject)).fetchone()
        assert row is not None
        answer = row[0][0]
        times.append(answer["Planning Time"] + answer["Execution Time"])
    return Measurement(name, median(times[1:]), summarise_plan(answer["Plan"]))


def _parameters(subject: Subject) -> dict[str, object]:
    return {
        "user_id": subject.user_id,
        "provider_id": subject.provider_id,
        "now": subject.now,
        "day_ago": subject.now - timedelta(days=1),
        "week_ago": subject.now - timedelta(days=7),
        "month_ago": subject.now - timedelta(days=30),
    }


def summarise_plan(plan: Mapping[str, Any], table: str = METRICS_TABLE) -> str:
    """Say in one line how a plan (EXPLAIN's JSON) reads `table`; its partitions count too."""
    found = dict.fromkeys(line for line in _accesses(plan, table))
    return " + ".join(found) or plan["Node Type"]


def _accesses(node: Mapping[str, Any], table: str) -> Iterator[str]:
    relation = node.get("Relation Name", "")
    children = node.get("Plans", ())
    if relation.startswith(table):
        parallel = "Parallel " if node.get("Parallel Aware") else ""
        indexes = [node["Index Name"]] if "Index Name" in node else list(_index_names(children))
        way = f" using {', '.join(indexes)}" if indexes else f" on {relation}"
        yield f"{parallel}{node['Node Type']}{way}"
        return
    for child in children:
        yield from _accesses(child, table)


def _index_names(nodes: Any) -> Iterator[str]:
    """Yield the indexes below a bitmap heap scan, through any BitmapAnd and BitmapOr."""
    for node in nodes:
        if "Index Name" in node:
            yield node["Index Name"]
        yield from _index_names(node.get("Plans", ()))
