"""/healthz, /readyz and /metrics. Healthy: what has stopped is not going to be cured by waiting.

Served from before the election until after the last run. Each answer is 200 `ok`, or 503 with one
line for each thing that is wrong.
"""

import asyncio
import errno
import logging
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from pgstrata.app.definitions import Definitions
from pgstrata.app.metrics import Metrics
from pgstrata.app.streams import WatchStreams
from pgstrata.kube.lease import Lease

_TICK: Final = 1.0
_WORST_LAG: Final = 10.0
_EVERYWHERE: Final = ("", "::")
_NO_IPV6: Final = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)

log = logging.getLogger(__name__)


@dataclass(slots=True)
class LoopLag:
    """How late the event loop is: measured once a second, by being late itself."""

    _expected: float = field(default_factory=time.monotonic)
    _last: float = 0.0

    @property
    def seconds(self) -> float:
        """The last measured lag, or the one that is going on."""
        return max(self._last, time.monotonic() - self._expected)

    async def measure(self) -> None:
        """Measure, for ever."""
        while True:
            self._expected = time.monotonic() + _TICK
            await asyncio.sleep(_TICK)
            self._last = max(0.0, time.monotonic() - self._expected)


class Health:
    """What is wrong, if anything."""

    def __init__(
        self, lease: Lease, lag: LoopLag, definitions: Definitions, *, silence: float
    ) -> None:
        self.streams: WatchStreams | None = None
        """Set once this process leads and has begun to watch."""
        self._definitions = definitions
        self._lease = lease
        self._lag = lag
        self._silence = silence
        self._started = time.monotonic()

    def wrong_with_life(self) -> list[str]:
        """Why the process should be started anew; empty: it should not."""
        wrong = []
        if self._lag.seconds > _WORST_LAG:
            wrong.append(f"the event loop lags by {self._lag.seconds:.0f} s")
        renewed, limit = self._lease.renewed_ago, self._lease.timings.renew
        if renewed is not None and renewed > limit:
            wrong.append(f"the lease was renewed {renewed:.0f} s ago, limit {limit:g} s")
        if renewed is None and self._silent_for > self._silence:
            wrong.append(f"no answer from the API server for {self._silent_for:.0f} s")
        if self.streams is not None:
            for path, age in self.streams.ages().items():
                if age > self._silence:
                    wrong.append(f"the watch on {path} has been silent for {age:.0f} s")
        return wrong

    def wrong_with_readiness(self) -> list[str]:
        """Why the process is not of use yet. Standing by it is, where it could take over: with a
        Lease that can be read, and kinds that are there to be served.
        """
        missing = [self._definitions.problem] if self._definitions.problem else []
        if not self._lease.acquired.is_set():
            if self._lease.contact is None or self._silent_for > self._lease.timings.duration:
                return ["standing by, but the lease cannot be read"]
            return missing
        if not self._lease.leading:
            return ["the lease is not held any more"]
        if self.streams is None:
            return missing or ["starting"]
        return missing + self.streams.unready()

    @property
    def _silent_for(self) -> float:
        return time.monotonic() - (self._lease.contact or self._started)


class HealthServer:
    """The HTTP server; `start` it once, `stop` it at the end."""

    def __init__(self, health: Health, metrics: Metrics) -> None:
        app = web.Application()
        app.router.add_get("/healthz", self._report(health.wrong_with_life))
        app.router.add_get("/readyz", self._report(health.wrong_with_readiness))
        app.router.add_get("/metrics", self._metrics)
        self._source = metrics
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)

    async def start(self, host: str, port: int) -> None:
        """Listen, without a host on all addresses. Raises OSError. Logs where: port 0 is any."""
        await self._runner.setup()
        await self._site(host, port).start()
        for address in self._runner.addresses:
            log.info("health server listening", extra={"host": address[0], "port": address[1]})

    async def stop(self) -> None:
        """Close all connections."""
        await self._runner.cleanup()

    def _site(self, host: str, port: int) -> web.BaseSite:
        """asyncio makes sockets of IPv6 alone of `::`; one for both families is made here."""
        if host in _EVERYWHERE:
            return web.SockSite(self._runner, _socket_of_all_families(port))
        return web.TCPSite(self._runner, host, port)

    @staticmethod
    def _report(
        problems: Callable[[], list[str]],
    ) -> Callable[[web.Request], "asyncio.Future[web.Response]"]:
        async def handler(_: web.Request) -> web.Response:
            wrong = problems()
            return web.Response(
                text="\n".join(wrong or ["ok"]) + "\n", status=503 if wrong else 200
            )

        return handler  # type: ignore[return-value]

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._source.text(), content_type="text/plain", charset="utf-8")


def _socket_of_all_families(port: int) -> socket.socket:
    """Listen on IPv6 and IPv4, on IPv4 alone where the kernel has no IPv6. Raises OSError."""
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        except OSError as error:
            if error.errno not in _NO_IPV6:
                raise
    return socket.create_server(("0.0.0.0", port))  # noqa: S104  kubelet comes from outside
