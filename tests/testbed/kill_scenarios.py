"""Migrations to be killed, each with the database that it starts from.

A ground is a database that can be had again and again in the same state and under the same name:
the control schema remembers the name of its database, so a copy under another name would be refused
as a clone.
"""

import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg
from psycopg import sql

from tests.testbed.apply import (
    EXAMPLE,
    READY,
    ApplyProcess,
    Finished,
    run_apply,
    write_manifests,
)
from tests.testbed.database import Database
from tests.testbed.end_state import EndState, assert_at_rest, end_state
from tests.testbed.kill_backfills import BACKFILLS
from tests.testbed.monitoring.generator import fill
from tests.testbed.postgres import PostgresServer

METRICS = 500
_INDEX_DDL = re.compile(r"\(\"?(CREATE INDEX|DROP) ")
UNTIL = datetime(2026, 3, 4, 12, 0)


class Ground:
    """One database, put back to its beginning by `fresh`."""

    def __init__(self, server: PostgresServer) -> None:
        """Make it empty."""
        self.database = Database(f"ground_{secrets.token_hex(6)}", server)
        self._beginning = f"{self.database.name}_beginning"
        server.createdb(self.database.name)

    def remember(self) -> None:
        """Make what the database is now its beginning."""
        with self.database.server.connect() as connection:
            connection.execute(
                sql.SQL("alter database {} rename to {}").format(
                    sql.Identifier(self.database.name), sql.Identifier(self._beginning)
                )
            )

    def fresh(self) -> Database:
        """Return the database as it was in the beginning; whoever is connected is thrown out."""
        server = self.database.server
        server.dropdb(self.database.name)
        server.createdb(self.database.name, self._beginning)
        return self.database

    def drop(self) -> None:
        """Drop all of it."""
        for name in (self.database.name, self._beginning):
            self.database.server.dropdb(name)


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is applied, and where it begins."""

    manifests: Path
    ground: Ground
    options: tuple[str, ...] = ()
    """Of the command line."""


def monitoring_over_data(server: PostgresServer, directory: Path) -> Scenario:
    """The example at version 001, over version 000 with data and an index that a crash left."""
    ground = Ground(server)
    before = directory / "version-000"
    before.mkdir()
    for file in EXAMPLE.iterdir():
        (before / file.name).write_text(
            file.read_text().replace('version: "001"', 'version: "000"')
        )
    database = ground.database
    done = run_apply(before, database.uri, directory / "before.log")
    assert done.status == READY, done.output
    fill(database.uri, METRICS, until=UNTIL)
    with database.connect() as connection:
        connection.execute("create index idx_api_metrics_cost on api_metrics (cost)")
        connection.execute(
            "update pg_index set indisvalid = false, indisready = false "
            "where indexrelid = 'idx_api_metrics_cost'::regclass"
        )
    ground.remember()
    return Scenario(EXAMPLE, ground)


def monitoring_from_nothing(server: PostgresServer, directory: Path) -> Scenario:
    """The example at version 001, on an empty database."""
    del directory
    ground = Ground(server)
    ground.remember()
    return Scenario(EXAMPLE, ground)


def shop(server: PostgresServer, directory: Path) -> Scenario:
    """Every kind of step there is, none of which could be done twice unseen."""
    ground = Ground(server)
    with psycopg.connect(ground.database.uri) as connection:
        connection.execute(_WATCH_DDL)
    ground.remember()
    return Scenario(write_manifests(directory, {"inline": SHOP}, "3", schema="shop"), ground)


def backfills(server: PostgresServer, directory: Path) -> Scenario:
    """Rows changed in batches, with kept triggers, a proof and a contract."""
    ground = Ground(server)
    with psycopg.connect(ground.database.uri) as connection:
        connection.execute(_WATCH_DDL)
    ground.remember()
    source = {"inline": BACKFILLS}
    manifests = write_manifests(directory, source, "2", schema="rows", through="Contract")
    return Scenario(manifests, ground, ("--approve", "all"))


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """A scenario, the failpoints passed on its way, and how it ends when nothing happens."""

    scenario: Scenario
    places: tuple[str, ...]
    end: EndState
    directory: Path

    def fresh(self) -> Database:
        """Return the database as it was in the beginning."""
        return self.scenario.ground.fresh()

    def run(self, place: str = "") -> Finished:
        """Apply it once, to its end or to its death at a place."""
        return run_apply(
            self.scenario.manifests,
            self.scenario.ground.database.uri,
            self.directory / "run.log",
            *self.scenario.options,
            environment={"PGSTRATA_FAILPOINT": place},
        )

    def start(self, name: str, *, pause: str = "") -> ApplyProcess:
        """Start applying it in a process of its own, which stops itself at the place `pause`."""
        return ApplyProcess(
            self.scenario.manifests,
            self.scenario.ground.database.uri,
            self.directory / f"{name}.log",
            *self.scenario.options,
            environment={"PGSTRATA_FAILPOINT_PAUSE": pause},
        )

    def assert_reached(self, *, indexes_once: bool = True) -> None:
        """Assert that the database is at rest and what it would be had nothing happened.

        Args:
            indexes_once: false where a build may have been ended in its middle, so that its remains
                were dropped and it was done again.
        """
        assert_at_rest(self.scenario.ground.database)
        end = end_state(self.scenario.ground.database)
        if not indexes_once:
            end, expected = end.without(_INDEX_DDL), self.end.without(_INDEX_DDL)
        else:
            expected = self.end
        assert end.control == expected.control
        assert end.rows == expected.rows
        assert end.schema == expected.schema


@contextmanager
def undisturbed(name: str, server: PostgresServer, directory: Path) -> Iterator[Undisturbed]:
    """Run a scenario whole, once; drop its databases in the end."""
    scenario = SCENARIOS[name](server, directory)
    trace = directory / "trace"
    try:
        database = scenario.ground.fresh()
        done = run_apply(
            scenario.manifests,
            database.uri,
            directory / "run.log",
            *scenario.options,
            environment={"PGSTRATA_FAILPOINT_TRACE": str(trace)},
        )
        assert done.status == READY, done.output
        assert_at_rest(database)
        places = tuple(trace.read_text().split())
        yield Undisturbed(scenario, places, end_state(database), directory)
    finally:
        scenario.ground.drop()


SCENARIOS = {
    "monitoring-over-data": monitoring_over_data,
    "monitoring-from-nothing": monitoring_from_nothing,
    "shop": shop,
    "backfills": backfills,
}

_WATCH_DDL = """
create schema audit;
create table audit.ddl (what text not null);
create function audit.made() returns event_trigger language plpgsql as $$
begin
    insert into audit.ddl
    select c.command_tag || ' ' || c.object_identity
    from pg_event_trigger_ddl_commands() as c
    where c.schema_name is distinct from 'pg_temp' and c.command_tag <> 'REINDEX';
