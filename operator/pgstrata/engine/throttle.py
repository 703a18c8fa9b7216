"""Tells long work, between two batches, whether the server can bear more of it now.

Asked by whoever runs batches, on the monitor connection of engine/exclusive.py, so that the working
session holds no snapshot meanwhile. The signals are read about once a second, however often it is
asked. What the role may not see never counts as good news: it raises AccessDenied.
"""

import time
from dataclasses import dataclass

from pgstrata.core.errors import AccessDenied, ReadOnlyDatabase
from pgstrata.engine.throttle_signals import (
    Memory,
    Replica,
    Server,
    Signals,
    archive_backlog,
    reason_to_wait,
)
from pgstrata.pg.failures import StatementFailed
from pgstrata.pg.quoting import quoted
from pgstrata.pg.session import Session
from pgstrata.pg.target import ThrottleLimits
from pgstrata.pg.timeouts import Limits

READING_SECONDS = 1.0
"""An answer holds for so long."""
_QUERY_LIMITS = Limits(lock_ms=1_000, statement_ms=1_000)
_SHOWN = 100
"""Characters of what the user's query returned."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    waiting: int


@dataclass(frozen=True, slots=True)
class _Vacuum:
    pid: int


class Throttle:
    """The signals of one server, as long as one piece of work on one table lasts."""

    def __init__(self, monitor: Session, limits: ThrottleLimits, table_oid: int | None) -> None:
        self._monitor = monitor
        self._limits = limits
        self._table_oid = table_oid
        self._memory = Memory()
        self._read_at = -READING_SECONDS
        self._answer: str | None = None

    async def reason(self) -> str | None:
        """Return the sentence that says what the work must wait for, or None: go on.

        Raises AccessDenied, with the GRANT, where a signal cannot be read for lack of rights.
        """
        now = time.monotonic()
        if now - self._read_at >= READING_SECONDS:
            self._answer = await self._ask(now)
            self._read_at = now
        return self._answer

    async def _ask(self, now: float) -> str | None:
        signals = await self._read(now)
        self._memory = self._memory.after(signals, self._limits)
        reason = reason_to_wait(signals, self._memory, self._limits)
        if reason is None and self._limits.query is not None:
            reason = await self._query_reason(self._limits.query)
        return reason

    async def _read(self, now: float) -> Signals:
        monitor = self._monitor
        server = await monitor.one("engine/throttle_server", Server)
        replicas = await monitor.all("engine/throttle_replicas", Replica)
        if any(replica.state is None for replica in replicas):
            role = monitor.facts.role
            raise AccessDenied(
                f"role {role} may not see how far this server's replicas are behind; an "
                f"administrator can run: GRANT pg_read_all_stats TO {quoted(role)}; "
                "(pg_monitor has it too)"
            )
        backlog = archive_backlog(server)
        if server.is_archiving and server.may_list_archive:
            backlog = (await monitor.one("engine/throttle_archive", _Waiting)).waiting
        vacuums: list[_Vacuum] = []
        if self._table_oid is not None and self._limits.pause_on_autovacuum:
            vacuums = await monitor.all(
                "engine/throttle_vacuums", _Vacuum, table_oid=self._table_oid
            )
        pids = frozenset(vacuum.pid for vacuum in vacuums)
        return Signals(now, server, tuple(replicas), backlog, pids)

    async def _query_reason(self, query: str) -> str | None:
        """Ask the user's own query; what is no clear no is a yes."""
        try:
            row = await self._monitor.first_row_of(query, _QUERY_LIMITS)
        except StatementFailed as error:
            return f"the throttle's query failed: {error.primary} (SQLSTATE {error.sqlstate})"
        except ReadOnlyDatabase:  # not the server is, the transaction is
            return "the throttle's query failed: it writes, and may not (SQLSTATE 25006)"
        if row is None:
            return None
        if not row:
            return "the throttle's query returned a row without columns"
        if row[0] is None:
            return "the throttle's query returned NULL, which counts as a reason to wait"
        return f"the throttle's query returned {str(row[0])[:_SHOWN]}" if row[0] else None
