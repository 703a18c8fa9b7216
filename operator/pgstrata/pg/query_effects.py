"""What a query or a DML statement touches: the tables it reads, writes and locks rows of.

Pure; called by classify.py and by what has a query inside (views, rules, policies, functions).
Names of common table expressions are no tables, with PostgreSQL's scoping: a WITH without
RECURSIVE sees only the expressions before it.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

from pgstrata.pg.classification import Effects
from pgstrata.pg.lock_modes import LockMode, RelationRef, TableLock, strongest_locks
from pgstrata.pg.syntax import Message, children, enum_name, node_type

_EVERY = frozenset({""})
"""FOR UPDATE without OF: the empty string is no name that a relation can have."""
_FROM_ITEMS = frozenset({"JoinExpr", "RangeSubselect", "RangeTableSample"})
_TARGETS = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})


@dataclass(frozen=True, slots=True)
class Call:
    """A function called with what stands in its arguments as literals (None for all else)."""

    name: str
    """The last part of the name, lower case as PostgreSQL folds it."""
    arguments: tuple[str | bool | None, ...]


@dataclass(frozen=True, slots=True)
class _Visit:
    """A node still to look at, in its surroundings."""

    node: Message
    ctes: frozenset[str]
    row_locked: frozenset[str] = frozenset()
    """Aliases in this FROM list whose rows are locked by FOR UPDATE and the like."""


def relation_ref(range_var: Any) -> RelationRef:
    """Return the relation that a RangeVar names."""
    return RelationRef(range_var.schemaname or None, range_var.relname)


def query_effects(*roots: Message) -> Effects:
    """Return the locks of queries and DML below `roots`, and whether rows are deleted."""
    locks: list[TableLock] = []
    deletes = False
    stack = [_Visit(root, frozenset()) for root in roots]
    while stack:
        visit = stack.pop()
        name = node_type(visit.node)
        if name == "RangeVar":
            locks.extend(_read(visit))
        elif name == "SelectStmt":
            stack.extend(_below_select(visit))
        elif name in _TARGETS:
            target: Any = visit.node
            locks.append(TableLock(relation_ref(target.relation), LockMode.ROW_EXCLUSIVE))
            stack.extend(_below_target(visit))
        elif name in _FROM_ITEMS:
            stack.extend(_below_from_item(visit))
        else:
            stack.extend(_Visit(child, visit.ctes) for _, child in children(visit.node))
        deletes = deletes or name == "DeleteStmt" or _is_merge_delete(name, visit.node)
    return Effects(strongest_locks(locks), is_destructive=deletes)


def function_call(node: Any) -> Call:
    """Return what a FuncCall calls."""
    return Call(node.funcname[-1].string.sval, tuple(map(_literal, node.args)))


def _literal(argument: Any) -> str | bool | None:
    while argument.WhichOneof("node") == "type_cast":
        argument = argument.type_cast.arg
    if argument.WhichOneof("node") != "a_const":
        return None
    match argument.a_const.WhichOneof("val"):
        case "sval":
            return str(argument.a_const.sval.sval)
        case "boolval":
            return bool(argument.a_const.boolval.boolval)
    return None


def _is_merge_delete(name: str, node: Message) -> bool:
    return name == "MergeWhenClause" and enum_name(node, "command_type") == "CMD_DELETE"


def _read(visit: _Visit) -> Iterator[TableLock]:
    ref = relation_ref(visit.node)
    if ref.schema is None and ref.name in visit.ctes:
        return
    is_row_locked = _is_named(visit.node, ref.name, visit.row_locked)
    yield TableLock(ref, LockMode.ROW_SHARE if is_row_locked else LockMode.ACCESS_SHARE)


def _is_named(node: Any, name: str, row_locked: frozenset[str]) -> bool:
    if row_locked is _EVERY:
        return True
    alias = node.alias.aliasname if node.HasField("alias") else name
    return alias in row_locked


def _below_select(visit: _Visit) -> Iterator[_Visit]:
    select: Any = visit.node
    ctes = yield from _below_with(visit)
    row_locked = visit.row_locked
    for clause in select.locking_clause:
        names = [item.range_var.relname for item in clause.locking_clause.locked_rels]
        row_locked = _EVERY if not names or row_locked is _EVERY else row_locked | set(names)
    for field, child in children(select):
        if field == "from_clause":
            yield _Visit(child, ctes, row_locked)
        elif field not in {"with_clause", "into_clause", "locking_clause"}:
            yield _Visit(child, ctes)


def _below_target(visit: _Visit) -> Iterator[_Visit]:
    ctes = yield from _below_with(visit)
    for field, child in children(visit.node):
        if field not in {"with_clause", "relation"}:
            yield _Visit(child, ctes)


def _below_with(visit: _Visit) -> Generator[_Visit, None, frozenset[str]]:
    """Yield the queries of the WITH clause; return the names that the statement itself sees."""
    statement: Any = visit.node
    expressions = [node.common_table_expr for node in statement.with_clause.ctes]
    visible = visit.ctes
    if statement.with_clause.recursive:
        visible = visible | {expression.ctename for expression in expressions}
    for expression in expressions:
        yield _Visit(expression, visible)
        visible = visible | {expression.ctename}
    return visible


def _below_from_item(visit: _Visit) -> Iterator[_Visit]:
    """FOR UPDATE reaches through joins and into sub-selects in FROM, nowhere else."""
    for field, child in children(visit.node):
        row_locked: frozenset[str] = frozenset()
        if field in {"larg", "rarg", "relation"}:
            row_locked = visit.row_locked
        elif field == "subquery" and _is_named(visit.node, "", visit.row_locked):
            row_locked = _EVERY
        yield _Visit(child, visit.ctes, row_locked)
