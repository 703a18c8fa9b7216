"""Removes INVALID indexes of builds that this schema began and that nobody wants any more.

A build that was killed is found again by its step. Where the statement was mended since, or is gone
from the source, no step looks for it; so before a run everything that was begun and is not planned
is looked at here. Called by reconcile.py, behind the schema's lock.
"""

import json
from dataclasses import dataclass

from pgstrata.engine.exclusive import Exclusive
from pgstrata.engine.plan import Plan
from pgstrata.migrations.index_step import BuildIndex
from pgstrata.pg.indexes import IndexName, drop_invalid_index, observe_index


@dataclass(frozen=True, slots=True)
class _Leftover:
    id: str
    leftover: str


async def discard_unwanted(work: Exclusive, plan: Plan) -> None:
    """Drop what earlier runs left INVALID, but for what the plan's own steps will see to."""
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
