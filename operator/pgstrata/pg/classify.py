"""Say what one SQL statement is, locks, creates, rewrites and destroys, from its text alone.

Called by migrations/ for groups, locks, gates and lint, and by the command line's plan. The tree
only classifies: the server always gets the text as it was written. What the parser does not know
is UNKNOWN and treated as dangerous, since a newer server may know it.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from pgstrata.pg import maintenance_ddl as maintenance
from pgstrata.pg import relation_ddl as ddl
from pgstrata.pg import session_statements as session
from pgstrata.pg.classification import Classification, IndexBuild, Setting, StatementKind
from pgstrata.pg.lock_modes import LockMode, RelationRef, TableLock, strongest_locks
from pgstrata.pg.syntax import SyntaxProblem, enum_name, parse_statement

_CONTROL_SCHEMA = (
    "the control schema pgstrata is not a migration's to change: there stands what was done, and "
    "who may do it"
)

__all__ = [
    "Classification",
    "IndexBuild",
    "LockMode",
    "RelationRef",
    "Setting",
    "StatementKind",
    "TableLock",
    "classify",
]


@lru_cache(maxsize=4096)
def classify(text: str) -> Classification:
    """Return what `text`, one statement without its final semicolon, does.

    Never raises for what stands in the text: a statement that the parser does not understand is
    UNKNOWN (parse_statement says why and where), not transactional and destructive.
    """
    try:
        parsed = parse_statement(text)
    except SyntaxProblem as problem:
        hazard = f"{ddl.LOCKS_UNKNOWN}: pgstrata's parser says {problem.message}"
        return Classification(
            StatementKind.UNKNOWN, is_transactional=False, is_destructive=True, hazards=(hazard,)
        )
    known = _classify_node(parsed.kind, parsed.node)
    if known.forbidden is None and _changes_control_schema(parsed.kind, parsed.node, known):
        return replace(known, forbidden=_CONTROL_SCHEMA)
    return known


def _changes_control_schema(kind: str, node: Any, known: Classification) -> bool:
    """Whether it names a relation of the control schema, or that itself, and not to read it."""
    changed = [lock.table for lock in known.locks if lock.mode > LockMode.ACCESS_SHARE]
    schemas = {ref.schema for ref in (*changed, *known.creates)}
    match kind:
        case "create_schema_stmt":
            schemas.add(node.schemaname)
        case "alter_object_schema_stmt":
            schemas.add(node.newschema)
        case "rename_stmt" if enum_name(node, "rename_type") == "OBJECT_SCHEMA":
            schemas |= {node.subname, node.newname}
        case "drop_stmt" if enum_name(node, "remove_type") == "OBJECT_SCHEMA":
            schemas |= {part.string.sval for part in node.objects}
    return "pgstrata" in schemas


def _classify_node(kind: str, node: Any) -> Classification:
    handler = _HANDLERS.get(kind)
    return Classification(StatementKind.DDL) if handler is None else handler(node)


def _explain(statement: Any) -> Classification:
    """EXPLAIN takes the locks of what it explains; with ANALYZE it runs it."""
    kind = statement.query.WhichOneof("node")
    explained = _classify_node(kind, getattr(statement.query, kind))
    if ddl.flag(statement.options, "analyze"):
        return explained
    return Classification(StatementKind.QUERY, locks=explained.locks)


def _create_schema(statement: Any) -> Classification:
    """What the elements make stands in the schema, and what they name is looked up there first.

    A name that none of the elements makes is left as it is: search_path goes on after the schema.
    """
    inside = [
        _classify_node(kind, getattr(element, kind))
        for element in statement.schema_elts
        if (kind := element.WhichOneof("node")) is not None
    ]
    creates = [
        RelationRef(ref.schema or statement.schemaname, ref.name)
        for element in inside
        for ref in element.creates
    ]
    locks = [
        lock
        for element in inside
        for lock in element.locks
        if RelationRef(lock.table.schema or statement.schemaname, lock.table.name) not in creates
    ]
    hazards = (ddl.MAY_BE_OTHER,) if statement.if_not_exists else ()
    return Classification(
        StatementKind.DDL, locks=strongest_locks(locks), creates=tuple(creates), hazards=hazards
    )


_HANDLERS: Mapping[str, Callable[[Any], Classification]] = MappingProxyType(
    {
        # tables, views, indexes and what hangs on them
        "alter_table_stmt": ddl.alter_table,
        "alter_table_move_all_stmt": ddl.alter_table_move_all,
        "rename_stmt": ddl.rename,
        "alter_object_schema_stmt": ddl.alter_of_relation,
        "alter_object_depends_stmt": ddl.alter_of_relation,
        "create_stmt": ddl.create_table,
        "create_foreign_table_stmt": ddl.create_foreign_table,
        "create_table_as_stmt": ddl.create_table_as,
        "view_stmt": ddl.create_view,
        "index_stmt": ddl.create_index,
        "drop_stmt": ddl.drop,
        "drop_owned_stmt": ddl.drop_owned,
        "truncate_stmt": ddl.truncate,
        "lock_stmt": ddl.lock_table,
        "create_trig_stmt": ddl.create_trigger,
        "rule_stmt": ddl.create_rule,
        "create_policy_stmt": ddl.policy,
        "alter_policy_stmt": ddl.policy,
        "create_stats_stmt": ddl.create_statistics,
        "comment_stmt": ddl.comment,
        "sec_label_stmt": ddl.comment,
        "grant_stmt": ddl.grant,
        "create_seq_stmt": ddl.sequence,
        "alter_seq_stmt": ddl.sequence,
        "create_publication_stmt": ddl.publication,
        "alter_publication_stmt": ddl.publication,
        "create_function_stmt": ddl.create_function,
        "alter_domain_stmt": ddl.alter_domain,
        "alter_enum_stmt": ddl.add_enum_value,
        "create_schema_stmt": _create_schema,
        # maintenance, and what never stands in a transaction
        "vacuum_stmt": maintenance.vacuum,
        "cluster_stmt": maintenance.cluster,
        "reindex_stmt": maintenance.reindex,
        "refresh_mat_view_stmt": maintenance.refresh,
        "createdb_stmt": maintenance.outside_transactions,
        "dropdb_stmt": maintenance.drop_outside_transactions,
        "alter_database_stmt": maintenance.alter_database,
        "create_table_space_stmt": maintenance.outside_transactions,
        "drop_table_space_stmt": maintenance.outside_transactions,
        "create_subscription_stmt": maintenance.outside_transactions,
        "alter_subscription_stmt": maintenance.outside_transactions,
        "drop_subscription_stmt": maintenance.drop_outside_transactions,
        "alter_system_stmt": maintenance.alter_system,
        # rows, transactions, the session
        "transaction_stmt": session.transaction,
        "variable_set_stmt": session.set_variable,
        "discard_stmt": session.discard,
        "select_stmt": session.select,
        "insert_stmt": session.dml,
        "update_stmt": session.dml,
        "delete_stmt": session.dml,
        "merge_stmt": session.dml,
        "copy_stmt": session.copy,
        "do_stmt": session.do_block,
        "call_stmt": session.call_procedure,
        "prepare_stmt": session.prepare,
        "declare_cursor_stmt": session.prepare,
        "execute_stmt": session.execute,
        "explain_stmt": _explain,
        "listen_stmt": session.listen,
        "unlisten_stmt": session.listen,
        "notify_stmt": session.session_only,
        "variable_show_stmt": session.session_only,
        "constraints_set_stmt": session.session_only,
        "deallocate_stmt": session.session_only,
        "fetch_stmt": session.session_only,
        "close_portal_stmt": session.session_only,
        "load_stmt": session.session_only,
        "check_point_stmt": session.session_only,
    }
)
