"""rest: what the operator costs while nothing happens, with 1,000 SchemaVersions on one database.

At rest two things cost: what goes on all the time (watch streams, Lease, health) and a look at each
resource now and then, after a random time between four fifths of PGSTRATA_RESYNC and all of it (30
minutes by default, so that a resource is looked at every 27 minutes on average). Waiting for one
whole period takes half an hour (--whole does that, at the default pace). Otherwise the same is
measured in parts: a minute without looks, then, in the same process image started with a resync of
two minutes, the CPU time of as many looks as there are resources; what a look costs does not depend
on the pace, so that the share of a core at the default pace follows:

    cost without looks + 1,000 looks / 27 min x cost of a look
"""

import time
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from bench.cluster import DBNAME, PATIENT_LEASE, Cluster, cluster
from bench.figures import Figure, Goal, Measurement
from bench.options import Options
from bench.pgstrata_process import Operator, Usage
from pgstrata.app.settings import Settings

RESOURCES = 1_000
RESYNC = Settings().resync
"""Seconds; the operator's default."""
MEAN_PAUSE = 0.9 * RESYNC
"""Between two looks at one resource: four fifths of the resync to all of it."""
RSS_GOAL = Goal("<", 180.0)
CPU_GOAL = Goal("<", 2.0)

_FILL_SECONDS = 1800.0
_QUIET_SECONDS = 60.0
_FAST_RESYNC = 120.0
_LOOKS = "pgstrata_reconcile_duration_seconds_count"
_NOT_OURS = frozenset({"WATCH", "WATCHLIST", "LIST", "CONNECT"})
"""A watch is one request for minutes; all else on these resources is the operator's."""
_API_RESOURCES = frozenset(
    {"schemaversions", "manageddatabases", "secrets", "configmaps", "events"}
)
_DATABASE = """
select xact_commit + xact_rollback, sessions from pg_stat_database where datname = %s
"""


@dataclass(frozen=True, slots=True)
class _Counters:
    """All counters at one moment."""

    usage: Usage
    looks: float
    api_calls: float
    transactions: int
    sessions: int


@dataclass(frozen=True, slots=True)
class _Window:
    """What happened between two moments."""

    seconds: float
    cpu_seconds: float
    looks: float
    api_calls: float
    transactions: float
    sessions: float
    rss_mib: float
    peak_mib: float

    @property
    def cpu_share(self) -> float:
        return self.cpu_seconds / self.seconds


def measure(options: Options) -> Measurement:
    """Fill, let rest, look at the operator's process."""
    with cluster() as bed:
        with _operator(bed, "first", {}) as operator:
            began = time.monotonic()
            bed.fill(operator, RESOURCES, _FILL_SECONDS)
            filled = time.monotonic() - began
            quiet = _during(bed, operator, _QUIET_SECONDS)
            if options.whole:
                time.sleep(max(0.0, RESYNC - _QUIET_SECONDS))
                whole = _during(bed, operator, MEAN_PAUSE)
                return _direct(whole, filled)
        with _operator(bed, "fast", {"PGSTRATA_RESYNC": f"{_FAST_RESYNC:g}s"}) as operator:
            operator.wait_until_ready(RESOURCES, _FILL_SECONDS)
            time.sleep(_FAST_RESYNC)  # the first looks came all at once; now they are spread
            fast = _during(bed, operator, 0.75 * _FAST_RESYNC)
    return _extrapolated(quiet, fast, filled)


def _direct(seen: _Window, filled: float) -> Measurement:
    share = 100 * seen.cpu_share
    return Measurement(
        (*_main_figures(seen, share), *_per_look(seen)),
        (
            f"{RESOURCES} SchemaVersions of one database, made and Ready in {filled:.0f} s; "
            f"measured over {seen.seconds:.0f} s with {seen.looks:.0f} looks, at the default pace.",
        ),
    )


