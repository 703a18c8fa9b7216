"""The pool of the test bed behaves like the ones that applications sit behind."""

import psycopg
import pytest

from tests.database.conftest import MakePgBouncer
from tests.testbed.database import Database
from tests.testbed.pgbouncer import PoolMode


@pytest.mark.pg18only
def test_session_state_is_kept_in_session_mode_only(
    database: Database, make_pgbouncer: MakePgBouncer
) -> None:
    """Two clients of a transaction pool share one backend; those of a session pool do not."""
    shared = {}
    for mode in PoolMode:
        uri = make_pgbouncer(database.server, mode).uri(database.name)
        with (
            psycopg.connect(uri, autocommit=True) as first,
            psycopg.connect(uri, autocommit=True) as second,
        ):
            backends = {
                connection.execute("select pg_backend_pid()").fetchone()
                for connection in (first, second)
            }
        shared[mode] = len(backends) == 1
    assert shared == {PoolMode.SESSION: False, PoolMode.TRANSACTION: True}


@pytest.mark.pg18only
def test_the_pool_refuses_a_wrong_password(
    database: Database, make_pgbouncer: MakePgBouncer
) -> None:
    uri = make_pgbouncer(database.server, users={"app": "right"}).uri(database.name, "app")
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        psycopg.connect(uri.replace("right", "wrong"))
