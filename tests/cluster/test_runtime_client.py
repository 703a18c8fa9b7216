"""A call to the API server ends in time, comes again when asked to, and gives nothing away."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from pgstrata.core.errors import InvalidKubeConfig
from pgstrata.kube import store as store_module
from pgstrata.kube.cache import ObjectCache
from pgstrata.kube.client import NO_ANSWER, ApiError, KubeClient
from pgstrata.kube.store import ClusterIdUnknown, KubeStore

PATH = "/api/v1/namespaces/shop/secrets"
PASSWORD = "s3cr3t-of-the-shop"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FakeServer:
    """An HTTP server that answers as it was told; the real one cannot be made to misbehave so."""

    def __init__(self, kubeconfig: Path) -> None:
        self.requests: list[web.BaseRequest] = []
        self.handler: Handler | None = None
        self._kubeconfig = kubeconfig

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        assert self.handler is not None
        self.requests.append(request)
        return await self.handler(request)  # type: ignore[arg-type]  # a Request in all that matters

    async def client(self) -> KubeClient:
        return await KubeClient.open(str(self._kubeconfig))

    async def start(self) -> web.ServerRunner:
        runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        write_kubeconfig(self._kubeconfig, f"http://127.0.0.1:{runner.addresses[0][1]}")
        return runner


def write_kubeconfig(path: Path, url: str) -> None:
    """A kubeconfig for a server without TLS."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "a-token"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }
    path.write_text(json.dumps(config))


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[FakeServer]:
    server = FakeServer(tmp_path / "kubeconfig")
    runner = await server.start()
    yield server
    await runner.cleanup()


@pytest.fixture
async def client(server: FakeServer) -> AsyncIterator[KubeClient]:
    client = await server.client()
    yield client
    await client.close()


def answers(*responses: tuple[int, dict[str, str], object]) -> Handler:
    """Answer with each in turn."""
    left = list(responses)

    async def handler(_: web.Request) -> web.Response:
        status, headers, body = left.pop(0)
        return web.json_response(body, status=status, headers=headers)

    return handler


@pytest.mark.parametrize("status", [429, 503])
async def test_asked_to_come_again_it_does(
    server: FakeServer, client: KubeClient, status: int
) -> None:
    server.handler = answers((status, {"Retry-After": "0"}, {}), (200, {}, {"kind": "Secret"}))

    assert await client.get(PATH) == {"kind": "Secret"}


async def test_asked_to_come_again_too_late_it_gives_up_in_time(
    server: FakeServer, client: KubeClient
) -> None:
    server.handler = answers((429, {"Retry-After": "60"}, {"reason": "TooManyRequests"}))
    started = time.monotonic()

    with pytest.raises(ApiError) as caught:
        await client.get(PATH, deadline=2.0)

    assert time.monotonic() - started < 30
    assert (caught.value.status, caught.value.status_reason) == (429, "TooManyRequests")


async def test_a_refusal_is_told_in_the_servers_words(
    server: FakeServer, client: KubeClient
) -> None:
    server.handler = answers((403, {}, {"reason": "Forbidden", "message": "no get for you"}))

    with pytest.raises(ApiError, match=r"GET /api/v1/.*403 Forbidden: no get for you") as caught:
        await client.get(PATH)
    assert caught.value.status == 403


async def test_a_proxys_page_in_place_of_an_answer_is_not_repeated(
    server: FakeServer, client: KubeClient
) -> None:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<h1>go away</h1>", status=502)

    server.handler = page
    with pytest.raises(ApiError) as caught:
        await client.get(PATH)
    assert caught.value.status == 502
    assert "go away" not in caught.value.message


async def hang(_: web.Request) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError


async def test_a_server_that_says_nothing_is_given_up_at_the_deadline(
    server: FakeServer, client: KubeClient
) -> None:
    server.handler = hang
    started = time.monotonic()
    with pytest.raises(ApiError) as caught:
        await client.get(PATH, deadline=0.3)
    assert time.monotonic() - started < 30
    assert caught.value.status == NO_ANSWER


async def test_a_server_that_says_nothing_leaves_the_cluster_unknown(
    server: FakeServer, client: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_CLUSTER_ID_PATIENCE", 0.3)
    server.handler = hang
    store = KubeStore(client, plurals={}, cache=ObjectCache())

    with pytest.raises(ClusterIdUnknown, match=r"no answer.*PGSTRATA_CLUSTER_ID"):
        await store.cluster_id()


async def test_a_server_that_is_not_there_is_tried_until_the_deadline(tmp_path: Path) -> None:
    write_kubeconfig(tmp_path / "kubeconfig", "http://127.0.0.1:1")
    client = await KubeClient.open(str(tmp_path / "kubeconfig"))
    started = time.monotonic()

    with pytest.raises(ApiError, match="ClientConnectorError") as caught:
        await client.get(PATH, deadline=0.8)

    assert 0.7 < time.monotonic() - started < 30
    assert caught.value.status == NO_ANSWER
    await client.close()


async def test_a_connection_that_breaks_is_made_again(
    server: FakeServer, client: KubeClient
) -> None:
    async def break_once(request: web.Request) -> web.Response:
        if len(server.requests) == 1:
            assert request.transport is not None
            request.transport.close()
        return web.json_response({"kind": "Secret"})

    server.handler = break_once
    assert await client.get(PATH) == {"kind": "Secret"}
    assert len(server.requests) == 2


async def test_what_is_sent_and_answered_stays_out_of_errors_and_logs(
    server: FakeServer, client: KubeClient, caplog: pytest.LogCaptureFixture
) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.Response(text=f"not JSON: {await request.text()}")

    server.handler = echo
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ApiError) as caught:
        await client.create(PATH, {"stringData": {"password": PASSWORD}})

    assert PASSWORD not in f"{caught.value!r} {caught.value.__cause__!r} {caplog.text}"


async def test_writes_say_who_makes_them_and_requests_who_asks(
    server: FakeServer, client: KubeClient
) -> None:
    server.handler = answers((200, {}, {}), (200, {}, {}), (200, {}, {}))
    await client.get(PATH)
    await client.create(PATH, {"a": 1})
    await client.apply(PATH, {"a": 1})

    queries = [dict(request.query) for request in server.requests]
    assert queries == [
        {},
        {"fieldManager": "pgstrata"},
        {"fieldManager": "pgstrata", "force": "true"},
    ]
    assert {request.headers["User-Agent"].partition("/")[0] for request in server.requests} == {
        "pgstrata"
    }
    assert {request.headers["Authorization"] for request in server.requests} == {"Bearer a-token"}
    assert await client.authorization() == {"Authorization": "Bearer a-token"}


@pytest.mark.parametrize("text", ["{}", "no: [yaml", ""])
async def test_a_kubeconfig_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(InvalidKubeConfig, match="kubeconfig"):
        await KubeClient.open(str(path))


async def test_outside_of_a_pod_there_is_no_service_account(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(InvalidKubeConfig, match="service account"):
        await KubeClient.open(None)
