"""What the statements that create, change and drop relations take and do, one function a node.

Pure; called by classify.py alone. Each function gets the statement's node and returns its
Classification; ALTER TABLE and the inside of CREATE TABLE are alter_table.py's.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from pgstrata.pg.alter_table import alter_table_effects, create_table_effects
from pgstrata.pg.classification import Classification, Effects, IndexBuild, StatementKind
from pgstrata.pg.lock_modes import LockMode, Reach, RelationRef, TableLock, strongest_locks
from pgstrata.pg.query_effects import query_effects, relation_ref
from pgstrata.pg.syntax import enum_name

STRONG = LockMode.ACCESS_EXCLUSIVE
WEAK = LockMode.SHARE_UPDATE_EXCLUSIVE
MAY_BE_OTHER = "IF NOT EXISTS accepts whatever bears the name already"
LOCKS_UNKNOWN = "locks not known"

_RELATIONS = frozenset(["TABLE", "VIEW", "MATVIEW", "FOREIGN_TABLE", "INDEX"])
_OF_A_TABLE = frozenset(["TRIGGER", "POLICY", "RULE"])
_CHECKS_A_DOMAIN = frozenset(["O", "V"])
"""ALTER DOMAIN ... SET NOT NULL, ... VALIDATE CONSTRAINT."""
_HOLD_DATA = frozenset(
    ["TABLE", "MATVIEW", "FOREIGN_TABLE", "SCHEMA", "TYPE", "DOMAIN", "SEQUENCE", "EXTENSION"]
)


def as_classification(effects: Effects, kind: StatementKind = StatementKind.DDL) -> Classification:
    """Return a classification of `kind` with all that `effects` says."""
    return Classification(
        kind,
        locks=strongest_locks(effects.locks),
        creates=effects.creates,
        is_destructive=effects.is_destructive,
        rewrites=effects.rewrites,
        scans=effects.scans,
        hazards=effects.hazards,
        added_types=effects.added_types,
    )


def flag(options: Iterable[Any], name: str) -> bool:
    """Return whether an option list has `name` switched on: (FULL), (FULL true), (FULL 1)."""
    for option in options:
        element = option.def_elem
        if element.defname.lower() == name:
            off = {"false", "off"}
            return element.arg.string.sval.lower() not in off and not (
                element.HasField("arg")
                and element.arg.WhichOneof("node") in {"integer", "boolean"}
                and not (element.arg.integer.ival or element.arg.boolean.boolval)
            )
    return False


def lock(range_var: Any, mode: LockMode, *, is_index: bool = False) -> TableLock:
    """Return the lock on the relation that a RangeVar names."""
    return TableLock(relation_ref(range_var), mode, is_index)


def named(parts: Iterable[Any]) -> RelationRef:
    """Return the relation that a list of strings names: [catalog, schema,] name."""
    names = [part.string.sval for part in parts]
    return RelationRef(names[-2] if len(names) > 1 else None, names[-1])


def alter_table(statement: Any) -> Classification:
    known = as_classification(alter_table_effects(statement))
    commands = [node.alter_table_cmd for node in statement.cmds]
    subtypes = [enum_name(command, "subtype") for command in commands]
    if subtypes == ["AT_ValidateConstraint"]:
        return replace(known, kind=StatementKind.VALIDATE_CONSTRAINT)
    if subtypes == ["AT_DetachPartition"] and getattr(commands[0], "def").partition_cmd.concurrent:
        return replace(known, kind=StatementKind.DETACH_CONCURRENTLY, is_transactional=False)
    return known


def alter_table_move_all(_statement: Any) -> Classification:
    hazard = f"{LOCKS_UNKNOWN}: copies every table of a tablespace under ACCESS EXCLUSIVE"
    return Classification(StatementKind.DDL, rewrites=True, stops_unnamed=True, hazards=(hazard,))


def rename(statement: Any) -> Classification:
    if not statement.HasField("relation"):
        return Classification(StatementKind.DDL)
    kind = enum_name(statement, "rename_type")
    if kind == "OBJECT_ATTRIBUTE" and enum_name(statement, "behavior") == "DROP_CASCADE":
        typed = TableLock(relation_ref(statement.relation), STRONG, reach=Reach.TYPE)
        return Classification(StatementKind.DDL, locks=(typed,))
    if kind in {"OBJECT_SEQUENCE", "OBJECT_ATTRIBUTE"}:
        return Classification(StatementKind.DDL)
    is_index = kind == "OBJECT_INDEX"
    mode = WEAK if is_index else STRONG
    hazard = "whoever still uses the old name fails from now on"
    hazards = () if is_index else (hazard,)
    locks = (lock(statement.relation, mode, is_index=is_index),)
    return Classification(StatementKind.DDL, locks=locks, hazards=hazards)


def alter_of_relation(statement: Any) -> Classification:
    """ALTER ... SET SCHEMA, ... DEPENDS ON EXTENSION: strong on a relation, weak on a trigger's."""
    kind = enum_name(statement, "object_type").removeprefix("OBJECT_")
    if not statement.HasField("relation") or kind not in _RELATIONS | _OF_A_TABLE:
        return Classification(StatementKind.DDL)
    mode = LockMode.ACCESS_SHARE if kind in _OF_A_TABLE else STRONG
    locks = (lock(statement.relation, mode, is_index=kind == "INDEX"),)
    return Classification(StatementKind.DDL, locks=locks)


