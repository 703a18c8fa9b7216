"""Look at one database: can it be reached, what is it, is the control schema in place.

The same function serves the operator and the command line. Its only step is the control schema,
which installs itself under its own lock (engine/control.py), so no exclusive session is needed.
It also collects what deleted resources left behind, and says which maintenance windows are open.
"""

from collections.abc import Mapping
from datetime import datetime

from pgstrata.core.outcome import Done, Outcome, Waiting
from pgstrata.core.reasons import Reason
from pgstrata.core.resource import ObjectKey, RawResource, Resource
from pgstrata.core.windows import Opening
from pgstrata.databases.resolve import DatabaseResolver
from pgstrata.databases.spec import MANAGED_DATABASE, ManagedDatabaseSpec, Pooler, WindowStatus
from pgstrata.engine.context import Context
from pgstrata.engine.control import ControlState, ensure_control, settled_control
from pgstrata.engine.drive import KindHandler
from pgstrata.engine.remains import collect_remains
from pgstrata.pg.clock import database_now
from pgstrata.pg.connect import pooler_of
from pgstrata.pg.session import Session
from pgstrata.pg.target import Target

REMAINS_SECONDS = 10.0
"""When to look again while a deleted resource's build still runs on."""
RESUME_SECONDS = 600.0
"""When to look again while suspended; resuming it wakes it at once."""
LATE_SECONDS = 0.5
"""How long after a window's turn to look: clocks do not run alike, and just before says nothing."""


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
        now = await database_now(session)
        openings = {window.name: window.at(now) for window in target.windows}
        ctx.report.know(windows=_status_of(openings) or None)
        looks = _turns(openings, now)
        state = await _control(session, target, ctx)
        if state is None:
            text = "suspended before the control schema was what this release needs; it will be put"
            return Waiting(
                Reason.SUSPENDED, f"{text} in place once spec.suspend is unset", RESUME_SECONDS
            )
        ctx.report.know(control_schema_version=state.version)
        if not target.suspended and not await collect_remains(session, ctx):
            looks.append(REMAINS_SECONDS)
    text = f"database {state.database} can be reached and has control schema {state.version}"
    if target.suspended:
        text += "; all work in it is suspended"
    return Done(text, look_again=min(looks, default=None))


async def _control(session: Session, target: Target, ctx: Context) -> ControlState | None:
    """Put the control schema in place; suspended: only look, None where something is to be done."""
    if target.suspended:
        return await settled_control(session)
    return await ensure_control(session, take_over=ctx.take_over)


def _status_of(openings: Mapping[str, Opening]) -> tuple[WindowStatus, ...]:
    return tuple(
        WindowStatus(name=name, open=opening.is_open, next_opening=opening.next_opening)
        for name, opening in openings.items()
    )


def _turns(openings: Mapping[str, Opening], now: datetime) -> list[float]:
    """Return in how many seconds each window opens or closes, where one does."""
    turns = [opening.turn for opening in openings.values() if opening.turn is not None]
    return [(turn - now).total_seconds() + LATE_SECONDS for turn in turns]


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
