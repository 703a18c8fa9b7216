"""Operators that are killed, stopped, frozen and woken in the middle of a run: the next one goes on
within 20 seconds, and nothing is done twice. The times are printed."""

import signal
import time
from collections.abc import Iterator

import pytest

from pgstrata.app.operator import LEASE_LOST, STOPPED
from tests.testbed.control_plane import ControlPlane
from tests.testbed.database import Database
from tests.testbed.operator_database import owner_uri
from tests.testbed.operator_ledger import assert_done_once, ledger, wait_in_the_middle
from tests.testbed.operator_process import OperatorProcess
from tests.testbed.operator_site import OperatorSite
from tests.testbed.operator_user import managed_database, secret
from tests.testbed.polling import poll

pytestmark = pytest.mark.pg18only

TAKEN_OVER = 20.0
"""Seconds; 11 to 14 are usual, also on a machine that is busy with other tests."""
END = 40.0
Pair = tuple[OperatorProcess, OperatorProcess]


@pytest.fixture(scope="module")
def site(control_plane: ControlPlane) -> Iterator[OperatorSite]:
    with OperatorSite.open(control_plane) as site:
        yield site


@pytest.fixture
def pair(site: OperatorSite, application: Database) -> Iterator[Pair]:
    """The leader and the standby; a run of the leader is in its middle."""
    for operator in (site.start(), site.start()):
        operator.wait_ready()
    leader = site.wait_leader()
    (standby,) = (o for o in site.operators if o.process.alive and o is not leader)
    site.user.apply(
        secret("metrics", owner_uri(application)),
        managed_database("metrics", secret="metrics"),
        ledger("shop", "metrics", seconds=2.0),
    )
    wait_in_the_middle(application)
    assert (leader.metric("pgstrata_leader"), standby.metric("pgstrata_leader")) == (1, 0)
    assert standby.lines_about("SchemaVersion", "shop") == []
    yield leader, standby
    site.assert_no_password()
    site.settle()
    for operator in site.operators:
        operator.process.stop()


def _token(database: Database) -> int:
    return int(database.psql("select max(token) from pgstrata.fence"))


def test_after_sigkill_the_standby_goes_on(
    pair: Pair, site: OperatorSite, application: Database
) -> None:
    leader, standby = pair
    token = _token(application)
    leader.process.stop(signal.SIGKILL)
    killed = time.monotonic()
    poll(lambda: _token(application) > token, TAKEN_OVER, "another run has the fence")
    print(f"SIGKILL to the standby's own run: {time.monotonic() - killed:.1f} s")
    site.user.wait_ready("shop", deadline=END)
    assert_done_once(application)
    assert standby.process.alive


def test_a_frozen_leader_is_replaced_and_does_nothing_when_it_wakes(
    pair: Pair, site: OperatorSite, application: Database
) -> None:
    leader, standby = pair
    token = _token(application)
    leader.process.freeze()
    frozen = time.monotonic()
    poll(lambda: _token(application) > token, TAKEN_OVER, "another run has the fence")
    print(f"SIGSTOP to the standby's own run: {time.monotonic() - frozen:.1f} s")
    site.user.wait_ready("shop", deadline=END)
    assert_done_once(application)
    before = site.user.get("shop"), _token(application)

    leader.process.thaw()
    woken = time.monotonic()
    assert leader.process.wait(TAKEN_OVER) == LEASE_LOST
    print(f"SIGCONT to its end: {time.monotonic() - woken:.1f} s")
    assert (site.user.get("shop"), _token(application)) == before
    assert_done_once(application)
    assert standby.process.alive


def test_on_sigterm_the_lease_is_given_back_and_the_standby_leads(
    pair: Pair, site: OperatorSite, application: Database
) -> None:
    leader, standby = pair
    held = site.holder()
    leader.process.send(signal.SIGTERM)
    asked = time.monotonic()
    poll(lambda: site.holder() != held, 15.0, "the Lease is given back")
    released = time.monotonic()
    standby.wait_leading(deadline=10.0)
    print(
        f"SIGTERM to the Lease given back: {released - asked:.1f} s, "
        f"then to the standby leading: {time.monotonic() - released:.1f} s"
    )
    assert leader.process.wait(30.0) == STOPPED
    assert {line["level"] for line in leader.log()} <= {"info", "warning"}
    site.user.wait_ready("shop", deadline=END)
    assert_done_once(application)
