"""What a query calls by name: functions, operators, casts, and the relations it reads. Pure.

What stands behind the names only the server knows; asked by migrations/backfill/volatility.py.
"""

from dataclasses import dataclass
from typing import Any

from pgstrata.pg.lock_modes import RelationRef
from pgstrata.pg.query_effects import function_call, relation_ref
from pgstrata.pg.quoting import quoted
from pgstrata.pg.syntax import enum_name, node_type, parse_statement, walk

_BETWEEN = frozenset(
    {"AEXPR_BETWEEN", "AEXPR_NOT_BETWEEN", "AEXPR_BETWEEN_SYM", "AEXPR_NOT_BETWEEN_SYM"}
)
OF_THE_SESSION = frozenset(
    {
        "SVFOP_CURRENT_ROLE",
        "SVFOP_CURRENT_USER",
        "SVFOP_USER",
        "SVFOP_SESSION_USER",
        "SVFOP_CURRENT_CATALOG",
        "SVFOP_CURRENT_SCHEMA",
    }
)
"""What asks who runs it, and not when."""


@dataclass(frozen=True, slots=True)
class Cast:
    """A cast, written down or by an assignment, from what its argument may be."""

    source_kind: str
    """column, type, function or operator: whose type the argument may have."""
    source: str
    target_kind: str
    """type, or column of what is updated."""
    target: str
    """Quoted where it is a type; of an array, that of its elements."""


@dataclass(frozen=True, slots=True)
class Calls:
    """Names that a query or DML statement uses."""

    functions: frozenset[str] = frozenset()
    operators: frozenset[str] = frozenset()
    """Without their schema."""
    casts: frozenset[Cast] = frozenset()
    relations: frozenset[RelationRef] = frozenset()
    asks_time: bool = False
    """CURRENT_DATE and the like stand in it."""

    def __or__(self, other: "Calls") -> "Calls":
        return Calls(
            self.functions | other.functions,
            self.operators | other.operators,
            self.casts | other.casts,
            self.relations | other.relations,
            self.asks_time or other.asks_time,
        )


def calls_of(text: str) -> Calls:
    """Return what one statement calls. Raises SyntaxProblem."""
    functions, operators, casts = set[str](), set[str](), set[Cast]()
    relations, asks_time = set[RelationRef](), False
    node: Any
    for node in walk(parse_statement(text).node):
        match node_type(node):
            case "FuncCall":
                functions.add(function_call(node).name)
            case "A_Expr":
                operators |= _operators(node)
            case "SubLink":
                operators |= {n.string.sval for n in node.oper_name[-1:]} or {"="}
            case "CaseExpr" if node.HasField("arg"):
                operators.add("=")
            case "TypeCast":
                casts |= _casts(node.arg, "type", _type_name(node))
            case "UpdateStmt":
                for target in (item.res_target for item in node.target_list):
                    casts |= _casts(target.val, "column", target.name)
            case "RangeVar":
                relations.add(relation_ref(node))
            case "SQLValueFunction":
                asks_time |= enum_name(node, "op") not in OF_THE_SESSION
    return Calls(
        frozenset(functions),
        frozenset(operators),
        frozenset(casts),
        frozenset(relations),
        asks_time,
    )


def _casts(wrapper: Any, target_kind: str, target: str) -> set[Cast]:
    """Return the casts of an argument: a column or cast is one thing, all else what is in it."""
    kind = wrapper.WhichOneof("node")
    if kind is None:
        return set()
    argument = getattr(wrapper, kind)
    within = [argument] if kind in {"column_ref", "type_cast"} else walk(argument)
    return {
        Cast(source_kind, source, target_kind, target)
        for node in within
        for source_kind, source in _may_be(node)
    }


def _may_be(node: Any) -> set[tuple[str, str]]:
    match node_type(node):
        case "ColumnRef":
            return {("column", f.string.sval) for f in node.fields[-1:] if f.HasField("string")}
        case "TypeCast":
            return {("type", _type_name(node))}
        case "FuncCall":
            return {("function", function_call(node).name)}
        case "A_Expr":
            return {("operator", name) for name in _operators(node)}
    return set()


def _type_name(cast: Any) -> str:
    return quoted(*(name.string.sval for name in cast.type_name.names))


def _operators(node: Any) -> set[str]:
    if enum_name(node, "kind") in _BETWEEN:
        return {"<", ">", "<=", ">="}
    return {name.string.sval for name in node.name[-1:]}
