"""Collects what resources left behind that were deleted while they worked.

Called at every look at a ManagedDatabase, and right after a deletion. A deletion must not wait for
the database, so it can leave a claim, the trigger of a backfill, or the INVALID index of a build
that was cancelled. Each is written down before or with its coming into being, so that it can be
found here whatever died.
"""

import asyncio
import json
from dataclasses import dataclass

from pgstrata.core.names import LockedObject
from pgstrata.core.reasons import Reason
from pgstrata.core.resource import ObjectKey
from pgstrata.engine.claims import CLI_CLUSTER, Owner, release_claim
from pgstrata.engine.context import Context
from pgstrata.engine.owned import drop_all_owned
from pgstrata.pg.indexes import IndexName, drop_invalid_index, observe_index
from pgstrata.pg.session import Session

_DROP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class _Abandoned:
    object: str
    id: str
    leftover: str
    cluster: str | None
    kind: str | None
    namespace: str | None
    name: str | None


@dataclass(frozen=True, slots=True)
class _Object:
    object: str


@dataclass(frozen=True, slots=True)
class _Acquired:
    acquired: bool


@dataclass(frozen=True, slots=True)
class _ClaimRow:
    object: str
    cluster: str
    kind: str
    namespace: str
    name: str
    uid: str


def leftover_index(name: IndexName) -> str:
    """Return how a step's `leftover` names an index that may stay behind INVALID."""
    return json.dumps({"index": [name.schema, name.name]})


async def collect_remains(session: Session, ctx: Context) -> bool:
    """Remove what nobody will remove any more; return whether all of it is gone.

    Touches only what belongs to resources of this cluster that exist no more, or to nobody.
    """
    await _release_orphaned_claims(session, ctx)
    complete = await _drop_orphaned_triggers(session)
    for step in await session.all("engine/abandoned_steps", _Abandoned):
        if step.cluster is not None:
            continue
        schema, name = json.loads(step.leftover)["index"]
        complete &= await _alone_on(session, step, IndexName(schema, name), ctx)
    return complete


async def _alone_on(session: Session, step: _Abandoned, index: IndexName, ctx: Context) -> bool:
    """Remove an index while nobody else may begin to build it anew: behind the object's lock."""
    key = LockedObject(step.object).advisory_key
    if not (await session.one("engine/try_object_lock", _Acquired, key=key)).acquired:
        return False
    try:
        return await _remove_index(session, index, step, ctx)
    finally:
        if session.is_open:
            await session.run("engine/unlock_object", key=key)


async def _drop_orphaned_triggers(session: Session) -> bool:
    """Drop what was made in tables for objects that nobody manages: it costs writers."""
    complete = True
    for row in await session.all("engine/orphaned_owned", _Object):
        object_ = LockedObject(row.object)
        acquired = await session.one("engine/try_object_lock", _Acquired, key=object_.advisory_key)
        if not acquired.acquired:
            complete = False
            continue
        try:
            complete &= await drop_all_owned(session, object_)
        finally:
            if session.is_open:
                await session.run("engine/unlock_object", key=object_.advisory_key)
    return complete


async def _release_orphaned_claims(session: Session, ctx: Context) -> None:
    if ctx.cluster == CLI_CLUSTER:  # manifests of another folder are none of our business
        return
    for row in await session.all("engine/claims_of", _ClaimRow, cluster=ctx.cluster):
        key = ObjectKey(row.kind, row.namespace, row.name)
        if not await ctx.store.exists(key):
            owner = Owner(row.cluster, key, row.uid)
            await release_claim(session, LockedObject(row.object), owner)
            await ctx.report.event(
                Reason.PROGRESSING, f"{row.object} is free again: {key} was deleted"
            )


async def _remove_index(session: Session, index: IndexName, step: _Abandoned, ctx: Context) -> bool:
    """Return whether the index is gone or proved to be nobody's remains."""
    try:
        async with asyncio.timeout(_DROP_SECONDS):
            await drop_invalid_index(session, index)
    except TimeoutError:
        return False
    observed = await observe_index(session, index)
    if observed is not None and observed.is_index and not observed.is_valid:
        return False
    await session.run("engine/forget_step", object=step.object, id=step.id)
    if observed is None:
        await ctx.report.event(
            Reason.PROGRESSING, f"removed index {index}, the unfinished work of a deleted resource"
        )
    return True
