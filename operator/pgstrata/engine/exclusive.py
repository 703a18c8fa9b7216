"""One writer for one object of a database: lock, heartbeat, fence, takeover.

The Kubernetes Lease saves work but protects nothing: a paused or partitioned operator goes on
believing. So the session that works holds the object's advisory lock itself and dies with it; a
monitor connection says that it is alive; and every journalled transaction first locks the fence's
row, which a successor has raised. Design: architecture page "Locks of our own"; fencing tokens
after M. Kleppmann, "How to do distributed locking" (2016).

Called by engine/run.py. Raises Busy while a living session holds the lock, SessionLost when this
run was taken over.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from pgstrata.core.errors import Busy, PgstrataError, SessionLost
from pgstrata.core.names import LockedObject
from pgstrata.engine.failpoints import failpoint
from pgstrata.pg.connect import connect
from pgstrata.pg.failures import LockNotAvailable, StatementFailed
from pgstrata.pg.session import Effect, Session, Transaction, Verbatim
from pgstrata.pg.target import Target
from pgstrata.pg.timeouts import Limits

BEAT_SECONDS = 5.0
SILENCE_SECONDS = 15.0
"""A holder that has not beaten for this long is taken for dead or stopped, and ended."""
POLL_SECONDS = 0.25
PATIENCE_SECONDS = 12.0
"""How long one look waits for a living holder before it yields its place in the queue."""


_LOST = "the fence was raised by another run at "
"""What begin_group.sql fails with."""


@dataclass(frozen=True, slots=True)
class Fence:
    """The right to write for an object, as every journalled transaction checks it."""

    object: LockedObject
    token: int
    nonce: str


@dataclass(frozen=True, slots=True)
class _Acquired:
    acquired: bool


@dataclass(frozen=True, slots=True)
class _Backend:
    pid: int
    backend_start: str
    application_name: str
    silent_seconds: float


@dataclass(frozen=True, slots=True)
class _Raised:
    token: int
    nonce: str


def _lost_text(fence: Fence) -> str:
    return f"another run took over {fence.object}; this one stops"


class Exclusive:
    """The working session of a run, its monitor, and the fence both stand behind."""

    def __init__(self, session: Session, monitor: Session, fence: Fence) -> None:
        self.session = session
        self.monitor = monitor
        self.fence = fence
        self.lost = asyncio.Event()
        """Set once this run was taken over or can no longer say that it is alive."""

    @asynccontextmanager
    async def journalled(self) -> AsyncIterator[Transaction]:
        """Run the block in one transaction behind the fence. Raises SessionLost."""
        async with self.session.transaction(self._hold_fence()) as transaction:
            if not transaction.opened[-1]:
                raise SessionLost(_lost_text(self.fence))
            failpoint("journal.begun")
            yield transaction
            failpoint("journal.before_commit")
        failpoint("journal.committed")

    def _hold_fence(self) -> Effect:
        """Hold the fence until the transaction ends; no row: it is another's."""
        fence = self.fence
        parameters = {"object": fence.object.text, "token": fence.token, "nonce": fence.nonce}
        return Effect("engine/check_fence", parameters)

    @asynccontextmanager
    async def group(self, limits: Limits, *first: Effect | Verbatim) -> AsyncIterator[Transaction]:
        """Run the block in one transaction behind the fence and under limits. Raises SessionLost.

        Begun and ended in one round trip each: a migration of many small files is made of these.
        What shall come first goes along with the beginning.
        """
        try:
            async with self.session.transaction(self._begin(limits), *first) as transaction:
                self.session.limits_are(limits)
                yield transaction
        except StatementFailed as error:
            raise self._taken_over_or(error) from error

    async def at_once(self, limits: Limits, *work: Effect | Verbatim) -> None:
        """Run a whole transaction behind the fence in one round trip. Raises SessionLost."""
        begin = self._begin(limits)
        try:
            await self.session.at_once(begin, *work, statement_ms=limits.statement_ms)
        except StatementFailed as error:
            raise self._taken_over_or(error) from error

    def _begin(self, limits: Limits) -> Effect:
        return Effect(
            "engine/begin_group",
            {
                "object": self.fence.object.text,
                "token": self.fence.token,
                "nonce": self.fence.nonce,
                "lost": _LOST,
                "lock_ms": str(limits.lock_ms),
                "statement_ms": str(limits.statement_ms),
            },
        )

    def _taken_over_or(self, error: StatementFailed) -> PgstrataError:
        return SessionLost(_lost_text(self.fence)) if _LOST in error.primary else error

    async def beat_until_lost(self) -> None:
        """Beat every 5 s; set `lost` when the fence fell or the monitor has been deaf too long."""
        loop = asyncio.get_running_loop()
        last = loop.time()
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            with suppress(PgstrataError):  # one that was cancelled is a beat missed, no more
                if not await self._beat():
                    break
                last = loop.time()
            if loop.time() - last > SILENCE_SECONDS - BEAT_SECONDS or not self.monitor.is_open:
                break
        self.lost.set()

    async def _beat(self) -> bool:
        fence = self.fence
        rows = await self.monitor.run(
            "engine/beat",
            object=fence.object.text,
            pid=self.session.pid,
            token=fence.token,
            nonce=fence.nonce,
        )
        return rows == 1


