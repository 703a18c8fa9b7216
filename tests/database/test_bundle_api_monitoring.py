"""The bundle api-monitoring on a real server: its catalog, and the data made for it."""

import secrets
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import LiteralString

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow

from tests.testbed.database import Database
from tests.testbed.monitoring.bundle import apply_expand
from tests.testbed.monitoring.dashboard import choose_subject, measure
from tests.testbed.monitoring.generator import Counts, fill
from tests.testbed.postgres import PostgresServer

UNTIL = datetime(2026, 3, 4, 12, 0)
METRICS = 20_000

Connection = psycopg.Connection[TupleRow]

COLUMNS = """
alerts.id text not null
alerts.user_id text not null
alerts.provider_id text
alerts.type text not null
alerts.severity text not null
alerts.title text not null
alerts.message text
alerts.metadata jsonb default '{}'::jsonb
alerts.is_read boolean not null default false
alerts.is_resolved boolean not null default false
alerts.resolved_at timestamp without time zone
alerts.created_at timestamp without time zone not null default now()
api_keys.id text not null
api_keys.user_id text not null
api_keys.provider_id text not null
api_keys.name text
api_keys.key_hash text not null
api_keys.last_used timestamp without time zone
api_keys.is_active boolean not null default true
api_keys.created_at timestamp without time zone not null default now()
api_keys.updated_at timestamp without time zone not null default now()
api_metrics.id text not null
api_metrics.provider_id text not null
api_metrics.user_id text not null
api_metrics.api_key_id text
api_metrics.endpoint text not null
api_metrics.method text not null
api_metrics.status_code integer not null
api_metrics.response_time integer
api_metrics.request_size integer
api_metrics.response_size integer
api_metrics.cost numeric(10,6)
api_metrics.tokens jsonb
api_metrics.metadata jsonb default '{}'::jsonb
api_metrics.timestamp timestamp without time zone not null default now()
api_providers.id text not null
api_providers.name text not null
api_providers.display_name text
api_providers.description text
api_providers.base_url text
api_providers.status text not null default 'active'::text
api_providers.created_at timestamp without time zone not null default now()
api_providers.updated_at timestamp without time zone not null default now()
cost_budgets.id text not null
cost_budgets.user_id text not null
cost_budgets.provider_id text
cost_budgets.name text not null
cost_budgets.amount numeric(10,2) not null
cost_budgets.period text not null default 'monthly'::text
cost_budgets.alert_threshold integer not null default 80
cost_budgets.is_active boolean not null default true
cost_budgets.created_at timestamp without time zone not null default now()
cost_budgets.updated_at timestamp without time zone not null default now()
users.id text not null
users.email text not null
users.name text
users.is_active boolean not null default true
users.created_at timestamp without time zone not null default now()
users.updated_at timestamp without time zone not null default now()
"""

CONSTRAINTS = """
alerts: FOREIGN KEY (provider_id) REFERENCES api_providers(id)
alerts: FOREIGN KEY (user_id) REFERENCES users(id)
alerts: PRIMARY KEY (id)
api_keys: FOREIGN KEY (provider_id) REFERENCES api_providers(id) ON DELETE CASCADE
api_keys: FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
api_keys: PRIMARY KEY (id)
api_metrics: FOREIGN KEY (api_key_id) REFERENCES api_keys(id) ON DELETE SET NULL
api_metrics: FOREIGN KEY (provider_id) REFERENCES api_providers(id) ON DELETE CASCADE
api_metrics: FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
api_metrics: PRIMARY KEY (id)
api_providers: PRIMARY KEY (id)
api_providers: UNIQUE (name)
cost_budgets: FOREIGN KEY (provider_id) REFERENCES api_providers(id)
cost_budgets: FOREIGN KEY (user_id) REFERENCES users(id)
cost_budgets: PRIMARY KEY (id)
users: PRIMARY KEY (id)
users: UNIQUE (email)
"""

