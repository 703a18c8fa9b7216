"""Where an UPDATE reads what it sets from other rows of its own table.

In one statement all rows are read as they were before; in batches a later one would read what an
earlier one has set. Pure, by names alone: which of them is the same table the server knows. Called
by migrations/backfill/shape.py.
"""

from collections.abc import Collection, Iterator
from typing import Any

from pgstrata.pg.lock_modes import RelationRef
from pgstrata.pg.query_effects import relation_ref
from pgstrata.pg.syntax import enum_name, node_type, walk


def self_reads(update: Any, targets: Collection[str]) -> frozenset[RelationRef]:
    """Return relations of the table's own name, other than the one updated, whose target columns
    the statement reads.

    Args:
        update: the UpdateStmt.
        targets: the columns that it sets.
    """
    found = frozenset[RelationRef]()
    beside = [*update.from_clause]
    for named in _named_alike(update, beside):
        # Beside the table itself its columns must be called by the other's alias.
        if any(_is_of(column, _alias(named), targets) for column in _columns(update)):
            found |= {relation_ref(named)}
    for query in (n for n in walk(update) if node_type(n) in {"SubLink", "RangeSubselect"}):
        for named in _named_alike(update, [query]):
            names = {"", _alias(named)}
            if _takes_all(query) or any(
                _is_of(column, name, targets) for column in _columns(query) for name in names
            ):
                found |= {relation_ref(named)}
    return found


def _named_alike(update: Any, roots: Collection[Any]) -> Iterator[Any]:
    node: Any
    for node in (n for root in roots for n in walk(root)):
        if node_type(node) == "RangeVar" and node.relname == update.relation.relname:
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
