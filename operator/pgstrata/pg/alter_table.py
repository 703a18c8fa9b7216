"""What ALTER TABLE and the columns of CREATE TABLE do: locks, rewrites, scans.

Pure; called by classify.py. The modes of the subcommands are lock_modes.py's; here is what
depends on more than a subcommand's name: constraints, defaults, partitions, storage parameters.
Partitions and children, to which most subcommands descend, are not named and so not returned: a
lock's reach says that there may be some.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from pgstrata.pg.classification import Effects, sum_effects
from pgstrata.pg.domains import possible_domain
from pgstrata.pg.lock_modes import (
    STORAGE_PARAMETERS_WITHOUT_STRONG_LOCK,
    LockMode,
    Reach,
    RelationRef,
    TableLock,
    subcommand,
)
from pgstrata.pg.query_effects import function_call, relation_ref
from pgstrata.pg.syntax import enum_name, node_type, walk

STABLE_FUNCTIONS = frozenset(
    {"now", "transaction_timestamp", "statement_timestamp", "date_trunc", "timezone"}
    | {"make_date", "make_interval", "make_timestamptz", "to_timestamp", "current_setting"}
    | {"current_schema", "current_database", "concat", "lower", "upper", "md5", "length", "abs"}
    | {"round", "floor", "ceil", "array_fill", "to_json", "to_jsonb", "json_build_object"}
    | {"json_build_array", "jsonb_build_object", "jsonb_build_array"}
)
"""Functions of pg_catalog that are seen in defaults and are not volatile: no rewrite."""
VOLATILE_FUNCTIONS = frozenset(
    {"nextval", "setval", "random", "gen_random_uuid", "uuidv4", "uuidv7", "clock_timestamp"}
    | {"timeofday", "uuid_generate_v1", "uuid_generate_v1mc", "uuid_generate_v4"}
    | {"gen_random_bytes"}
)
_SERIAL_TYPES = frozenset({"serial", "serial2", "serial4", "serial8", "smallserial", "bigserial"})
_REWRITES = "under ACCESS EXCLUSIVE, rewriting the table"


def alter_table_effects(statement: Any) -> Effects:
    """Return the effects of an AlterTableStmt on a table, index, view, matview or foreign table."""
    table = relation_ref(statement.relation)
    object_type = enum_name(statement, "objtype")
    if object_type == "OBJECT_TYPE":
        return sum_effects(_attribute(table, node.alter_table_cmd) for node in statement.cmds)
    if object_type == "OBJECT_SEQUENCE":
        return Effects()
    is_index = object_type == "OBJECT_INDEX"
    effects = sum_effects(_command(table, is_index, c.alter_table_cmd) for c in statement.cmds)
    if statement.relation.inh and any(_descends(c.alter_table_cmd) for c in statement.cmds):
        own = TableLock(table, LockMode.ACCESS_SHARE, is_index, Reach.CHILDREN)
        effects += Effects((own,))
    return effects


def _descends(command: Any) -> bool:
    """Whether it goes over inheritance children where it goes over the table."""
    name = enum_name(command, "subtype")
    if name == "AT_AddConstraint":
        kind = enum_name(getattr(command, "def").constraint, "contype")
        return kind in {"CONSTR_CHECK", "CONSTR_NOTNULL", "CONSTR_PRIMARY"}
    known = subcommand(name)
    return known.descends and (known.rewrites or known.scans or name == "AT_AddColumn")


def _attribute(composite: RelationRef, command: Any) -> Effects:
    """ALTER TYPE: with CASCADE it does to tables made of the type (OF) what it does to the type."""
    name = enum_name(command, "subtype")
    drops = name == "AT_DropColumn"
    if enum_name(command, "behavior") != "DROP_CASCADE":
        return Effects(is_destructive=drops)
    lock = TableLock(composite, LockMode.ACCESS_EXCLUSIVE, reach=Reach.TYPE)
    rewrites = name == "AT_AlterColumnType"
    hazard = "rewrites the tables that are made of the type under ACCESS EXCLUSIVE"
    return Effects(
        (lock,), is_destructive=drops, rewrites=rewrites, hazards=(hazard,) if rewrites else ()
    )


def _command(table: RelationRef, is_index: bool, command: Any) -> Effects:
    name = enum_name(command, "subtype")
    definition = getattr(command, "def")
    match name:
        case "AT_AddConstraint":
            return _add_constraint(table, definition.constraint)
        case "AT_SetRelOptions" | "AT_ResetRelOptions":
            return Effects((TableLock(table, _options_mode(definition.list.items), is_index),))
        case "AT_DetachPartition":
            return _detach(table, definition.partition_cmd)
    known = subcommand(name)
    own = Effects(
        (TableLock(table, known.mode, is_index),),
        is_destructive=name == "AT_DropColumn" or _takes_along(name, command),
        rewrites=known.rewrites,
        scans=known.scans,
        hazards=() if known.hazard is None else (known.hazard,),
    )
    return own + _beside(table, is_index, name, definition)


def _takes_along(name: str, command: Any) -> bool:
    """A materialized view that groups by a primary key hangs on the key."""
    return name == "AT_DropConstraint" and enum_name(command, "behavior") == "DROP_CASCADE"


def _beside(table: RelationRef, is_index: bool, name: str, definition: Any) -> Effects:
    """Return what a subcommand does to other relations, or to the table by its own details."""
    match name:
        case "AT_AddColumn":
            return column_effects(table, definition.column_def)
        case "AT_AttachPartition":
            return _attach(definition.partition_cmd, is_index)
        case "AT_DetachPartitionFinalize":
            return Effects((_lock(definition.partition_cmd.name, LockMode.ACCESS_EXCLUSIVE),))
        case "AT_AddInherit":
            return Effects((_lock(definition.range_var, LockMode.SHARE_UPDATE_EXCLUSIVE),))
        case "AT_DropInherit":
            return Effects((_lock(definition.range_var, LockMode.ACCESS_SHARE),))
    return Effects()


def column_effects(table: RelationRef, column: Any) -> Effects:
    """Return what adding a column does beyond its ACCESS EXCLUSIVE lock on `table`."""
    return sum_effects([_type_effects(column), *_column_constraints(table, column)])


def _type_effects(column: Any) -> Effects:
    names = [name.string.sval for name in column.type_name.names]
    if names[-1:] and names[-1] in _SERIAL_TYPES:
        return Effects(rewrites=True, hazards=(f"adds a sequence's values {_REWRITES}",))
    domain = possible_domain(column.type_name)
    return Effects(added_types=() if domain is None else (domain,))


def _column_constraints(table: RelationRef, column: Any) -> Iterator[Effects]:
    constraints = [node.constraint for node in column.constraints]
    types = {enum_name(constraint, "contype") for constraint in constraints}
    for constraint in constraints:
        match enum_name(constraint, "contype"):
            case "CONSTR_DEFAULT":
                yield _default_effects(constraint.raw_expr)
            case "CONSTR_IDENTITY":
                yield Effects(rewrites=True, hazards=(f"numbers every row {_REWRITES}",))
            case "CONSTR_GENERATED" if constraint.generated_kind != "v":
                yield Effects(rewrites=True, hazards=(f"computes every row {_REWRITES}",))
            case "CONSTR_FOREIGN":
                # A new column without a default holds NULLs alone, which need no look-up.
                yield _foreign_key(table, constraint, scans="CONSTR_DEFAULT" in types)
            case "CONSTR_UNIQUE" | "CONSTR_PRIMARY" | "CONSTR_EXCLUSION":
                yield _SCANS_FOR_INDEX
            case "CONSTR_CHECK":
                yield _SCANS_FOR_CHECK
            case "CONSTR_NOTNULL" if "CONSTR_DEFAULT" not in types:
                yield Effects(scans=True, hazards=("fails unless the table is empty",))


_SCANS_FOR_INDEX = Effects(scans=True, hazards=("builds an index under ACCESS EXCLUSIVE",))
_SCANS_FOR_NOT_NULL = Effects(
    scans=True,
    hazards=(
        "scans the table under ACCESS EXCLUSIVE, unless each column of the key is NOT NULL or a "
        "valid CHECK (column IS NOT NULL) stands on it",
    ),
)
_SCANS_FOR_CHECK = Effects(scans=True, hazards=("scans the table under ACCESS EXCLUSIVE",))


def _default_effects(expression: Any) -> Effects:
    """Only a volatile default rewrites the table; of an unknown function the worst is assumed."""
    nodes = (node for node in walk(expression) if node_type(node) == "FuncCall")
    called = [function_call(node).name for node in nodes]
    for name in called:
        if name in VOLATILE_FUNCTIONS:
            return Effects(rewrites=True, hazards=("the volatile default rewrites the table",))
    unknown = [name for name in called if name not in STABLE_FUNCTIONS]
    if unknown:
        hazard = f"the default rewrites the table if {unknown[0]}() is volatile"
        return Effects(rewrites=True, hazards=(hazard,))
    return Effects()


def _add_constraint(table: RelationRef, constraint: Any) -> Effects:
    strong = Effects((TableLock(table, LockMode.ACCESS_EXCLUSIVE),))
    kind = enum_name(constraint, "contype")
    # The parser sets is_enforced on CHECK and foreign keys alone.
    is_enforced = constraint.is_enforced or kind == "CONSTR_NOTNULL"
    is_checked = is_enforced and not constraint.skip_validation
    match kind:
        case "CONSTR_FOREIGN":
            own = Effects((TableLock(table, LockMode.SHARE_ROW_EXCLUSIVE),))
            return own + _foreign_key(table, constraint, scans=is_checked)
        case "CONSTR_PRIMARY" if constraint.indexname:
            return strong + _SCANS_FOR_NOT_NULL
        case "CONSTR_UNIQUE" | "CONSTR_PRIMARY" | "CONSTR_EXCLUSION":
            return strong if constraint.indexname else strong + _SCANS_FOR_INDEX
    return strong + _SCANS_FOR_CHECK if is_checked else strong


def _foreign_key(table: RelationRef, constraint: Any, *, scans: bool) -> Effects:
    referenced = relation_ref(constraint.pktable)
    lock = TableLock(referenced, LockMode.SHARE_ROW_EXCLUSIVE)
    hazard = f"scans {table} while writers of it and of {referenced} wait"
    return Effects((lock,), scans=scans, hazards=(hazard,) if scans else ())


def _options_mode(options: Iterable[Any]) -> LockMode:
    weak = STORAGE_PARAMETERS_WITHOUT_STRONG_LOCK
    if all(option.def_elem.defname.startswith(weak) for option in options):
        return LockMode.SHARE_UPDATE_EXCLUSIVE
    return LockMode.ACCESS_EXCLUSIVE


def _lock(range_var: Any, mode: LockMode, is_index: bool = False) -> TableLock:
    return TableLock(relation_ref(range_var), mode, is_index)


def _attach(partition: Any, is_index: bool) -> Effects:
    attached = _lock(partition.name, LockMode.ACCESS_EXCLUSIVE, is_index)
    if is_index:
        return Effects((attached,))
    hazard = (
        "scans the new partition under ACCESS EXCLUSIVE unless a CHECK implies its bounds; "
        "locks the DEFAULT partition and all referenced tables too"
    )
    return Effects((attached,), scans=True, hazards=(hazard,))


def _detach(table: RelationRef, partition: Any) -> Effects:
    if partition.concurrent:
        mode = LockMode.SHARE_UPDATE_EXCLUSIVE
        return Effects(
            (TableLock(table, mode), _lock(partition.name, LockMode.ACCESS_EXCLUSIVE)),
            hazards=("waits for every transaction that uses the table",),
        )
    hazard = "locks all referenced tables too"
    strong = LockMode.ACCESS_EXCLUSIVE
    return Effects((TableLock(table, strong), _lock(partition.name, strong)), hazards=(hazard,))


def create_table_effects(statement: Any) -> Effects:
    """Return the effects of a CreateStmt: its parents, what LIKE reads, what it refers to."""
    table = relation_ref(statement.relation)
    is_partition = statement.HasField("partbound")
    parent_mode = LockMode.ACCESS_EXCLUSIVE if is_partition else LockMode.SHARE_UPDATE_EXCLUSIVE
    locks = [_lock(node.range_var, parent_mode) for node in statement.inh_relations]
    for element in [*statement.table_elts, *statement.constraints]:
        match element.WhichOneof("node"):
            case "table_like_clause":
                locks.append(_lock(element.table_like_clause.relation, LockMode.ACCESS_SHARE))
            case "column_def":
                constraints = [node.constraint for node in element.column_def.constraints]
                locks.extend(_references(constraints))
            case "constraint":
                locks.extend(_references([element.constraint]))
    hazards: tuple[str, ...] = ()
    if is_partition:
        hazards = (
            "stops readers and writers of the whole partitioned table; "
            "attach a table made beforehand instead",
        )
    creates = () if statement.if_not_exists else (table,)
    others = tuple(lock for lock in locks if lock.table != table)
    return Effects(others, creates, hazards=hazards)


def _references(constraints: Iterable[Any]) -> Iterator[TableLock]:
    for constraint in constraints:
        if enum_name(constraint, "contype") == "CONSTR_FOREIGN":
            yield _lock(constraint.pktable, LockMode.SHARE_ROW_EXCLUSIVE)
