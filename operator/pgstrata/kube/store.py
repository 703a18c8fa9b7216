"""Resources where they live in a cluster: core/resource.py's ObjectStore on the API server.

Made by app/operator.py, used by the rooms through the engine. Its answers go into the ObjectCache,
so that a look sees what the look before it wrote.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from pydantic import JsonValue

from pgstrata.core.api_model import API_VERSION, GROUP
from pgstrata.core.errors import PgstrataError
from pgstrata.core.resource import ObjectKey, RawResource
from pgstrata.kube.cache import ObjectCache
from pgstrata.kube.client import NOT_FOUND, ApiError, JsonObject, KubeClient
from pgstrata.kube.events import EventRecorder
from pgstrata.kube.raw import data_of, mapping, secret_data_of, to_raw
from pgstrata.kube.undeclared import OUTDATED, Undeclared

FINALIZER: Final = f"{GROUP}/protect"

CONFLICT: Final = 409
_UNPROCESSABLE: Final = 422

_TRIES: Final = 5
_CLUSTER_ID_PATIENCE: Final = 10.0

Names = tuple[str, ...]


class ClusterIdUnknown(PgstrataError):
    """Claims cannot be made out to this cluster: its id is neither set nor readable."""


class KubeStore:
    """ObjectStore on the API server. `plurals`: the path name of each kind that is served."""

    def __init__(
        self, client: KubeClient, *, plurals: Mapping[str, str], cache: ObjectCache
    ) -> None:
        self._client = client
        self._plurals = dict(plurals)
        self._cache = cache
        self.events = EventRecorder(client)
        """For whoever else tells of our objects: it knows how often each Event was told."""
        self.undeclared = Undeclared()
        """What the definitions lack, as far as it is known."""

    async def read(self, key: ObjectKey) -> RawResource | None:
        """Return the object, or None where it does not exist."""
        obj = await self._get_or_none(self._path(key))
        return None if obj is None else to_raw(obj)

    async def exists(self, key: ObjectKey) -> bool:
        """Return whether the object is in the cache, or else on the API server."""
        if key.kind not in self._plurals:  # a newer release's; nobody here can say that it is gone
            return True
        return self._cache.get(key) is not None or await self.read(key) is not None

    async def read_secret(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        """Return a Secret's data, decoded, or None where it does not exist."""
        obj = await self._get_or_none(f"/api/v1/namespaces/{namespace}/secrets/{name}")
        return None if obj is None else secret_data_of(obj)

    async def read_config_map(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        """Return a ConfigMap's data and binaryData as bytes, or None where it does not exist."""
        obj = await self._get_or_none(f"/api/v1/namespaces/{namespace}/configmaps/{name}")
        return None if obj is None else data_of(obj)

    async def write_status(self, raw: RawResource, status: Mapping[str, JsonValue]) -> None:
        """Make `status` all that pgstrata says in the object's status.

        Writes nothing where that is so already. What a CustomResourceDefinition of an older release
        does not declare is left out, which an Event tells. A writer whose object was deleted and
        made anew leaves the new one alone: that, like an object gone, is no error.
        """
        current: RawResource | None = self._newest(raw)
        wanted = self.undeclared.without(raw.key.kind, status)
        tries = _TRIES
        while current is not None and current.uid == raw.uid and current.status != wanted:
            body = _status_patch(current, wanted)
            try:
                written = await self._client.apply(f"{self._path(raw.key)}/status", body)
                self._cache.put_answer(to_raw(written))
                break
            except ApiError as error:
                if error.status == NOT_FOUND:
                    return
                tries -= 1
                is_outdated = self.undeclared.learn(raw.key.kind, error)
                if not (is_outdated or error.status == CONFLICT) or not tries:
                    raise
            if is_outdated:
                wanted = self.undeclared.without(raw.key.kind, status)
            else:
                current = await self.read(raw.key)
        if (news := self.undeclared.news_of(raw)) is not None:
            await self.record_event(raw, warning=True, reason=OUTDATED, message=news)

    async def record_event(
        self, raw: RawResource, *, warning: bool, reason: str, message: str
    ) -> None:
        """Tell users of a transition. Never raises: an event is a courtesy."""
        await self.events.record(raw, warning=warning, reason=reason, message=message)

    async def ensure_finalizer(self, raw: RawResource) -> None:
        """Hold the object's deletion until `release`; too late once the deletion has begun."""
        await self._edit_finalizers(raw, _with_ours)

    async def release(self, raw: RawResource) -> None:
        """Let the object go; an object gone meanwhile is no error."""
        await self._edit_finalizers(raw, _without_ours)

    async def cluster_id(self) -> str:
        """The uid of the namespace kube-system, by which a cluster is known. Raises ApiError.

        Raises ClusterIdUnknown where it may not be read; right after its start an API server
        refuses what it allows a moment later, so that this is decided only after some seconds.
        """
        refused: ApiError | None = None
        try:
            async with asyncio.timeout(_CLUSTER_ID_PATIENCE):
                while True:
                    try:
                        found = await self._client.get("/api/v1/namespaces/kube-system")
                        return str(mapping(found.get("metadata")).get("uid"))
                    except ApiError as error:
                        refused = error
                        await asyncio.sleep(1)
        except TimeoutError:
            why = refused.message if refused is not None else "no answer"
            raise ClusterIdUnknown(
                f"cannot read the uid of the namespace kube-system ({why}): allow get on that one "
                "name, or set clusterId (PGSTRATA_CLUSTER_ID) to a name that no other cluster has"
            ) from refused

    async def _edit_finalizers(
        self, raw: RawResource, wanted: Callable[[RawResource], Names]
    ) -> None:
        """Make the finalizers those that are wanted of the object as it is at that instant.

        The patch tests the resourceVersion; where that moved on, the object is read anew.
        """
        path = self._path(raw.key)
        current: RawResource | None = self._newest(raw)
        tries = _TRIES
        while current is not None and current.uid == raw.uid:
            names = wanted(current)
            if names == current.finalizers:
                return
            try:
                answer = await self._client.json_patch(path, _finalizers_patch(current, names))
                return self._cache.put_answer(to_raw(answer))
            except ApiError as error:
                if error.status == NOT_FOUND:
                    return
                tries -= 1
                if error.status not in (CONFLICT, _UNPROCESSABLE) or not tries:
                    raise
            current = await self.read(raw.key)

    def _newest(self, raw: RawResource) -> RawResource:
        """What the cache knows of the same object, which is never older than what a run holds."""
        known = self._cache.get(raw.key)
        return known if known is not None and known.uid == raw.uid else raw

    async def _get_or_none(self, path: str) -> JsonObject | None:
        try:
            return await self._client.get(path)
        except ApiError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def _path(self, key: ObjectKey) -> str:
        plural = self._plurals[key.kind]
        return f"/apis/{API_VERSION}/namespaces/{key.namespace}/{plural}/{key.name}"


def _with_ours(current: RawResource) -> Names:
    """Finalizers can only be taken away once the deletion has begun."""
    if current.deleting or FINALIZER in current.finalizers:
        return current.finalizers
    return (*current.finalizers, FINALIZER)


def _without_ours(current: RawResource) -> Names:
    return tuple(name for name in current.finalizers if name != FINALIZER)


def _status_patch(current: RawResource, status: Mapping[str, JsonValue]) -> JsonObject:
    """An apply configuration that the API server refuses (409) for any other state than `current`.

    The uid says which object is meant, but of a status nobody checks it: the API server takes all
    metadata from the stored object. The resourceVersion is checked.
    """
    return {
        "apiVersion": API_VERSION,
        "kind": current.key.kind,
        "metadata": {
            "name": current.key.name,
            "namespace": current.key.namespace,
            "uid": current.uid,
            "resourceVersion": current.resource_version,
        },
        "status": dict(status),
    }


def _finalizers_patch(current: RawResource, names: Names) -> list[JsonObject]:
    version = current.resource_version
    return [
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
        {"op": "add", "path": "/metadata/finalizers", "value": list(names)},
    ]
