"""The wish that a run should stop, passed from whoever decides it to whoever can stop in order.

Two degrees: `soft` is heeded at the next batch or step boundary; `hard` cancels the statement that
runs. app/ asks (deletion, new generation, shutdown), engine/run.py heeds.
"""

import asyncio
from enum import StrEnum


class Cause(StrEnum):
    """Why a run should stop."""

    DELETED = "the resource was deleted"
    CHANGED = "the resource was changed"
    SHUTDOWN = "the operator is shutting down"


class Interrupt:
    """One run's stop request; create it where the run starts."""

    def __init__(self) -> None:
        self.cause: Cause | None = None
        self._soft = asyncio.Event()
        self._hard = asyncio.Event()

    @property
    def requested(self) -> bool:
        """Whether the run should stop at its next boundary."""
        return self._soft.is_set()

    def soft(self, cause: Cause) -> None:
        """Ask to stop at the next boundary. The first cause stays."""
        self.cause = self.cause or cause
        self._soft.set()

    def hard(self, cause: Cause) -> None:
        """Ask to stop now, cancelling what runs."""
        self.soft(cause)
        self._hard.set()

    async def wait_soft(self) -> None:
        """Return once a stop is asked for."""
        await self._soft.wait()

    async def wait_hard(self) -> None:
        """Return once an immediate stop is asked for."""
        await self._hard.wait()
