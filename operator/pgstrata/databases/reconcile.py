"""Look at one database: can it be reached, what is it, is the control schema in place.

The same function serves the operator and the command line. Its only step is the control schema,
which installs itself under its own lock (engine/control.py), so no exclusive session is needed.
It also collects what deleted resources left behind.
"""

from pgstrata.core.outcome import Done, Outcome
from pgstrata.core.reasons import Reason
from pgstrata.core.resource import ObjectKey, RawResource, Resource
from pgstrata.databases.resolve import DatabaseResolver
from pgstrata.databases.spec import MANAGED_DATABASE, ManagedDatabaseSpec, Pooler
from pgstrata.engine.context import Context
from pgstrata.engine.control import ensure_control
from pgstrata.engine.drive import KindHandler
from pgstrata.engine.remains import collect_remains
from pgstrata.pg.connect import pooler_of

REMAINS_SECONDS = 10.0
"""When to look again while a deleted resource's build still runs on."""


async def reconcile(resource: Resource[ManagedDatabaseSpec], ctx: Context) -> Outcome:
    """Reach the database, see what it is, and put the control schema in place."""
    if not ctx.raw.status:
        await ctx.report.working(Reason.PROGRESSING, "connecting to the database")
    target = await ctx.databases.target(resource.key)
    async with ctx.session(target) as session:
        ctx.report.know(
            server_version=session.facts.version,
            database=session.facts.database,
            in_recovery=session.facts.in_recovery,
            pooler=Pooler(await pooler_of(session)),
        )
        state = await ensure_control(session, take_over=ctx.take_over)
        ctx.report.know(control_schema_version=state.version)
        clean = await collect_remains(session, ctx)
    text = f"database {state.database} can be reached and has control schema {state.version}"
    return Done(text, look_again=None if clean else REMAINS_SECONDS)


async def clean_up(resource: Resource[ManagedDatabaseSpec], ctx: Context) -> None:
    """Nothing is undone: data and control schema stay, dependents say DatabaseNotFound."""
    del resource, ctx


def references(raw: RawResource, spec: ManagedDatabaseSpec) -> frozenset[ObjectKey]:
    """The Secret with the connection, and those with certificates."""
    namespace = raw.key.namespace
    refs = {ObjectKey("Secret", namespace, spec.connection.secret_ref.name)}
    tls = spec.connection.tls
    if tls is not None and tls.ca_ref is not None:
        refs.add(ObjectKey(tls.ca_ref.kind, namespace, tls.ca_ref.name))
    if tls is not None and tls.cert_ref is not None:
        refs.add(ObjectKey("Secret", namespace, tls.cert_ref.name))
    return frozenset(refs)


HANDLER = KindHandler(
    api=MANAGED_DATABASE,
    spec=ManagedDatabaseSpec,
    reconcile=reconcile,
    clean_up=clean_up,
    references=references,
)

__all__ = ["HANDLER", "DatabaseResolver"]
