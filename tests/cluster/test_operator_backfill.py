"""A backfill whose operator is killed and whose server crashes: no row is taken twice."""

import signal
from collections.abc import Callable

import pytest

from tests.testbed.control_plane import ControlPlane
from tests.testbed.operator_database import APPLICATION, own_database, owner_uri
from tests.testbed.operator_site import OperatorSite
from tests.testbed.operator_user import managed_database, schema_version, secret
from tests.testbed.postgres import PostgresServer
from tests.testbed.slow_backfill import (
    ONCE,
    ROWS,
    assert_all_once,
    done,
    prepare,
    speed_up,
    wait_midway,
)

pytestmark = pytest.mark.pg18only

TAKEN_OVER = 20.0 + 5.0


def test_a_backfill_goes_on_after_its_operator_was_killed_and_its_server_crashed(
    control_plane: ControlPlane, make_postgres: Callable[[], PostgresServer]
) -> None:
    server = make_postgres()
    database = own_database(server)
    prepare(database, APPLICATION)
    with OperatorSite.open(control_plane) as site:
        for operator in (site.start(), site.start()):
            operator.wait_ready()
        leader = site.wait_leader()
        source = {"inline": {"001_t.migrate.sql": ONCE}}
        site.user.apply(
            secret("metrics", owner_uri(database)),
            managed_database("metrics", secret="metrics"),
            schema_version("shop", "metrics", source),
        )
        wait_midway(database)
        leader.process.stop(signal.SIGKILL)
        left = done(database)
        wait_midway(database, beyond=left + 20, deadline=TAKEN_OVER)

        server.crash()
        server.start()
        left = done(database)
        assert left < ROWS
        wait_midway(database, beyond=left)
        speed_up(database)
        site.user.wait_ready("shop", deadline=TAKEN_OVER)
        assert_all_once(database)
        site.settle()
