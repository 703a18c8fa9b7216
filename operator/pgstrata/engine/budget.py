"""Counts connections per server, so that no database gets more of ours than its owner allows.

A look needs one connection; a run takes its work and monitor connections together or none, so that
two half-equipped runs can never wait for each other. One budget lives in each process.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pgstrata.core.errors import Busy
from pgstrata.pg.target import Target

_PATIENCE_SECONDS = 60.0


class ConnectionBudget:
    """Connections in use, by server (host:port)."""

    def __init__(self) -> None:
        self._in_use: Counter[str] = Counter()
        self._released = asyncio.Condition()

    @asynccontextmanager
    async def take(self, target: Target, count: int) -> AsyncIterator[None]:
        """Hold `count` connections to the target's server. Raises Busy after a minute."""
        server = target.server
        async with self._released:
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    await self._released.wait_for(
                        lambda: self._in_use[server] + count <= target.max_connections
                    )
            except TimeoutError:
                raise Busy(
                    f"all {target.max_connections} connections to {server} are in use "
                    "(spec.maxConnections)"
                ) from None
            self._in_use[server] += count
        try:
            yield
        finally:
            async with self._released:
                self._in_use[server] -= count
                if not self._in_use[server]:
                    del self._in_use[server]
                self._released.notify_all()
