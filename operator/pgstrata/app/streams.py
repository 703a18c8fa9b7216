"""Whether the watch streams move: counted where kopf reads them, without touching kopf.

informer.py gives kopf an HTTP session whose middleware is `observe`: it sees each answer to a watch
request before kopf does and counts what kopf reads from it, bookmarks included (the API server
sends one about every minute). health.py asks. A stream that kopf no longer reads is as dead as one
that the network swallowed, and looks the same here.
"""

import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from http import HTTPStatus
from typing import Any, cast

from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, StreamReader


class WatchStreams:
    """The streams that there should be, one per path (kind and namespace), and when each moved."""

    def __init__(
        self, paths: Collection[str], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._moved = dict.fromkeys(paths, clock())
        self._opened: set[str] = set()

    @property
    def unopened(self) -> frozenset[str]:
        """Streams that were never opened: the first listing of these kinds is not done."""
        return frozenset(self._moved) - self._opened

    def ages(self) -> Mapping[str, float]:
        """Seconds since each stream delivered anything, was opened anew, or should have begun."""
        now = self._clock()
        return {path: now - moved for path, moved in self._moved.items()}

    async def observe(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """The client middleware."""
        response = await handler(request)
        path = self._path_of(request)
        if path is not None and response.status == HTTPStatus.OK:
            self._opened.add(path)
            self._move(path)
            counted = _CountedContent(response.content, lambda: self._move(path))
            response.content = cast(StreamReader, counted)
        return response

    def _path_of(self, request: ClientRequest) -> str | None:
        """Which of the streams a request opens, if any; a server's URL may have a prefix."""
        if request.url.query.get("watch") != "true":
            return None
        return next((path for path in self._moved if request.url.path.endswith(path)), None)

    def _move(self, path: str) -> None:
        self._moved[path] = self._clock()


class _CountedContent:
    """A response's body that tells when it is read in chunks, and is as before otherwise."""

    def __init__(self, content: StreamReader, on_chunk: Callable[[], None]) -> None:
        self._content = content
        self._on_chunk = on_chunk

    def __getattr__(self, name: str) -> Any:  # stands in for a class that is not ours
        return getattr(self._content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        async for chunk in self._content.iter_chunked(size):
            self._on_chunk()
            yield chunk
