"""Tells the planner of columns that it knows nothing of, where batches read other tables.

Of a column that was added and never analyzed the planner takes one row in 200 for NULL. A batch of
`WHERE organization_id IS NULL` that takes thousands of rows is then planned for a handful of them,
by a look at the other table for each, or, where that has no index, by a scan of it for each. One
ANALYZE of these columns alone, 30,000 rows of them, puts that right for all batches. Called by
step.py.
"""

from contextlib import suppress
from dataclasses import dataclass

from pgstrata.migrations.backfill.shape import BackfillShape
from pgstrata.pg.failures import StatementFailed
from pgstrata.pg.quoting import quoted
from pgstrata.pg.self_reads import relations_read
from pgstrata.pg.session import Session, verbatim
from pgstrata.pg.timeouts import StatementClass


@dataclass(frozen=True, slots=True)
class _Column:
    name: str


async def analyze_unknown(session: Session, shape: BackfillShape) -> None:
    """Analyze columns without statistics; what fails, or must wait for a lock, is left out."""
    statement, table = shape.statement, shape.table
    if not (table.is_owned and relations_read(statement.parsed.node)):
        return
    columns = await session.all(
        "migrations/columns_without_statistics",
        _Column,
        oid=table.oid,
        names=sorted(statement.mentioned),
    )
    if not columns:
        return
    names = ", ".join(quoted(column.name) for column in columns)
    await session.limit(StatementClass.SCAN)
    with suppress(StatementFailed):
        await session.execute(
            verbatim(f"ANALYZE (SKIP_LOCKED) {quoted(table.schema, table.name)} ({names})")
        )
    await session.limit(StatementClass.LOOK)
