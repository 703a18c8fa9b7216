"""An application's reads and writes at a fixed rhythm, and the longest that one of them took.

Open loop: operation n of a lane is due at start + n / rate, whether or not the one before is done,
and its time counts from when it was due. A stall so costs all that should have happened meanwhile
("coordinated omission" would hide the rest). A thread and a connection for each lane.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import ClassVar, LiteralString, Self

import psycopg

_READ: LiteralString = "select n from app where id = 1 + %s %% 10000"
_WRITE: LiteralString = "update app set n = n + 1 where id = 1 + %s %% 10000"
_LANES = 2


@dataclass(frozen=True, slots=True)
class Longest:
    """Milliseconds from due to done; 0 where nothing was due."""

    read_ms: float
    write_ms: float


@dataclass(slots=True)
class _Lane:
    statement: LiteralString
    start: float
    interval: float
    latencies: list[tuple[float, float]] = field(default_factory=list)
    """When due (seconds, monotonic), and the latency in seconds."""

    def run(self, connection: psycopg.Connection, is_over: Callable[[], bool]) -> None:
        number = 0
        while not is_over():
            due = self.start + number * self.interval
            time.sleep(max(0.0, due - time.monotonic()))
            connection.execute(self.statement, [number])
            self.latencies.append((due, time.monotonic() - due))
            number += 1


class Probes:
    """Reads and writes as long as the block runs."""

    RATE: ClassVar[int] = 200
    """Of each kind, a second, over all its lanes."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._over = threading.Event()
        start, interval = time.monotonic() + 0.5, _LANES / self.RATE
        self._lanes = {
            statement: [
                _Lane(statement, start + number * interval / _LANES, interval)
                for number in range(_LANES)
            ]
            for statement in (_READ, _WRITE)
        }
        self._threads = [
            threading.Thread(target=self._work, args=(lane,), daemon=True)
            for lanes in self._lanes.values()
            for lane in lanes
        ]
        self._errors: list[psycopg.Error] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Stop; raise what a statement failed with, unless the block failed itself."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        if self._errors and error is None:
            raise self._errors[0]

    def longest(self, *, since: float = 0.0, until: float = float("inf")) -> Longest:
        """Return the longest of what was due in that time."""
        read, write = (
            max(
                (
                    latency
                    for lane in self._lanes[statement]
                    for due, latency in lane.latencies
                    if since <= due < until
                ),
                default=0.0,
            )
            for statement in (_READ, _WRITE)
        )
        return Longest(read * 1000, write * 1000)

    def _work(self, lane: _Lane) -> None:
        try:
            with psycopg.connect(
                self._uri, autocommit=True, application_name="application"
            ) as connection:
                lane.run(connection, self._over.is_set)
        except psycopg.Error as error:
            self._errors.append(error)
