"""Code of version 000 that still runs: what it writes while a later version is on its way.

Called by the tests of the bundle at each stage of a migration. The writer (writer.py) writes calls
all the time; this writes one row of each sort that a backfill has to do with, the same ones each
time it is called with the same arguments.
"""

from datetime import datetime, timedelta

import psycopg
from psycopg.rows import TupleRow

USERS = 20
"""Users for whom something is written: enough for some with and some without organization."""

CHOSEN = "(SELECT id FROM users ORDER BY id LIMIT %(users)s) AS chosen"

STATEMENTS = (
    """
    INSERT INTO api_providers (id, name, base_url, created_at, updated_at)
    VALUES ('prov_' || %(mark)s::text, %(mark)s, 'https://api.example', %(at)s, %(at)s)
    """,
    f"""
    INSERT INTO api_keys (id, user_id, provider_id, name, key_hash, created_at, updated_at)
    SELECT 'key_' || %(mark)s::text || id, id, 'prov_' || %(mark)s::text, 'ci', md5(id),
           %(at)s::timestamp, %(at)s::timestamp
    FROM {CHOSEN}
    """,
    f"""
    INSERT INTO cost_budgets (id, user_id, provider_id, name, amount, created_at, updated_at)
    SELECT 'budget_' || %(mark)s::text || id, id, 'prov_' || %(mark)s::text, 'all calls', 100,
           %(at)s::timestamp, %(at)s::timestamp
    FROM {CHOSEN}
    """,
    f"""
    INSERT INTO api_metrics (id, provider_id, user_id, api_key_id, endpoint, method, status_code,
                             response_time, timestamp)
    SELECT 'call_' || %(mark)s::text || id, 'prov_' || %(mark)s::text, id,
           'key_' || %(mark)s::text || id, '/v1/anything', 'GET', 200, 40, %(at)s::timestamp
    FROM {CHOSEN}
    """,
    f"""
    UPDATE api_keys SET last_used = %(at)s, updated_at = %(at)s
    FROM {CHOSEN}
    WHERE chosen.id = user_id
    """,
    """
    UPDATE api_metrics SET cost = 0.5
    WHERE id IN (SELECT id FROM api_metrics ORDER BY id LIMIT %(users)s)
    """,
)


def write_as_before(connection: psycopg.Connection[TupleRow], mark: str, until: datetime) -> None:
    """Write a provider and, for USERS users, a key, a budget and a call; touch rows that exist.

    Args:
        connection: in autocommit, as the application's.
        mark: makes the ids; call it once with each.
        until: the rows' times are an hour before it.
    """
    values = {"mark": mark, "users": USERS, "at": until - timedelta(hours=1)}
    for statement in STATEMENTS:
        connection.execute(statement, values)