INDEXES_OF_001 = """
idx_alerts_severity ON {}.alerts USING btree (severity, is_resolved, created_at DESC) WHERE (is_resolved = false)
idx_alerts_user_unread ON {}.alerts USING btree (user_id, is_read, created_at DESC) WHERE (is_read = false)
idx_api_keys_active ON {}.api_keys USING btree (is_active, last_used) WHERE (is_active = true)
idx_api_keys_hash ON {}.api_keys USING hash (key_hash)
idx_api_keys_user_provider ON {}.api_keys USING btree (user_id, provider_id)
idx_api_metrics_composite ON {}.api_metrics USING btree (user_id, provider_id, "timestamp" DESC)
idx_api_metrics_cost ON {}.api_metrics USING btree (cost, "timestamp" DESC) WHERE (cost IS NOT NULL)
idx_api_metrics_provider_timestamp ON {}.api_metrics USING btree (provider_id, "timestamp" DESC)
idx_api_metrics_status_errors ON {}.api_metrics USING btree (status_code, "timestamp" DESC) WHERE (status_code >= 400)
idx_api_metrics_user_timestamp ON {}.api_metrics USING btree (user_id, "timestamp" DESC)
idx_cost_budgets_provider ON {}.cost_budgets USING btree (provider_id, is_active) WHERE (is_active = true)
idx_cost_budgets_user_active ON {}.cost_budgets USING btree (user_id, is_active) WHERE (is_active = true)
idx_users_email_active ON {}.users USING btree (email) WHERE (is_active = true)
"""  # noqa: E501 - as PostgreSQL prints them

READ_COLUMNS = """
    SELECT concat(c.relname, '.', a.attname, ' ', format_type(a.atttypid, a.atttypmod),
                  CASE WHEN a.attnotnull THEN ' not null' END,
                  ' default ' || pg_get_expr(d.adbin, d.adrelid))
    FROM pg_attribute AS a
    JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind = 'r'
    LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE c.relnamespace = %s::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY c.relname, a.attnum
"""
READ_CONSTRAINTS = """
    SELECT concat(conrelid::regclass::text, ': ', pg_get_constraintdef(oid))
    FROM pg_constraint
    WHERE connamespace = %s::regnamespace AND contype IN ('p', 'u', 'f', 'c', 'x') AND convalidated
    ORDER BY 1
"""
READ_PLAIN_INDEXES = """
    SELECT replace(pg_get_indexdef(indexrelid), 'CREATE INDEX ', '')
    FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE relnamespace = %s::regnamespace AND indisvalid AND indisready AND NOT indisunique
    ORDER BY 1
"""


def lines(connection: Connection, query: LiteralString, schema: str = "public") -> list[str]:
    return [row[0] for row in connection.execute(query, [schema])]


def count(connection: Connection, condition: LiteralString, table: str = "api_metrics") -> int:
    query = f"SELECT count(*) FROM {table} WHERE {condition}"
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    """A connection to an otherwise empty database with version 000."""
    with database.connect() as opened:
        apply_expand(opened, "000")
        yield opened


@pytest.fixture(scope="module")
def filled_template(postgres: PostgresServer) -> Iterator[str]:
    """Name of a database with version 000 and METRICS rows, to be copied."""
    name = f"filled_{secrets.token_hex(6)}"
    postgres.createdb(name)
    with postgres.connect(name) as opened:
        apply_expand(opened, "000")
    fill(postgres.uri(name), METRICS, until=UNTIL)
    yield name
    postgres.dropdb(name)


@pytest.fixture
def filled(postgres: PostgresServer, filled_template: str) -> Iterator[Connection]:
    """A connection to a copy of filled_template."""
    name = f"test_{secrets.token_hex(6)}"
    postgres.createdb(name, filled_template)
    with postgres.connect(name) as opened:
        yield opened
    postgres.dropdb(name)


def test_version_000_is_the_existing_schema(connection: Connection) -> None:
    assert lines(connection, READ_COLUMNS) == COLUMNS.strip().split("\n")
    assert lines(connection, READ_CONSTRAINTS) == CONSTRAINTS.strip().split("\n")
    assert lines(connection, READ_PLAIN_INDEXES) == []


def test_version_001_adds_its_indexes_and_nothing_else(filled: Connection) -> None:
    apply_expand(filled, "001")

    indexes = INDEXES_OF_001.format(*["public"] * 13).strip().split("\n")
    assert lines(filled, READ_PLAIN_INDEXES) == indexes
    assert lines(filled, READ_COLUMNS) == COLUMNS.strip().split("\n")
    assert lines(filled, READ_CONSTRAINTS) == CONSTRAINTS.strip().split("\n")


