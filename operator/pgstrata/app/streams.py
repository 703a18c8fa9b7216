"""Whether the watch streams move, or are refused: seen where kopf reads them, not touching kopf.

informer.py gives kopf an HTTP session whose middleware is `observe`: it sees each answer to a watch
request before kopf does and counts what kopf reads from it, bookmarks included (the API server
sends one about every minute). health.py asks. A stream that kopf no longer reads is as dead as one
that the network swallowed, and looks the same here. What the API server refuses is asked for again
by refusals.py, which says so here.
"""

import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, cast

from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, StreamReader

_SURE: Final = 3


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the API server answers instead of a listing or a watch."""

    path: str
    verb: str
    """list or watch."""
    status: int
    words: str
    """The API server's own."""
    times: int = 1

    @property
    def namespace(self) -> str:
        """Where; empty: in the whole cluster."""
        return scope_of(self.path)

    @property
    def is_sure(self) -> bool:
        """Whether it was repeated: what was granted a moment ago is refused for a moment."""
        return self.times >= _SURE


def scope_of(path: str) -> str:
    """The namespace that a path names; empty: none."""
    _, _, rest = path.partition("/namespaces/")
    return rest.partition("/")[0]


class WatchStreams:
    """The streams that there should be, one per path (kind and namespace), and when each moved."""

    def __init__(
        self, paths: Collection[str], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._moved = dict.fromkeys(paths, clock())
        self._opened: set[str] = set()
        self._refusals: dict[tuple[str, str], Refusal] = {}

    def expect(self, paths: Collection[str]) -> None:
        """From now on there should be streams on these, too."""
        self._moved |= dict.fromkeys(paths, self._clock())

    @property
    def unopened(self) -> frozenset[str]:
        """Streams that were never opened: the first listing of these kinds is not done."""
        return frozenset(self._moved) - self._opened

    def ages(self) -> Mapping[str, float]:
        """Seconds since each stream delivered anything, was opened anew, or should have begun."""
        now = self._clock()
        return {path: now - moved for path, moved in self._moved.items()}

    @property
    def refusals(self) -> Sequence[Refusal]:
        """What is refused, beyond doubt."""
        return [each for _, each in sorted(self._refusals.items()) if each.is_sure]

    @property
    def listed(self) -> frozenset[str]:
        """The namespaces of which everything was listed."""
        return frozenset(map(scope_of, self._opened)) - frozenset(map(scope_of, self.unopened))

    def paths_in(self, namespace: str) -> frozenset[str]:
        """The streams of one namespace; empty: of the whole cluster."""
        return frozenset(path for path in self._moved if scope_of(path) == namespace)

    def refused(self, path: str, verb: str, status: int, words: str) -> Refusal:
        """A refusal came in; it will be asked for again, which is a sign of life."""
        before = self._refusals.get((path, verb))
        now = Refusal(path, verb, status, words, before.times + 1 if before else 1)
        self._refusals[path, verb] = now
        self._move(path)
        return now

    def granted(self, path: str, verb: str) -> None:
        """It is refused no longer."""
        if self._refusals.pop((path, verb), None) is not None:
            self._move(path)

    def doubt(self, namespace: str) -> None:
        """What was refused there may not be any more: it counts anew."""
        self._refusals = {
            which: each for which, each in self._refusals.items() if each.namespace != namespace
        }

    def unready(self) -> list[str]:
        """What is to be waited for until this process is of use.

        A namespace where something is refused waits for a person, and the others do not wait for
        it; where no namespace is without refusals, they are what is told.
        """
        refused = {each.namespace for each in self.refusals}
        if refused.issuperset(map(scope_of, self._moved)):
            return [f"cannot {r.verb} {r.path}: {r.words}" for r in self.refusals]
        return [
            f"not listed yet: {path}"
            for path in sorted(self.unopened)
            if scope_of(path) not in refused
        ]

    async def observe(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """The client middleware."""
        response = await handler(request)
        path = self.path_of(request)
        if path and verb_of(request) == "watch" and response.status == HTTPStatus.OK:
            self._opened.add(path)
            self._move(path)
            counted = _CountedContent(response.content, lambda: self._move(path))
            response.content = cast(StreamReader, counted)
        return response

    def path_of(self, request: ClientRequest) -> str | None:
        """Which of the streams a request is for, if any; a server's URL may have a prefix."""
        return next((path for path in self._moved if request.url.path.endswith(path)), None)

    def _move(self, path: str) -> None:
        self._moved[path] = self._clock()


def verb_of(request: ClientRequest) -> str:
    """What the API server takes a request for one of the streams for."""
    return "watch" if request.url.query.get("watch") == "true" else "list"


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
