"""Prints an edited statement so that it says what its tree says.

libpg_query's printer leaves out parentheses that some operands need: `(a OR b) IS NULL` comes out
as `a OR b IS NULL`, another condition. So what it gives is parsed again and compared with the tree;
where it differs, conditions that are operands are cast to boolean first, since a cast gets its
parentheses.
"""

from collections.abc import Callable, Iterator
from typing import Any

from pgstrata.core.errors import MigrationFailed
from pgstrata.pg.syntax import (
    ParsedStatement,
    SyntaxProblem,
    enum_name,
    node_type,
    parse_statement,
    print_tree,
    walk,
)

_PLACES = frozenset(
    {
        "location",
        "name_location",
        "stmt_location",
        "stmt_len",
        "list_start",
        "list_end",
        "rexpr_list_start",
        "rexpr_list_end",
    }
)
_TAKES_OPERANDS = frozenset({"A_Expr", "NullTest", "BooleanTest"})
_CONDITIONS = frozenset({"bool_expr", "null_test", "boolean_test"})
_COMPARES = frozenset({"=", "<>", "<", ">", "<=", ">="})


class PrintedOtherwise(MigrationFailed):
    """The printer does not give back what the statement says."""


def rewrite(parsed: ParsedStatement, edit: Callable[[Any], None]) -> str:
    """Return the statement printed anew after `edit` has changed a copy of its node.

    Raises:
        StatementTooDeep: the printer could overflow the process's stack.
        PrintedOtherwise: it does not give back what the statement says.
    """
    tree = type(parsed.tree)()
    tree.CopyFrom(parsed.tree)
    edit(getattr(tree.stmts[0].stmt, parsed.kind))
    for is_last in (False, True):
        text = print_tree(tree)
        if _says(text, tree):
            return text
        if not is_last:
            _cast_operands(tree)
    raise PrintedOtherwise(
        "the statement cannot be taken apart without changing it: write a condition that is an "
        "operand of another, as in `(a OR b) IS NULL`, as CASE WHEN ... THEN true ELSE false END"
    )


def _says(text: str, tree: Any) -> bool:
    """Whether a text is parsed to this very tree, but for where things stand."""
    try:
        read = parse_statement(text).tree
    except SyntaxProblem:
        return False
    return bool(_plain(read) == _plain(tree))


def _plain(tree: Any) -> Any:
    """Return a copy without places, and with `(a AND b) AND c` as one AND, as the parser has it."""
    copy = type(tree)()
    copy.CopyFrom(tree)
    node: Any
    for node in walk(copy):
        if node_type(node) == "BoolExpr":
            _flatten(node)
        for name in _PLACES.intersection(node.DESCRIPTOR.fields_by_name):
            node.ClearField(name)
    return copy


def _flatten(node: Any) -> None:
    def is_same(arg: Any) -> bool:
        is_bool: bool = arg.WhichOneof("node") == "bool_expr"
        return is_bool and bool(arg.bool_expr.boolop == node.boolop)

    args = list(node.args)
    while enum_name(node, "boolop") != "NOT_EXPR" and any(map(is_same, args)):
        args = [one for arg in args for one in (arg.bool_expr.args if is_same(arg) else (arg,))]
    if len(args) > len(node.args):
        copies = [type(arg).FromString(arg.SerializeToString()) for arg in args]
        del node.args[:]
        node.args.extend(copies)


def _cast_operands(root: Any) -> None:
    """Cast conditions that are operands to boolean, which they are."""
    cast = parse_statement("SELECT CAST(true AS pg_catalog.bool)").node.target_list[0].res_target
    for parent in [node for node in walk(root) if node_type(node) in _TAKES_OPERANDS]:
        for operand in filter(_is_condition, _operands(parent)):
            inner = type(operand)()
            inner.CopyFrom(operand)
            operand.CopyFrom(cast.val)
            operand.type_cast.arg.CopyFrom(inner)


def _operands(node: Any) -> Iterator[Any]:
    """Yield the `Node` wrappers of what an operator or a test is applied to."""
    if node_type(node) != "A_Expr":
        yield node.arg
        return
    for side in (node.lexpr, node.rexpr):
        yield from side.list.items if side.WhichOneof("node") == "list" else (side,)


def _is_condition(operand: Any) -> bool:
    kind: str | None = operand.WhichOneof("node")
    if kind == "a_expr":
        names = [part.string.sval for part in operand.a_expr.name]
        is_operator = enum_name(operand.a_expr, "kind") in {"AEXPR_OP", "AEXPR_NULLIF"}
        return not is_operator or (len(names) == 1 and names[0] in _COMPARES)
    if kind == "sub_link":
        return enum_name(operand.sub_link, "sub_link_type") in {"ANY_SUBLINK", "ALL_SUBLINK"}
    return kind in _CONDITIONS
