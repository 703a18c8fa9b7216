"""Decides from what was read of a server whether long work must wait. Pure.

engine/throttle.py reads the signals and asks here. Any one over its limit is enough; the first in
the order below is told. What must be remembered between two readings is a value too, Memory.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import NamedTuple

from pgstrata.pg.target import ThrottleLimits

VACUUM_PATIENCE_SECONDS = 300.0
"""How long one autovacuum is waited for; work that dirties the table causes the next."""
_REPLICATING = frozenset({"streaming", "catchup"})
_WAL_FILE_DIGITS = 24
_UNITS = ((1 << 40, "Ti"), (1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki"))


@dataclass(frozen=True, slots=True)
class Replica:
    """One receiver of WAL, as pg_stat_replication shows it."""

    pid: int
    application_name: str | None
    state: str | None
    """None: the role may not see it."""
    replay_lag: float | None
    """Seconds; None: PostgreSQL has nothing to measure, which is no lag only where WAL is idle."""
    position: int | None
    """Bytes of WAL that it has replayed."""

    @property
    def counts(self) -> bool:
        """Whether its lag matters: a backup, or one that is about to start, has none."""
        return self.state in _REPLICATING


@dataclass(frozen=True, slots=True)
class Server:
    """What sql/engine/throttle_server.sql says."""

    wal_position: int
    slot: str | None
    """The replication slot that holds back the most WAL."""
    slot_retained: int
    """Bytes."""
    connections: int
    max_connections: int
    is_archiving: bool
    may_list_archive: bool
    current_file: str
    """The WAL file that is written now."""
    segment_size: int
    """Bytes of a WAL file."""
    last_archived: str
    last_failed: str
    is_failing: bool
    """Whether the archiver's last attempt failed."""


@dataclass(frozen=True, slots=True)
class Signals:
    """All that was read at one moment."""

    at: float
    """Seconds of a clock that only goes forward."""
    server: Server
    replicas: tuple[Replica, ...] = ()
    archive_backlog: int = 0
    """WAL files that wait for the archiver."""
    vacuums: frozenset[int] = frozenset()
    """Pids of autovacuum workers on the table."""


class Sample(NamedTuple):
    """How far the WAL had got at one moment."""

    at: float
    position: int


@dataclass(frozen=True, slots=True)
class Memory:
    """What one reading leaves to the next."""

    samples: tuple[Sample, ...] = ()
    """The oldest first; each is the first that saw its position."""
    vacuums: Mapping[int, float] = field(default_factory=dict)
    """When each autovacuum was first seen, by pid."""

    def after(self, signals: Signals, limits: ThrottleLimits) -> "Memory":
        """Return what is known once `signals` were read too."""
        samples = self.samples
        if not samples or samples[-1].position != signals.server.wal_position:
            samples = (*samples, Sample(signals.at, signals.server.wal_position))
        # Twice the limit is enough to tell that, and about how far, a replica is over it.
        kept = signals.at - 2 * limits.max_replica_lag
        first = next((n for n, s in enumerate(samples) if s.at > kept), len(samples))
        vacuums = {pid: self.vacuums.get(pid, signals.at) for pid in signals.vacuums}
        return Memory(samples[max(first - 1, 0) :], vacuums)

    def age_behind(self, position: int, at: float) -> float:
        """Return for how many seconds there has been WAL past `position`, as far as was seen."""
        return next((at - s.at for s in self.samples if s.position > position), 0.0)


def reason_to_wait(signals: Signals, memory: Memory, limits: ThrottleLimits) -> str | None:
    """Return the sentence that says what is over its limit, or None where nothing is.

    Args:
        memory: as it is after `signals`.
    """
    server = signals.server
    lag, slowest = max(_lags(signals, memory), default=(0.0, ""))
    used = server.connections * 100 // max(server.max_connections, 1)
    if lag > limits.max_replica_lag:
        return f"replica {slowest} is {ceil(lag)} s behind, limit {limits.max_replica_lag:g} s"
    if server.slot_retained > limits.max_slot_retained:
        retained, limit = map(_size, (server.slot_retained, limits.max_slot_retained))
        return f"replication slot {server.slot} holds back {retained} of WAL, limit {limit}"
    if signals.archive_backlog > limits.max_archive_backlog:
        files = f"{signals.archive_backlog} WAL files wait for the archiver"
        return f"{files}, limit {limits.max_archive_backlog}"
    if used > limits.max_connection_utilization:
        connections = f"{server.connections} of {server.max_connections} connections are in use"
        return f"{connections} ({used} %), limit {limits.max_connection_utilization} %"
    if limits.pause_on_autovacuum:
        return _vacuum_reason(memory.vacuums, signals.at)
    return None


def archive_backlog(server: Server) -> int:
    """Return how many WAL files wait for the archiver, by the names that every role may see.

    Counted from the last file that was archived, or the one that fails, to the one that is written.
    A server that has done neither since its statistics began has nothing that waits.
    """
    current = _segment(server.current_file, server.segment_size)
    archived = _segment(server.last_archived, server.segment_size)
    failed = _segment(server.last_failed, server.segment_size)
    if not server.is_archiving or current is None:
        return 0
    if failed is not None and (server.is_failing or archived is None):
        return max(current - failed, 0)
    return max(current - archived - 1, 0) if archived is not None else 0


def _lags(signals: Signals, memory: Memory) -> Iterable[tuple[float, str]]:
    """Yield the seconds that each replica is behind, and its name.

    PostgreSQL measures a lag when a replay is reported; while replay is paused it says nothing new.
    """
    for replica in signals.replicas:
        if replica.counts:
            position = replica.position if replica.position is not None else 0
            age = memory.age_behind(position, signals.at)
            yield max(replica.replay_lag or 0.0, age), replica.application_name or str(replica.pid)


def _vacuum_reason(vacuums: Mapping[int, float], at: float) -> str | None:
    awaited = [pid for pid, since in vacuums.items() if at - since < VACUUM_PATIENCE_SECONDS]
    if not awaited:
        return None
    pid = min(awaited)
    minutes = VACUUM_PATIENCE_SECONDS / 60
    waited = f"waited for {at - vacuums[pid]:.0f} s"
    return f"autovacuum (pid {pid}) is at work on the table, {waited}, {minutes:g} min at most"


def _segment(file: str, size: int) -> int | None:
    """Return the number of a WAL file, counted from the first, whatever its timeline.

    None for a name that holds none: the empty one, and that of a timeline's history.
    """
    digits = file[:_WAL_FILE_DIGITS]
    try:
        high, low = int(digits[8:16], 16), int(digits[16:24], 16)
    except ValueError:
        return None
    return high * ((1 << 32) // size) + low


def _size(size: int) -> str:
    for unit, name in _UNITS:
        if size >= unit:
            return f"{size / unit:.1f}".removesuffix(".0") + name
    return f"{size} bytes"
