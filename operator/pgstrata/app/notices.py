"""What people are told of refused listings and older definitions: in the log, by Events, once each.

Run by work.py while this process leads. Where all of a namespace is refused, it does not exist or
the roles there are missing: that is told on the Lease, since nothing there can carry it. Where a
single right is missing, it is told on the Lease and on the resources that suffer from it. That a
CustomResourceDefinition is of an older release is told on each resource of its kind.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Final

from pgstrata.app.references import ReverseIndex
from pgstrata.app.refusals import ASK_EVERY
from pgstrata.app.streams import Refusal, WatchStreams
from pgstrata.core.resource import RawResource
from pgstrata.kube.cache import ObjectCache
from pgstrata.kube.client import FORBIDDEN, NOT_FOUND, ApiError, KubeClient
from pgstrata.kube.events import ACCESS_DENIED, EventRecorder
from pgstrata.kube.undeclared import OUTDATED, Undeclared

NOT_SERVED: Final = "NamespaceNotServed"
"""Of the Event on the Lease about a namespace."""

_EVERY: Final = 1.0
_AT_ONCE: Final = 20
"""Events about definitions in one round: there may be thousands of resources."""
_ABSENCE_EVERY: Final = 300.0
_AGAIN: Final = f"it is tried again every {ASK_EVERY:g} s"

_Judgement = tuple[frozenset[tuple[str, str]], bool | None]
"""The refused paths and verbs of a namespace, and whether they are all of it."""
_NEW: Final[_Judgement] = (frozenset(), None)

log = logging.getLogger(__name__)


class Notices:
    """Tells of refusals, and of their end."""

    def __init__(
        self,
        *,
        streams: WatchStreams,
        client: KubeClient,
        events: EventRecorder,
        lease: Callable[[], RawResource | None],
        cache: ObjectCache,
        index: ReverseIndex,
        kinds: Mapping[str, str],
        undeclared: Undeclared,
    ) -> None:
        """`lease`: what Events are recorded on; `kinds`: the kind of each plural."""
        self._undeclared = undeclared
        self._streams = streams
        self._client = client
        self._events = events
        self._lease = lease
        self._cache = cache
        self._index = index
        self._kinds = kinds
        self._namespaces: set[str] = set()
        self._judged: dict[str, _Judgement] = {}
        self._absent: set[str] = set()
        self._ask_after: dict[str, float] = {}
        self._rights: set[tuple[str, str]] = set()
        self._resources: set[tuple[str, str, str]] = set()

    async def run(self) -> None:
        """Tell, for ever."""
        while True:
            await self._tell()
            await self._tell_of_absence()
            await self._tell_of_definitions()
            await asyncio.sleep(_EVERY)

    async def _tell(self) -> None:
        await self._judge(self._forbidden())
        refusals = self._forbidden()
        # While it was judged, refusals may have gone, and others come that are judged next time.
        still = {each.namespace for each in refusals}
        whole = {namespace for namespace in still if self._judged.get(namespace, _NEW)[1]}
        for namespace in sorted(whole - self._namespaces):
            first = next(each for each in refusals if each.namespace == namespace)
            await self._tell_on_lease(NOT_SERVED, _of_namespace(namespace, first))
        undecided = {
            namespace for namespace, (_, verdict) in self._judged.items() if verdict is None
        }
        single = [each for each in refusals if self._is_single(each)]
        for each in single:
            if (each.path, each.verb) not in self._rights:
                await self._tell_on_lease(ACCESS_DENIED, _of_right(each))
            await self._tell_on_resources(each)
        for namespace in sorted(self._namespaces - whole - undecided):
            log.info("namespace %s is served now", namespace)
        self._namespaces = whole | (self._namespaces & undecided)
        self._rights = {(each.path, each.verb) for each in single}
        self._resources = {each for each in self._resources if each[:2] in self._rights}

    def _is_single(self, refusal: Refusal) -> bool:
        """Whether it was judged to be no sign of a namespace that is refused whole."""
        rights, is_whole = self._judged.get(refusal.namespace, _NEW)
        is_judged = (refusal.path, refusal.verb) in rights and is_whole is False
        return not refusal.namespace or is_judged

    def _forbidden(self) -> list[Refusal]:
        """What is not found is a kind that is missing, which is told elsewhere."""
        return [each for each in self._streams.refusals if each.status == FORBIDDEN]

    async def _tell_of_absence(self) -> None:
        """Tell of namespaces that do not exist although nothing in there is refused.

        With rights in the whole cluster such a one looks as an empty one does; so those without
        resources of ours are asked for, now and then.
        """
        now = time.monotonic()
        for namespace in self._streams.listed - {""}:
            if now < self._ask_after.get(namespace, 0.0):
                continue
            self._ask_after[namespace] = now + _ABSENCE_EVERY
            if not await self._is_absent(namespace):
                self._absent.discard(namespace)
            elif namespace not in self._absent:
                self._absent.add(namespace)
                await self._tell_on_lease(NOT_SERVED, _of_absence(namespace))

    async def _is_absent(self, namespace: str) -> bool:
        inhabited = {key.namespace for key in self._cache.keys()}  # noqa: SIM118  not a mapping
        path = f"/api/v1/namespaces/{namespace}"
        return namespace not in inhabited and await self._answer(path) == NOT_FOUND

    async def _tell_of_definitions(self) -> None:
        """Tell each resource's users of an older definition, also where its status is whole."""
        told = 0
        for key in self._cache.keys():  # noqa: SIM118  not a mapping
            raw = self._cache.get(key)
            if raw is not None and (news := self._undeclared.news_of(raw)) is not None:
                await self._events.record(raw, warning=True, reason=OUTDATED, message=news)
                told += 1
            if told >= _AT_ONCE:
                return

    async def _judge(self, refusals: Sequence[Refusal]) -> None:
        """Find out in which namespaces nothing may be listed any more; anew when refusals change.

        None: the API server does not say so at the moment, and is asked again.
        """
        of: dict[str, set[tuple[str, str]]] = {}
        for each in refusals:
            of.setdefault(each.namespace, set()).add((each.path, each.verb))
        of.pop("", None)
        self._judged = {
            namespace: self._judged[namespace] for namespace in of.keys() & self._judged
        }
        for namespace, rights in of.items():
            before, verdict = self._judged.get(namespace, _NEW)
            if verdict is None or before != rights:
                was_whole, verdict = verdict, await self._is_whole(namespace, rights)
                self._judged[namespace] = frozenset(rights), verdict
                if was_whole and verdict is False:  # the rights come back one after the other
                    del self._judged[namespace]
                    self._streams.doubt(namespace)

    async def _is_whole(self, namespace: str, rights: set[tuple[str, str]]) -> bool | None:
        refused = {path for path, verb in rights if verb == "list"}
        # A watch that is open goes on for a while after the right to it has gone: ask.
        for path in self._streams.paths_in(namespace) - refused:
            status = await self._answer(f"{path}?limit=1")
            if status == HTTPStatus.OK:
                return False
            if status not in (FORBIDDEN, NOT_FOUND):
                return None
        return True

    async def _answer(self, path: str) -> int:
        """The status of the API server's answer; below 100: there was none."""
        try:
            await self._client.get(path)
        except ApiError as error:
            return error.status
        return HTTPStatus.OK

    async def _tell_on_lease(self, reason: str, message: str) -> None:
        lease = self._lease()
        if lease is None:
            log.warning("%s", message)
        else:
            await self._events.record(lease, warning=True, reason=reason, message=message)

    async def _tell_on_resources(self, refusal: Refusal) -> None:
        """Tell on each that is known; those that come later are told when they have come."""
        for raw in self._sufferers(refusal):
            which = (refusal.path, refusal.verb, raw.uid)
            if which not in self._resources:
                self._resources.add(which)
                await self._events.record(
                    raw, warning=True, reason=ACCESS_DENIED, message=_of_right(refusal)
                )

    def _sufferers(self, refusal: Refusal) -> Iterator[RawResource]:
        """The resources of the kind that is refused, and those that refer to one of it."""
        kind = self._kinds.get(refusal.path.rpartition("/")[2])
        for key in self._cache.keys():  # noqa: SIM118  not a mapping
            raw = self._cache.get(key)
            if raw is None or refusal.namespace not in ("", key.namespace):
                continue
            if key.kind == kind or any(ref.kind == kind for ref in self._index.of(key)):
                yield raw


def _of_namespace(namespace: str, refusal: Refusal) -> str:
    return (
        f"namespace {namespace} is not served: it does not exist, or the operator's Role and "
        f"RoleBinding are missing there ({refusal.words}); create them (with the chart: create the "
        f"namespace, then helm upgrade), or take it from watchNamespaces; {_AGAIN}"
    )


def _of_absence(namespace: str) -> str:
    return (
        f"namespace {namespace} does not exist: create it, or take it from watchNamespaces; it is "
        "served once there is something in it"
    )


def _of_right(refusal: Refusal) -> str:
    return (
        f"changes of {refusal.path.rpartition('/')[2]} are not noticed: {refusal.words}; give the "
        f"right to {refusal.verb}, as the chart's roles do; {_AGAIN}"
    )
