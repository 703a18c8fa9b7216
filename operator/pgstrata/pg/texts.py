"""Loads the SQL texts that the product runs: sql/<room>/<name>.sql, one statement each.

One loader serves the wheel (pgstrata/sql) and a checkout (sql/ at the top); a test runs the built
wheel. Called by pg/session.py.
"""

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import LiteralString


@cache
def sql_root() -> Traversable:
    """Return the folder that holds the SQL texts and the bundles."""
    packaged = files("pgstrata").joinpath("sql")
    if packaged.is_dir():
        return packaged
    return Path(__file__).resolve().parents[3] / "sql"


@cache
def load(name: str) -> LiteralString:
    """Return the text of `room/statement`; FileNotFoundError is a programming error."""
    room, statement = name.split("/")
    return sql_root().joinpath(room, f"{statement}.sql").read_text(encoding="utf-8")
