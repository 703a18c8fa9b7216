"""GitOps races are waited for: retried every ten seconds, Stalled after five minutes."""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast

import pytest
from pydantic import JsonValue

from pgstrata.core.api_model import ApiModel
from pgstrata.core.driver import Look
from pgstrata.core.errors import PgstrataError, SecretNotFound, SourceNotReady
from pgstrata.core.interrupt import Interrupt
from pgstrata.core.outcome import Outcome
from pgstrata.core.resource import ObjectKey, ObjectStore, RawResource, Resource
from pgstrata.databases.spec import MANAGED_DATABASE, ManagedDatabaseSpec
from pgstrata.engine import drive
from pgstrata.engine.context import Context, Databases
from pgstrata.engine.drive import EngineDriver, KindHandler

KEY = ObjectKey("ManagedDatabase", "shop", "metrics")
SPEC: Mapping[str, JsonValue] = {"connection": {"secretRef": {"name": "metrics"}}}


class Store:
    """Keeps the last status, and the events."""

    def __init__(self) -> None:
        self.status: Mapping[str, JsonValue] = {}
        self.events: list[tuple[bool, str]] = []

    async def write_status(self, raw: RawResource, status: Mapping[str, JsonValue]) -> None:
        self.status = status

    async def record_event(
        self, raw: RawResource, *, warning: bool, reason: str, message: str
    ) -> None:
        self.events.append((warning, reason))


class World:
    """A driver whose looks all fail in one way, and its clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.error: PgstrataError = SecretNotFound("Secret metrics does not exist")
        self.store = Store()
        self.restart()
        monkeypatch.setattr(drive, "time", SimpleNamespace(monotonic=lambda: self.now))

    def restart(self) -> None:
        """Forget what only the process knows."""
        handler = KindHandler(
            api=MANAGED_DATABASE,
            spec=ManagedDatabaseSpec,
            reconcile=self._fail,
            clean_up=self._nothing,
            references=lambda raw, spec: frozenset(),
        )
        self._driver = EngineDriver(
            handlers={KEY.kind: cast(KindHandler[ApiModel], handler)},
            store=cast(ObjectStore, self.store),
            databases=cast(Databases, None),
            clock=SimpleNamespace(now=lambda: datetime.now(UTC)),
            cluster="here",
            holder="test",
        )

    async def look(self, generation: int = 1) -> Look:
        raw = RawResource(KEY, "uid", generation, SPEC, status=self.store.status)
        return await self._driver.reconcile(raw, Interrupt())

    def types(self) -> set[str]:
        """The types of the conditions that are True, or Ready whatever it is."""
        listed = cast(list[Mapping[str, str]], self.store.status["conditions"])
        return {condition["type"] for condition in listed}

    async def _fail(self, resource: Resource[ManagedDatabaseSpec], ctx: Context) -> Outcome:
        raise self.error

    async def _nothing(self, resource: Resource[ManagedDatabaseSpec], ctx: Context) -> None: ...


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


async def test_a_race_is_retried_every_ten_seconds_and_stalls_after_five_minutes(
    world: World,
) -> None:
    look = await world.look()
    while world.now < 1000.0 + 299.0:
        assert (look.look_again, look.stalled) == (10.0, False)
        assert world.types() == {"Ready", "Reconciling"}
        world.now += 10.0
        look = await world.look()
    assert (look.look_again, look.stalled) == (10.0, True)
    assert world.types() == {"Ready", "Stalled"}
    assert world.store.events == [(True, "SecretNotFound")] * 2, "told again when it has stalled"


async def test_another_reason_begins_the_five_minutes_anew(world: World) -> None:
    await world.look()
    world.now += 290.0
    world.error = SourceNotReady("the source has no version 002")
    assert not (await world.look()).stalled
    world.now += 290.0
    assert not (await world.look()).stalled
    world.now += 10.0
    assert (await world.look()).stalled


async def test_an_edit_begins_the_five_minutes_anew(world: World) -> None:
    await world.look()
    world.now += 300.0
    assert (await world.look()).stalled
    assert not (await world.look(generation=2)).stalled
    assert world.types() == {"Ready", "Reconciling"}


async def test_a_restart_does_not_unsay_that_it_stalled(world: World) -> None:
    await world.look()
    world.now += 300.0
    await world.look()
    world.restart()
    assert (await world.look()).stalled
    assert world.types() == {"Ready", "Stalled"}
