"""An application that still writes the old way while the column is filled.

Three lanes, each a connection with its own steady rhythm: orders are placed, totals are corrected,
notes are written. Statements are due whether or not the one before is done; one that is late for
that counts from when it was due. Where nothing was under way it counts from when the lane woke: a
machine that wakes a sleeper a millisecond late does so whoever keeps it busy, and none of it is the
database's. Called by backfill_beside.py.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from types import TracebackType
from typing import ClassVar, LiteralString, Self

import psycopg

from bench.orders import KEY, ROWS

DEADLOCK = "40P01"
_INSERT: LiteralString = (
    "insert into orders (id, customer_id, placed_at, total, note) "
    "values (gen_random_uuid()::text, 1 + %s %% 20000, localtimestamp, 12.34, 'by older code')"
)
_ID: LiteralString = KEY.format("%s")
_CORRECT: LiteralString = f"update orders set total = total + 1 where id = {_ID}"
_REMARK: LiteralString = f"update orders set note = 'seen' where id = {_ID}"


@dataclass(slots=True)
class _Lane:
    statement: LiteralString
    rng: Random
    start: float
    interval: float
    latencies: list[tuple[float, float]] = field(default_factory=list)
    """When due (seconds, monotonic), and the latency in seconds."""
    errors: Counter[str] = field(default_factory=Counter)

    def run(self, connection: psycopg.Connection, is_over: Callable[[], bool]) -> None:
        number = 0
        while not is_over():
            due = begun = self.start + number * self.interval
            if (early := due - time.monotonic()) > 0:
                time.sleep(early)
                begun = time.monotonic()
            try:
                connection.execute(self.statement, [self.rng.randint(1, ROWS)])
            except psycopg.Error as error:
                self.errors[error.sqlstate or "08006"] += 1
            self.latencies.append((due, time.monotonic() - begun))
            number += 1


class OlderWriter:
    """Writes as long as the block runs."""

    RATE: ClassVar[float] = 200.0
    """Statements a second, over all lanes."""

    def __init__(self, uri: str, seed: int = 1) -> None:
        self._uri = uri
        self._over = threading.Event()
        statements = (_INSERT, _CORRECT, _REMARK)
        start, interval = time.monotonic() + 0.5, len(statements) / self.RATE
        self._lanes = [
            _Lane(
                statement,
                Random(f"{seed}/{number}"),
                start + number / self.RATE,
                interval,
            )
            for number, statement in enumerate(statements)
        ]
        self._threads = [
            threading.Thread(target=self._work, args=(lane,), daemon=True) for lane in self._lanes
        ]

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
        self._over.set()
        for thread in self._threads:
            thread.join()

    @property
    def errors(self) -> Counter[str]:
        """How many statements failed, by SQLSTATE."""
        return sum((lane.errors for lane in self._lanes), Counter())

    def latencies(self, since: float, until: float) -> Iterable[float]:
        """Yield the milliseconds of all that was due in that time."""
        for lane in self._lanes:
            for due, latency in lane.latencies:
                if since <= due < until:
                    yield latency * 1000

    def _work(self, lane: _Lane) -> None:
        with psycopg.connect(
            self._uri, autocommit=True, prepare_threshold=None, application_name="application"
        ) as connection:
            lane.run(connection, self._over.is_set)
