"""The life of the operator process: election, start, supervision, orderly end.

Called by cli/ for `pgstrata run`. Order matters here: our own tasks exist before kopf's, because
at its end kopf cancels every task that is younger than itself; nothing works before the Lease is
held; and a process that lost the Lease ends on the spot.
"""

import asyncio
import logging
import math
import os
import signal
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

from pgstrata.app.definitions import Definitions
from pgstrata.app.health import Health, HealthServer, LoopLag
from pgstrata.app.metrics import Metrics
from pgstrata.app.settings import Settings
from pgstrata.app.work import KINDS, PLURALS, Work
from pgstrata.core.crd_schema import structural_schema
from pgstrata.core.driver import Driver
from pgstrata.core.errors import PgstrataError
from pgstrata.core.resource import ObjectStore
from pgstrata.kube.cache import ObjectCache
from pgstrata.kube.client import JsonObject, KubeClient
from pgstrata.kube.lease import Lease
from pgstrata.kube.store import KubeStore

STOPPED: Final = 0
FAILED: Final = 1
LEASE_LOST: Final = 3
UNUSABLE: Final = 64
"""A setting or kubeconfig that cannot be; what the command line ends with for it elsewhere."""

_INFORMER_GRACE: Final = 10.0
_FORCED_GRACE: Final = 1.0

MakeDriver = Callable[[ObjectStore, str], Driver]
"""Given the store and the cluster's id, by which claims are made out."""

log = logging.getLogger(__name__)


async def run_operator(
    settings: Settings, make_driver: MakeDriver, kubeconfig: str | None = None
) -> int:
    """Run until SIGTERM or SIGINT (0), or until something that must run has ended (1).

    A lost Lease ends the process at once, with exit status 3 and without returning. Without a
    kubeconfig the pod's own service account is used; where there is no usable way to an API server
    the status is 64.
    """
    try:
        client = await KubeClient.open(kubeconfig)
    except PgstrataError as error:
        log.critical("%s", error)
        return UNUSABLE
    try:
        return await _Process(settings, make_driver, client).run()
    finally:
        await client.close()


def schemas() -> dict[str, JsonObject]:
    """What the API server should serve of each kind."""
    return {
        kind.kind: {
            "properties": {
                "spec": structural_schema(kind.spec, "spec"),
                "status": structural_schema(kind.status, "status"),
            }
        }
        for kind in KINDS
    }


class _Process:
    """One run of the operator; its parts, and the tasks that must not end before it does."""

    def __init__(self, settings: Settings, make_driver: MakeDriver, client: KubeClient) -> None:
        self._settings = settings
        self._make_driver = make_driver
        self._client = client
        self._lease = Lease(
            client,
            namespace=settings.lease_namespace,
            name=settings.lease_name,
            timings=settings.lease,
        )
        self._lag = LoopLag()
        self._metrics = Metrics()
        self._metrics.gauge(
            "pgstrata_leader", "1 where this process holds the Lease.", lambda: self._lease.leading
        )
        self._metrics.gauge(
            "pgstrata_lease_age_seconds",
            "Since this process last renewed the Lease; NaN before the first time.",
            lambda: math.nan if (ago := self._lease.renewed_ago) is None else ago,
        )
        self._definitions = Definitions(client, plurals=PLURALS, schemas=schemas())
        self._health = Health(
            self._lease, self._lag, self._definitions, silence=settings.stream_silence
        )
        self._server = HealthServer(self._health, self._metrics)
        self._stop = asyncio.Event()
        self._background: list[asyncio.Task[None]] = []
        self._stuck = False

    async def run(self) -> int:
        """Return the exit status."""
        self._take_signals()
        self._start(self._lag.measure(), "event loop's lag")
        self._start(self._lease.run(), "lease")
        self._start(self._definitions.watch(), "definitions")
        self._start(self._end_without_lease(), "end without lease")
        stopped = asyncio.create_task(self._stop.wait(), name="stop")
        status = FAILED
        try:
            await self._server.start(self._settings.health_host, self._settings.health_port)
            status = await self._lead(stopped)
        except (PgstrataError, OSError) as error:
            log.critical("%s", error)
        finally:
            await self._server.stop()
            await _cancel([stopped, *self._background])
            await self._lease.release()
            log.info("stopped", extra={"status": status})
            if self._stuck:
                logging.shutdown()
                os._exit(status)
        return status

    async def _lead(self, stopped: asyncio.Task[bool]) -> int:
        """Wait for the Lease, then work until told to stop, or until something has failed."""
        begun = asyncio.create_task(self._begin(), name="begin")
        await asyncio.wait({stopped, begun, *self._background}, return_when=asyncio.FIRST_COMPLETED)
        if not begun.done():
            await _cancel([begun])
            return self._verdict(())
        store, cache, driver = begun.result()
        work = Work(
            self._settings,
            client=self._client,
            metrics=self._metrics,
            store=store,
            cache=cache,
            driver=driver,
            lease=self._lease,
            definitions=self._definitions,
        )
        workers = work.start_workers()
        end_informers = asyncio.Event()
        informers = work.informer.start(
            PLURALS.values(), stop=end_informers, started=self._take_signals
        )
        self._health.streams = work.streams
        ours = (*workers, *informers)
        await asyncio.wait({stopped, *ours, *self._background}, return_when=asyncio.FIRST_COMPLETED)
        status = self._verdict(ours)
        await work.wind_up()
        await _cancel(workers)
        # kopf waits for whatever is younger than itself: connections kept alive, runs that go on.
        await self._server.stop()
        end_informers.set()
        stuck = bool(work.runs.active_tasks)
        await asyncio.wait(informers, timeout=_FORCED_GRACE if stuck else _INFORMER_GRACE)
        if stuck or any(not each.done() or each.exception() is not None for each in informers):
            log.warning("not everything ends by itself: the rest ends with the process")
            self._stuck = True
        return status

    async def _begin(self) -> tuple[KubeStore, ObjectCache, Driver]:
        """What can be had once this process leads: whose cluster it is, and something to watch."""
        await self._lease.acquired.wait()
        cache = ObjectCache()
        store = KubeStore(self._client, plurals=PLURALS, cache=cache)
        cluster_id = self._settings.cluster_id or await store.cluster_id()
        await self._definitions.wait_any()
        return store, cache, self._make_driver(store, cluster_id)

    async def _end_without_lease(self) -> None:
        """The last line of defence: no cleaning up, whatever else is going on."""
        await self._lease.lost.wait()
        logging.shutdown()
        os._exit(LEASE_LOST)

    def _verdict(self, tasks: Iterable[asyncio.Task[None]]) -> int:
        """Whether it ended by a wish, or because a task ended that should have gone on."""
        for task in (*self._background, *tasks):
            if task.done():
                log.critical("%s has ended", task.get_name(), exc_info=task.exception())
        return STOPPED if self._stop.is_set() else FAILED

    def _start(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        self._background.append(asyncio.create_task(coroutine, name=name))

    def _take_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)


async def _cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they have ended."""
    pending = list(tasks)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
