"""Bring a schema to the version that a SchemaVersion declares.

The same function serves the operator and the command line. It looks with one connection; only where
something is to be done does it take the object's lock, and then it looks again, since the world may
have moved in between.
"""

from contextlib import suppress
from dataclasses import dataclass

from pgstrata.core.api_status import ConditionStatus
from pgstrata.core.errors import PgstrataError
from pgstrata.core.names import LockedObject
from pgstrata.core.outcome import Done, Outcome
from pgstrata.core.reasons import Reason
from pgstrata.core.resource import ObjectKey, RawResource, Resource
from pgstrata.engine.claims import check_claim, owner_of, release_claim, write_claim
from pgstrata.engine.context import Context
from pgstrata.engine.control import ensure_control, read_control
from pgstrata.engine.drive import KindHandler
from pgstrata.engine.plan import Plan, plan_status
from pgstrata.engine.remains import collect_remains
from pgstrata.engine.run import run
from pgstrata.migrations.journal import Journal, read_journal
from pgstrata.migrations.leftovers import discard_unwanted
from pgstrata.migrations.observe import check_rights, check_syntax, observe_schema
from pgstrata.migrations.plan import make_plan, pending_statements, phases_through
from pgstrata.migrations.projection import facts, is_complete
from pgstrata.migrations.source import MigrationSource, read_source
from pgstrata.migrations.spec import SCHEMA_VERSION, Phase, SchemaVersionSpec, Through
from pgstrata.pg.session import Session


@dataclass(frozen=True, slots=True)
class _Seen:
    """One look at the database."""

    journal: Journal
    plan: Plan
    must_claim: bool

    @property
    def has_work(self) -> bool:
        return self.must_claim or bool(self.plan.steps)


async def reconcile(resource: Resource[SchemaVersionSpec], ctx: Context) -> Outcome:
    """Make the schema have the version asked for, through the phase asked for."""
    spec = resource.spec
    if ctx.raw.status.get("observedGeneration") != ctx.raw.generation:
        await ctx.report.working(Reason.PROGRESSING, f"looking at version {spec.version}")
    target = await ctx.databases.target(_database(resource))
    source = await read_source(ctx.store, resource.key.namespace, spec.source, spec.version)
    async with ctx.session(target, schema=spec.schema_name) as session:
        seen = await _look(session, source, resource, ctx)
    if seen.has_work:
        await ctx.store.ensure_finalizer(ctx.raw)
        object_ = LockedObject.of_schema(spec.schema_name)
        async with ctx.exclusive(target, object_, schema=spec.schema_name) as work:
            seen = await _look(work.session, source, resource, ctx)
            if seen.must_claim:
                await write_claim(work, ctx.owner)
                await collect_remains(work.session, ctx)
            await discard_unwanted(work, seen.plan)
            try:
                await run(seen.plan, work, ctx)
            except PgstrataError:
                with suppress(PgstrataError):  # the failure counts, not that it cannot be drawn
                    _project(ctx, source, await read_journal(work.session, object_), spec.through)
                raise
            _project(ctx, source, await read_journal(work.session, object_), spec.through)
    ctx.report.know(plan=plan_status(Plan((), seen.plan.shown, _rest(seen.plan))))
    return Done(f"schema {spec.schema_name} has version {spec.version}, through {spec.through}")


async def _look(
    session: Session,
    source: MigrationSource,
    resource: Resource[SchemaVersionSpec],
    ctx: Context,
) -> _Seen:
    """Read claim, journal and catalog; make the plan; refuse what cannot be carried out."""
    spec = resource.spec
    object_ = LockedObject.of_schema(spec.schema_name)
    await ensure_control(session, take_over=ctx.take_over)
    must_claim = await check_claim(
        await owner_of(session, object_),
        ctx.owner,
        object_,
        take_over=ctx.take_over,
        store=ctx.store,
    )
    journal = await read_journal(session, object_)
    _project(ctx, source, journal, spec.through)
    plan = await _plan(session, source, journal, spec)
    ctx.report.know(plan=plan_status(plan))
    return _Seen(journal, plan, must_claim)


async def _plan(
    session: Session, source: MigrationSource, journal: Journal, spec: SchemaVersionSpec
) -> Plan:
    observed = await observe_schema(session, source, spec.schema_name)
    plan = make_plan(source, journal, observed, schema=spec.schema_name, through=spec.through)
    if plan.steps or plan.shown:
        await check_syntax(session, pending_statements(source, journal, tuple(Phase)))
        phases = phases_through(spec.through)
        pending = [s for _, s in pending_statements(source, journal, phases)]
        if pending:
            check_rights(session, observed, pending, spec.schema_name)
    return plan


async def plan_only(session: Session, source: MigrationSource, spec: SchemaVersionSpec) -> Plan:
    """Return the plan without changing anything; no control schema is needed."""
    journal = Journal()
    if await read_control(session) is not None:
        journal = await read_journal(session, LockedObject.of_schema(spec.schema_name))
    return await _plan(session, source, journal, spec)


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
    """The database, and the ConfigMaps that hold the files."""
    namespace = raw.key.namespace
    refs = {ObjectKey("ManagedDatabase", namespace, spec.database_ref.name)}
    for ref in spec.source.config_maps or ():
        refs.add(ObjectKey("ConfigMap", namespace, ref.name))
    return frozenset(refs)


def _database(resource: Resource[SchemaVersionSpec]) -> ObjectKey:
    return ObjectKey("ManagedDatabase", resource.key.namespace, resource.spec.database_ref.name)


def _project(ctx: Context, source: MigrationSource, journal: Journal, through: Through) -> None:
    """Put what the journal says into the status, and the conditions for `kubectl wait`."""
    ctx.report.know(**facts(source, journal, through))
    for condition, phase in (("Expanded", Phase.EXPAND), ("Migrated", Phase.MIGRATE)):
        done = is_complete(journal, source.target, phase)
        holds = ConditionStatus.TRUE if done else ConditionStatus.FALSE
        text = f"{phase.value} of version {source.target} is {'' if done else 'not '}complete"
        ctx.report.flag(condition, holds, Reason.SUCCEEDED if done else Reason.PROGRESSING, text)


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
