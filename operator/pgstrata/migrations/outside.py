"""What a statement outside a transaction may have left half done, as the catalog shows it.

Called by alone_step.py before it runs such a statement again. DETACH PARTITION CONCURRENTLY commits
in the middle: killed there, the partition is pending and its rows are invisible until FINALIZE.
REINDEX CONCURRENTLY leaves the indexes that it was building, INVALID, beside the old ones.
"""

from dataclasses import dataclass

from pgstrata.engine.exclusive import Exclusive
from pgstrata.engine.table_locks import resolve_locks
from pgstrata.migrations.groups import Group
from pgstrata.pg.indexes import IndexName, drop_invalid_index
from pgstrata.pg.quoting import compose, quoted_relation
from pgstrata.pg.timeouts import StatementClass


@dataclass(frozen=True, slots=True)
class _Found:
    found: bool


@dataclass(frozen=True, slots=True)
class _Inheritance:
    parent_schema: str
    parent: str
    child_schema: str
    child: str
    is_pending: bool


@dataclass(frozen=True, slots=True)
class _Index:
    schema: str
    name: str


async def index_is_gone(work: Exclusive, group: Group) -> bool:
    """Whether every index that a DROP INDEX CONCURRENTLY names is gone."""
    for lock in group.locks:
        if lock.is_index:
            name = quoted_relation(lock.table)
            seen = await work.session.one("migrations/relation_exists", _Found, name=name)
            if seen.found:
                return False
    return True


async def detach_is_done(work: Exclusive, group: Group) -> bool:
    """Whether a detach that began before is finished; one that is pending is finished here."""
    names = [quoted_relation(lock.table) for lock in group.locks]
    link = await work.session.one_or_none("migrations/inheritance", _Inheritance, names=names)
    if link is None:
        return True
    if not link.is_pending:
        return False
    await work.session.limit(StatementClass.DETACH)
    await work.session.execute(
        compose(
            "ALTER TABLE {parent} DETACH PARTITION {child} FINALIZE",
            parent=(link.parent_schema, link.parent),
            child=(link.child_schema, link.child),
        )
    )
    await work.session.limit(StatementClass.LOOK)
    return True


async def remove_reindex_leftovers(work: Exclusive, group: Group) -> None:
    """Drop INVALID indexes that a REINDEX CONCURRENTLY of these tables left and nobody builds."""
    tables = await resolve_locks(work.session, group.locks)
    oids = [table.oid for table in tables]
    for left in await work.session.all("migrations/reindex_leftovers", _Index, oids=oids):
        await drop_invalid_index(work.session, IndexName(left.schema, left.name))
