"""Takes an UPDATE or DELETE apart, so that it can be run over ranges of rows, proven and kept true.

Called by migrations/ for a statement under `-- pgstrata: batch`. Pure: what depends on the catalog
(which names are columns of which table) is asked of the server by whoever calls, with the texts
that are made here. Only whole expressions are moved around; none is changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from pgstrata.core.errors import MigrationFailed
from pgstrata.pg.calls import OF_THE_SESSION
from pgstrata.pg.lock_modes import RelationRef
from pgstrata.pg.printing import rewrite
from pgstrata.pg.query_effects import relation_ref
from pgstrata.pg.quoting import quoted
from pgstrata.pg.syntax import (
    ParsedStatement,
    enum_name,
    node_type,
    parse_statement,
    walk,
)

_KINDS = {"update_stmt": "UPDATE", "delete_stmt": "DELETE"}


class NotBatchable(MigrationFailed):
    """The statement cannot be run in batches; the text says why."""


@dataclass(frozen=True, slots=True)
class BatchStatement:
    """An UPDATE or DELETE in parts, each as SQL text."""

    parsed: ParsedStatement
    table: RelationRef
    alias: str
    """What the statement calls its table: the alias, else the table's own name."""
    table_text: str
    """The table with ONLY and alias, as it stands in FROM."""
    others: str
    """What stands in FROM or USING beside it; empty: nothing."""
    targets: tuple[str, ...]
    """Columns that are set; none for a DELETE."""
    expressions: tuple[str, ...] | None
    """What each target is set to; None where that cannot be said one by one."""
    inputs: tuple[str, ...]
    """What the expressions are made of; of `x = COALESCE(x, ...)` x itself is left out, since doing
    it twice is doing it once."""
    conditions: tuple[str, ...]
    """The WHERE clause, cut at its outermost ANDs."""
    fills: bool
    """One of them is that a target is NULL: it finds what is not done yet."""
    names_its_row: bool
    """The table's name stands where a value does: `to_jsonb(t)`, unless it is a column's too."""
    takes_its_row: bool
    """It stands there with a star: `row_to_json(t.*)`, which is no column's."""
    asks_user: bool
    """CURRENT_USER and the like stand in it."""

    @property
    def is_delete(self) -> bool:
        return self.parsed.kind == "delete_stmt"

    @property
    def mentioned(self) -> frozenset[str]:
        """All names that may be a column's; a column that is not among them plays no part, unless
        the row is taken as a whole.
        """
        nodes: list[Any] = list(walk(self.parsed.node))
        found = [n.fields for n in nodes if node_type(n) == "ColumnRef"]
        return frozenset(field.string.sval for fields in found for field in fields)

    @property
    def likely_sources(self) -> frozenset[str]:
        """Columns of the table that surely decide what is set, by the text alone; none for what is
        hardly kept by a trigger: a DELETE, and what is made of what it sets.
        """
        if not self.targets or self.expressions is None or self.names_its_row:
            return frozenset()
        nodes: list[Any] = list(walk(self.parsed.node))
        others = bool(self.others) or any(node_type(n) == "SubLink" for n in nodes)
        named = [[f.string.sval for f in n.fields] for n in nodes if node_type(n) == "ColumnRef"]
        mine = [n[-1] for n in named if n[:-1] == [self.alias] or not (others or n[:-1])]
        return frozenset(mine) - set(self.targets)

    def within(self, predicate: str) -> str:
        """Return the statement with one condition more."""
        condition = parse_statement(f"SELECT 1 WHERE {predicate}").node.where_clause

        def edit(node: Any) -> None:
            if node.HasField("where_clause"):
                both = type(node.where_clause)()
                both.bool_expr.boolop = 1  # AND_EXPR
                both.bool_expr.args.add().CopyFrom(node.where_clause)
                both.bool_expr.args.add().CopyFrom(condition)
                node.where_clause.CopyFrom(both)
            else:
                node.where_clause.CopyFrom(condition)

        return rewrite(self.parsed, edit)

    def count_violations(self, types: Sequence[str] | None = None) -> str:
        """Return a query that counts the rows which the statement would still change.

        Args:
            types: the targets' types. With them rows are left out whose targets are already what
                they would be set to, and a second column counts all for which WHERE holds; the
                value is compared as the column would hold it.
        """
        counts = "count(*)"
        if types is not None and self.expressions:
            counts = f"count(*) FILTER (WHERE {self.changes(types)}), count(*)"
        return self.select(counts, ())

    def select(self, columns: str, more: Sequence[str]) -> str:
        """Return a query over the rows that the statement goes over, with more conditions."""
        return f"SELECT {columns} FROM {self.tables}{where((*self.conditions, *more))}"

    def changes(self, types: Sequence[str]) -> str:
        """Return the condition that a row would be another one after the statement."""
        wanted = [cast(e, t) for e, t in zip(self.expressions or (), types, strict=True)]
        return differs(self.columns(self.targets), wanted)

    def as_fill(self) -> "tuple[BatchStatement, str] | None":
        """Return `x = COALESCE(x, y)` as `x = y` with the condition that x is NULL."""
        if self.expressions is None or len(self.targets) != 1 or self.inputs == self.expressions:
            return None
        value = f"COALESCE({', '.join(self.inputs)})"
        return replace(self, expressions=(value,)), f"{self.columns(self.targets)[0]} IS NULL"

    @property
    def tables(self) -> str:
        """All that stands in FROM of a query over the same rows."""
        return f"{self.table_text}, {self.others}" if self.others else self.table_text

    def columns(self, names: Sequence[str]) -> list[str]:
        """Return columns of the table as the statement can name them."""
        return [quoted(self.alias, name) for name in names]


