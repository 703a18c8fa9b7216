"""The bundle's files, applied plainly: what pgstrata must bring about, without pgstrata.

For tests and measurements that need the schema as their starting point, or as the truth to compare
with.
"""

from pathlib import Path

import psycopg
from psycopg.rows import TupleRow

from pgstrata.pg.script import split_script

BUNDLE = Path(__file__).parents[3] / "sql" / "bundles" / "api-monitoring"
VERSIONS = ("000", "001", "002", "003")
PHASES = ("expand", "migrate", "contract")


def apply_phase(connection: psycopg.Connection[TupleRow], version: str, phase: str) -> None:
    """Run a version's files of one phase as written, in the connection's search_path.

    A version that has nothing to do in that phase has no file, and nothing is done. A backfill runs
    as the one UPDATE that it is; nothing keeps rows right that are written after it.

    Args:
        connection: in autocommit, as indexes are built concurrently: each statement on its own, and
            between BEGIN and COMMIT together.
        version: one of VERSIONS.
        phase: one of PHASES.
    """
    for file in sorted(BUNDLE.glob(f"{version}_*.{phase}.sql")):
        for item in split_script(file.read_text()):
            connection.execute(item.text)


def apply_expand(connection: psycopg.Connection[TupleRow], version: str) -> None:
    """Run a version's expand file; see apply_phase."""
    apply_phase(connection, version, "expand")


def apply_version(connection: psycopg.Connection[TupleRow], version: str) -> None:
    """Run all that a version has: expand, migrate, contract; see apply_phase."""
    for phase in PHASES:
        apply_phase(connection, version, phase)


def failures(connection: psycopg.Connection[TupleRow], version: str) -> list[TupleRow]:
    """Return the rows of the version's verify files, each of which says what is wrong."""
    return [
        row
        for file in sorted(BUNDLE.glob(f"{version}_*.verify.sql"))
        for item in split_script(file.read_text())
        for row in connection.execute(item.text)
    ]
