"""An index built from a migration's text and its twin on an empty copy have the same shape."""

import psycopg
import pytest
from psycopg.rows import TupleRow

from pgstrata.pg.index_shape import normalise_definition, on_other_table
from pgstrata.pg.lock_modes import RelationRef
from tests.testbed.database import Database
from tests.unit.pg.index_cases import INDEX_SCHEMA, INDEXES

DEFINITION = "select pg_get_indexdef(indexrelid) from pg_index where indrelid = %s::regclass"


@pytest.mark.parametrize("name", INDEXES)
def test_the_wanted_definition_is_learned_from_an_empty_copy(database: Database, name: str) -> None:
    database.psql(INDEX_SCHEMA)
    with database.connect() as session:
        session.execute(INDEXES[name].encode())
        found = definition(session, 's."T.t"')

        session.execute("begin")
        session.execute('create temporary table "co.py" (like s."T.t") on commit drop')
        copy = RelationRef("pg_temp", "co.py")
        session.execute(on_other_table(INDEXES[name], copy, "wanted").encode())
        wanted = definition(session, 'pg_temp."co.py"')
        session.execute("commit")

    assert normalise_definition(wanted) == normalise_definition(found)


def definition(session: psycopg.Connection[TupleRow], table: str) -> str:
    row = session.execute(DEFINITION, (table,)).fetchone()
    assert row is not None
    return str(row[0])


def test_an_index_of_another_shape_under_the_same_name_is_seen(database: Database) -> None:
    database.psql("create table t (a int, b int); create index x on t (a desc)")
    with database.connect() as session:
        found = definition(session, "t")
        session.execute("create table copy (like t)")
        session.execute(
            on_other_table("CREATE INDEX x ON t (a)", RelationRef(None, "copy"), "y").encode()
        )
        wanted = definition(session, "copy")
    assert normalise_definition(wanted) != normalise_definition(found)
