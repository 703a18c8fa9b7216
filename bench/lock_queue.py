"""lock-queue: what an application feels of an ADD COLUMN while a long SELECT holds the table.

A strong lock that waits makes everyone behind it wait, readers too. pgstrata waits only as long as
`timeouts.lock` (500 ms by default) at a time, looks for the SELECT's end without a lock request in
the queue, and takes its turn then. psql's plain ALTER TABLE waits, and all wait behind it.

Readers and writers are probes at a fixed rhythm (probes.py): a statement's time counts from when it
was due, so that a stall costs all that should have happened meanwhile.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import JsonValue

from bench import manifests
from bench.figures import Figure, Goal, Measurement, median
from bench.options import Options
from bench.pgstrata_process import apply, run
from bench.probes import Probes
from tests.testbed.polling import poll
from tests.testbed.postgres import PostgresServer
from tests.testbed.postgres_builds import find_postgres
from tests.testbed.scratch import scratch

MAJOR = 18
LONGEST_RUNS = 3
LOCK_TIMEOUT_MS = 500.0
STALL_GOAL = Goal("<=", LOCK_TIMEOUT_MS)
LANDED_GOAL = Goal("<=", 1.0)

_WARM_SECONDS = 1.0
_LAND_SECONDS = 60.0
_ALTER = "ALTER TABLE app ADD COLUMN note text;"
_TABLE = """
CREATE TABLE app (id integer PRIMARY KEY, n integer NOT NULL);
INSERT INTO app SELECT i, 0 FROM generate_series(1, 10000) AS i;
"""
_LANDED = """
select exists (
    select 1 from pg_attribute where attrelid = %s::oid and attname = 'note' and not attisdropped
)
"""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one run showed. Milliseconds, but `landed`: seconds after the SELECT's end."""

    read_ms: float
    write_ms: float
    calm_ms: float
    """The longest while nothing held the table: what this machine's noise costs."""
    landed: float


def measure(options: Options) -> Measurement:
    """Run pgstrata and psql in turns, each on a database of its own."""
    ours: list[_Seen] = []
    psql: list[_Seen] = []
    runs = min(options.runs, LONGEST_RUNS)
    with (
        scratch("bench") as directory,
        PostgresServer.create(find_postgres(MAJOR), directory) as server,
    ):
        source: dict[str, JsonValue] = {"inline": {"001_note.sql": _ALTER}}
        folder = manifests.write(
            directory / "m",
            [manifests.database(), manifests.schema_version("bench", "001", source)],
        )
        for number in range(runs):
            bench = _Run(server, f"run{number}", options.select_seconds)
            psql.append(bench.take(lambda uri: _psql(server, uri)))
            ours.append(bench.take(lambda uri: apply(folder, uri)))
    return Measurement(_figures(ours, psql), _notes(options, runs, ours, psql))


def _figures(ours: list[_Seen], psql: list[_Seen]) -> tuple[Figure, ...]:
    beside = "psql, plain ALTER TABLE"
    return (
        Figure(
            "longest stall of a reader, worst run",
            max(seen.read_ms for seen in ours),
            "ms",
            beside,
            max(seen.read_ms for seen in psql),
            STALL_GOAL,
        ),
        Figure(
            "longest stall of a writer, worst run",
            max(seen.write_ms for seen in ours),
            "ms",
            beside,
            max(seen.write_ms for seen in psql),
            STALL_GOAL,
        ),
        Figure(
            "landed after the SELECT's end, worst run",
            max(seen.landed for seen in ours),
            "s",
            beside,
            max(seen.landed for seen in psql),
            LANDED_GOAL,
        ),
        Figure(
            "longest stall of either, median run",
            median([max(seen.read_ms, seen.write_ms) for seen in ours]),
            "ms",
            beside,
            median([max(seen.read_ms, seen.write_ms) for seen in psql]),
        ),
    )


def _notes(options: Options, runs: int, ours: list[_Seen], psql: list[_Seen]) -> tuple[str, ...]:
    calm = max(seen.calm_ms for seen in (*ours, *psql))
    return (
        f"A SELECT of {options.select_seconds:g} s holds the table; {runs} runs each, in turns; "
        f"PostgreSQL {MAJOR}, timeouts.lock {LOCK_TIMEOUT_MS:g} ms (the default).",
        f"Probes: {Probes.RATE} reads and {Probes.RATE} writes a second, each timed from when it "
        f"was due. Longest with nothing going on (this machine's noise): {calm:.0f} ms.",
    )


class _Run:
    """One SELECT, one ALTER, and the application beside them."""

    def __init__(self, server: PostgresServer, name: str, select_seconds: float) -> None:
        self._server = server
        self._name = name
        self._select_seconds = select_seconds
        self._select_ended = 0.0

    def take(self, alter: Callable[[str], object]) -> _Seen:
        """Make a database, have `alter` change its table by URI, drop it."""
        self._server.createdb(self._name)
        self._server.psql(self._name, _TABLE)
        uri = self._server.uri(self._name)
        try:
            with Probes(uri) as probes:
                time.sleep(_WARM_SECONDS)
                began = time.monotonic()
                holder = threading.Thread(target=self._select, args=(uri,))
                holder.start()
                altering = threading.Thread(target=alter, args=(uri,))
                altering.start()
                landed = self._wait_landed()
                holder.join()
                altering.join()
                time.sleep(_WARM_SECONDS)
            calm = probes.longest(until=began)
            during = probes.longest(since=began)
            return _Seen(
                during.read_ms,
                during.write_ms,
                max(calm.read_ms, calm.write_ms),
                landed - self._select_ended,
            )
        finally:
            self._server.dropdb(self._name)

    def _select(self, uri: str) -> None:
        """Hold the table as a report does: ACCESS SHARE for the length of one statement."""
        del uri
        with self._server.connect(self._name) as connection:
            connection.execute("set application_name = 'long report'")
            connection.execute("select pg_sleep(%s) from app where id = 1", [self._select_seconds])
            self._select_ended = time.monotonic()

    def _wait_landed(self) -> float:
        """Return when the column was first seen; by the table's oid, which takes no lock on it."""
        with self._server.connect(self._name) as connection:
            oid = connection.execute("select 'app'::regclass::oid").fetchone()

            def has_landed() -> bool:
                row = connection.execute(_LANDED, oid).fetchone()
                return row is not None and row[0] is True

            poll(has_landed, self._select_seconds + _LAND_SECONDS, "the column is there")
            return time.monotonic()


def _psql(server: PostgresServer, uri: str) -> None:
    run([server.build.tool("psql"), "-Xq", f"--command={_ALTER}", f"--dbname={uri}"])
