"""Bring a schema to the version that a SchemaVersion declares.

The same function serves the operator and the command line. It looks with one connection; only where
something is to be done does it take the object's lock, and then it looks again, since the world may
have moved in between.
"""

import time
from contextlib import suppress
from dataclasses import dataclass

from pgstrata.core.api_status import WorkState
from pgstrata.core.errors import ContractPending, NotNow, PgstrataError, Suspended
from pgstrata.core.names import LockedObject
from pgstrata.core.outcome import Done, Outcome
from pgstrata.core.reasons import Reason, Situation
from pgstrata.core.resource import APPROVE_ANNOTATION, ObjectKey, RawResource, Resource
from pgstrata.engine.approvals import Approvals, settle_approvals
from pgstrata.engine.claims import CLI_CLUSTER, check_claim, owner_of, release_claim, write_claim
from pgstrata.engine.context import Context
from pgstrata.engine.control import (
    CONTROL_VERSION,
    ensure_control,
    read_control,
    settled_control,
)
from pgstrata.engine.drive import KindHandler
from pgstrata.engine.exclusive import Exclusive
from pgstrata.engine.gates import Gates
from pgstrata.engine.plan import Outline, Plan, plan_status
from pgstrata.engine.progress import Progress
from pgstrata.engine.remains import collect_remains
from pgstrata.engine.run import run
from pgstrata.migrations.backfill.check import Notes, judge_backfills
from pgstrata.migrations.backfill.resume import judge_begun
from pgstrata.migrations.baseline import as_counted
from pgstrata.migrations.dependencies import dependency_keys, what_comes_first
from pgstrata.migrations.journal import Journal, read_journal
from pgstrata.migrations.leftovers import discard_unwanted
from pgstrata.migrations.observe import check_syntax, observe_schema
from pgstrata.migrations.plan import (
    VersionPlan,
    Wanted,
    approvals_wanted,
    make_plan,
    pending_statements,
)
from pgstrata.migrations.projection import conditions, facts
from pgstrata.migrations.rights import check_rights
from pgstrata.migrations.schedule import asked_by, schedule
from pgstrata.migrations.settings import restore
from pgstrata.migrations.source import MigrationSource, read_source
from pgstrata.migrations.spec import SCHEMA_VERSION, Approval, SchemaVersionSpec
from pgstrata.migrations.versions import Version
from pgstrata.pg.session import Session
from pgstrata.pg.target import Target

