"""backfill: a column of a million rows filled from another one, beside the single UPDATE by psql.

First the rate with nobody else there: by blocks of the table (keep=auto, a trigger keeps the rows
right) and by the key's order (keep=never), each beside a psql run of its own right before it, and
so a plain loop over the key. Then beside an application that still writes the old way
(backfill_beside.py).
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.backfill_beside import Beside, compute, figures_beside, take_beside
from bench.cursor_watch import CursorWatch
from bench.figures import Figure, Goal, Measurement, median
from bench.older_writer import OlderWriter
from bench.options import Options
from bench.orders import COUNT_WRONG, MAJOR, ROWS, UPDATE, Orders, orders
from bench.pgstrata_process import apply, run

RATE_GOAL = Goal(">=", 90.0)
_STEP_SECONDS = """
select extract(epoch from finished_at - started_at)::float8 from pgstrata.step where rows > 0
"""
_PSQL = "psql, one UPDATE"
_TRIGGER = """
CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER never BEFORE UPDATE OF total ON orders FOR EACH ROW EXECUTE FUNCTION never();
"""
"""It never fires, since the UPDATE sets another column; the server locks every row all the same."""
_RATES = (
    ("keep=auto, by blocks", RATE_GOAL),
    ("keep=never, by key", RATE_GOAL),
    ("one UPDATE under a trigger", None),
    ("loop over the key", None),
    ("3 indexes, by blocks", None),
    ("3 indexes, loop", None),
)


@dataclass(frozen=True, slots=True)
class _Rate:
    """Rows a second of one run, and of the psql run right before it."""

    by_step: float
    """Over the whole step by the journal; of what has no journal, start excluded."""
    by_batches: float
    """From the first batch seen to the last."""
    by_command: float
    """Of the whole command, start excluded."""
    psql: float

    @property
    def share(self) -> float:
        """Percent of psql's rate."""
        return 100 * self.by_step / self.psql


def measure(options: Options) -> Measurement:
    """Run all in turns, on one server with fsync on."""
    with orders() as bed:
        bench = _Bench(bed)
        rates: dict[str, list[_Rate]] = {title: [] for title, _ in _RATES}
        ours: list[Beside] = []
        loop: list[Beside] = []
        limit: list[Beside] = []
        for _ in range(options.runs):
            rates["keep=auto, by blocks"].append(bench.rate(bench.ours))
            rates["keep=never, by key"].append(bench.rate(bench.by_key))
            rates["one UPDATE under a trigger"].append(bench.rate(bench.under_a_trigger))
            rates["loop over the key"].append(bench.rate(bench.loop))
            rates["3 indexes, by blocks"].append(bench.rate(bench.ours, is_indexed=True))
            rates["3 indexes, loop"].append(bench.rate(bench.loop, is_indexed=True))
        for _ in range((options.runs + 1) // 2):
            ours.append(take_beside(bed, lambda uri: apply(bed.manifests(), uri)))
            loop.append(take_beside(bed, _keyset_loop))
            limit.append(take_beside(bed, compute))
    return Measurement(
        (*_rate_figures(rates), *figures_beside(ours, loop, limit)),
        (
            f"{ROWS:,} rows, 130 MB, a text key and, where said, 2 more indexes; each run on a "
            f"fresh copy after a checkpoint; PostgreSQL {MAJOR} with fsync on, autovacuum of the "
            f"table off; {options.runs} runs in turns, each beside a psql run right before it "
            "(beside a writer: half as many); medians, also of the shares.",
            "With 3 indexes all who commit in between pay for the server's clearing of dead index "
            "entries, which one UPDATE never does; its indexes are larger for it (decision 011).",
            "Step: by the journal, from its start to its end, with the making of the trigger and "
            "the final count. Batches: from the first cursor seen to the last. Start excluded: "
            "less the time of the same command with nothing to do, for psql that of `SELECT 1`.",
            "Loop over the key: psycopg, 10,000 rows a transaction, the bound looked up before.",
            f"Beside a writer: {OlderWriter.RATE:g} statements a second on 3 connections (orders "
            "placed without the new column, its source changed, another column changed), each "
            "timed from when it was due, or, where nothing was under way, from when the machine "
            "woke who sends it; undisturbed: 10 s before the command and 10 s after it, same "
            "database; disturbed: while the step runs. The limit is a process that computes and "
            "pauses as batches do, without the database: cores are shared by all.",
        ),
    )


def _rate_figures(rates: dict[str, list[_Rate]]) -> list[Figure]:
    found: list[Figure] = []
    for title, goal in _RATES:
        runs = rates[title]
        psql = median([run.psql for run in runs])
        found.append(
            Figure(f"{title}: share of psql's rate", _of(runs, lambda r: r.share), "%", goal=goal)
        )
        found.append(Figure(f"{title}: step", _of(runs, lambda r: r.by_step), "/s", _PSQL, psql))
        if goal:
            for name, value in (
                ("batches", _of(runs, lambda r: r.by_batches)),
                ("command, start excluded", _of(runs, lambda r: r.by_command)),
            ):
                found.append(Figure(f"{title}: {name}", value, "/s", _PSQL, psql))
    return found


def _of(runs: Sequence[_Rate], value: Callable[[_Rate], float]) -> float:
    return median([value(run) for run in runs])


class _Bench:
    """One server, and what its commands cost with nothing to do."""

    def __init__(self, bed: Orders) -> None:
        self._bed = bed
        with bed.copy() as name:
            self._psql_start = median([bed.psql(name, "SELECT 1").seconds for _ in range(3)])
            bed.psql(name, UPDATE)
            apply(bed.manifests(), bed.server.uri(name))
            again = [apply(bed.manifests(), bed.server.uri(name)).seconds for _ in range(3)]
            self._start = median(again)

    def rate(self, take: Callable[[str], _Rate], *, is_indexed: bool = False) -> _Rate:
        """Run psql, then what is beside it, each on its own copy."""
        with self._bed.copy(is_indexed=is_indexed) as name:
            seconds = self._bed.psql(name, UPDATE).seconds - self._psql_start
        with self._bed.copy(is_indexed=is_indexed) as name:
            seen = take(name)
            wrong = self._bed.number(name, COUNT_WRONG)
            assert not wrong, f"{wrong:g} rows are wrong"
        return _Rate(seen.by_step, seen.by_batches, seen.by_command, ROWS / seconds)

    def ours(self, name: str, keep: str = "auto") -> _Rate:
        """The file's batches."""
        uri = self._bed.server.uri(name)
        with CursorWatch(uri) as watch:
            spent = apply(self._bed.manifests(keep), uri)
        step = self._bed.number(name, _STEP_SECONDS)
        return _Rate(ROWS / step, watch.rate, ROWS / (spent.seconds - self._start), 0.0)

    def by_key(self, name: str) -> _Rate:
        """The same without a trigger."""
        return self.ours(name, "never")

    def under_a_trigger(self, name: str) -> _Rate:
        """The limit of all that keeps rows right by a trigger; where the goal is not met, why."""
        self._bed.server.psql(name, _TRIGGER)
        rate = ROWS / (self._bed.psql(name, UPDATE).seconds - self._psql_start)
        return _Rate(rate, rate, rate, 0.0)

    def loop(self, name: str) -> _Rate:
        """The loop over the key; its start is that of an interpreter, and is counted."""
        rate = ROWS / _keyset_loop(self._bed.server.uri(name))
        return _Rate(rate, rate, rate, 0.0)


def _keyset_loop(uri: str) -> float:
    return run([sys.executable, "-m", "bench.keyset_loop", uri]).seconds