def create_table(statement: Any) -> Classification:
    effects = create_table_effects(statement)
    return _hazard_if_not_exists(as_classification(effects), statement)


def create_foreign_table(statement: Any) -> Classification:
    return create_table(statement.base_stmt)


def create_table_as(statement: Any) -> Classification:
    """CREATE TABLE AS, CREATE MATERIALIZED VIEW."""
    effects = query_effects(statement.query)
    creates = () if statement.if_not_exists else (relation_ref(statement.into.rel),)
    known = as_classification(replace(effects, creates=creates))
    return _hazard_if_not_exists(known, statement)


def create_view(statement: Any) -> Classification:
    view = relation_ref(statement.view)
    effects = query_effects(statement.query)
    if statement.replace:
        effects = effects + Effects((TableLock(view, STRONG),))
    else:
        effects = effects + Effects(creates=(view,))
    return as_classification(effects)


def create_index(statement: Any) -> Classification:
    index = IndexBuild(
        statement.idxname or None,
        relation_ref(statement.relation),
        is_unique=statement.unique,
        is_concurrent=statement.concurrent,
        if_not_exists=statement.if_not_exists,
        on_only=not statement.relation.inh,
    )
    creates: tuple[RelationRef, ...] = ()
    if index.name is not None and not index.if_not_exists:
        creates = (RelationRef(index.table.schema, index.name),)
    known = Classification(
        StatementKind.CREATE_INDEX,
        locks=(TableLock(index.table, LockMode.SHARE),),
        creates=creates,
        index=index,
        scans=not index.on_only,
        hazards=("writers wait while the index is built",) if not index.on_only else (),
    )
    if index.is_concurrent:
        known = replace(
            known,
            kind=StatementKind.CREATE_INDEX_CONCURRENTLY,
            is_transactional=False,
            locks=(TableLock(index.table, WEAK),),
            hazards=(),
        )
    return _hazard_if_not_exists(known, statement)


def _hazard_if_not_exists(known: Classification, statement: Any) -> Classification:
    if statement.if_not_exists:
        return replace(known, hazards=(*known.hazards, MAY_BE_OTHER))
    return known


def drop(statement: Any) -> Classification:
    kind = enum_name(statement, "remove_type").removeprefix("OBJECT_")
    cascades = enum_name(statement, "behavior") == "DROP_CASCADE"
    if kind == "INDEX" and statement.concurrent:
        return Classification(
            StatementKind.DROP_INDEX_CONCURRENTLY,
            is_transactional=False,
            locks=_dropped(statement, WEAK, is_index=True),
        )
    locks: tuple[TableLock, ...] = ()
    hazards: list[str] = []
    if kind in _RELATIONS:
        locks = _dropped(statement, STRONG, is_index=kind == "INDEX")
    elif kind in _OF_A_TABLE:
        tables = (named(node.list.items[:-1]) for node in statement.objects)
        locks = tuple(TableLock(table, STRONG) for table in tables)
    if kind == "TABLE":
        hazards.append("its foreign keys take ACCESS EXCLUSIVE on the tables that they refer to")
    if cascades:
        hazards.append(f"{LOCKS_UNKNOWN}: CASCADE drops all that depends on it")
    # Materialized views and columns of tables hang on views, functions, types, operators.
    takes_data_along = cascades and kind not in _OF_A_TABLE | {"INDEX"}
    return Classification(
        StatementKind.DDL,
        locks=strongest_locks(locks),
        is_destructive=kind in _HOLD_DATA or takes_data_along,
        hazards=tuple(hazards),
    )


def _dropped(statement: Any, mode: LockMode, *, is_index: bool) -> tuple[TableLock, ...]:
    names = (named(node.list.items) for node in statement.objects)
    return tuple(TableLock(name, mode, is_index) for name in names)


def drop_owned(_statement: Any) -> Classification:
    hazard = f"{LOCKS_UNKNOWN}: drops all that the role owns"
    return Classification(StatementKind.DDL, is_destructive=True, hazards=(hazard,))


