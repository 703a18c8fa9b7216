"""Removes what this schema began and nobody wants any more: INVALID indexes, triggers of backfills.

A build or backfill that was killed is found again by its step. Where the statement was mended
since, or is gone from the source, no step looks for it; so before a run everything that was begun
and is not planned is looked at here. Called by reconcile.py, behind the schema's lock.
"""

import json
from dataclasses import dataclass

from pgstrata.engine.exclusive import Exclusive
from pgstrata.engine.plan import Plan
from pgstrata.engine.progress import Progress
from pgstrata.migrations.backfill.keep_trigger import drop_keep
from pgstrata.migrations.backfill.step import RunBackfill
from pgstrata.migrations.index_step import BuildIndex
from pgstrata.migrations.journal import Journal
from pgstrata.pg.indexes import IndexName, drop_invalid_index, observe_index


@dataclass(frozen=True, slots=True)
class _Leftover:
    id: str
    leftover: str


async def discard_unwanted(
    work: Exclusive, plan: Plan, journal: Journal, progress: Progress
) -> None:
    """Drop what earlier runs left, but for what the plan's own steps will see to.

    The trigger of a backfill that was applied stays until the contract of its version.
    """
    await _discard_indexes(work, plan)
    planned = {step.outline.id for step in plan.steps if isinstance(step, RunBackfill)}
    unwanted = [
        owned
        for owned in journal.owned
        if owned.step not in planned and not journal.has_applied(owned.step)
    ]
    if unwanted:
        await drop_keep(work, progress, unwanted)


async def _discard_indexes(work: Exclusive, plan: Plan) -> None:
    wanted = {(s.outline.id, s.index_name) for s in plan.steps if isinstance(s, BuildIndex)}
    object_ = work.fence.object.text
    for row in await work.session.all("migrations/own_leftovers", _Leftover, object=object_):
        schema, name = json.loads(row.leftover)["index"]
        if (row.id, name) in wanted:
            continue
        index = IndexName(schema, name)
        await drop_invalid_index(work.session, index)
        observed = await observe_index(work.session, index)
        if observed is None or observed.is_valid or not observed.is_index:
            async with work.journalled():
                await work.session.run("engine/forget_step", object=object_, id=row.id)
