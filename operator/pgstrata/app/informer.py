"""kopf as informer: lists and watches our kinds, hands every event to intake.py, writes nothing.

Built by work.py and run by operator.py once the Lease is held. Only `on.event` handlers are
registered: with them alone kopf patches no object and posts no event. kopf looks for kinds once, at
its start (watching all definitions is a right that is not asked for); so a kind that is installed
later gets a kopf of its own.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from functools import partial
from typing import Any, Final

import aiohttp
import kopf

from pgstrata.app.definitions import Definitions
from pgstrata.app.intake import Intake
from pgstrata.app.refusals import Refusals
from pgstrata.app.settings import Settings
from pgstrata.app.streams import WatchStreams
from pgstrata.core.api_model import API_VERSION, GROUP, VERSION
from pgstrata.core.errors import PgstrataError
from pgstrata.kube.client import KubeClient

WATCH_LABEL: Final = f"{GROUP}/watch"
_DELETED: Final = "DELETED"

REFERENCE_KINDS: Final = {"Secret": "secrets", "ConfigMap": "configmaps"}


def watched_references(settings: Settings) -> Mapping[str, str]:
    """The kinds of labelled references that are to be watched, with their plurals."""
    wanted = {"Secret": settings.watch_secrets, "ConfigMap": settings.watch_config_maps}
    return {kind: plural for kind, plural in REFERENCE_KINDS.items() if wanted[kind]}


def stream_paths(
    settings: Settings, plurals: Collection[str], references: Mapping[str, str]
) -> frozenset[str]:
    """The paths that there shall be a watch stream on."""
    collections = {(f"/apis/{API_VERSION}", plural) for plural in plurals}
    collections |= {("/api/v1", plural) for plural in references.values()}
    scopes = [f"/namespaces/{name}" for name in settings.watch_namespaces] or [""]
    return frozenset(f"{base}{scope}/{plural}" for base, plural in collections for scope in scopes)


def kopf_settings(settings: Settings) -> kopf.OperatorSettings:
    """kopf, restricted to what an informer needs, and patient with the API server."""
    s = kopf.OperatorSettings()
    s.peering.standalone = True
    s.scanning.disabled = True
    s.posting.enabled = False
    s.posting.loggers = False
    s.networking.connect_timeout = 10
    s.networking.request_timeout = 60
    s.networking.error_backoffs = [1, 1, 2, 3] + [5] * 20
    s.watching.connect_timeout = 10
    s.watching.reconnect_backoff = 1
    s.watching.server_timeout = int(settings.watch_timeout)  # as the API wants it
    s.watching.client_timeout = int(settings.watch_timeout) + 10
    s.watching.chunk_size = 500
    for plural in watched_references(settings).values():
        # Item by item, and with this very key: 'v1/secrets' would silently match nothing.
        s.watching.label_selectors["", "v1", plural] = f"{WATCH_LABEL}=true"
    return s


def registry(
    *,
    plurals: Collection[str],
    references: Mapping[str, str],
    intake: Intake,
    client: KubeClient,
    streams: WatchStreams,
) -> kopf.OperatorRegistry:
    """All handlers, in a registry of their own."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    async def log_in(**_: Any) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(server=client.server, aiohttp_session=_session(client, streams))

    for plural in plurals:
        _register(handlers, (GROUP, VERSION, plural), intake.resource_seen, intake.resource_gone)
    for kind, plural in references.items():
        _register(
            handlers,
            ("", "v1", plural),
            partial(intake.reference_seen, kind),
            partial(intake.reference_gone, kind),
        )
    return handlers


def _register(
    handlers: kopf.OperatorRegistry,
    resource: tuple[str, str, str],
    seen: Callable[[Any], None],
    gone: Callable[[Any], None],
) -> None:
    @kopf.on.event(*resource, registry=handlers)
    async def notice(event: Any, **_: Any) -> None:
        (gone if event["type"] == _DELETED else seen)(event["object"])


def _session(client: KubeClient, streams: WatchStreams) -> aiohttp.ClientSession:
    """An HTTP session with our own credentials, fresh at each request; kopf closes it."""

    async def authorize(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        request.headers.update(await client.authorization())
        return await handler(request)

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=client.tls),
        middlewares=(Refusals(streams).ask_again, authorize, streams.observe),
        proxy=client.proxy,
        trust_env=True,
    )


class Informer:
    """All that is watched: each of our kinds from when it is installed, and the references."""

    def __init__(
        self,
        settings: Settings,
        *,
        intake: Intake,
        client: KubeClient,
        streams: WatchStreams,
        definitions: Definitions,
    ) -> None:
        self._settings = settings
        self._intake = intake
        self._client = client
        self._streams = streams
        self._definitions = definitions

    def start(
        self, plurals: Collection[str], *, stop: asyncio.Event, started: Callable[[], None]
    ) -> list[asyncio.Task[None]]:
        """Return the tasks that watch, and that end once `stop` is set; see `watch`."""
        present = self._definitions.installed
        references = watched_references(self._settings)
        first = self._watch(present, references, stop=stop, started=started)
        later = {
            plural: self._watch_later(plural, stop=stop, started=started)
            for plural in plurals
            if plural not in present
        }
        return [
            asyncio.create_task(first, name="informer"),
            *(
                asyncio.create_task(each, name=f"informer of {plural}")
                for plural, each in later.items()
            ),
        ]

    def _watch(
        self,
        plurals: Collection[str],
        references: Mapping[str, str],
        *,
        stop: asyncio.Event,
        started: Callable[[], None],
    ) -> Coroutine[Any, Any, None]:
        self._streams.expect(stream_paths(self._settings, plurals, references))
        handlers = registry(
            plurals=plurals,
            references=references,
            intake=self._intake,
            client=self._client,
            streams=self._streams,
        )
        return watch(handlers, self._settings, stop=stop, started=started)

    async def _watch_later(
        self, plural: str, *, stop: asyncio.Event, started: Callable[[], None]
    ) -> None:
        ends = [
            asyncio.create_task(self._definitions.wait_installed(plural)),
            asyncio.create_task(stop.wait()),
        ]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in ends:
                each.cancel()
        if not stop.is_set():
            await self._watch({plural}, {}, stop=stop, started=started)


class InformerEnded(PgstrataError):
    """kopf has ended although nobody asked it to."""


async def watch(
    handlers: kopf.OperatorRegistry,
    settings: Settings,
    *,
    stop: asyncio.Event,
    started: Callable[[], None],
) -> None:
    """Run kopf until `stop` and wind it up. `started` is called once it runs: kopf takes over the
    signals SIGTERM and SIGINT, and there they can be taken back.

    Raises InformerEnded as soon as the first of kopf's root tasks has ended, and leaves the others
    to the end of the process: kopf's own way to wind them up can take for ever (1.45.2: after a
    watcher that failed the others wait for a new login, cancelled or not).
    """
    existing = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(
        registry=handlers,
        settings=kopf_settings(settings),
        namespaces=settings.watch_namespaces,
        clusterwide=not settings.watch_namespaces,
        standalone=True,
        stop_flag=stop,
    )
    started()
    ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    if not stop.is_set():
        first = ended.pop()
        cause = None if first.cancelled() else first.exception()
        raise InformerEnded(f"kopf: {first.get_name()} has ended: {cause}") from cause
    await kopf.run_tasks(tasks, ignored=existing)
