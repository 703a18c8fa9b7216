"""The source document as a list, and how far a database is from it.

Called by the tests that compare what the bundle makes with what the document asks for, and by
measurements that need to know that nothing was left out. Enhancements 6 and 7 are no files of the
bundle: a PartitionWindow and Rollups bring them about.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from tests.testbed.monitoring import document_existing_tables, document_new_tables
from tests.testbed.monitoring.bundle import apply_expand
from tests.testbed.monitoring.document_entries import KINDS, Backfill, CatalogEntry

Connection = psycopg.Connection[TupleRow]

ENTRIES: tuple[CatalogEntry, ...] = document_existing_tables.ENTRIES + document_new_tables.ENTRIES
BACKFILLS: tuple[Backfill, ...] = document_existing_tables.BACKFILLS

EXISTING = 0
"""Stands for the schema before the document, where an enhancement's number is asked for."""

READ_CATALOG = """
    SELECT concat('column ', c.relname, '.', a.attname, ' ', format_type(a.atttypid, a.atttypmod),
                  CASE WHEN a.attnotnull THEN ' not null' END,
                  ' default ' || pg_get_expr(d.adbin, d.adrelid))
    FROM pg_attribute AS a
    JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
    LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE c.relnamespace = current_schema()::regnamespace
        AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT concat('constraint ', conname, ' of ', conrelid::regclass, ': ',
                  pg_get_constraintdef(oid))
    FROM pg_constraint
    WHERE connamespace = current_schema()::regnamespace AND contype IN ('p', 'u', 'f', 'c', 'x')
    UNION ALL
    SELECT concat(CASE WHEN NOT (indisvalid AND indisready) THEN 'INVALID ' END, 'index ',
                  pg_get_indexdef(indexrelid, 0, true))
    FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE relnamespace = current_schema()::regnamespace
    UNION ALL
    SELECT concat('trigger ', tgname, ' of ', tgrelid::regclass)
    FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
    WHERE relnamespace = current_schema()::regnamespace AND NOT tgisinternal
    UNION ALL
    SELECT concat(CASE relkind WHEN 'S' THEN 'sequence ' WHEN 'v' THEN 'view ' ELSE 'table ' END,
                  relname)
    FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S')
    UNION ALL
    SELECT concat('function ', oid::regprocedure)
    FROM pg_proc WHERE pronamespace = current_schema()::regnamespace
"""


@dataclass(frozen=True, slots=True)
class Differences:
    """What a database lacks of the document, and has beyond it."""

    missing: tuple[str, ...]
    """Each with its enhancement."""
    surplus: tuple[str, ...]


def read_catalog(connection: Connection, schema: str = "public") -> frozenset[str]:
    """Return one line for each table, column, constraint, index, trigger and function of a schema.

    Constraints that are not validated and indexes that are not valid say so in their line.
    """
    with _in_schema(connection, schema):
        return frozenset(row[0] for row in connection.execute(READ_CATALOG))


def wanted_catalog(connection: Connection) -> Mapping[str, int]:
    """Return read_catalog's lines for the document as a whole, and whose enhancement each is.

    PostgreSQL translates: the existing schema and all entries are made in a schema of their own,
    which is dropped again.
    """
    connection.execute("CREATE SCHEMA wanted")
    try:
        with _in_schema(connection, "wanted"):
            apply_expand(connection, "000")
        wanted = dict.fromkeys(read_catalog(connection, "wanted"), EXISTING)
        for (_, enhancement), entries in groupby(sorted(ENTRIES, key=_order), key=_order):
            with _in_schema(connection, "wanted"):
                for entry in entries:
                    connection.execute(entry.statement)
            for line in read_catalog(connection, "wanted") - wanted.keys():
                wanted[line] = enhancement
    finally:
        connection.execute("DROP SCHEMA wanted CASCADE")
    return wanted


def _order(entry: CatalogEntry) -> tuple[int, int]:
    return KINDS.index(type(entry)), entry.enhancement


def differences(connection: Connection, schema: str = "public") -> Differences:
    """Compare a database that went through all versions of the bundle with the document."""
    wanted = wanted_catalog(connection)
    found = read_catalog(connection, schema)
    missing = sorted((wanted[line], line) for line in wanted.keys() - found)
    return Differences(
        missing=tuple(f"enhancement {number}: {line}" for number, line in missing),
        surplus=tuple(sorted(found - wanted.keys())),
    )


@contextmanager
def _in_schema(connection: Connection, schema: str) -> Iterator[None]:
    """Let names mean those of one schema, in what is run and in what the catalog prints."""
    with connection.transaction():
        statement = sql.SQL("SET LOCAL search_path TO {}").format(sql.Identifier(schema))
        connection.execute(statement)
        yield