def cast(expression: str, type_: str) -> str:
    """Return an expression as a type, named as format_type prints it."""
    return f"CAST({expression} AS {type_})"


def row(expressions: Sequence[str]) -> str:
    """Return a row constructor."""
    return f"ROW({', '.join(expressions)})"


def differs(some: Sequence[str], others: Sequence[str]) -> str:
    """Return the condition that rows of values are not the very same.

    Not what their types call equal: `'A' = 'a'` of citext, `1.0 = 1.00`, boxes of the same size.
    """
    return f"{row(some)}::record OPERATOR(pg_catalog.*<>) {row(others)}::record"


def where(conditions: Sequence[str]) -> str:
    """Return a WHERE clause that holds where all conditions do; empty for none."""
    return f" WHERE {conjunction(conditions)}" if conditions else ""


def conjunction(conditions: Sequence[str]) -> str:
    """Return what holds where all conditions do."""
    return " AND ".join(f"({condition})" for condition in conditions) or "true"


@lru_cache(maxsize=512)
def read_batch_statement(text: str) -> BatchStatement:
    """Take a statement apart. Raises NotBatchable, SyntaxProblem."""
    parsed = parse_statement(text)
    if parsed.kind not in _KINDS:
        raise NotBatchable("only an UPDATE or a DELETE can be run in batches")
    node = parsed.node
    _refuse(node)
    relation = node.relation
    others = node.from_clause if parsed.kind == "update_stmt" else node.using_clause
    targets, values = _assignments(node) if parsed.kind == "update_stmt" else ((), ())
    name = relation.alias.aliasname if relation.HasField("alias") else relation.relname
    conditions = _conditions(node)
    asked = {enum_name(f, "op") for f in walk(node) if node_type(f) == "SQLValueFunction"}
    return BatchStatement(
        parsed=parsed,
        table=relation_ref(relation),
        alias=name,
        table_text=_from_text([relation]),
        others=_from_text([_inner(other) for other in others]) if others else "",
        targets=targets,
        expressions=None if values is None else tuple(map(_expression_text, values)),
        inputs=tuple(
            text
            for target, value in zip(targets, values or (), strict=False)
            for text in _inputs(value, target, name)
        ),
        conditions=tuple(map(_expression_text, conditions)),
        fills=any(_is_null(condition, targets, name) for condition in conditions),
        names_its_row=any(_is_row(found, name) for found in walk(node)),
        takes_its_row=any(_is_row(found, name, is_star=True) for found in walk(node)),
        asks_user=bool(asked & OF_THE_SESSION),
    )


