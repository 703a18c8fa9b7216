"""The peer of backfill.py: a loop over the key as people write it.

`python -m bench.keyset_loop URI`, a process of its own, like all that is measured. Batches of
10,000 rows, one transaction each, the bound looked up before; it ends where no key is left beyond
the last one. It does not know of rows that are written behind it.
"""

import sys

import psycopg

from bench.orders import UPDATE

SIZE = 10_000
_BOUND = f"select id from orders where id > %s order by id offset {SIZE - 1} limit 1"
_LAST = "select max(id) from orders where id > %s"


def main(uri: str) -> None:
    """Run it to its end."""
    with psycopg.connect(uri, autocommit=True) as connection:
        done = ""
        while end := _bound(connection, _BOUND, done) or _bound(connection, _LAST, done):
            text = f"{UPDATE} and id > %s and id <= %s"
            connection.execute(text.encode(), [done, end])
            done = end


def _bound(connection: psycopg.Connection[tuple[object, ...]], query: str, done: str) -> str:
    row = connection.execute(query.encode(), [done]).fetchone()
    return str(row[0]) if row is not None and row[0] is not None else ""


if __name__ == "__main__":
    main(sys.argv[1])
