"""What the application does with its database: the operations of code written for version 000.

Run by writer.py. Every statement names its columns, as good application code does, so that columns
which later versions add do not concern it. Some operations are one statement in autocommit, one is
a small transaction, some only read.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import LiteralString, Protocol

from psycopg.rows import TupleRow

REMEMBERED = 500
"""Own rows that may still be completed or looked at."""

INSERT_METRIC: LiteralString = """
    INSERT INTO api_metrics (id, provider_id, user_id, api_key_id, endpoint, method, status_code,
                             response_time, request_size, metadata, timestamp)
    VALUES (%s, %s, %s, %s, '/v1/chat/completions', 'POST', %s, %s, %s, '{"source": "live"}', %s)
"""
TOUCH_KEY: LiteralString = "UPDATE api_keys SET last_used = %s, updated_at = %s WHERE id = %s"
COMPLETE_METRIC: LiteralString = """
    UPDATE api_metrics SET cost = %s, tokens = '{"input": 10, "output": 5, "total": 15}',
                           response_size = %s
    WHERE id = %s
"""
READ_METRIC: LiteralString = "SELECT status_code, cost, tokens FROM api_metrics WHERE id = %s"
READ_LATEST: LiteralString = """
    SELECT id, timestamp, endpoint, status_code, response_time, cost FROM api_metrics
    WHERE user_id = %s ORDER BY timestamp DESC LIMIT 20
"""
READ_CALLERS: LiteralString = """
    SELECT id, user_id, provider_id FROM api_keys WHERE is_active ORDER BY id LIMIT 500
"""


class Run(Protocol):
    """Runs one statement; `name` is what its latency is filed under. Returns the rows, if any."""

    async def __call__(
        self, name: str, statement: LiteralString, parameters: Sequence[object] = ()
    ) -> list[TupleRow]: ...


@dataclass(frozen=True, slots=True)
class Caller:
    """A key, and whose it is."""

    key_id: str
    user_id: str
    provider_id: str


@dataclass(slots=True)
class Workload:
    """One connection's stream of operations; the same seed chooses the same ones."""

    callers: Sequence[Caller]
    rng: Random
    rows_confirmed: Callable[[int], None]
    """Told how many inserted metrics the server has just committed."""
    _own: deque[str] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def choose(self) -> Callable[[Run], Awaitable[None]]:
        """Return the next operation; its name is that of the method."""
        operations = (
            self.record_call,
            self.record_call_and_key,
            self.complete_call,
            self.read_call,
            self.read_latest,
        )
        return self.rng.choices(operations, weights=(50, 20, 15, 10, 5))[0]

    async def record_call(self, run: Run) -> None:
        await self._insert(run, self.rng.choice(self.callers))
        self.rows_confirmed(1)

    async def record_call_and_key(self, run: Run) -> None:
        caller, now = self.rng.choice(self.callers), _now()
        await run("begin", "BEGIN")
        await self._insert(run, caller)
        await run("touch key", TOUCH_KEY, (now, now, caller.key_id))
        await run("commit", "COMMIT")
        self.rows_confirmed(1)

    async def complete_call(self, run: Run) -> None:
        if self._own:
            cost = f"{self.rng.random() / 100:.6f}"
            size = self.rng.randint(200, 9000)
            await run("complete metric", COMPLETE_METRIC, (cost, size, self.rng.choice(self._own)))

    async def read_call(self, run: Run) -> None:
        if self._own:
            await run("read metric", READ_METRIC, (self.rng.choice(self._own),))

    async def read_latest(self, run: Run) -> None:
        await run("read latest", READ_LATEST, (self.rng.choice(self.callers).user_id,))

    async def _insert(self, run: Run, caller: Caller) -> None:
        now = _now()
        metric_id = f"{int(now.timestamp() * 1000):011x}{self.rng.getrandbits(52):013x}"
        values = (
            metric_id,
            caller.provider_id,
            caller.user_id,
            caller.key_id,
            self.rng.choices((200, 429, 500), weights=(95, 3, 2))[0],
            self.rng.randint(40, 3000),
            self.rng.randint(100, 5000),
            now.replace(tzinfo=None),
        )
        await run("insert metric", INSERT_METRIC, values)
        self._own.append(metric_id)


def _now() -> datetime:
    """Return the present, UTC; the columns hold its wall clock without zone."""
    return datetime.now(UTC)
