"""What a stream of statements went through: latencies, errors, and the longest stall.

Filled by writer.py in its own process, read by writer_process.py in the one that started it; the
report goes between them as JSON. Pure bookkeeping: the clock's values come from outside.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil

from pydantic import TypeAdapter


@dataclass(frozen=True, slots=True)
class Stall:
    """The longest that a statement took."""

    ms: float
    at: datetime
    """When the statement was due, UTC."""
    statement: str


@dataclass(frozen=True, slots=True)
class Spread:
    """How many statements there were and how long they took, in milliseconds."""

    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    longest_ms: float


@dataclass(frozen=True, slots=True)
class Report:
    """What happened between start and stop. Latencies count from when a statement was due."""

    count: int
    """Statements that were answered, with an error or without."""
    p50_ms: float
    p95_ms: float
    p99_ms: float
    longest_stall: Stall | None
    """None only if nothing was ever run."""
    errors: dict[str, int]
    """By SQLSTATE; 08001: no connection could be made, 08006: it was lost without a word."""
    rows_inserted: int
    """Metrics whose insertion the server has confirmed. At least so many are in the table."""
    reconnects: int
    unfinished: int
    """Operations due but not done when it was stopped; their waiting is in the figures above."""
    statements: dict[str, Spread]
    """The same by kind of statement."""

    def to_json(self) -> str:
        return _REPORT.dump_json(self).decode()

    @classmethod
    def from_json(cls, text: str) -> "Report":
        """Raise pydantic's ValidationError for anything but a report."""
        return _REPORT.validate_json(text)


_REPORT = TypeAdapter(Report)


@dataclass(slots=True)
class Recorder:
    """Collects what a Report tells. Times are seconds of one monotonic clock."""

    epoch: float
    """What must be added to the monotonic clock to have Unix time."""
    errors: Counter[str] = field(default_factory=Counter)
    rows_inserted: int = 0
    reconnects: int = 0
    _unfinished: int = 0
    _answered: int = 0
    _latencies: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _longest: tuple[float, float, str] | None = None

    def answered(self, statement: str, due: float, now: float) -> None:
        """Note a statement that was due at `due` and has its answer at `now`."""
        self._answered += 1
        self._note(statement, due, now)

    def abandoned(self, operation: str, due: float, now: float) -> None:
        """Note an operation that was due at `due` and will not be waited for any longer."""
        self._unfinished += 1
        self._note(operation, due, now)

    def report(self) -> Report:
        every = sorted(latency for some in self._latencies.values() for latency in some)
        stall = None
        if self._longest is not None:
            latency, due, statement = self._longest
            at = datetime.fromtimestamp(due + self.epoch, UTC)
            stall = Stall(_milliseconds(latency), at, statement)
        return Report(
            count=self._answered,
            p50_ms=_milliseconds(percentile(every, 50)),
            p95_ms=_milliseconds(percentile(every, 95)),
            p99_ms=_milliseconds(percentile(every, 99)),
            longest_stall=stall,
            errors=dict(sorted(self.errors.items())),
            rows_inserted=self.rows_inserted,
            reconnects=self.reconnects,
            unfinished=self._unfinished,
            statements={name: _spread(self._latencies[name]) for name in sorted(self._latencies)},
        )

    def _note(self, statement: str, due: float, now: float) -> None:
        latency = now - due
        self._latencies[statement].append(latency)
        if self._longest is None or latency > self._longest[0]:
            self._longest = (latency, due, statement)


def percentile(ascending: Sequence[float], rank: float) -> float:
    """Return the smallest value that `rank` percent do not exceed (nearest rank); 0 of nothing."""
    if not ascending:
        return 0.0
    return ascending[max(0, ceil(len(ascending) * rank / 100) - 1)]


def _spread(latencies: Sequence[float]) -> Spread:
    ascending = sorted(latencies)
    return Spread(
        count=len(ascending),
        p50_ms=_milliseconds(percentile(ascending, 50)),
        p95_ms=_milliseconds(percentile(ascending, 95)),
        p99_ms=_milliseconds(percentile(ascending, 99)),
        longest_ms=_milliseconds(ascending[-1]),
    )


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 2)
