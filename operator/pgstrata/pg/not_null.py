"""SET NOT NULL without a scan: finds the columns, and the CHECKs that prove them, in statements.

PostgreSQL skips the scan where a valid CHECK (column IS NOT NULL) stands on the table; a primary
key that takes an index over sets NOT NULL for the index's columns. Pure; called by
migrations/not_null.py, which knows what is valid already and what comes before.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from pgstrata.pg.lock_modes import RelationRef
from pgstrata.pg.query_effects import relation_ref
from pgstrata.pg.syntax import SyntaxProblem, enum_name, parse_statement

Column = tuple[RelationRef, str]
Constraint = tuple[RelationRef, str]
Index = tuple[RelationRef, str]
"""An index by its table, in whose schema it is, and its name."""
_UNDOES = frozenset({"AT_DropColumn", "AT_DropNotNull"})
_RENAMED = frozenset({"OBJECT_TABLE", "OBJECT_COLUMN", "OBJECT_TABCONSTRAINT"})


def not_null_columns(text: str) -> tuple[Column, ...]:
    """Return the columns of SET NOT NULL; none where the statement does anything else."""
    commands = list(_commands(text))
    found = [(t, c.name) for t, c in commands if enum_name(c, "subtype") == "AT_SetNotNull"]
    return tuple(found) if len(found) == len(commands) else ()


def key_index(text: str) -> Index | None:
    """Return the index that a primary key takes over; None where the statement does more."""
    commands = list(_commands(text))
    if len(commands) != 1 or enum_name(commands[0][1], "subtype") != "AT_AddConstraint":
        return None
    table, command = commands[0]
    constraint = getattr(command, "def").constraint
    is_key = enum_name(constraint, "contype") == "CONSTR_PRIMARY"
    return (table, constraint.indexname) if is_key and constraint.indexname else None


def made_index(text: str) -> tuple[Index, tuple[str, ...]] | None:
    """Return the index that a statement makes, with its columns; None where it has expressions."""
    parsed = _parsed(text)
    if parsed is None or parsed.kind != "index_stmt":
        return None
    columns = tuple(part.index_elem.name for part in parsed.node.index_params)
    index = (relation_ref(parsed.node.relation), parsed.node.idxname)
    return (index, columns) if all(columns) else None


def moved(text: str) -> tuple[RelationRef, ...]:
    """Return the tables of which a name means another column afterwards, or may hold NULL again."""
    parsed = _parsed(text)
    if parsed is None:
        return ()
    node = parsed.node
    if parsed.kind == "rename_stmt" and enum_name(node, "rename_type") in _RENAMED:
        table = relation_ref(node.relation)
        return (table, RelationRef(table.schema, node.newname))
    if parsed.kind == "alter_object_schema_stmt" and node.HasField("relation"):
        table = relation_ref(node.relation)
        return (table, RelationRef(node.newschema, table.name))
    return tuple({t for t, c in _commands(text) if enum_name(c, "subtype") in _UNDOES})


def added_proofs(text: str) -> dict[Constraint, str]:
    """Return the CHECK (column IS NOT NULL) constraints that a statement adds, with the column."""
    found: dict[Constraint, str] = {}
    for table, command in _commands(text):
        if enum_name(command, "subtype") != "AT_AddConstraint":
            continue
        constraint = getattr(command, "def").constraint
        column = _is_not_null(constraint.raw_expr)
        is_check = enum_name(constraint, "contype") == "CONSTR_CHECK"
        if is_check and column is not None and not constraint.is_no_inherit:
            found[table, constraint.conname] = column
    return found


def validated(text: str) -> tuple[Constraint, ...]:
    """Return the constraints that a statement validates."""
    return tuple(
        (table, command.name)
        for table, command in _commands(text)
        if enum_name(command, "subtype") == "AT_ValidateConstraint"
    )


def dropped(text: str) -> tuple[Constraint, ...]:
    """Return the constraints that a statement drops."""
    return tuple(
        (table, command.name)
        for table, command in _commands(text)
        if enum_name(command, "subtype") == "AT_DropConstraint"
    )


def _commands(text: str) -> Iterator[tuple[RelationRef, Any]]:
    parsed = _parsed(text)
    if parsed is not None and parsed.kind == "alter_table_stmt":
        table = relation_ref(parsed.node.relation)
        yield from ((table, node.alter_table_cmd) for node in parsed.node.cmds)


@lru_cache(maxsize=16)
def _parsed(text: str) -> Any:
    """Return the tree, or None; one text is asked about several times in a row."""
    try:
        return parse_statement(text)
    except SyntaxProblem:
        return None


def _is_not_null(expression: Any) -> str | None:
    """Return the column of `column IS NOT NULL`."""
    if expression.WhichOneof("node") != "null_test":
        return None
    test = expression.null_test
    fields = test.arg.column_ref.fields
    if enum_name(test, "nulltesttype") != "IS_NOT_NULL" or len(fields) != 1:
        return None
    return str(fields[0].string.sval)
