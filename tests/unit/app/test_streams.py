"""A watch stream is alive while kopf reads something from it, or opens it anew."""

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from aiohttp import ClientRequest, ClientResponse
from yarl import URL

from pgstrata.app.streams import WatchStreams

PATH = "/apis/pgstrata.dev/v1alpha1/schemaversions"
OTHER = "/api/v1/configmaps"
WATCH = f"https://api.example:6443{PATH}?watch=true&allowWatchBookmarks=true"


class Now:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


class Content:
    """A body of two chunks."""

    total_bytes = 10

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        yield b"event"
        yield b"bookmark"


class Response:
    """An answer, as far as it is looked at."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.content = Content()


class Request:
    """A request, as far as it is looked at."""

    def __init__(self, url: str) -> None:
        self.url = URL(url)


async def open_stream(streams: WatchStreams, url: str = WATCH, status: int = 200) -> Any:
    async def handler(_: ClientRequest) -> ClientResponse:
        return cast(ClientResponse, Response(status))

    return (await streams.observe(cast(ClientRequest, Request(url)), handler)).content


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def streams(now: Now) -> WatchStreams:
    return WatchStreams({PATH, OTHER}, clock=now)


async def test_a_stream_that_never_opened_ages_from_the_start(
    streams: WatchStreams, now: Now
) -> None:
    now.seconds += 7

    assert streams.unopened == {PATH, OTHER}
    assert streams.ages() == {PATH: 7, OTHER: 7}


async def test_opening_a_stream_is_a_sign_of_life_of_that_stream_alone(
    streams: WatchStreams, now: Now
) -> None:
    now.seconds += 7
    await open_stream(streams)

    assert streams.unopened == {OTHER}
    assert streams.ages() == {PATH: 0, OTHER: 7}


async def test_each_chunk_that_is_read_is_a_sign_of_life(streams: WatchStreams, now: Now) -> None:
    content = await open_stream(streams)
    read = []
    async for chunk in content.iter_chunked(1024):
        read.append(chunk)
        assert streams.ages()[PATH] == 0
        now.seconds += 3

    assert read == [b"event", b"bookmark"]
    assert streams.ages()[PATH] == 3


async def test_an_open_stream_that_nobody_reads_ages(streams: WatchStreams, now: Now) -> None:
    await open_stream(streams)
    now.seconds += 200

    assert streams.ages()[PATH] == 200


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
async def test_a_refusal_is_no_sign_of_life(streams: WatchStreams, now: Now, status: int) -> None:
    now.seconds += 7
    await open_stream(streams, status=status)

    assert streams.ages()[PATH] == 7
    assert PATH in streams.unopened


async def test_a_listing_is_no_stream(streams: WatchStreams, now: Now) -> None:
    now.seconds += 7
    content = await open_stream(streams, WATCH.partition("?")[0] + "?limit=500")

    assert isinstance(content, Content)
    assert streams.ages()[PATH] == 7


def in_namespace(name: str) -> str:
    return f"/apis/pgstrata.dev/v1alpha1/namespaces/{name}/schemaversions"


async def test_what_is_asked_for_again_is_alive(streams: WatchStreams, now: Now) -> None:
    now.seconds += 200
    streams.refused(PATH, "list", 403, "forbidden")

    assert streams.ages()[PATH] == 0


async def test_a_refusal_is_one_beyond_doubt_when_it_is_repeated(streams: WatchStreams) -> None:
    for _ in range(2):
        streams.refused(PATH, "list", 403, "forbidden")
    assert streams.refusals == []
    streams.refused(PATH, "list", 403, "forbidden")
    assert [(each.path, each.verb) for each in streams.refusals] == [(PATH, "list")]

    streams.granted(PATH, "list")
    assert streams.refusals == []


async def test_other_namespaces_do_not_wait_for_one_that_is_refused(now: Now) -> None:
    served, refused = in_namespace("served"), in_namespace("refused")
    streams = WatchStreams({served, refused}, clock=now)
    for _ in range(3):
        streams.refused(refused, "list", 403, "forbidden")
    assert streams.unready() == [f"not listed yet: {served}"]
    await open_stream(streams, f"https://api.example{served}?watch=true")
    assert streams.unready() == []
    assert streams.listed == {"served"}


async def test_where_every_namespace_is_refused_that_is_said(now: Now) -> None:
    path = in_namespace("refused")
    streams = WatchStreams({path}, clock=now)
    await open_stream(streams, f"https://api.example{path}?watch=true")
    assert streams.unready() == []
    for _ in range(3):
        streams.refused(path, "watch", 403, "forbidden")
    assert streams.unready() == [f"cannot watch {path}: forbidden"]


async def test_an_api_server_may_live_below_a_path(streams: WatchStreams, now: Now) -> None:
    await open_stream(streams, f"https://proxy.example/k8s/clusters/c-1{PATH}?watch=true")

    assert PATH not in streams.unopened


async def test_whatever_else_is_asked_of_a_body_it_answers(streams: WatchStreams) -> None:
    content = await open_stream(streams)

    assert content.total_bytes == 10
