"""Lets deleted resources go: within five seconds of the deletion, whatever state things are in.

A lane beside the ordinary looks, with workers of its own, so that a deletion never waits for a
worker: a run for the resource is stopped, what is left of the time goes to the clean-up, and then
the finalizer is released, be the database reachable or not. What remains there is collected by the
next look at that database (intake.py's `forget` asks for one).
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from pgstrata.app.queue import WorkQueue
from pgstrata.app.runs import GIVE_UP_AFTER, Runs
from pgstrata.core.resource import ObjectKey, ObjectStore, RawResource
from pgstrata.kube.cache import ObjectCache
from pgstrata.kube.client import FORBIDDEN, ApiError
from pgstrata.kube.events import ACCESS_DENIED

CLEAN_UP_UNTIL: Final = 4.2
"""Seconds from the deletion; the rest of the five is for the API server."""
_LEAST: Final = 0.1
_LONGEST_RETRY: Final = 30.0
"""Somebody waits for it."""

log = logging.getLogger(__name__)


class Deletions:
    """The lane of the deleted."""

    def __init__(
        self,
        *,
        store: ObjectStore,
        cache: ObjectCache,
        runs: Runs,
        on_released: Callable[[RawResource], None],
    ) -> None:
        self.queue = WorkQueue()
        self._store = store
        self._cache = cache
        self._runs = runs
        self._on_released = on_released
        self._since: dict[ObjectKey, float] = {}

    def add(self, key: ObjectKey) -> None:
        """The resource is being deleted, and is ours to let go. The first time counts."""
        self._since.setdefault(key, asyncio.get_running_loop().time())
        self.queue.add(key)

    async def work(self) -> None:
        """Let go one resource after another, for ever."""
        while True:
            key = await self.queue.get()
            try:
                await self._let_go(key)
                self.queue.forget(key)
                self._since.pop(key, None)
            except ApiError as error:
                pause = self.queue.retry(key, _LONGEST_RETRY)
                await self._tell(key, error, pause)
            finally:
                self.queue.done(key)

    async def _let_go(self, key: ObjectKey) -> None:
        raw = self._cache.get(key)
        if raw is None or not raw.deleting:
            return
        since = self._since[key]
        await self._clean_up(raw, until=since + CLEAN_UP_UNTIL)
        await self._store.release(raw)
        log.info(
            "released",
            extra={"key": str(key), "seconds": round(asyncio.get_running_loop().time() - since, 3)},
        )
        self._on_released(raw)

    async def _tell(self, key: ObjectKey, error: ApiError, pause: float) -> None:
        """Log it; that a right is missing, with the way out and also on the resource.

        A namespace's end takes the roles there away at any time, and nobody can give them back.
        """
        raw = self._cache.get(key)
        if error.status != FORBIDDEN or raw is None:
            log.warning("not released, again in %.1f s: %s", pause, error, extra={"key": str(key)})
            return
        message = f"not released: {error}; {_way_out(key)}"
        await self._store.record_event(raw, warning=True, reason=ACCESS_DENIED, message=message)

    async def _clean_up(self, raw: RawResource, *, until: float) -> None:
        """Give the driver the time that is left once nothing else runs for the resource."""
        extra = {"key": str(raw.key)}
        if not await self._runs.ended(raw.key):
            log.error("not cleaned up: its run has not ended", extra=extra)
            return
        if until - asyncio.get_running_loop().time() < _LEAST:
            log.warning("not cleaned up: no time is left", extra=extra)
            return
        error = await self._runs.clean_up(raw, until=until)
        if error is not None:
            log.error("not cleaned up: %r", error, exc_info=error, extra=extra)


def _way_out(key: ObjectKey) -> str:
    return (
        "give that right back or, where the namespace is being deleted, let it go by hand, from "
        "all who hold it: "
        f"kubectl patch {key.kind.lower()} {key.name} --namespace {key.namespace} --type=json "
        """-p '[{"op":"remove","path":"/metadata/finalizers"}]'"""
    )


assert GIVE_UP_AFTER < CLEAN_UP_UNTIL  # noqa: S101  else a stopped run leaves no time