end $$;
create function audit.dropped() returns event_trigger language plpgsql as $$
begin
    insert into audit.ddl select 'DROP ' || d.object_identity
    from pg_event_trigger_dropped_objects() as d where d.original and not d.is_temporary;
end $$;
create event trigger made on ddl_command_end execute function audit.made();
create event trigger dropped on sql_drop execute function audit.dropped();
"""
"""Every command that was committed leaves a row: doing one twice shows, even where it would undo
itself. REINDEX may run twice after a crash, as the plan says."""

SHOP: Mapping[str, str] = {
    "0_ledger.migrate.sql": """
-- A version that has nothing to expand.
INSERT INTO ledger VALUES ('version 0 migrates');
""",
    "1_shop.expand.sql": """
CREATE TABLE ledger (entry text NOT NULL);
CREATE TABLE customers (id bigint PRIMARY KEY, name text NOT NULL, score integer NOT NULL);
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint NOT NULL, amount numeric NOT NULL);
COPY customers (id, name, score) FROM STDIN;
1\tAda\t3
2\tGrace\t5
3\tO\\tTab\t7
\\.
INSERT INTO orders SELECT i, i % 3 + 1, i FROM generate_series(1, 300) AS i;

BEGIN;
INSERT INTO ledger VALUES ('between BEGIN and COMMIT');
ALTER TABLE orders ADD COLUMN state text NOT NULL DEFAULT 'new';
SET LOCAL work_mem = '3MB';
INSERT INTO ledger VALUES ('work_mem locally ' || current_setting('work_mem'));
COMMIT;

SET work_mem = '7MB';
INSERT INTO ledger VALUES ('work_mem of the file ' || current_setting('work_mem'));
CREATE INDEX orders_state ON orders (state);
CREATE INDEX CONCURRENTLY orders_customer ON orders (customer_id);
ALTER TABLE orders ADD CONSTRAINT orders_to_customers
    FOREIGN KEY (customer_id) REFERENCES customers (id) NOT VALID;
ALTER TABLE orders ADD CONSTRAINT orders_positive CHECK (amount > 0) NOT VALID;
ALTER TABLE orders VALIDATE CONSTRAINT orders_to_customers;
ALTER TABLE orders VALIDATE CONSTRAINT orders_positive;
INSERT INTO ledger VALUES ('still ' || current_setting('work_mem'));
""",
    "1_shop.migrate.sql": """
UPDATE customers SET score = score + 1;
BEGIN;
UPDATE customers SET score = score * 2;
INSERT INTO ledger SELECT 'score ' || name || ' ' || score FROM customers;
COMMIT;
COPY ledger FROM STDIN;
from a script
\\.
INSERT INTO ledger VALUES ('work_mem was left ' || (current_setting('work_mem') <> '7MB'));
""",
    "2_outside.expand.sql": """
-- pgstrata: no-transaction
CREATE INDEX CONCURRENTLY orders_amount ON orders (amount) WHERE amount > 10;
UPDATE customers SET score = score + 100;
DROP INDEX CONCURRENTLY orders_state;
VACUUM customers;
REINDEX INDEX CONCURRENTLY orders_customer;
INSERT INTO ledger VALUES ('behind them');
""",
    "3_last.migrate.sql": """
CREATE UNIQUE INDEX CONCURRENTLY customers_name ON customers (name);
INSERT INTO ledger SELECT 'at last ' || score FROM customers;
ANALYZE orders;
""",
}
