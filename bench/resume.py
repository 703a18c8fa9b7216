"""resume: what is done again when pgstrata is killed in the middle of a backfill, and how soon it
goes on.

Killed by its own failpoints, in the middle of a batch (changed, not committed) and right behind one
(committed, cursor moved with it), and by SIGKILL wherever it happens to be. The table is that of
backfill.py, with batches of a fixed size, so that it is known how many rows one batch is. Rows
written again are those that the server counts as updated beyond the rows of the table; it counts
updates that were rolled back too.
"""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import manifests
from bench.cursor_watch import CursorWatch
from bench.figures import Figure, Goal, Measurement, median
from bench.options import Options
from bench.orders import COUNT_WRONG, MAJOR, ROWS, UPDATE, Orders, orders
from bench.pgstrata_process import CommandFailed, apply, apply_command
from pgstrata.engine.failpoints import EXIT_STATUS
from tests.testbed.polling import poll
from tests.testbed.process import Process, child_environment

SIZE = 5000
"""Rows of a batch, as the directive asks for; it goes by whole blocks."""
FAILPOINTS = ("batch.changed", "batch.committed")
PLACES = (1, 40, 120)
"""The batch at which it dies; there are about 200."""
_PACE = 0.01
_DEADLINE = 300.0
_FILE = {"001_total_cents.migrate.sql": f"-- pgstrata: batch size={SIZE}\n{UPDATE};\n"}
_UPDATED = "select n_tup_upd from pg_stat_user_tables where relname = 'orders'"
_OTHERS = """
select count(*) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
"""
_LARGEST_BATCH = """
select max(n) from (
    select count(*) as n from orders
    group by ((ctid::text::point)[0]::bigint) / greatest(1, round({size}::numeric / (
        select reltuples / relpages from pg_class where oid = 'orders'::regclass)::numeric)::bigint)
) as batch
"""


@dataclass(frozen=True, slots=True)
class _Killed:
    """One run that was killed and started again."""

    how: str
    again: float
    """Rows written again."""
    resumed: float
    """Seconds from the start of the new process to its first batch."""


def measure(options: Options) -> Measurement:
    """Kill it everywhere, once a run."""
    killed: list[_Killed] = []
    first: list[float] = []
    with orders() as bed:
        bench = _Resume(bed)
        for run in range(min(options.runs, 3)):
            first.append(bench.undisturbed())
            for point in FAILPOINTS:
                for place in PLACES:
                    killed.append(bench.failpoint(point, place))
            for place in PLACES:
                killed.append(bench.sigkill(place + run))
        batch = bench.batch
    cold = median(first)
    return Measurement(
        (
            *(_again(how, killed, batch) for how in (*FAILPOINTS, "SIGKILL")),
            Figure(
                "restart to its first batch, median",
                median([one.resumed for one in killed]),
                "s",
                "a first start",
                cold,
            ),
            Figure(
                "restart to its first batch, worst",
                max(one.resumed for one in killed),
                "s",
                "a first start",
                cold,
            ),
        ),
        (
            f"{ROWS:,} rows by blocks, {bench.blocks_said}; killed at batches "
            f"{', '.join(map(str, PLACES))}, {len(killed)} times in all; PostgreSQL {MAJOR}, "
            "fsync on. SIGKILL: at some instant after that batch.",
            "Rows written again: tuples that the server counts as updated, rolled back ones too, "
            f"less the {ROWS:,} of the table. Afterwards no row was wrong.",
            "Restart: from the new process's start (interpreter and imports with it) to the commit "
            "of its first batch, by the cursor's own time.",
        ),
    )


def _again(how: str, killed: list[_Killed], batch: float) -> Figure:
    worst = max(one.again for one in killed if one.how == how)
    goal = Goal("<=", batch)
    return Figure(f"rows written again, {how}, worst", worst, "rows", "one batch", batch, goal)


class _Resume:
    """One server, and one file whose batches are of a fixed size."""

    def __init__(self, bed: Orders) -> None:
        self._bed = bed
        self._count = 0
        self._folder = manifests.write(
            bed.directory / "resume",
            [
                manifests.database(),
                manifests.schema_version("bench", "001", {"inline": dict(_FILE)}),
            ],
        )
        with bed.copy() as name:
            self.batch = bed.number(name, _LARGEST_BATCH.format(size=SIZE))
        self.blocks_said = f"a batch is {SIZE:,} rows in whole blocks (at most {self.batch:,.0f})"

    def undisturbed(self) -> float:
        """Seconds from the start of a process to its first batch."""
        with self._bed.copy() as name:
            return self._finish(name)

    def failpoint(self, point: str, place: int) -> _Killed:
        """Die at a failpoint, start again."""

        def end(process: Process, watch: CursorWatch) -> None:
            del watch
            if (status := process.wait(_DEADLINE)) != EXIT_STATUS:
                raise CommandFailed(f"ended with {status} before {point}: {process.tail()}")

        return self._kill(point, end, {"PGSTRATA_FAILPOINT": f"{point}#{place}"})

    def sigkill(self, place: int) -> _Killed:
        """Kill it once so many batches are done, start again."""

        def end(process: Process, watch: CursorWatch) -> None:
            poll(lambda: watch.seen and watch.seen[-1].rows >= place * SIZE, _DEADLINE, "batches")
            process.send(signal.SIGKILL)
            process.wait(_DEADLINE)

        return self._kill("SIGKILL", end, {})

    def _kill(
        self, how: str, end: Callable[[Process, CursorWatch], None], environment: dict[str, str]
    ) -> _Killed:
        self._count += 1
        with self._bed.copy() as name:
            uri = self._bed.server.uri(name)
            with CursorWatch(uri, _PACE) as watch:
                process = Process(
                    apply_command(self._folder, uri),
                    log=self._bed.directory / f"killed{self._count}.log",
                    env=child_environment(environment),
                    cwd=Path(__file__).parents[1],
                )
                try:
                    end(process, watch)
                finally:
                    process.stop(signal.SIGKILL)
            resumed = self._finish(name)
            self._wait_until_alone(name)
            again = self._bed.number(name, _UPDATED) - ROWS
        return _Killed(how, again, resumed)

    def _finish(self, name: str) -> float:
        """Run it to its end; return the seconds to its first batch."""
        uri = self._bed.server.uri(name)
        with CursorWatch(uri, _PACE) as watch:
            started = time.time()
            apply(self._folder, uri)
        wrong = self._bed.number(name, COUNT_WRONG)
        assert not wrong, f"{wrong:g} rows are wrong"
        return next(moved.at for moved in watch.seen if moved.at > started) - started

    def _wait_until_alone(self, name: str) -> None:
        """A session writes what it counted down at its end at the latest."""
        poll(lambda: not self._bed.number(name, _OTHERS), _DEADLINE, "all sessions have ended")
