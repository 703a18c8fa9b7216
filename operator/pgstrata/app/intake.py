"""What an event means for the work: cached, compared, turned into keys in the queues.

Called by informer.py, synchronously, with every event of every stream. Knows nothing of kopf.
"""

import logging
from collections.abc import Callable, Mapping

from pydantic import JsonValue

from pgstrata.app.deletions import Deletions
from pgstrata.app.queue import WorkQueue
from pgstrata.app.references import ReverseIndex
from pgstrata.app.runs import Runs
from pgstrata.app.wake import comes_further, must_wake
from pgstrata.core.driver import Driver
from pgstrata.core.resource import ObjectKey, RawResource
from pgstrata.databases.spec import MANAGED_DATABASE
from pgstrata.kube.cache import ObjectCache
from pgstrata.kube.raw import mapping, to_raw
from pgstrata.kube.store import FINALIZER

JsonObject = Mapping[str, JsonValue]

log = logging.getLogger(__name__)


class Intake:
    """Takes in events, decides who is to be looked at."""

    def __init__(
        self,
        *,
        driver: Driver,
        cache: ObjectCache,
        index: ReverseIndex,
        queue: WorkQueue,
        deletions: Deletions,
        runs: Runs,
        on_forgotten: Callable[[ObjectKey], None],
    ) -> None:
        """`on_forgotten` is called with each of our own resources that does not exist any more."""
        self._on_forgotten = on_forgotten
        self._driver = driver
        self._cache = cache
        self._index = index
        self._queue = queue
        self._deletions = deletions
        self._runs = runs
        self._versions: dict[ObjectKey, str] = {}

    def resource_seen(self, obj: JsonObject) -> None:
        """One of our own resources exists so: it was listed, made or changed."""
        raw = to_raw(obj)
        before = self._cache.last_event(raw.key)
        if not self._cache.put_event(raw):
            return
        self._index.set(raw.key, self._driver.references(raw))
        if raw.deleting:
            self._runs.deleted(raw.key)
            if FINALIZER in raw.finalizers:
                self._deletions.add(raw.key)
            return
        if before is not None and comes_further(raw, before):
            self._wake_dependents(raw.key)
        if must_wake(raw, before):
            self._runs.changed(raw)
            self._queue.add(raw.key)
            if before is None or before.generation != raw.generation:
                self._wake_dependents(raw.key)
                self._stop_dependents(raw.key)

    def resource_gone(self, obj: JsonObject) -> None:
        """One of our own resources does not exist any more."""
        self.forget(to_raw(obj))

    def forget(self, raw: RawResource) -> None:
        """Drop what is gone; whoever it referred to, or was referred to by, is looked at."""
        known = self._cache.last_event(raw.key)
        if known is None or known.uid != raw.uid:
            return
        self._cache.drop(raw)
        self._on_forgotten(raw.key)
        self._runs.deleted(raw.key)
        self._queue.forget(raw.key)
        for key in self._index.of(raw.key):
            # The next look at its database collects what it may have left there.
            if self._cache.get(key) is not None:
                self._queue.add(key)
        self._index.set(raw.key, frozenset())
        self._wake_dependents(raw.key)

    def reference_seen(self, kind: str, obj: JsonObject) -> None:
        """A Secret or ConfigMap with our label exists so."""
        key, version = _reference(kind, obj)
        if self._versions.get(key) != version:
            self._versions[key] = version
            self._wake_dependents(key)

    def reference_gone(self, kind: str, obj: JsonObject) -> None:
        """A Secret or ConfigMap does not exist any more, or lost our label."""
        key, _ = _reference(kind, obj)
        self._versions.pop(key, None)
        self._wake_dependents(key)

    def _wake_dependents(self, changed: ObjectKey) -> None:
        for key in self._index.dependents(changed):
            self._queue.add(key)

    def _stop_dependents(self, changed: ObjectKey) -> None:
        """Have runs in a database go by its new windows, throttle and suspend: they begin anew."""
        if changed.kind == MANAGED_DATABASE.kind:
            for key in self._index.dependents(changed):
                self._runs.overtaken(key)


def _reference(kind: str, obj: JsonObject) -> tuple[ObjectKey, str]:
    metadata = mapping(obj.get("metadata"))
    key = ObjectKey(kind, str(metadata.get("namespace")), str(metadata.get("name")))
    return key, str(metadata.get("resourceVersion"))
