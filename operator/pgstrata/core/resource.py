"""A custom resource as the rooms see it, and the ports through which they reach the rest.

`ObjectStore` is implemented twice: kube/store.py (the API server) and cli/file_store.py (files).
The rooms cannot tell which one they talk to.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from pydantic import BaseModel, JsonValue

SpecT_co = TypeVar("SpecT_co", bound=BaseModel, covariant=True)

TAKE_OVER_ANNOTATION = "pgstrata.dev/take-over"
APPROVE_ANNOTATION = "pgstrata.dev/approve"
RECONCILE_ANNOTATION = "reconcile.pgstrata.dev/requestedAt"


@dataclass(frozen=True, slots=True, order=True)
class ObjectKey:
    """Names one object: the work queue's key, and what claims are made out to."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class RawResource:
    """An object as it was read: metadata taken apart, spec and status still untyped."""

    key: ObjectKey
    uid: str
    generation: int
    spec: Mapping[str, JsonValue]
    status: Mapping[str, JsonValue] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    finalizers: tuple[str, ...] = ()
    resource_version: str = ""
    deleting: bool = False

    @property
    def take_over(self) -> str | None:
        """The owner whose claim this resource is told to take over, or None."""
        return self.annotations.get(TAKE_OVER_ANNOTATION)

    @property
    def approved(self) -> frozenset[str]:
        """The hashes of plans that somebody agrees to."""
        text = self.annotations.get(APPROVE_ANNOTATION, "")
        return frozenset(word.strip() for word in text.split(",") if word.strip())


@dataclass(frozen=True, slots=True)
class Resource(Generic[SpecT_co]):
    """An object whose spec has been judged valid."""

    raw: RawResource
    spec: SpecT_co

    @property
    def key(self) -> ObjectKey:
        return self.raw.key


class ObjectStore(Protocol):
    """Where resources live. Every call has its own deadline and raises PgstrataError on failure."""

    async def read(self, key: ObjectKey) -> RawResource | None:
        """Return the object, or None where it does not exist."""
        ...

    async def exists(self, key: ObjectKey) -> bool:
        """Return whether the object exists: as last heard, or else as a read shows.

        A yes may be a few seconds old, a no is true. For many objects, where `read` would cost a
        call each.
        """
        ...

    async def read_secret(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        """Return a Secret's data, decoded, or None where it does not exist."""
        ...

    async def read_config_map(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        """Return a ConfigMap's data and binaryData as bytes, or None where it does not exist."""
        ...

    async def write_status(self, raw: RawResource, status: Mapping[str, JsonValue]) -> None:
        """Make `status` the object's whole status; an object gone meanwhile is no error."""
        ...

    async def record_event(
        self, raw: RawResource, *, warning: bool, reason: str, message: str
    ) -> None:
        """Tell users of a transition. Never raises: an event is a courtesy."""
        ...

    async def ensure_finalizer(self, raw: RawResource) -> None:
        """Hold the object's deletion until `release` is called: there is something to undo."""
        ...

    async def release(self, raw: RawResource) -> None:
        """Let the object go; an object gone meanwhile is no error."""
        ...


class Clock(Protocol):
    """Wall-clock time, for conditions alone: comparisons use the database's clock."""

    def now(self) -> datetime:
        """Return the time in UTC."""
        ...