def _is_row(found: Any, table: str, *, is_star: bool = False) -> bool:
    """Whether it is the table's name alone, or with a star: the row as a whole."""
    if node_type(found) != "ColumnRef" or not found.fields:
        return False
    first, *rest = found.fields
    if first.string.sval != table:
        return False
    return [field.WhichOneof("node") for field in rest] == ["a_star"] if is_star or rest else True


def _refuse(node: Any) -> None:
    if node.HasField("with_clause"):
        raise NotBatchable("WITH is evaluated anew for each batch; write it as a sub-select")
    returning = getattr(node, "returning_list", None) or node.HasField("returning_clause")
    if returning:
        raise NotBatchable("RETURNING has nobody here who would read it")
    if any(node_type(found) == "CurrentOfExpr" for found in walk(node)):
        raise NotBatchable("WHERE CURRENT OF needs a cursor, which a batch does not have")


def _assignments(node: Any) -> tuple[tuple[str, ...], tuple[Any, ...] | None]:
    """Return the columns set and what to; None for what is set in part, or by a sub-select."""
    targets: list[str] = []
    expressions: list[Any] | None = []
    for item in node.target_list:
        target = item.res_target
        targets.append(target.name)
        value: Any = target.val
        if value.WhichOneof("node") == "multi_assign_ref":
            reference = value.multi_assign_ref
            source = reference.source
            if source.WhichOneof("node") != "row_expr":
                expressions = None
                continue
            value = source.row_expr.args[reference.colno - 1]
        if target.indirection or value.WhichOneof("node") == "set_to_default":
            expressions = None
        elif expressions is not None:
            expressions.append(value)
    return tuple(targets), None if expressions is None else tuple(expressions)


def _inputs(value: Any, target: str, table: str) -> list[str]:
    """Return the texts that an assigned value depends on."""
    if value.WhichOneof("node") == "coalesce_expr":
        first, *rest = value.coalesce_expr.args
        fields = [field.string.sval for field in first.column_ref.fields]
        if fields in ([target], [table, target]):
            return [_expression_text(argument) for argument in rest]
    return [_expression_text(value)]


def _conditions(node: Any) -> list[Any]:
    if not node.HasField("where_clause"):
        return []
    pending, found = [node.where_clause], []
    while pending:
        condition = pending.pop(0)
        if condition.WhichOneof("node") == "bool_expr" and condition.bool_expr.boolop == 1:
            pending[:0] = list(condition.bool_expr.args)
        else:
            found.append(condition)
    return found


def _is_null(condition: Any, targets: Sequence[str], table: str) -> bool:
    """Whether a condition is `target IS NULL`."""
    if condition.WhichOneof("node") != "null_test":
        return False
    test = condition.null_test
    fields = [field.string.sval for field in test.arg.column_ref.fields]
    is_target = any(fields in ([target], [table, target]) for target in targets)
    return is_target and enum_name(test, "nulltesttype") == "IS_NULL"


def _expression_text(expression: Any) -> str:
    """Print one expression, as the only column of a SELECT."""
    select = parse_statement("SELECT 1")

    def edit(node: Any) -> None:
        node.target_list[0].res_target.val.CopyFrom(expression)

    return rewrite(select, edit).removeprefix("SELECT ")


def _from_text(items: Sequence[Any]) -> str:
    """Print what stands in a FROM clause."""
    select = parse_statement("SELECT FROM one")

    def edit(node: Any) -> None:
        del node.from_clause[:]
        for item in items:
            field = _FROM_FIELDS[node_type(item)]
            getattr(node.from_clause.add(), field).CopyFrom(item)

    return rewrite(select, edit).removeprefix("SELECT FROM ")


_FROM_FIELDS = {
    "RangeVar": "range_var",
    "JoinExpr": "join_expr",
    "RangeSubselect": "range_subselect",
    "RangeFunction": "range_function",
    "RangeTableSample": "range_table_sample",
    "RangeTableFunc": "range_table_func",
    "JsonTable": "json_table",
}


def _inner(wrapper: Any) -> Any:
    return getattr(wrapper, wrapper.WhichOneof("node"))
