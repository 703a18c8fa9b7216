"""Kubernetes Events on our objects and on the Lease: what `kubectl describe` and `events` show.

Called by store.py, on transitions only; each is a line of the log, too. The same transition again
is counted on the Event that tells of it, as client-go's recorders do, under a name made of what it
says. Where the right to patch is missing the first telling stands alone.
"""

import hashlib
import logging
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Final

from pgstrata.core.api_model import API_VERSION
from pgstrata.core.resource import RawResource
from pgstrata.kube.client import ApiError, JsonObject, KubeClient
from pgstrata.kube.lease import LEASE_API_VERSION

ACCESS_DENIED: Final = "AccessDenied"
"""The reason of Events about a right that the operator lacks."""

_MESSAGE_MAX: Final = 1024
_NAME_MAX: Final = 253
_REMEMBERED: Final = 2048
_DEADLINE: Final = 5.0
_EXISTS: Final = 409
_EXPIRED: Final = 404

log = logging.getLogger(__name__)


class EventRecorder:
    """Writes Events, and counts how often each was told. Never raises."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._told: OrderedDict[str, int] = OrderedDict()

    async def record(self, raw: RawResource, *, warning: bool, reason: str, message: str) -> None:
        """Tell of one transition of `raw`."""
        log.log(
            logging.WARNING if warning else logging.INFO,
            "%s",
            message,
            extra={"key": str(raw.key), "generation": raw.generation, "reason": reason},
        )
        kind = "Warning" if warning else "Normal"
        text = message if len(message) <= _MESSAGE_MAX else message[: _MESSAGE_MAX - 1] + "…"
        name = _name(raw, kind, reason, text)
        path = f"/api/v1/namespaces/{raw.key.namespace}/events"
        try:
            if not (name in self._told and await self._count(path, name)):
                event = _event(raw, name) | {"type": kind, "reason": reason, "message": text}
                await self._create(path, name, event)
        except ApiError as error:
            log.warning(
                "event not recorded: %s",
                error.message,
                extra={"key": str(raw.key), "reason": reason},
            )

    async def _create(self, path: str, name: str, event: JsonObject) -> None:
        self._remember(name, 1)
        try:
            await self._client.create(path, event, deadline=_DEADLINE)
        except ApiError as error:
            if error.status != _EXISTS:
                raise
            await self._count(path, name)

    async def _count(self, path: str, name: str) -> bool:
        """Raise the count of an Event; False where it has expired meanwhile."""
        count = self._told[name] + 1
        patch: JsonObject = {"count": count, "lastTimestamp": _now()}
        try:
            await self._client.merge_patch(f"{path}/{name}", patch, deadline=_DEADLINE)
        except ApiError as error:
            if error.status == _EXPIRED:
                return False
            raise
        self._remember(name, count)
        return True

    def _remember(self, name: str, count: int) -> None:
        self._told[name] = count
        self._told.move_to_end(name)
        while len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)


def _event(raw: RawResource, name: str) -> JsonObject:
    now = _now()
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": raw.key.namespace},
        "involvedObject": {
            "apiVersion": LEASE_API_VERSION if raw.key.kind == "Lease" else API_VERSION,
            "kind": raw.key.kind,
            "namespace": raw.key.namespace,
            "name": raw.key.name,
            "uid": raw.uid,
        },
        "source": {"component": "pgstrata"},
        "reportingComponent": "pgstrata",
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }


def _name(raw: RawResource, kind: str, reason: str, text: str) -> str:
    told = "\0".join((raw.uid, raw.key.kind, kind, reason, text))
    digest = hashlib.sha256(told.encode()).hexdigest()[:16]
    return f"{raw.key.name[: _NAME_MAX - 17]}.{digest}"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
