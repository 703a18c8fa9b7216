"""The newest state of every watched object that this process knows of.

Fed by watch events (app/handlers.py) and by the answers to our own writes (store.py), so that what
we wrote is seen by the next look although its event is still on the way. Read by app/.

An answer never makes an object known: one that arrives after the DELETED event would raise a ghost.
It lasts until the event that shows it has come; events are compared with events (`last_event`), so
that no user's change can hide behind an answer of ours.
"""

import time
from collections.abc import Iterable

from pgstrata.core.resource import ObjectKey, RawResource


class ObjectCache:
    """One entry per object that exists, as far as we know."""

    def __init__(self) -> None:
        self._events: dict[ObjectKey, RawResource] = {}
        self._answers: dict[ObjectKey, RawResource] = {}
        self._heard: dict[ObjectKey, float] = {}

    def __len__(self) -> int:
        return len(self._events)

    def keys(self) -> Iterable[ObjectKey]:
        """All known objects."""
        return tuple(self._events)

    def get(self, key: ObjectKey) -> RawResource | None:
        """The newest state, or None where no such object is known."""
        return self._answers.get(key) or self._events.get(key)

    def age(self, key: ObjectKey) -> float:
        """Seconds since anything showed that the object exists."""
        return time.monotonic() - self._heard.get(key, 0.0)

    def last_event(self, key: ObjectKey) -> RawResource | None:
        """The state that the last event showed: what the next one is to be compared with."""
        return self._events.get(key)

    def put_event(self, raw: RawResource) -> bool:
        """Take the state that an event shows; return False where it is old news.

        Events of an object and of the namesake that took its place come in no particular order.
        """
        before = self._events.get(raw.key)
        if before is not None and _version(before) > _version(raw):
            return False
        self._events[raw.key] = raw
        self._heard[raw.key] = time.monotonic()
        answer = self._answers.get(raw.key)
        if answer is not None and _version(answer) <= _version(raw):
            del self._answers[raw.key]
        return True

    def put_answer(self, raw: RawResource) -> None:
        """Take the state that the API server answered to a request of ours."""
        known = self.get(raw.key)
        if known is None or known.uid != raw.uid:
            return
        self._heard[raw.key] = time.monotonic()
        if _version(known) < _version(raw):
            self._answers[raw.key] = raw

    def drop(self, raw: RawResource) -> None:
        """Forget an object that is gone; a namesake that took its place stays."""
        known = self._events.get(raw.key)
        if known is not None and known.uid == raw.uid:
            del self._events[raw.key]
            del self._heard[raw.key]
            self._answers.pop(raw.key, None)


def _version(raw: RawResource) -> int:
    """A resourceVersion as a number: within one kind they grow."""
    return int(raw.resource_version or 0)
