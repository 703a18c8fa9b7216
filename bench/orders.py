"""A table of a million rows and a column to be filled from another one.

For backfill.py and resume.py. About 130 MB with a text key and no other index, which is the table
that the goal's peers were measured with; and the same with two more indexes. Each run gets a fresh
copy of the whole database, analysed, with its checkpoint behind it, so that no run pays for the one
before. The server keeps fsync on.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import JsonValue

from bench import manifests
from bench.pgstrata_process import Spent, run
from tests.testbed.postgres import PostgresServer, ServerConfig
from tests.testbed.postgres_builds import find_postgres
from tests.testbed.scratch import scratch

MAJOR = 18
ROWS = 1_000_000
SETTINGS: Mapping[str, str] = {
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "min_wal_size": "3GB",
}
"""A small server's, so that no checkpoint but the one before falls into a run."""
UPDATE = "UPDATE orders SET total_cents = (total * 100)::bigint WHERE total_cents IS NULL"
COUNT_WRONG = "select count(*) from orders where total_cents is distinct from (total * 100)::bigint"

KEY = "'o' || lpad({}::text, 9, '0')"
"""The id of a row by its number, as an expression; in the order in which the rows lie."""

_TEMPLATE, _INDEXED = "orders", "orders_indexed"
_TABLE = f"""
CREATE TABLE orders (
    id text PRIMARY KEY,
    customer_id integer NOT NULL,
    placed_at timestamp NOT NULL,
    total numeric(10, 2) NOT NULL,
    note text
) WITH (autovacuum_enabled = off);
INSERT INTO orders (id, customer_id, placed_at, total, note)
SELECT {KEY.format("i")}, i % 20000, timestamp '2026-01-01' + i * interval '3 seconds',
       (i % 99991) / 100.0, 'order ' || md5(i::text) || ' of the spring'
FROM generate_series(1, {ROWS}) AS i;
ALTER TABLE orders ADD COLUMN total_cents bigint;
VACUUM ANALYZE orders;
"""
_MORE_INDEXES = """
CREATE INDEX ON orders (customer_id, placed_at);
CREATE INDEX ON orders (placed_at);
"""


def files(keep: str = "auto") -> dict[str, str]:
    """The migration files; the column is there already, so that only the backfill is measured."""
    return {
        "001_total_cents.migrate.sql": f"-- pgstrata: batch keep={keep}\n{UPDATE};\n",
    }


class Orders:
    """The server with its template; made by `orders`."""

    def __init__(self, server: PostgresServer, directory: Path) -> None:
        self.server = server
        self.directory = directory
        self._count = 0
        server.createdb(_TEMPLATE)
        server.psql(_TEMPLATE, _TABLE)
        server.createdb(_INDEXED, _TEMPLATE)
        server.psql(_INDEXED, _MORE_INDEXES)

    @contextmanager
    def copy(self, *, is_indexed: bool = False) -> Iterator[str]:
        """Yield the name of a fresh copy, with two more indexes or without; dropped at the end."""
        self._count += 1
        name = f"copy{self._count}"
        self.server.createdb(name, _INDEXED if is_indexed else _TEMPLATE)
        self.server.psql(name, "CHECKPOINT;")
        try:
            yield name
        finally:
            self.server.dropdb(name)

    def manifests(self, keep: str = "auto") -> Path:
        """Return the folder for `pgstrata apply -f`."""
        folder = self.directory / f"keep-{keep}"
        if folder.exists():
            return folder
        source: dict[str, JsonValue] = {"inline": dict[str, JsonValue](files(keep))}
        return manifests.write(
            folder, [manifests.database(), manifests.schema_version("bench", "001", source)]
        )

    def psql(self, dbname: str, statement: str) -> Spent:
        """What is spent by psql on one statement, over TCP as pgstrata."""
        tool = self.server.build.tool("psql")
        uri = self.server.uri(dbname)
        return run([tool, "-Xq", "--output=/dev/null", f"--command={statement}", f"--dbname={uri}"])

    def number(self, dbname: str, query: str) -> float:
        """Return the one number that a query gives."""
        return float(self.server.psql(dbname, query))


@contextmanager
def orders() -> Iterator[Orders]:
    """Start the server and fill the template: some seconds."""
    config = ServerConfig(settings=SETTINGS, durable=True)
    with (
        scratch("bench") as directory,
        scratch("pg") as server_directory,
        PostgresServer.create(find_postgres(MAJOR), server_directory, config) as server,
    ):
        yield Orders(server, directory)
