"""SET NOT NULL without a scan: finds the columns, and the CHECKs that prove them, in statements.

PostgreSQL skips the scan where a valid CHECK (column IS NOT NULL) stands on the table. Pure; called
by migrations/not_null.py, which knows what is valid already and what comes before.
"""

from collections.abc import Iterator
from typing import Any

from pgstrata.pg.lock_modes import RelationRef
from pgstrata.pg.query_effects import relation_ref
from pgstrata.pg.syntax import SyntaxProblem, enum_name, parse_statement

Column = tuple[RelationRef, str]
Constraint = tuple[RelationRef, str]


def not_null_columns(text: str) -> tuple[Column, ...]:
    """Return the columns of SET NOT NULL; none where the statement does anything else."""
    commands = list(_commands(text))
    found = [(t, c.name) for t, c in commands if enum_name(c, "subtype") == "AT_SetNotNull"]
    return tuple(found) if len(found) == len(commands) else ()


def added_proofs(text: str) -> dict[Constraint, str]:
    """Return the CHECK (column IS NOT NULL) constraints that a statement adds, with the column."""
    found: dict[Constraint, str] = {}
    for table, command in _commands(text):
        if enum_name(command, "subtype") != "AT_AddConstraint":
            continue
        constraint = getattr(command, "def").constraint
        column = _is_not_null(constraint.raw_expr)
        if enum_name(constraint, "contype") == "CONSTR_CHECK" and column is not None:
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
    try:
        parsed = parse_statement(text)
    except SyntaxProblem:
        return
    if parsed.kind == "alter_table_stmt":
        table = relation_ref(parsed.node.relation)
        yield from ((table, node.alter_table_cmd) for node in parsed.node.cmds)


def _is_not_null(expression: Any) -> str | None:
    """Return the column of `column IS NOT NULL`."""
    if expression.WhichOneof("node") != "null_test":
        return None
    test = expression.null_test
    fields = test.arg.column_ref.fields
    if enum_name(test, "nulltesttype") != "IS_NOT_NULL" or len(fields) != 1:
        return None
    return str(fields[0].string.sval)
