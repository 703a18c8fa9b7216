"""VACUUM, CLUSTER, REINDEX, REFRESH, and what can never stand in a transaction block.

Pure; called by classify.py alone. What may not run in a transaction is what calls
PreventInTransactionBlock() in PostgreSQL's source.
"""

from dataclasses import replace
from typing import Any

from pgstrata.pg.classification import Classification, StatementKind
from pgstrata.pg.lock_modes import LockMode, Reach, strongest_locks
from pgstrata.pg.relation_ddl import LOCKS_UNKNOWN, STRONG, WEAK, flag, lock
from pgstrata.pg.syntax import enum_name

_EVERY_TABLE = f"{LOCKS_UNKNOWN}: works on every table of the database"
_INDEXES_TOO = "takes ACCESS EXCLUSIVE on each index: queries that could use it wait"


def vacuum(statement: Any) -> Classification:
    """VACUUM and ANALYZE."""
    is_full = flag(statement.options, "full")
    mode = STRONG if is_full else WEAK
    relations = [node.vacuum_relation.relation for node in statement.rels]
    return Classification(
        StatementKind.VACUUM if statement.is_vacuumcmd else StatementKind.ANALYZE,
        is_transactional=not statement.is_vacuumcmd,
        locks=strongest_locks(lock(relation, mode) for relation in relations),
        rewrites=is_full,
        stops_unnamed=is_full and not relations,
        hazards=() if relations else (_EVERY_TABLE,),
    )


def cluster(statement: Any) -> Classification:
    if not statement.HasField("relation"):
        return Classification(
            StatementKind.CLUSTER,
            is_transactional=False,
            rewrites=True,
            stops_unnamed=True,
            hazards=(_EVERY_TABLE,),
        )
    # Of a partitioned table it runs outside of a transaction block only, and that cannot be seen.
    return Classification(
        StatementKind.CLUSTER,
        is_transactional=False,
        locks=(lock(statement.relation, STRONG),),
        rewrites=True,
        hazards=("copies the whole table under ACCESS EXCLUSIVE",),
    )


def reindex(statement: Any) -> Classification:
    """REINDEX: never put in a transaction, since of a partitioned table it cannot be."""
    is_concurrent = flag(statement.params, "concurrently")
    kind = StatementKind.REINDEX_CONCURRENTLY if is_concurrent else StatementKind.REINDEX
    target = enum_name(statement, "kind")
    if target not in {"REINDEX_OBJECT_TABLE", "REINDEX_OBJECT_INDEX"}:
        return Classification(
            kind,
            is_transactional=False,
            scans=True,
            stops_unnamed=not is_concurrent,
            hazards=(_EVERY_TABLE,),
        )
    is_index = target == "REINDEX_OBJECT_INDEX"
    blocking = STRONG if is_index else LockMode.SHARE
    mode = WEAK if is_concurrent else blocking
    own = lock(statement.relation, mode, is_index=is_index)
    return Classification(
        kind,
        is_transactional=False,
        locks=(replace(own, reach=Reach.TABLE) if is_index else own,),
        scans=True,
        hazards=() if is_concurrent else (_INDEXES_TOO,),
    )


def refresh(statement: Any) -> Classification:
    view = lock(statement.relation, LockMode.EXCLUSIVE if statement.concurrent else STRONG)
    if statement.concurrent:
        return Classification(StatementKind.REFRESH_CONCURRENTLY, locks=(view,))
    return Classification(
        StatementKind.REFRESH,
        locks=(view,),
        rewrites=True,
        hazards=("readers of the materialized view wait until it is filled",),
    )


def outside_transactions(_statement: Any) -> Classification:
    """CREATE DATABASE, CREATE and DROP TABLESPACE, CREATE and ALTER SUBSCRIPTION."""
    return Classification(StatementKind.NON_TRANSACTIONAL, is_transactional=False)


def drop_outside_transactions(_statement: Any) -> Classification:
    """DROP DATABASE: destroys more than any table. DROP SUBSCRIPTION loses its position."""
    return Classification(
        StatementKind.NON_TRANSACTIONAL, is_transactional=False, is_destructive=True
    )


def alter_database(statement: Any) -> Classification:
    moves = any(node.def_elem.defname == "tablespace" for node in statement.options)
    if moves:
        return outside_transactions(statement)
    return Classification(StatementKind.DDL)


def alter_system(_statement: Any) -> Classification:
    return Classification(
        StatementKind.NON_TRANSACTIONAL,
        is_transactional=False,
        hazards=("changes the configuration of the whole server",),
    )