def _extrapolated(quiet: _Window, fast: _Window, filled: float) -> Measurement:
    per_look = (fast.cpu_seconds - quiet.cpu_share * fast.seconds) / fast.looks
    share = 100 * (quiet.cpu_share + RESOURCES / MEAN_PAUSE * per_look)
    return Measurement(
        (
            *_main_figures(quiet, share),
            Figure("share of a core without looks", 100 * quiet.cpu_share, "%"),
            Figure("CPU of one look", 1000 * per_look, "ms"),
            *_per_look(fast),
        ),
        (
            f"{RESOURCES} SchemaVersions of one database, made and Ready in {filled:.0f} s; RSS of "
            "the process that made them.",
            f"CPU: {quiet.seconds:.0f} s without looks, then {fast.looks:.0f} looks in "
            f"{fast.seconds:.0f} s (resync {_FAST_RESYNC:g} s); at the default resync of "
            f"{RESYNC:g} s a resource is looked at every {MEAN_PAUSE:g} s. --whole measures that.",
        ),
    )


def _main_figures(seen: _Window, share: float) -> tuple[Figure, ...]:
    return (
        Figure("RSS at rest", seen.rss_mib, "MiB", "its peak", seen.peak_mib, RSS_GOAL),
        Figure("share of a core at rest", share, "%", "limit", CPU_GOAL.limit, CPU_GOAL),
    )


def _per_look(seen: _Window) -> tuple[Figure, ...]:
    looks = max(seen.looks, 1.0)
    return (
        Figure("API calls of one look", seen.api_calls / looks, "calls"),
        Figure(
            "API calls a minute at rest",
            60 * RESOURCES / MEAN_PAUSE * seen.api_calls / looks,
            "calls",
        ),
        Figure("connections of one look", seen.sessions / looks, "connections"),
        Figure("transactions of one look", seen.transactions / looks, "transactions"),
    )


@contextmanager
def _operator(bed: Cluster, name: str, settings: Mapping[str, str]) -> Iterator[Operator]:
    with Operator.running(
        bed.plane.kubeconfig, bed.directory / name, {**PATIENT_LEASE, **settings}
    ) as operator:
        yield operator


def _during(bed: Cluster, operator: Operator, seconds: float) -> _Window:
    """Return what happens in the next seconds."""
    before = _counters(bed, operator)
    time.sleep(max(0.0, before.usage.at + seconds - time.monotonic()))
    after = _counters(bed, operator)
    return _Window(
        seconds=after.usage.at - before.usage.at,
        cpu_seconds=after.usage.cpu_seconds - before.usage.cpu_seconds,
        looks=after.looks - before.looks,
        api_calls=after.api_calls - before.api_calls,
        transactions=after.transactions - before.transactions,
        sessions=after.sessions - before.sessions,
        rss_mib=after.usage.rss_mib,
        peak_mib=after.usage.peak_mib,
    )


def _counters(bed: Cluster, operator: Operator) -> _Counters:
    with bed.server.connect() as connection:
        row = connection.execute(_DATABASE, [DBNAME]).fetchone()
    assert row is not None
    return _Counters(
        operator.usage(), operator.metric(_LOOKS), _api_calls(bed), int(row[0]), int(row[1])
    )


def _api_calls(bed: Cluster) -> float:
    """Requests that the API server has answered on what the operator reads and writes."""
    text = bed.plane.kubectl("get", "--raw", "/metrics").stdout
    total = 0.0
    for line in text.splitlines():
        if not line.startswith("apiserver_request_total{"):
            continue
        labels = dict(
            urllib.parse.parse_qsl(line[line.index("{") + 1 : line.rindex("}")].replace(",", "&"))
        )
        if (
            labels.get("resource", '""').strip('"') in _API_RESOURCES
            and labels.get("verb", '""').strip('"') not in _NOT_OURS
        ):
            total += float(line.rpartition(" ")[2])
    return total
