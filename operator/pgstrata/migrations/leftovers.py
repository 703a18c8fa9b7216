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
from pgstrata.migrations.backfill.cursor import rename_begun
from pgstrata.migrations.backfill.keep_trigger import drop_keep
from pgstrata.migrations.backfill.resume import backfills, moved
from pgstrata.migrations.index_step import BuildIndex
from pgstrata.migrations.journal import Journal
from pgstrata.migrations.plan import pending_statements
from pgstrata.migrations.source import MigrationSource
from pgstrata.migrations.versions import Version
from pgstrata.pg.indexes import IndexName, drop_invalid_index, observe_index


@dataclass(frozen=True, slots=True)
class _Leftover:
    id: str
    leftover: str


async def discard_unwanted(
    work: Exclusive, plan: Plan, journal: Journal, source: MigrationSource, progress: Progress
) -> None:
    """Drop what earlier runs left, but for what the source's own steps will see to.

    A trigger is wanted by any backfill of the source that is not complete, whatever is planned now:
    while it is gone, rows that were filled become stale. Of versions above the target nothing is
    known, so theirs stay. The trigger of a backfill that was applied stays until the contract of
    its version. What is begun is first given to the steps that its statements are now.
    """
    await _discard_indexes(work, plan)
    pending = list(pending_statements(source, journal))
    names = moved(journal, pending)
    if names:
        await rename_begun(work, names)
    wanted = backfills(pending)
    unwanted = [
        owned
        for owned in journal.owned
        if names.get(owned.step, owned.step) not in wanted
        and not journal.has_applied(owned.step)
        and Version(owned.version) <= source.target
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
