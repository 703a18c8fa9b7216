"""The second half of backfill.py: what an application that writes the old way feels and leaves.

Rows that are stale or NULL once all is over are what the keep trigger is there for; the writer's
p99 and its deadlocks are what short batches and short lock timeouts are there for (traps 5).
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.figures import Figure, Goal, median, percentile
from bench.older_writer import DEADLOCK, OlderWriter
from bench.orders import COUNT_WRONG, Orders
from bench.pgstrata_process import run

P99_GOAL = Goal("<=", 1.5)
NONE_GOAL = Goal("<=", 0.0)
_WARM_SECONDS = 1.0
_CALM_SECONDS = 10.0
_WHEN = """
select extract(epoch from started_at)::float8, extract(epoch from finished_at)::float8
from pgstrata.step where rows > 0
"""


@dataclass(frozen=True, slots=True)
class Beside:
    """One run beside the writer."""

    wrong: float
    """Rows that are stale or NULL at the end."""
    calm_ms: Sequence[float]
    disturbed_ms: Sequence[float]
    seconds: float
    """How long it was disturbed."""
    deadlocks: int
    other_errors: int

    @property
    def p99_ratio(self) -> float:
        """Disturbed by undisturbed."""
        return percentile(self.disturbed_ms, 99) / percentile(self.calm_ms, 99)


def take_beside(bed: Orders, fill: Callable[[str], object]) -> Beside:
    """Have `fill` do the backfill by URI while the writer writes."""
    with bed.copy() as name:
        uri = bed.server.uri(name)
        with OlderWriter(uri) as writer:
            time.sleep(_WARM_SECONDS + _CALM_SECONDS)
            began = time.monotonic()
            fill(uri)
            ended = time.monotonic()
            time.sleep(_CALM_SECONDS)
            stopped = time.monotonic()
        since, until = _step_times(bed, name) or (began, ended)
        return Beside(
            wrong=bed.number(name, COUNT_WRONG),
            calm_ms=[
                *writer.latencies(began - _CALM_SECONDS, began),
                *writer.latencies(ended, stopped),
            ],
            disturbed_ms=[*writer.latencies(since, until)],
            seconds=until - since,
            deadlocks=writer.errors[DEADLOCK],
            other_errors=writer.errors.total() - writer.errors[DEADLOCK],
        )


def _step_times(bed: Orders, name: str) -> tuple[float, float] | None:
    """When the step began and ended, by the monotonic clock; None: there is no journal."""
    epoch = time.time() - time.monotonic()
    with bed.server.connect(name) as connection:
        there = connection.execute("select to_regclass('pgstrata.step') is not null").fetchone()
        row = connection.execute(_WHEN).fetchone() if there and there[0] else None
    return None if row is None else (row[0] - epoch, row[1] - epoch)


def compute(uri: str) -> None:
    """Compute as much for a while, without the database: the limit."""
    del uri
    run([sys.executable, "-m", "bench.computing", str(_CALM_SECONDS)])


def figures_beside(
    ours: Sequence[Beside], loop: Sequence[Beside], limit: Sequence[Beside]
) -> tuple[Figure, ...]:
    """The figures of all runs, beside those of the loop over the key, and of mere computing."""

    def pair(
        measure: str, unit: str, goal: Goal | None, value: Callable[[Sequence[Beside]], float]
    ) -> Figure:
        peer = "loop over the key"
        return Figure(f"beside a writer: {measure}", value(ours), unit, peer, value(loop), goal)

    return (
        pair("rows stale or NULL, worst run", "rows", NONE_GOAL, lambda r: max(b.wrong for b in r)),
        pair("writer's deadlocks, all runs", "", NONE_GOAL, lambda r: sum(b.deadlocks for b in r)),
        pair("writer's other errors", "", NONE_GOAL, lambda r: sum(b.other_errors for b in r)),
        pair(
            "writer's p99, by undisturbed",
            "x",
            P99_GOAL,
            _p99_ratio,
        ),
        Figure(
            "beside a writer: the same, and its limit",
            _p99_ratio(ours),
            "x",
            "a process that only computes",
            _p99_ratio(limit),
        ),
        pair("p99 undisturbed", "ms", None, lambda r: _p99([b.calm_ms for b in r])),
        pair("p99 disturbed", "ms", None, lambda r: _p99([b.disturbed_ms for b in r])),
        pair("longest", "ms", None, lambda r: max(max(b.disturbed_ms) for b in r)),
        pair("duration", "s", None, lambda r: median([b.seconds for b in r])),
    )


def _p99_ratio(runs: Sequence[Beside]) -> float:
    return median([one.p99_ratio for one in runs])


def _p99(runs: Sequence[Sequence[float]]) -> float:
    return median([percentile(run, 99) for run in runs])