def test_the_bundle_goes_into_the_first_schema_of_the_search_path(database: Database) -> None:
    with database.connect() as connection:
        connection.execute("CREATE SCHEMA app")
        connection.execute("SET search_path TO app, public")
        apply_expand(connection, "000")
        apply_expand(connection, "001")

        assert lines(connection, READ_COLUMNS, "app") == COLUMNS.strip().split("\n")
        indexes = INDEXES_OF_001.format(*["app"] * 13).strip().split("\n")
        assert lines(connection, READ_PLAIN_INDEXES, "app") == indexes
        assert lines(connection, READ_COLUMNS, "public") == []


def test_the_generator_writes_what_it_says(database: Database, connection: Connection) -> None:
    counts = fill(database.uri, METRICS, until=UNTIL)

    assert counts.api_metrics == METRICS
    assert counts.users == METRICS // 100
    assert {name: count(connection, "true", name) for name in asdict(counts)} == asdict(counts)
    assert all(asdict(counts).values())


def test_the_generated_rows_are_skewed_as_real_ones_are(filled: Connection) -> None:
    assert count(filled, "api_key_id IS NULL") == pytest.approx(0.03 * METRICS, rel=0.25)
    assert 0.1 < count(filled, "cost IS NULL") / METRICS < 0.6
    assert 0.2 < count(filled, "tokens IS NULL") / METRICS < 0.85
    assert count(filled, "response_time IS NULL") > 0
    assert count(filled, "tokens IS NOT NULL AND NOT tokens ? 'total'") > 0
    assert count(filled, "jsonb_typeof(tokens -> 'total') = 'string'") > 0
    assert count(filled, "metadata ->> 'tag' = 'café ☕ 東京'") > 0
    assert count(filled, "metadata ->> 'note' = E'a \"quoted\" \\\\ word\\n'") > 0
    assert count(filled, "timestamp > '2026-03-04 12:00'") == 0
    assert count(filled, "resolved_at IS NULL = is_resolved", "alerts") == 0


def test_providers_differ_in_errors_and_speed(filled: Connection) -> None:
    rows = filled.execute("""
        SELECT provider_id, avg((status_code >= 400)::int)::float, avg(response_time)::float,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY response_time)
        FROM api_metrics GROUP BY provider_id
    """).fetchall()
    errors = {row[0]: row[1] for row in rows}
    assert errors["prov_apollo"] == pytest.approx(0.09, abs=0.03)
    assert errors["prov_apollo"] > errors["prov_openai"] > errors["prov_stripe"]
    means = {row[0]: row[2] for row in rows}
    medians = {row[0]: row[3] for row in rows}
    assert medians["prov_openrouter"] == pytest.approx(1300, rel=0.15)
    assert means["prov_openrouter"] > 1.3 * medians["prov_openrouter"], "no long tail"
    assert medians["prov_sendgrid"] < 200


def test_the_same_arguments_give_the_same_rows(database: Database) -> None:
    contents: list[tuple[Counts, list[TupleRow]]] = []
    for schema, seed in (("one", 7), ("same", 7), ("other", 8)):
        with database.connect() as connection:
            connection.execute(f"CREATE SCHEMA {schema}")
            connection.execute(f"SET search_path TO {schema}")
            apply_expand(connection, "000")
            conninfo = make_conninfo(database.uri, options=f"-csearch_path={schema}")
            counts = fill(conninfo, 2_000, seed, until=UNTIL)
            tables = [
                connection.execute(f"SELECT t::text FROM {table} AS t") for table in asdict(counts)
            ]
            contents.append((counts, [row for table in tables for row in table]))
    one, same, other = contents
    assert one == same
    assert one[1] != other[1]


def test_a_fill_that_fails_leaves_nothing_behind(
    database: Database, connection: Connection
) -> None:
    connection.execute("DROP TABLE alerts")
    with pytest.raises(psycopg.errors.UndefinedTable):
        fill(database.uri, 1_000, until=UNTIL)
    assert count(connection, "true", "users") == 0


def test_the_dashboard_reads_by_index_once_it_has_one(filled: Connection) -> None:
    subject = choose_subject(filled, UNTIL)
    before = {taken.name: taken for taken in measure(filled, subject, runs=3)}
    apply_expand(filled, "001")
    after = {taken.name: taken for taken in measure(filled, subject, runs=3)}

    assert all(taken.plan.endswith("Seq Scan on api_metrics") for taken in before.values())
    series = "hourly series of a user over 30 days"
    assert after[series].plan.endswith("Scan using idx_api_metrics_user_timestamp")
    latest = "the latest calls of a user"
    assert after[latest].plan == "Index Scan using idx_api_metrics_user_timestamp"
    assert after[latest].median_ms < before[latest].median_ms
