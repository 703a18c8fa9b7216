"""What works while this process leads: queues, workers, runs, and what the informer feeds.

Made by operator.py once the Lease is held, wound up by it at the end.
"""

import asyncio
from typing import Final

from pgstrata.app.definitions import Definitions
from pgstrata.app.deletions import Deletions
from pgstrata.app.informer import REFERENCE_KINDS, Informer
from pgstrata.app.intake import Intake
from pgstrata.app.metrics import Metrics
from pgstrata.app.notices import Notices
from pgstrata.app.queue import WorkQueue
from pgstrata.app.reconciler import Reconciler
from pgstrata.app.references import ReverseIndex
from pgstrata.app.runs import Runs
from pgstrata.app.settings import Settings
from pgstrata.app.streams import WatchStreams
from pgstrata.core.driver import Driver
from pgstrata.core.resource import RawResource
from pgstrata.databases.spec import MANAGED_DATABASE
from pgstrata.kube.cache import ObjectCache
from pgstrata.kube.client import KubeClient
from pgstrata.kube.lease import Lease
from pgstrata.kube.store import KubeStore
from pgstrata.migrations.spec import SCHEMA_VERSION

KINDS: Final = (MANAGED_DATABASE, SCHEMA_VERSION)
"""The kinds that the operator serves."""
PLURALS: Final = {kind.kind: kind.plural for kind in KINDS}

_HARD_GRACE: Final = 3.0
_CANCEL_GRACE: Final = 2.0


class Work:
    """The parts that exist while this process leads."""

    def __init__(
        self,
        settings: Settings,
        *,
        client: KubeClient,
        metrics: Metrics,
        store: KubeStore,
        cache: ObjectCache,
        driver: Driver,
        lease: Lease,
        definitions: Definitions,
    ) -> None:
        self._settings = settings
        self._store = store
        self._cache = cache
        self._metrics = metrics
        self._queue = WorkQueue()
        self.runs = Runs(driver, on_late_end=self._queue.add)
        self._deletions = Deletions(
            store=store, cache=cache, runs=self.runs, on_released=self._forget
        )
        index = ReverseIndex()
        self._intake = Intake(
            driver=driver,
            cache=cache,
            index=index,
            queue=self._queue,
            deletions=self._deletions,
            runs=self.runs,
            on_forgotten=store.undeclared.forget,
        )
        self._reconciler = Reconciler(
            store=store,
            cache=cache,
            queue=self._queue,
            runs=self.runs,
            metrics=metrics,
            resync=settings.resync,
            on_gone=self._forget,
        )
        self.streams = WatchStreams(())
        self.informer = Informer(
            settings,
            intake=self._intake,
            client=client,
            streams=self.streams,
            definitions=definitions,
        )
        plurals = {**PLURALS, **REFERENCE_KINDS}
        self._notices = Notices(
            streams=self.streams,
            client=client,
            events=store.events,
            lease=lambda: lease.reference,
            cache=cache,
            index=index,
            kinds={plural: kind for kind, plural in plurals.items()},
            undeclared=store.undeclared,
        )
        queues = (self._queue, self._deletions.queue)
        metrics.gauge(
            "pgstrata_queue_depth", "Keys waiting for a worker.", lambda: sum(map(len, queues))
        )
        metrics.gauge(
            "pgstrata_runs_active", "Looks and clean-ups under way.", lambda: self.runs.active_tasks
        )
        metrics.stream_ages(self.streams.ages)
        metrics.refusals(lambda: self.streams.refusals)
        self._definitions = definitions
        definitions.on_change(self._look_anew)

    def start_workers(self) -> list[asyncio.Task[None]]:
        """As many for deletions as for looks, idle ones cost nothing; and one that tells people."""
        lanes = (self._reconciler.work, self._deletions.work)
        notices = asyncio.create_task(self._notices.run(), name="notices")
        return [notices] + [
            asyncio.create_task(lane(), name=f"worker {number} of {lane.__qualname__}")
            for number in range(self._settings.workers)
            for lane in lanes
        ]

    async def wind_up(self) -> None:
        """Begin nothing new, and bring what runs to an end: by asking, by insisting, by force."""
        queues = (self._queue, self._deletions.queue)
        for queue in queues:
            queue.close()
        for insist, patience in (
            (self.runs.interrupt_all, self._settings.grace),
            (self.runs.interrupt_all_hard, _HARD_GRACE),
            (self.runs.cancel_all, _CANCEL_GRACE),
        ):
            insist()
            try:
                async with asyncio.timeout(patience):
                    for queue in queues:
                        await queue.drained()
            except TimeoutError:
                continue
            return

    def _look_anew(self) -> None:
        """The definitions are other ones now: statuses can say more than before, or less."""
        self._store.undeclared.defined(self._definitions.lacking)
        for key in self._cache.keys():  # noqa: SIM118  not a mapping
            self._queue.add(key)

    def _forget(self, raw: RawResource) -> None:
        self._intake.forget(raw)
        self._metrics.forget(raw.key)