_FRESH_SECONDS = 2.0
_PROJECTED_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """One look at the database."""

    journal: Journal
    plan: VersionPlan
    approvals: Approvals
    must_claim: bool
    notes: Notes
    at: float

    def notes_for(self, journal: Journal) -> Notes | None:
        """Return what was found out of backfills, if a moment ago and with nothing done since.

        The steps themselves look at their tables again.
        """
        is_fresh = time.monotonic() - self.at < _FRESH_SECONDS
        return self.notes if is_fresh and journal == self.journal else None

    @property
    def has_work(self) -> bool:
        return self.must_claim or bool(self.plan.steps)


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is reconciled: the resource, with what it asks for taken apart."""

    resource: Resource[SchemaVersionSpec]
    ctx: Context
    source: MigrationSource
    wanted: Wanted
    suspended: str | None
    waits_for: str | None

    @property
    def spec(self) -> SchemaVersionSpec:
        return self.resource.spec

    @property
    def object(self) -> LockedObject:
        return LockedObject.of_schema(self.spec.schema_name)


async def reconcile(resource: Resource[SchemaVersionSpec], ctx: Context) -> Outcome:
    """Make the schema have the version asked for, through the phase asked for."""
    spec = resource.spec
    if ctx.raw.status.get("observedGeneration") != ctx.raw.generation:
        await ctx.report.working(Reason.PROGRESSING, f"looking at version {spec.version}")
    target = await ctx.databases.target(_database(resource))
    subject = await _subject(resource, ctx, target)
    async with ctx.session(target, schema=spec.schema_name) as session:
        seen = await _look(session, subject)
    if seen.has_work and subject.suspended is None:
        await ctx.store.ensure_finalizer(ctx.raw)
        async with ctx.exclusive(target, subject.object, schema=spec.schema_name) as work:
            seen = await _carry_out(work, subject, seen)
    elif seen.plan.steps:
        raise Suspended(f"{subject.suspended}; held back: {seen.plan.summary}")
    ctx.report.know(plan=plan_status(Plan((), seen.plan.shown, _rest(seen.plan))))
    if seen.plan.waits is not None:
        raise ContractPending(seen.plan.waits)
    return Done(f"schema {spec.schema_name} has version {spec.version}, through {spec.through}")


async def _subject(resource: Resource[SchemaVersionSpec], ctx: Context, target: Target) -> _Subject:
    """Take apart what is asked for. Raises InvalidSpec, DependencyCycle, and what a source does."""
    spec = resource.spec
    asked = asked_by(spec)
    window = target.window(spec.window) if spec.window is not None else None
    source = await read_source(ctx.store, resource.key.namespace, spec.source, spec.version)
    suspended = "spec.suspend is true" if spec.suspend else None
    if target.suspended:
        suspended = f"ManagedDatabase {spec.database_ref.name} is suspended"
    return _Subject(
        resource,
        ctx,
        source,
        Wanted(
            schema=spec.schema_name,
            asked=asked,
            baseline=None if spec.baseline is None else Version(spec.baseline),
            is_approval_needed=spec.approval is not Approval.AUTOMATIC,
            window=None if ctx.ignore_windows else window,
        ),
        suspended,
        await what_comes_first(ctx.raw, spec, ctx.store),
    )


async def _carry_out(work: Exclusive, subject: _Subject, before: _Seen | None) -> _Seen:
    """Run the plan behind the lock, and tell what stands whatever happens.

    A gate that is shut is looked at anew once something was done before it: what waits for approval
    may turn out to be nothing at all.
    """
    ctx = subject.ctx
    steps_left: int | None = None
    while True:
        seen = await _look(work.session, subject, before)
        before = None
        if seen.must_claim:
            await write_claim(work, ctx.owner)
            await collect_remains(work.session, ctx)
        progress = Progress(ctx.report, ctx.interrupt)
        await discard_unwanted(work, seen.plan, seen.journal, subject.source, progress)
        try:
            keep_up = _Projector(work, subject)
            await run(seen.plan, work, ctx, _gates(subject, seen), between=keep_up)
        except PgstrataError as error:
            with suppress(PgstrataError):  # the failure counts, not that it cannot be drawn
                await _project_again(work, subject, error)
            if not isinstance(error, NotNow) or len(seen.plan.steps) == steps_left:
                raise
            steps_left = len((await _look(work.session, subject)).plan.steps)
            if steps_left == len(seen.plan.steps):
                raise
            continue
        await _project_again(work, subject)
        return seen


class _Projector:
    """Keeps the status up with a run: what others wait for, such as Expanded, must not come at the
    end of it alone. The journal is read where that can matter: before what may last, at the end of
    a phase, and else once a second.
    """

    def __init__(self, work: Exclusive, subject: _Subject) -> None:
        self._work = work
        self._subject = subject
        self._at = time.monotonic()

    async def __call__(self, done: Outline, coming: Outline) -> None:
        if _file(done) == _file(coming):
            return
        may_last = coming.reason is not Reason.PROGRESSING or coming.work is not None
        is_due = time.monotonic() - self._at > _PROJECTED_SECONDS
        if may_last or is_due or coming.gates or _phase(done) != _phase(coming):
            await _project_again(self._work, self._subject)
            self._at = time.monotonic()


def _file(step: Outline) -> str:
    return step.id.rpartition("/")[0]


def _phase(step: Outline) -> list[str]:
    return step.id.split("/")[1:2]


async def _project_again(
    work: Exclusive, subject: _Subject, error: PgstrataError | None = None
) -> None:
    """Put into the status what the steps have done, and what ended them."""
    await restore(work, subject.spec.schema_name)
    _project(subject, await read_journal(work.session, subject.object), error)


def _gates(subject: _Subject, seen: _Seen) -> Gates:
    key = subject.resource.key
    how = (
        f"kubectl pgstrata approve {key.name} {{hash}} --namespace {key.namespace}, or the "
        f'annotation {APPROVE_ANNOTATION}: "{{hash}}"'
        if subject.ctx.cluster != CLI_CLUSTER
        else "run apply with --approve {hash}"
    )
    return Gates(
        approved=seen.approvals.approved,
        stale=seen.approvals.stale,
        covers=approvals_wanted(seen.plan),
        how_to_approve=how,
        window=subject.wanted.window,
        waits_for=subject.waits_for,
    )


async def _look(session: Session, subject: _Subject, before: _Seen | None = None) -> _Seen:
    """Read claim, journal and catalog; make the plan; refuse what cannot be carried out.

    Args:
        before: the look that came right before this one, outside the lock.
    """
    ctx, object_ = subject.ctx, subject.object
    await _control(session, subject)
    must_claim = await check_claim(
        await owner_of(session, object_),
        ctx.owner,
        object_,
        take_over=ctx.take_over,
        store=ctx.store,
    )
    journal = await read_journal(session, object_)
    _project(subject, journal)
    known = before.notes_for(journal) if before is not None else None
    plan, notes = await _plan(session, subject.source, journal, subject.wanted, known)
    waited_for = approvals_wanted(plan)
    offered = ctx.approved_hashes | (waited_for.keys() if ctx.approves_all else frozenset())
    approvals = await settle_approvals(
        session, object_, waited_for, offered, by=f"{ctx.cluster}/{ctx.raw.key}"
    )
    ctx.report.know(plan=plan_status(plan, approved=approvals.approved))
    for notice in plan.notices:
        await ctx.report.event(Reason.PROGRESSING, notice, warning=True)
    return _Seen(journal, plan, approvals, must_claim, notes, time.monotonic())


async def _control(session: Session, subject: _Subject) -> None:
    """Put the control schema in place; of a suspended database it is left as it is."""
    if not session.target.suspended:
        await ensure_control(session, take_over=subject.ctx.take_over)
    elif await settled_control(session) is None:
        raise Suspended(
            f"{subject.suspended}; its control schema is not what this release needs, and is put "
            "in place at the end of that"
        )


async def _plan(
    session: Session,
    source: MigrationSource,
    journal: Journal,
    wanted: Wanted,
    notes: Notes | None = None,
) -> tuple[VersionPlan, Notes]:
    counted = as_counted(source, journal, wanted.baseline)
    order = schedule(source, wanted.asked, counted.completed)
    every = list(pending_statements(source, counted))
    if notes is None:
        notes = await judge_backfills(session, every)
    await judge_begun(session, LockedObject.of_schema(wanted.schema), counted, every, source.target)
    observed = await observe_schema(session, source, wanted.schema, every, notes)
    plan = make_plan(source, journal, observed, wanted)
    if plan.steps or plan.shown:
        await check_syntax(session, every)
        pending = list(pending_statements(source, counted, order))
        if pending:
            check_rights(session, observed, pending, wanted.schema)
    return plan, notes


async def plan_only(
    session: Session, source: MigrationSource, spec: SchemaVersionSpec, target: Target
) -> VersionPlan:
    """Return the plan without changing anything; no control schema is needed."""
    journal = Journal()
    control = await read_control(session)
    if control is not None and control.version >= CONTROL_VERSION:
        journal = await read_journal(session, LockedObject.of_schema(spec.schema_name))
    plan, _ = await _plan(
        session,
        source,
        journal,
        Wanted(
            schema=spec.schema_name,
            asked=asked_by(spec),
            baseline=None if spec.baseline is None else Version(spec.baseline),
            is_approval_needed=spec.approval is not Approval.AUTOMATIC,
            window=target.window(spec.window) if spec.window is not None else None,
        ),
    )
    return plan


async def clean_up(resource: Resource[SchemaVersionSpec], ctx: Context) -> None:
    """Give the schema free for others; what was built stays, unfinished builds are removed."""
    target = await ctx.databases.target(_database(resource))
    async with ctx.session(target, schema=resource.spec.schema_name) as session:
        if await read_control(session) is None:
            return
        object_ = LockedObject.of_schema(resource.spec.schema_name)
        await release_claim(session, object_, ctx.owner)
        await collect_remains(session, ctx)


def references(raw: RawResource, spec: SchemaVersionSpec) -> frozenset[ObjectKey]:
    """The database, the ConfigMaps that hold the files, and what comes first."""
    namespace = raw.key.namespace
    refs = {ObjectKey("ManagedDatabase", namespace, spec.database_ref.name)}
    for ref in spec.source.config_maps or ():
        refs.add(ObjectKey("ConfigMap", namespace, ref.name))
    return frozenset(refs.union(dependency_keys(namespace, spec)))


def _database(resource: Resource[SchemaVersionSpec]) -> ObjectKey:
    return ObjectKey("ManagedDatabase", resource.key.namespace, resource.spec.database_ref.name)


def _project(subject: _Subject, journal: Journal, error: PgstrataError | None = None) -> None:
    """Put what the journal says into the status, and the conditions for `kubectl wait`."""
    source, report = subject.source, subject.ctx.report
    order = schedule(source, subject.wanted.asked, journal.completed)
    has_failed = error is not None and error.reason.situation is Situation.STALLED
    half_done = WorkState.FAILED if has_failed else WorkState.RUNNING
    report.know(**facts(source, journal, order, half_done))
    for condition in conditions(source, journal, order, error):
        report.flag(*condition)


def _rest(plan: Plan) -> str:
    if plan.shown:
        return f"nothing to run; {len(plan.shown)} contract steps are shown and not run"
    return "nothing to do"


HANDLER = KindHandler(
    api=SCHEMA_VERSION,
    spec=SchemaVersionSpec,
    reconcile=reconcile,
    clean_up=clean_up,
    references=references,
)