def truncate(statement: Any) -> Classification:
    locks = tuple(lock(node.range_var, STRONG) for node in statement.relations)
    hazards: tuple[str, ...] = ()
    if enum_name(statement, "behavior") == "DROP_CASCADE":
        hazards = (f"{LOCKS_UNKNOWN}: CASCADE empties all tables that refer to it",)
    return Classification(
        StatementKind.DDL, locks=strongest_locks(locks), is_destructive=True, hazards=hazards
    )


def lock_table(statement: Any) -> Classification:
    mode = LockMode(statement.mode)
    locks = strongest_locks(lock(node.range_var, mode) for node in statement.relations)
    return Classification(StatementKind.DDL, locks=locks)


def create_trigger(statement: Any) -> Classification:
    locks = [lock(statement.relation, LockMode.SHARE_ROW_EXCLUSIVE)]
    if statement.HasField("constrrel"):
        locks.append(lock(statement.constrrel, LockMode.ACCESS_SHARE))
    return Classification(StatementKind.DDL, locks=strongest_locks(locks))


def create_rule(statement: Any) -> Classification:
    effects = query_effects(statement.where_clause, *statement.actions)
    locks = strongest_locks((*effects.locks, lock(statement.relation, STRONG)))
    return Classification(StatementKind.DDL, locks=locks)


def policy(statement: Any) -> Classification:
    """CREATE POLICY, ALTER POLICY."""
    effects = query_effects(statement.qual, statement.with_check)
    own = Effects((lock(statement.table, STRONG),))
    return as_classification(effects + own)


def create_statistics(statement: Any) -> Classification:
    locks = strongest_locks(lock(node.range_var, WEAK) for node in statement.relations)
    return Classification(StatementKind.DDL, locks=locks)


def comment(statement: Any) -> Classification:
    """COMMENT ON, SECURITY LABEL ON: weak on the relation that the object is or belongs to."""
    kind = enum_name(statement, "objtype").removeprefix("OBJECT_")
    parts = list(statement.object.list.items)
    mode = WEAK
    if kind in _OF_A_TABLE | {"TABCONSTRAINT"}:
        parts, mode = parts[:-1], LockMode.ACCESS_SHARE
    elif kind == "COLUMN":
        parts = parts[:-1]
    elif kind not in _RELATIONS:
        return Classification(StatementKind.DDL)
    locks = (TableLock(named(parts), mode, is_index=kind == "INDEX"),)
    return Classification(StatementKind.DDL, locks=locks)


def grant(statement: Any) -> Classification:
    """GRANT, REVOKE: PostgreSQL locks the tables since 18, before that none."""
    if enum_name(statement, "objtype") != "OBJECT_TABLE":
        return Classification(StatementKind.DDL)
    tables = (node.range_var for node in statement.objects if node.HasField("range_var"))
    locks = strongest_locks(lock(table, LockMode.ACCESS_SHARE) for table in tables)
    return Classification(StatementKind.DDL, locks=locks)


def sequence(statement: Any) -> Classification:
    """CREATE SEQUENCE, ALTER SEQUENCE: only OWNED BY touches a table."""
    for option in statement.options:
        owner = option.def_elem.arg.list.items
        if option.def_elem.defname == "owned_by" and len(owner) > 1:
            owned = TableLock(named(owner[:-1]), LockMode.ACCESS_SHARE)
            return Classification(StatementKind.DDL, locks=(owned,))
    return Classification(StatementKind.DDL)


def publication(statement: Any) -> Classification:
    """CREATE PUBLICATION, ALTER PUBLICATION."""
    tables = [node.publication_obj_spec.pubtable for node in statement.pubobjects]
    locks = [lock(table.relation, WEAK) for table in tables if table.HasField("relation")]
    return Classification(StatementKind.DDL, locks=strongest_locks(locks))


def create_function(statement: Any) -> Classification:
    """CREATE FUNCTION, CREATE PROCEDURE: only a BEGIN ATOMIC body locks its tables."""
    return as_classification(query_effects(statement.sql_body))


def alter_domain(statement: Any) -> Classification:
    """ALTER DOMAIN: what adds or validates a constraint reads the tables of the domain."""
    is_added = statement.subtype == "C" and not getattr(statement, "def").constraint.skip_validation
    if not is_added and statement.subtype not in _CHECKS_A_DOMAIN:
        return Classification(StatementKind.DDL)
    locks = (TableLock(named(statement.type_name), LockMode.SHARE, reach=Reach.TYPE),)
    hazard = "scans every table with a column of this domain while their writers wait"
    return Classification(StatementKind.DDL, locks=locks, scans=True, hazards=(hazard,))


def add_enum_value(statement: Any) -> Classification:
    is_new = bool(statement.new_val) and not statement.old_val
    kind = StatementKind.ADD_ENUM_VALUE if is_new else StatementKind.DDL
    return Classification(kind)
