"""Where an UPDATE reads what it sets from other rows of its own table, or a DELETE looks at them.

In one statement all rows are read as they were before; in batches a later one would read what an
earlier one has set, and miss what it has deleted. Pure, by names alone: which of them is the same
table, or shows its rows, the server knows. Called by migrations/backfill/shape.py.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from pgstrata.pg.lock_modes import RelationRef
from pgstrata.pg.query_effects import relation_ref
from pgstrata.pg.syntax import enum_name, node_type, walk


def relations_read(statement: Any) -> frozenset[RelationRef]:
    """Return all relations that an UPDATE or DELETE names beside the one that it changes."""
    nodes: Iterator[Any] = walk(statement)
    named = [relation_ref(node) for node in nodes if node_type(node) == "RangeVar"]
    named.remove(relation_ref(statement.relation))
    return frozenset(named)


def reads_targets(update: Any, targets: Collection[str], own: Collection[RelationRef]) -> bool:
    """Whether an UpdateStmt reads columns that it sets from other rows of its table.

    Args:
        own: what the table is called where it is not the one updated.
    """
    for named in _named(own, update.from_clause):
        # Beside the table itself its columns must be called by the other's alias.
        if any(_is_of(column, _alias(named), targets) for column in _columns(update)):
            return True
    for query in (n for n in walk(update) if node_type(n) in {"SubLink", "RangeSubselect"}):
        for named in _named(own, [query]):
            names = {"", _alias(named)}
            if _takes_all(query) or any(
                _is_of(column, name, targets) for column in _columns(query) for name in names
            ):
                return True
    return False


def looks_at_others(update: Any, own: Collection[RelationRef]) -> bool:
    """Whether a sub-select or an outer join of an UpdateStmt looks at its table's other rows; a row
    beside it that is merely joined does not count."""
    return next(_named(own, (n for n in walk(update) if _may_lack(n))), None) is not None


def falls_otherwise(statement: Any, own: Collection[RelationRef]) -> bool:
    """Whether rows of its own table are numbered, cut off or gathered in an order that is not sure
    to be the same next time."""
    queries = [n for n in walk(statement) if node_type(n) in {"SubLink", "RangeSubselect"}]
    return any(
        _goes_by_order(query) for query in queries if next(_named(own, [query]), None) is not None
    )


def _goes_by_order(query: Any) -> bool:
    node: Any
    for node in walk(query):
        if node_type(node) == "SelectStmt" and (
            node.HasField("limit_count")
            or node.HasField("limit_offset")
            or any(one.WhichOneof("node") is not None for one in node.distinct_clause)
        ):
            return True
        if node_type(node) == "FuncCall" and (
            node.HasField("over") or node.funcname[-1].string.sval in _BY_ORDER
        ):
            return True
    return False


_BY_ORDER = frozenset(
    {
        "array_agg",
        "string_agg",
        "json_agg",
        "jsonb_agg",
        "json_object_agg",
        "jsonb_object_agg",
        "xmlagg",
    }
)


def deletes_by_others(delete: Any, own: Collection[RelationRef]) -> bool:
    """Whether rows of its own table decide which rows a DeleteStmt takes, so that those which are
    gone could let it take more: `id IN (SELECT id FROM t LIMIT 5)`.

    Not so a table in USING, and what EXISTS finds: with fewer rows to be found it takes no more,
    though it may take less.
    """
    harmless = [id_ for id_ in map(_finds, _conditions(delete)) if id_ is not None]
    suspects = [n for n in walk(delete) if _may_lack(n) and n not in harmless]
    return next(_named(own, suspects), None) is not None


def _may_lack(node: Any) -> bool:
    """Whether something may come of it because a row is not there."""
    if node_type(node) == "JoinExpr":
        return enum_name(node, "jointype") != "JOIN_INNER"
    return node_type(node) in {"SubLink", "RangeSubselect"}


def _conditions(delete: Any) -> Iterator[Any]:
    pending = [delete.where_clause]
    while pending:
        condition = pending.pop()
        if condition.WhichOneof("node") == "bool_expr" and condition.bool_expr.boolop == 1:
            pending += condition.bool_expr.args
        else:
            yield condition


def _finds(condition: Any) -> Any:
    """Return the sub-select of an EXISTS that only looks whether there are rows; else None."""
    if condition.WhichOneof("node") != "sub_link":
        return None
    link: Any = condition.sub_link
    select = link.subselect.select_stmt
    is_plain = not any(
        select.HasField(name)
        for name in ("limit_count", "limit_offset", "having_clause", "with_clause", "larg")
    )
    is_exists = enum_name(link, "sub_link_type") == "EXISTS_SUBLINK"
    aggregates = any(node_type(n) == "FuncCall" for n in walk(select))
    return link if is_exists and is_plain and not (select.group_clause or aggregates) else None


def _named(own: Collection[RelationRef], roots: Iterable[Any]) -> Iterator[Any]:
    for node in (n for root in roots for n in walk(root)):
        if node_type(node) == "RangeVar" and relation_ref(node) in own:
            yield node


def _alias(range_var: Any) -> str:
    name: str = range_var.alias.aliasname if range_var.HasField("alias") else range_var.relname
    return name


def _columns(root: Any) -> Iterator[list[str]]:
    node: Any
    for node in walk(root):
        if node_type(node) == "ColumnRef":
            yield [field.string.sval for field in node.fields]


def _is_of(column: list[str], name: str, targets: Collection[str]) -> bool:
    """Whether it is a target, or the row as a whole, of what is called so; "": of no name."""
    if not name:
        return len(column) == 1 and column[0] in targets
    return column == [name] or (column[-2:-1] == [name] and column[-1] in {"", *targets})


def _takes_all(query: Any) -> bool:
    """Whether a query has a star where what it returns is looked at."""
    if node_type(query) == "SubLink" and enum_name(query, "sub_link_type") == "EXISTS_SUBLINK":
        return False
    return any(column[-1:] == [""] for column in _columns(query))
