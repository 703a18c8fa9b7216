"""What is refused may be granted while it is asked for how much of a namespace is refused."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

import pytest

from pgstrata.app.notices import Notices
from pgstrata.app.references import ReverseIndex
from pgstrata.app.streams import WatchStreams
from pgstrata.kube.cache import ObjectCache
from pgstrata.kube.client import FORBIDDEN, ApiError, KubeClient
from pgstrata.kube.events import EventRecorder
from pgstrata.kube.undeclared import Undeclared

SHOP = "/apis/pgstrata.dev/v1alpha1/namespaces/shop/schemaversions"
OTHER = "/apis/pgstrata.dev/v1alpha1/namespaces/shop/manageddatabases"


class Meanwhile:
    """Refuses what is asked for, and does something at that moment."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self._meanwhile = meanwhile

    async def get(self, path: str) -> Any:
        self._meanwhile()
        raise ApiError(FORBIDDEN, "Forbidden", f"{path} is forbidden")


@pytest.fixture
def streams() -> WatchStreams:
    streams = WatchStreams([SHOP, OTHER])
    for _ in range(3):
        streams.refused(SHOP, "list", FORBIDDEN, "no")
    return streams


async def told(streams: WatchStreams, meanwhile: Callable[[], None]) -> None:
    client = cast(KubeClient, Meanwhile(meanwhile))
    notices = Notices(
        streams=streams,
        client=client,
        events=EventRecorder(client),
        lease=lambda: None,
        cache=ObjectCache(),
        index=ReverseIndex(),
        kinds={"schemaversions": "SchemaVersion"},
        undeclared=Undeclared(),
    )
    with pytest.raises(TimeoutError):  # it tells for ever
        async with asyncio.timeout(0.2):
            await notices.run()


async def test_a_namespace_that_is_refused_whole_is_told(
    streams: WatchStreams, caplog: pytest.LogCaptureFixture
) -> None:
    await told(streams, lambda: None)
    [message] = caplog.messages
    assert message.startswith("namespace shop is not served")


async def test_what_is_granted_while_it_is_judged_is_not_told(
    streams: WatchStreams, caplog: pytest.LogCaptureFixture
) -> None:
    await told(streams, lambda: streams.granted(SHOP, "list"))
    assert [each for each in caplog.records if each.levelno > logging.INFO] == []
