"""The shape of an index, free of its name and table, so that wanted and found can be compared.

Called by the index step of migrations/: it builds the wanted index plainly on an empty LIKE copy of
the table, asks pg_get_indexdef of it, and compares that with what bears the name. Both texts come
from PostgreSQL, which alone knows default operator classes and how expressions are printed; here
names are taken out, by the parser and never by patterns. Pure.
"""

from collections.abc import Callable
from typing import Any

from pgstrata.pg.lock_modes import RelationRef
from pgstrata.pg.printing import rewrite
from pgstrata.pg.syntax import SyntaxProblem, node_type, parse_statement, walk

_ANY_INDEX = "index"
_ANY_TABLE = "table"


def on_other_table(create_index: str, table: RelationRef, index_name: str) -> str:
    """Return a CREATE INDEX statement built plainly on another table under another name.

    Neither CONCURRENTLY, IF NOT EXISTS, ONLY nor TABLESPACE is kept: the copy is empty, and no
    copy of a partitioned table. A column that the statement qualifies by its table's name follows.
    A function of the table's own row type, as in `(label(t.*))`, does not accept a row of the copy:
    then the server refuses the statement (42883).

    Raises:
        SyntaxProblem: it is not a CREATE INDEX statement.
        StatementTooDeep: its expressions nest too deeply to be printed.
    """

    def edit(index: Any) -> None:
        _rename_qualifiers(index, table.name)
        _place(index, table, index_name)

    return _rewrite_index(create_index, edit)


def normalise_definition(indexdef: str) -> str:
    """Return what pg_get_indexdef printed, without the index's name and the table's.

    Equal texts mean equal indexes of the two tables. ONLY and TABLESPACE, which say where and not
    what, do not count, nor do CONCURRENTLY and IF NOT EXISTS, which say how.

    Raises:
        SyntaxProblem: it is not a CREATE INDEX statement.
        StatementTooDeep: its expressions nest too deeply to be printed.
    """

    def edit(index: Any) -> None:
        _rename_qualifiers(index, _ANY_TABLE)
        _place(index, RelationRef(None, _ANY_TABLE), _ANY_INDEX)

    return _rewrite_index(indexdef, edit)


def _rewrite_index(text: str, edit: Callable[[Any], None]) -> str:
    parsed = parse_statement(text)
    if parsed.kind != "index_stmt":
        raise SyntaxProblem("this is not a CREATE INDEX statement", 1)
    return rewrite(parsed, edit)


def _place(index: Any, table: RelationRef, index_name: str) -> None:
    """Say where the index stands, and drop what says how it is built."""
    index.concurrent = False
    index.if_not_exists = False
    index.table_space = ""
    index.idxname = index_name
    index.relation.catalogname = ""
    index.relation.schemaname = table.schema or ""
    index.relation.relname = table.name
    index.relation.inh = True


def _rename_qualifiers(index: Any, table_name: str) -> None:
    """Let `t.a` and `t.*` in expressions follow the table; `(composite).field` is no such thing."""
    old = index.relation.relname
    for node in walk(index):
        if node_type(node) != "ColumnRef":
            continue
        reference: Any = node
        parts = [part.string.sval for part in reference.fields]
        if len(parts) > 1 and parts[-2] == old:
            del reference.fields[:-2]
            reference.fields[0].string.sval = table_name
