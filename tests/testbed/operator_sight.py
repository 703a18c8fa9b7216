"""What a database shows of the work that is going on in it, and what can be put in its way."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.testbed.database import Connectable, Database
from tests.testbed.operator_database import owner_uri
from tests.testbed.polling import poll

STATEMENT = (
    "select pid from pg_stat_activity where datname = current_database() and state = 'active'"
    " and pid <> pg_backend_pid() and query ilike %s"
)
SOON = 20.0


def running(database: Connectable, statement: str) -> list[int]:
    """The pids of the backends that run a statement which begins so."""
    with database.connect() as connection:
        found = connection.execute(STATEMENT, [f"{statement}%"]).fetchall()
    return [pid for (pid,) in found]


def wait_running(database: Connectable, statement: str) -> int:
    """Wait until a backend runs a statement which begins so; return its pid."""
    return poll(lambda: running(database, statement), SOON, f"{statement} runs")[0]


def invalid_indexes(database: Connectable) -> list[str]:
    """The indexes that no build has finished."""
    query = "select indexrelid::regclass::text from pg_index where not indisvalid"
    with database.connect() as connection:
        return [name for (name,) in connection.execute(query).fetchall()]


def journal(database: Connectable) -> dict[str, str]:
    """The titles of the steps in the journal, each with its state."""
    with database.connect() as connection:
        found = connection.execute("select title, state from pgstrata.step order by id").fetchall()
    assert len(dict(found)) == len(found), f"a step is there twice: {found}"
    return dict(found)


def owners(database: Connectable) -> list[str]:
    """Who manages something in the database: the names of the resources."""
    with database.connect() as connection:
        found = connection.execute("select name from pgstrata.claim order by name").fetchall()
    return [name for (name,) in found]


def host_of_run(database: Connectable, object_: str) -> str:
    """The host, in a cluster the pod, whose run has an object's fence: CLUSTER/HOST_PROCESS."""
    query = "select holder from pgstrata.fence where object = %s"
    with database.connect() as connection:
        [(holder,)] = connection.execute(query, [object_]).fetchall()
    return str(holder).rpartition("/")[2].rpartition("_")[0]


def token_of_run(database: Connectable, object_: str) -> int:
    """How many runs have had an object's fence."""
    query = "select token from pgstrata.fence where object = %s"
    with database.connect() as connection:
        [(token,)] = connection.execute(query, [object_]).fetchall()
    return int(token)


@contextmanager
def old_snapshot(database: Connectable) -> Iterator[int]:
    """Keep a transaction open that every index build has to wait for; yield its pid."""
    with database.connect() as connection:
        connection.execute("begin isolation level repeatable read")
        connection.execute("select 1")
        yield connection.info.backend_pid
        connection.execute("rollback")


@contextmanager
def reader_of(database: Database, table: str, application_name: str) -> Iterator[int]:
    """Keep a transaction of the application's role open that has read a table; yield its pid."""
    with psycopg.connect(
        owner_uri(database), autocommit=True, application_name=application_name
    ) as connection:
        connection.execute("begin")
        connection.execute(f"lock table {table} in access share mode".encode())
        yield connection.info.backend_pid
        connection.execute("rollback")