@asynccontextmanager
async def exclusive(
    target: Target, object_: LockedObject, *, schema: str, holder: str
) -> AsyncIterator[Exclusive]:
    """Be the only one who works on `object_`. The caller holds two connections of the budget."""
    name = f"pgstrata:{object_.short_hash}"
    session = await connect(target, schema=schema, application_name=f"{name}:wait")
    try:
        monitor = await connect(target, schema=schema, application_name=f"{name}:monitor")
        try:
            failpoint("exclusive.connected")
            await _acquire(session, object_)
            failpoint("exclusive.locked")
            # On the session that holds the lock: one that lost it meanwhile cannot beat any more.
            await session.run(
                "engine/first_beat",
                object=object_.text,
                pid=session.pid,
                backend_start=session.backend_start,
            )
            failpoint("exclusive.beaten")
            fence = await _raise_fence(session, monitor, object_, holder)
            failpoint("exclusive.fenced")
            await session.rename(f"{name}:{fence.token}")
            failpoint("exclusive.renamed")
            await _end_older(session, fence)
            failpoint("exclusive.alone")
            work = Exclusive(session, monitor, fence)
            beating = asyncio.create_task(work.beat_until_lost(), name=f"beat {object_}")
            try:
                yield work
            finally:
                beating.cancel()
                with suppress(asyncio.CancelledError, PgstrataError):
                    await beating
        finally:
            await monitor.close()
    finally:
        await session.close()


async def _acquire(session: Session, object_: LockedObject) -> None:
    """Poll for the advisory lock; end a holder that is silent. Raises Busy after 12 s."""
    loop = asyncio.get_running_loop()
    end = loop.time() + PATIENCE_SECONDS
    while True:
        lock = await session.one("engine/try_object_lock", _Acquired, key=object_.advisory_key)
        if lock.acquired:
            return
        holder = await session.one_or_none(
            "engine/lock_holder", _Backend, object=object_.text, key=object_.advisory_key
        )
        silent = holder.silent_seconds if holder is not None else 0.0
        if holder is not None and silent > SILENCE_SECONDS:
            await _terminate(session, holder)
        # One that has missed two beats is seen through to its end: yielding now would cost more.
        if loop.time() > end + (SILENCE_SECONDS if silent > 2 * BEAT_SECONDS else 0.0):
            who = f"{holder.application_name} (pid {holder.pid})" if holder else "another session"
            raise Busy(f"{who} is working on {object_}")
        await asyncio.sleep(POLL_SECONDS)


async def _raise_fence(
    session: Session, monitor: Session, object_: LockedObject, holder: str
) -> Fence:
    """Raise the token; end backends of ours that hold the fence's row meanwhile."""
    for _ in range(10):
        raising = asyncio.create_task(
            session.one("engine/raise_fence", _Raised, object=object_.text, holder=holder)
        )
        try:
            while not (await asyncio.wait({raising}, timeout=POLL_SECONDS))[0]:
                for blocker in await monitor.all(
                    "engine/fence_blockers", _Backend, pid=session.pid
                ):
                    await _terminate(monitor, blocker)
            raised = raising.result()
        except LockNotAvailable:  # the session's lock_timeout of 1 s
            continue
        finally:
            if not raising.done():
                raising.cancel()
                with suppress(asyncio.CancelledError, PgstrataError):
                    await raising
        return Fence(object_, raised.token, raised.nonce)
    raise Busy(f"the fence of {object_} is held by a session that does not end")


async def _end_older(session: Session, fence: Fence) -> None:
    """End backends that still run under a lower token, and wait until they are gone."""
    end = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while older := await session.all(
        "engine/older_backends", _Backend, hash=fence.object.short_hash, token=fence.token
    ):
        if asyncio.get_running_loop().time() > end:
            raise Busy(
                f"an older session (pid {older[0].pid}) works on {fence.object} and does not end"
            )
        for backend in older:
            await _terminate(session, backend)
        await asyncio.sleep(POLL_SECONDS)


async def _terminate(session: Session, backend: _Backend) -> None:
    await session.run("engine/terminate", pid=backend.pid, backend_start=backend.backend_start)
