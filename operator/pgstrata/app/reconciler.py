"""The workers: take a key, take one look at its newest state, see when the next one is due.

Started by operator.py once the Lease is held. What the look does and says is the engine's; here is
only what keeps looks coming: the next time, the retry after a failure, the resync.
"""

import logging
import random
import time
from collections.abc import Callable
from typing import Final

from pgstrata.app.metrics import Metrics
from pgstrata.app.queue import WorkQueue
from pgstrata.app.runs import GivenUp, Runs
from pgstrata.core.reasons import Situation
from pgstrata.core.resource import ObjectKey, ObjectStore, RawResource
from pgstrata.kube.cache import ObjectCache
from pgstrata.kube.client import FORBIDDEN, ApiError
from pgstrata.kube.events import ACCESS_DENIED

CONFIRM_AFTER: Final = 30.0
"""Seconds without a sign of the object after which it is read before it is looked at.

An object that vanished while a watch stream was cut leaves no event behind.
"""

log = logging.getLogger(__name__)


class Reconciler:
    """What the workers share."""

    def __init__(
        self,
        *,
        store: ObjectStore,
        cache: ObjectCache,
        queue: WorkQueue,
        runs: Runs,
        metrics: Metrics,
        resync: float,
        on_gone: Callable[[RawResource], None],
    ) -> None:
        self._store = store
        self._cache = cache
        self._queue = queue
        self._runs = runs
        self._metrics = metrics
        self._resync = resync
        self._on_gone = on_gone

    async def work(self) -> None:
        """Take one look after another, for ever."""
        while True:
            key = await self._queue.get()
            try:
                await self._process(key)
            finally:
                self._queue.done(key)

    async def _process(self, key: ObjectKey) -> None:
        started = time.monotonic()
        try:
            raw = await self._newest(key)
            # A deletion has its own lane; a run that was given up reports when it ends.
            if raw is None or raw.deleting or self._runs.is_active(key):
                return
            look = await self._runs.look(raw)
        except GivenUp as error:
            self._metrics.looked(key, "GivenUp", time.monotonic() - started)
            log.warning("%s", error, extra={"key": str(key)})
        except ApiError as error:
            self._metrics.looked(key, "ApiError", time.monotonic() - started)
            pause = self._queue.retry(key)
            await self._tell(key, error, pause)
        except Exception:
            # The outermost loop of the looks: one fault must not end the others.
            self._metrics.looked(key, "Exception", time.monotonic() - started)
            pause = self._queue.retry(key)
            log.exception("unexpected, again in %.1f s", pause, extra={"key": str(key)})
        else:
            outcome = look.outcome
            self._metrics.looked(key, type(outcome).__name__, time.monotonic() - started)
            if self._cache.get(key) is not None:
                situation = Situation.STALLED if look.stalled else outcome.reason.situation
                self._metrics.found(key, situation)
            self._queue.forget(key)
            self._queue.add_after(key, self._next_look(look.look_again))

    async def _newest(self, key: ObjectKey) -> RawResource | None:
        """The newest state, confirmed by a read where nothing has been heard of it for long."""
        raw = self._cache.get(key)
        if raw is None or self._cache.age(key) < CONFIRM_AFTER:
            return raw
        current = await self._store.read(key)
        if current is None or current.uid != raw.uid:
            self._on_gone(raw)
            return None
        self._cache.put_answer(current)
        return self._cache.get(key)

    async def _tell(self, key: ObjectKey, error: ApiError, pause: float) -> None:
        """Log it; that a right is missing, also on the resource: its status may be unwritable."""
        raw = self._cache.get(key)
        if error.status != FORBIDDEN or raw is None:
            log.warning("%s, again in %.1f s", error, pause, extra={"key": str(key)})
            return
        await self._store.record_event(raw, warning=True, reason=ACCESS_DENIED, message=str(error))

    def _next_look(self, asked: float | None) -> float:
        """When the engine asks for it, at the latest at the resync, which is spread out."""
        resync = self._resync * random.uniform(0.8, 1.0)  # noqa: S311  spreads load
        return resync if asked is None else min(asked, resync)
