"""The one exit: takes a look at a resource of any kind and turns how it ended into its status.

Implements core.driver.Driver for app/ (watch events) and cli/ (a loop over files). Whatever a room
raises becomes an outcome here, and only here.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pydantic import ValidationError

from pgstrata.core.api_model import ApiKind, ApiModel, parse_spec
from pgstrata.core.api_status import KindStatus
from pgstrata.core.driver import Look
from pgstrata.core.errors import Interrupted, InvalidSpec, NotNow, PgstrataError
from pgstrata.core.interrupt import Interrupt
from pgstrata.core.outcome import Done, Outcome, Retry, Stalled, Waiting
from pgstrata.core.reasons import PATIENT_REASONS, Reason, Situation
from pgstrata.core.resource import Clock, ObjectKey, ObjectStore, RawResource, Resource
from pgstrata.engine.backoff import PATIENCE_SECONDS, Streak, delay
from pgstrata.engine.budget import ConnectionBudget
from pgstrata.engine.context import Context, Databases
from pgstrata.engine.report import Reporter

SpecT = TypeVar("SpecT", bound=ApiModel)


@dataclass(frozen=True, slots=True)
class KindHandler(Generic[SpecT]):
    """What a room offers: the five functions that the engine needs of it."""

    api: ApiKind
    spec: type[SpecT]
    reconcile: Callable[[Resource[SpecT], Context], Awaitable[Outcome]]
    clean_up: Callable[[Resource[SpecT], Context], Awaitable[None]]
    references: Callable[[RawResource, SpecT], frozenset[ObjectKey]]


@dataclass(slots=True)
class EngineDriver:
    """Looks at resources; keeps nothing between looks but how often one failed in the same way."""

    handlers: Mapping[str, KindHandler[ApiModel]]
    store: ObjectStore
    databases: Databases
    clock: Clock
    cluster: str
    holder: str
    take_over: str | None = None
    """Stands in for the take-over annotation of every resource: the command line's --take-over."""
    approve: frozenset[str] = frozenset()
    """Hashes that are agreed to beside the annotations': the command line's --approve."""
    ignore_windows: bool = False
    """The command line's --ignore-windows."""
    hopeless: frozenset[Reason] = frozenset()
    """Reasons that count as Stalled at once, because nothing here can change by itself."""
    budget: ConnectionBudget = field(default_factory=ConnectionBudget)
    streaks: dict[ObjectKey, Streak] = field(default_factory=dict)

    async def reconcile(self, raw: RawResource, interrupt: Interrupt) -> Look:
        """Look once and write the status. See core.driver.Driver."""
        handler = self.handlers[raw.key.kind]
        report = Reporter(self.store, self.clock, raw, _status_before(handler.api, raw))
        ctx = self._context(raw, report, interrupt)
        try:
            resource = Resource(raw, parse_spec(handler.spec, raw.spec))
            outcome = await handler.reconcile(resource, ctx)
        except Interrupted:
            return Look(Waiting(Reason.PROGRESSING, "stopped at a boundary", 0.0), 0.0)
        except PgstrataError as error:
            outcome = outcome_of(error)
        return await self._conclude(raw, report, outcome)

    async def clean_up(self, raw: RawResource) -> None:
        """Undo what a deleted object left. See core.driver.Driver."""
        handler = self.handlers[raw.key.kind]
        self.streaks.pop(raw.key, None)
        report = Reporter(self.store, self.clock, raw, _status_before(handler.api, raw))
        try:
            resource = Resource(raw, parse_spec(handler.spec, raw.spec))
            await handler.clean_up(resource, self._context(raw, report, Interrupt()))
        except PgstrataError as error:
            await report.event(error.reason, f"not cleaned up yet: {error.message}", warning=True)

    def references(self, raw: RawResource) -> frozenset[ObjectKey]:
        """The objects that this one refers to; none where its spec cannot be read."""
        handler = self.handlers[raw.key.kind]
        try:
            return handler.references(raw, parse_spec(handler.spec, raw.spec))
        except InvalidSpec:
            return frozenset()

    def _context(
        self, raw: RawResource, report: Reporter[KindStatus], interrupt: Interrupt
    ) -> Context:
        return Context(
            raw=raw,
            store=self.store,
            clock=self.clock,
            databases=self.databases,
            budget=self.budget,
            report=report,
            interrupt=interrupt,
            cluster=self.cluster,
            holder=self.holder,
            take_over=self.take_over or raw.take_over,
            approve=self.approve,
            ignore_windows=self.ignore_windows,
        )

    async def _conclude(
        self, raw: RawResource, report: Reporter[KindStatus], outcome: Outcome
    ) -> Look:
        streak = self._streak(raw, outcome.reason)
        lasted = time.monotonic() - streak.since
        stalled = outcome.reason in self.hopeless or (
            outcome.reason in PATIENT_REASONS
            and (lasted >= PATIENCE_SECONDS or _was_stalled(raw, outcome.reason))
        )
        await report.conclude(outcome.reason, outcome.message, stalled=stalled)
        stalled |= outcome.reason.situation is Situation.STALLED
        return Look(outcome, delay(outcome, streak.count), stalled)

    def _streak(self, raw: RawResource, reason: Reason) -> Streak:
        """Count looks that end alike; another reason or generation begins anew."""
        before = self.streaks.get(raw.key)
        if (
            before is None
            or (before.reason, before.generation) != (reason, raw.generation)
            or reason.situation is Situation.READY
        ):
            streak = Streak(reason, raw.generation, 1, time.monotonic())
        else:
            streak = Streak(reason, raw.generation, before.count + 1, before.since)
        self.streaks[raw.key] = streak
        return streak


def outcome_of(error: PgstrataError) -> Outcome:
    """Return the outcome of a failure, by the situation of its reason."""
    match error.reason.situation:
        case Situation.STALLED:
            return Stalled(error.reason, error.message)
        case Situation.WAITING:
            seconds = error.look_again if isinstance(error, NotNow) else NotNow.look_again
            return Waiting(error.reason, error.message, look_again=seconds)
        case Situation.READY:
            return Done(error.message)
        case Situation.WORKING | Situation.RETRY:
            return Retry(error.reason, error.message)


def _status_before(api: ApiKind, raw: RawResource) -> KindStatus:
    """Read the status as it stands; one that cannot be read is a projection to be rebuilt."""
    model = api.status
    if not issubclass(model, KindStatus):
        raise TypeError(f"the status of {api.kind} is no KindStatus")
    try:
        return model.model_validate(raw.status, extra="ignore", by_alias=True, by_name=False)
    except ValidationError:
        return model()


def _was_stalled(raw: RawResource, reason: Reason) -> bool:
    """Whether this generation was Stalled with the reason before: a restart must not unsay it."""
    if raw.status.get("observedGeneration") != raw.generation:
        return False
    found = raw.status.get("conditions")
    return isinstance(found, list) and any(
        isinstance(c, dict) and (c.get("type"), c.get("reason")) == ("Stalled", reason.value)
        for c in found
    )
