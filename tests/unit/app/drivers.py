"""A driver and a store for the tests of app/: they do what the test says, and no I/O."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from pydantic import JsonValue

from pgstrata.core.driver import Look
from pgstrata.core.interrupt import Interrupt
from pgstrata.core.outcome import Done
from pgstrata.core.resource import ObjectKey, RawResource

Behaviour = Callable[[Interrupt], Coroutine[Any, Any, None]]


async def do_nothing(_: Interrupt) -> None:
    """A look or clean-up that ends at once."""


class ScriptedDriver:
    """A Driver whose calls all do the same; it remembers what it was called with."""

    def __init__(
        self,
        behaviour: Behaviour = do_nothing,
        *,
        look_again: float | None = None,
        references: Mapping[ObjectKey, frozenset[ObjectKey]] | None = None,
    ) -> None:
        self._behaviour = behaviour
        self._look_again = look_again
        self._references = references or {}
        self.looked_at: list[RawResource] = []
        self.interrupts: list[Interrupt] = []

    async def reconcile(self, raw: RawResource, interrupt: Interrupt) -> Look:
        self.looked_at.append(raw)
        self.interrupts.append(interrupt)
        await self._behaviour(interrupt)
        return Look(Done("as scripted"), self._look_again)

    async def clean_up(self, raw: RawResource) -> None:
        await self._behaviour(Interrupt())

    def references(self, raw: RawResource) -> frozenset[ObjectKey]:
        return self._references.get(raw.key, frozenset())


class MemoryStore:
    """An ObjectStore that holds what the test puts there."""

    def __init__(self, *objects: RawResource) -> None:
        self.objects = {raw.key: raw for raw in objects}

    async def read(self, key: ObjectKey) -> RawResource | None:
        return self.objects.get(key)

    async def exists(self, key: ObjectKey) -> bool:
        return key in self.objects

    async def read_secret(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        raise NotImplementedError

    async def read_config_map(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        raise NotImplementedError

    async def write_status(self, raw: RawResource, status: Mapping[str, JsonValue]) -> None:
        raise NotImplementedError

    async def record_event(
        self, raw: RawResource, *, warning: bool, reason: str, message: str
    ) -> None:
        raise NotImplementedError

    async def ensure_finalizer(self, raw: RawResource) -> None:
        raise NotImplementedError

    async def release(self, raw: RawResource) -> None:
        del self.objects[raw.key]
