"""Who works: leader election by a Lease of our own, which is the process's watchdog as well.

Created by app/operator.py before anything else. As client-go's election, with three differences: a
request never outlives what it renews, times of others are only ever compared with our own monotonic
clock, and the Lease is given back at the end. It saves work and ends a process that lost the API
server; what protects data is the fence in PostgreSQL.
"""

import asyncio
import logging
import os
import random
import socket
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pydantic import JsonValue

from pgstrata.core.resource import ObjectKey, RawResource
from pgstrata.kube.client import NOT_FOUND, ApiError, JsonObject, KubeClient
from pgstrata.kube.raw import mapping

LEASE_API_VERSION: Final = "coordination.k8s.io/v1"

_RELEASE_DEADLINE: Final = 2.0
_SHORTEST: Final = 0.05

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LeaseTimings:
    """Seconds; `duration` is in whole ones, because the API wants it so."""

    duration: int = 12
    """How long others wait for a holder that says nothing: with a round of theirs, and the look at
    the resources that follows, they are at work within 20 s."""
    renew: float = 8.0
    """How long a holder goes on without having renewed."""
    retry: float = 1.5
    """Between two requests."""

    def __post_init__(self) -> None:
        if not 0 < self.retry < self.renew < self.duration:
            raise ValueError("lease: 0 < retry < renew deadline < duration is needed")


class Lease:
    """One process's part in the election; `run` it once."""

    def __init__(
        self, client: KubeClient, *, namespace: str, name: str, timings: LeaseTimings
    ) -> None:
        self.identity = f"{socket.gethostname()}_{os.getpid()}_{uuid.uuid4()}"
        self.timings = timings
        self.acquired = asyncio.Event()
        """Set once this process leads."""
        self.lost = asyncio.Event()
        """Set when it led and does no longer; it must end at once."""
        self.contact: float | None = None
        """Monotonic time of the last round that the API server answered."""
        self._client = client
        self._namespace, self._name = namespace, name
        self._collection = f"/apis/{LEASE_API_VERSION}/namespaces/{namespace}/leases"
        self._held: float | None = None
        self._released = False
        self._failing = False
        self._seen: tuple[JsonValue, JsonValue] | None = None
        self._seen_at = 0.0
        self._free_in = 0.0
        self._uid = ""

    @property
    def leading(self) -> bool:
        """Whether this process may work."""
        return self.acquired.is_set() and not self.lost.is_set() and not self._released

    @property
    def renewed_ago(self) -> float | None:
        """Seconds since the last renewal; None before the first."""
        return None if self._held is None else time.monotonic() - self._held

    @property
    def reference(self) -> RawResource | None:
        """The Lease as an object that Events can be about; None before it was first held."""
        key = ObjectKey("Lease", self._namespace, self._name)
        return RawResource(key=key, uid=self._uid, generation=0, spec={}) if self._uid else None

    async def run(self) -> None:
        """Take the Lease when it is free, hold it, and return when it is lost."""
        while not self.lost.is_set():
            await self._round()
            if self._held is not None and time.monotonic() >= self._held + self.timings.renew:
                self._lose(f"not renewed for {self.timings.renew:g} s")
            else:
                await asyncio.sleep(self._pause())

    async def release(self) -> None:
        """Give the Lease back, so that another need not wait for it. Call after `run` has ended."""
        if not self.leading:
            return
        self._released = True
        try:
            async with asyncio.timeout(_RELEASE_DEADLINE):
                lease = await self._client.get(self._path, deadline=_RELEASE_DEADLINE)
                spec = mapping(lease.get("spec"))
                if spec.get("holderIdentity") != self.identity:
                    return
                spec |= {"holderIdentity": "", "leaseDurationSeconds": 1}
                await self._client.replace(self._path, lease, deadline=_RELEASE_DEADLINE)
            log.info("lease released", extra={"lease": self._name})
        except (ApiError, TimeoutError) as error:
            log.warning("lease not released: %s", error, extra={"lease": self._name})

    @property
    def _path(self) -> str:
        return f"{self._collection}/{self._name}"

    async def _round(self) -> None:
        """Look at the Lease once, and take or renew it where that is ours to do."""
        started = time.monotonic()
        limit = self.timings.renew / 2
        if self._held is not None:
            limit = max(_SHORTEST, min(limit, self._held + self.timings.renew - started))
        try:
            async with asyncio.timeout(limit):
                taken = await self._take_or_renew(limit)
        except (ApiError, TimeoutError) as error:
            if not self._failing:
                log.warning("lease: %s", error or "no answer", extra={"lease": self._name})
            self._failing = True
            return
        if self._failing:
            log.info("lease: answered again", extra={"lease": self._name})
        self._failing = False
        self.contact = time.monotonic()
        if taken:
            self._held = started
            if not self.acquired.is_set():
                log.info("leading", extra={"lease": self._name, "identity": self.identity})
                self.acquired.set()
        elif self._held is not None:
            self._lose("another process took it")

    async def _take_or_renew(self, limit: float) -> bool:
        """Return whether the Lease is ours now. Raises ApiError, also when another was faster."""
        try:
            lease = await self._client.get(self._path, deadline=limit)
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
            created = await self._client.create(self._collection, self._new_lease(), deadline=limit)
            self._uid = _uid_of(created)
            return True
        spec = mapping(lease.setdefault("spec", {}))
        holder = spec.get("holderIdentity")
        if holder != self.identity:
            if not self._is_free(spec):
                return False
            transitions = spec.get("leaseTransitions")
            spec["leaseTransitions"] = transitions + 1 if isinstance(transitions, int) else 1
            spec["acquireTime"] = _now()
        spec |= {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": self.timings.duration,
            "renewTime": _now(),
        }
        # The resourceVersion that was read goes back with it: of two that try, one gets a 409.
        await self._client.replace(self._path, lease, deadline=limit)
        self._uid = _uid_of(lease)
        return True

    def _is_free(self, spec: JsonObject) -> bool:
        """Whether the holder gave it back, or kept silent for as long as it asked for."""
        record = (spec.get("holderIdentity"), spec.get("renewTime"))
        if record != self._seen:
            self._seen, self._seen_at = record, time.monotonic()
        asked = spec.get("leaseDurationSeconds")
        duration = asked if isinstance(asked, int) else self.timings.duration
        self._free_in = self._seen_at + duration - time.monotonic()
        return not spec.get("holderIdentity") or self._free_in <= 0

    def _new_lease(self) -> JsonObject:
        now = _now()
        return {
            "apiVersion": LEASE_API_VERSION,
            "kind": "Lease",
            "metadata": {"name": self._name},
            "spec": {
                "holderIdentity": self.identity,
                "leaseDurationSeconds": self.timings.duration,
                "acquireTime": now,
                "renewTime": now,
                "leaseTransitions": 0,
            },
        }

    def _pause(self) -> float:
        pause = self.timings.retry * random.uniform(0.9, 1.1)  # noqa: S311  spreads requests
        if self._held is not None:
            end = self._held + self.timings.renew
            return max(0.0, min(pause, end - time.monotonic()))
        if self._free_in > 0:
            return min(pause, self._free_in + _SHORTEST)
        return pause

    def _lose(self, why: str) -> None:
        log.critical("lease lost: %s", why, extra={"lease": self._name})
        self.lost.set()


def _uid_of(lease: JsonObject) -> str:
    return str(mapping(lease.get("metadata")).get("uid") or "")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
