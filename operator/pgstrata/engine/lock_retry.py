"""Tries a group again until its locks are had: bounded, jittered, naming the blockers.

While a session with an old transaction stands in the way nothing is tried: pg_locks is looked at
every 200 ms, which costs nobody anything, and the try comes as soon as it has gone. Blind tries,
for what the look cannot see, come so rarely that applications stall 5 % of the time at most.
"""

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Sequence

from pgstrata.core.errors import LockTimeout, PgstrataError
from pgstrata.core.reasons import Reason
from pgstrata.engine.progress import Progress
from pgstrata.engine.table_locks import LockHolder, LockTarget, lock_holders
from pgstrata.pg.failures import Contention, LockNotAvailable
from pgstrata.pg.session import Session

BUDGET_SECONDS = 30.0
"""How long one run keeps trying before it yields; the next look goes on."""
POLL_SECONDS = 0.2
BLIND_SHARE = 0.05
BUSY_SHARE = 0.25
OLD_SECONDS = 1.0
"""A transaction younger than this is ordinary traffic and is not waited for."""
CONTENTION_TRIES = 5
_FIRST_LOCK_MS = 100
_NAMED = 3
_DEADLOCK = "40P01"


class Cancelled(PgstrataError):
    """A statement was cancelled, and not for a lock: the text says by what. Tried again."""


async def with_lock_retries(
    attempt: Callable[[int], Awaitable[None]],
    targets: Sequence[LockTarget],
    session: Session,
    progress: Progress,
    what: str,
) -> None:
    """Call `attempt(lock_ms)` until it succeeds; lock_ms grows from 100 to timeouts.lock.

    Args:
        targets: the tables whose locks the attempt takes, to look for their holders.
        what: names the work in messages.

    Raises LockTimeout after 30 s, naming the holders; Contention after five deadlocks or
    serialization failures, or where one is the last within 30 s; whatever else the attempt raises
    at once. A try that raises Cancelled is repeated beyond 30 s: the attempt counts how often.
    """
    longest = max(1, round(session.target.timeouts.lock * 1000))
    lock_ms = min(_FIRST_LOCK_MS, longest)
    end = _now() + BUDGET_SECONDS
    contended = tries = 0
    while True:
        tries += 1
        cause: LockNotAvailable | Contention | Cancelled
        try:
            return await attempt(lock_ms)
        except (LockNotAvailable, Cancelled) as error:
            cause = error
        except Contention as error:
            contended += 1
            if contended >= CONTENTION_TRIES:
                raise
            cause = error
        holders = await lock_holders(session, targets)
        if _is_of_locks(cause):
            message = _message(what, targets, holders, lock_ms, tries)
            await progress.repeat(Reason.LOCK_TIMEOUT, message)
        else:
            text = f"{what}: {cause.message} (try {tries}); it is tried again"
            await progress.repeat(Reason.PROGRESSING_WITH_RETRY, text)
        until = math.inf if isinstance(cause, Cancelled) else end
        if not await _wait(session, targets, holders, progress, lock_ms=lock_ms, end=until):
            if _is_of_locks(cause):
                raise LockTimeout(f"{message}; next try in a few seconds")
            raise cause
        if not isinstance(cause, Cancelled):
            lock_ms = min(lock_ms * 2, longest)


def _is_of_locks(cause: PgstrataError) -> bool:
    """Whether it was a lock, and not the database's own code that gave an error such a number."""
    if not isinstance(cause, LockNotAvailable | Contention) or cause.is_raised:
        return False
    return isinstance(cause, LockNotAvailable) or cause.sqlstate == _DEADLOCK


async def _wait(
    session: Session,
    targets: Sequence[LockTarget],
    holders: Sequence[LockHolder],
    progress: Progress,
    *,
    lock_ms: int,
    end: float,
) -> bool:
    """Wait until a try is worth it; return False once the budget is spent."""
    jitter = random.uniform(1.0, 1.3)  # noqa: S311  keeps two runs from trying in step
    blind = _now() + lock_ms / 1000 * (1 / BLIND_SHARE - 1) * jitter
    busy = _now() + lock_ms / 1000 * (1 / BUSY_SHARE - 1) * jitter
    while True:
        now = _now()
        if now >= end:
            return False
        # Whom the look cannot see (a table behind a foreign key, a view) may hold for long.
        old = not holders or any(h.prepared or h.age_seconds > OLD_SECONDS for h in holders)
        if now >= (blind if old else busy):
            return True
        was_old = old and bool(holders)
        await progress.pause(POLL_SECONDS)
        holders = await lock_holders(session, targets)
        if was_old and not any(h.prepared or h.age_seconds > OLD_SECONDS for h in holders):
            return True


def _message(
    what: str,
    targets: Sequence[LockTarget],
    holders: Sequence[LockHolder],
    lock_ms: int,
    tries: int,
) -> str:
    tables = ", ".join(str(t.table) for t in targets) or "its tables"
    text = f"{what}: no lock on {tables} within {lock_ms} ms (try {tries})"
    if not holders:
        return f"{text}; nobody holds it now"
    named = "; ".join(map(str, holders[:_NAMED]))
    more = f" and {len(holders) - _NAMED} more" if len(holders) > _NAMED else ""
    return f"{text}; held by {named}{more}"


def _now() -> float:
    return asyncio.get_running_loop().time()
