"""The bundle's files, applied plainly: what pgstrata must bring about, without pgstrata.

For tests and measurements that need the schema as their starting point, or as the truth to compare
with.
"""

from pathlib import Path

import psycopg
from psycopg.rows import TupleRow

from pgstrata.pg.script import split_script

BUNDLE = Path(__file__).parents[3] / "sql" / "bundles" / "api-monitoring"


def apply_expand(connection: psycopg.Connection[TupleRow], version: str) -> None:
    """Run a version's expand file as written, in the connection's search_path.

    Args:
        connection: in autocommit, as indexes are built concurrently: each statement on its own.
        version: "000", "001" ...
    """
    (file,) = BUNDLE.glob(f"{version}_*.expand.sql")
    for item in split_script(file.read_text()):
        connection.execute(item.text)
