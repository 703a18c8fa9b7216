"""The work queue: keys to be looked at, each once, each by one worker at a time.

The contract of client-go's workqueue: a key that is added while it waits is one key; one that is
added while it is worked on is handed out again afterwards, never beside it. Filled by intake.py and
by the workers themselves (`add_after`, `retry`); emptied by reconciler.py and deletions.py.
"""

import asyncio
import random
from typing import Final

from pgstrata.core.resource import ObjectKey

FIRST_RETRY: Final = 0.1
LONGEST_RETRY: Final = 300.0


class WorkQueue:
    """Belongs to one event loop. Every `get` is followed by one `done`."""

    def __init__(self) -> None:
        self._ready: asyncio.Queue[ObjectKey] = asyncio.Queue()
        self._dirty: set[ObjectKey] = set()
        self._processing: set[ObjectKey] = set()
        self._timers: dict[ObjectKey, asyncio.TimerHandle] = {}
        self._failures: dict[ObjectKey, int] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._open = True

    def __len__(self) -> int:
        """Keys that wait for a worker."""
        return len(self._dirty)

    def add(self, key: ObjectKey) -> None:
        """Have the key looked at as soon as a worker is free."""
        if key in self._dirty or not self._open:
            return
        self._dirty.add(key)
        if key not in self._processing:
            self._ready.put_nowait(key)

    def add_after(self, key: ObjectKey, delay: float) -> None:
        """Have the key looked at in `delay` seconds, or before if it was to be looked at before."""
        loop = asyncio.get_running_loop()
        due = loop.time() + delay
        pending = self._timers.get(key)
        if not self._open or (pending is not None and pending.when() <= due):
            return
        if pending is not None:
            pending.cancel()
        self._timers[key] = loop.call_at(due, self._fire, key)

    def retry(self, key: ObjectKey, longest: float = LONGEST_RETRY) -> float:
        """Count a failure of the key and add it again after a pause, in seconds: the answer."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        pause = min(longest, FIRST_RETRY * 2.0 ** min(failures, 32))
        pause *= random.uniform(0.5, 1.0)  # noqa: S311  spreads retries
        self.add_after(key, pause)
        return pause

    def forget(self, key: ObjectKey) -> None:
        """The key was worked on well: its next failure is its first."""
        self._failures.pop(key, None)

    async def get(self) -> ObjectKey:
        """Take the next key. It replaces a look that was due later."""
        key = await self._ready.get()
        self._dirty.discard(key)
        self._processing.add(key)
        self._idle.clear()
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        return key

    def done(self, key: ObjectKey) -> None:
        """End the work on a key that `get` gave out."""
        self._processing.discard(key)
        if key in self._dirty and self._open:
            self._ready.put_nowait(key)
        if not self._processing:
            self._idle.set()

    def close(self) -> None:
        """Give nothing out any more, and take nothing in."""
        self._open = False
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._dirty.clear()
        while not self._ready.empty():
            self._ready.get_nowait()

    async def drained(self) -> None:
        """Return once nothing is being worked on."""
        await self._idle.wait()

    def _fire(self, key: ObjectKey) -> None:
        del self._timers[key]
        self.add(key)
