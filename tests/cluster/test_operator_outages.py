"""The API server goes away for a minute and comes back: one clean restart at most, and all that was
asked for is done."""

import time
from collections.abc import Iterator

import pytest

from pgstrata.app.operator import LEASE_LOST
from tests.testbed.control_plane import ControlPlane
from tests.testbed.database import Database
from tests.testbed.operator_database import owner_uri
from tests.testbed.operator_deployment import Deployment
from tests.testbed.operator_ledger import assert_done_once, ledger, wait_in_the_middle
from tests.testbed.operator_site import OperatorSite
from tests.testbed.operator_user import inline, managed_database, schema_version, secret
from tests.testbed.polling import poll

pytestmark = pytest.mark.pg18only

OUTAGE = 60.0
ENDS_WITHIN = 15.0
GOES_ON_WITHIN = 60.0
TABLE = "create table resting (id int)"


@pytest.fixture
def site(own_control_plane: ControlPlane) -> Iterator[OperatorSite]:
    with OperatorSite.open(own_control_plane) as site:
        yield site


def test_after_a_minute_without_the_api_everything_goes_on(
    own_control_plane: ControlPlane, site: OperatorSite, application: Database
) -> None:
    user = site.user
    deployment = Deployment(site, {"PGSTRATA_WATCH_NAMESPACES": ""})
    deployment.operator.wait_leading()
    resting = schema_version("resting", "metrics", inline(TABLE), schema="resting")
    user.apply(
        secret("metrics", owner_uri(application)),
        managed_database("metrics", secret="metrics"),
        resting,
    )
    user.wait_ready("resting")
    rested = user.get("resting")["metadata"]["resourceVersion"]
    user.apply(ledger("running", "metrics", seconds=5.0))
    wait_in_the_middle(application)

    own_control_plane.kill_api()
    gone = time.monotonic()

    def has_ended() -> bool:
        deployment.tend()
        return bool(deployment.exits)

    poll(has_ended, ENDS_WITHIN, "without an API the process ends")
    print(f"API gone to the operator's end: {time.monotonic() - gone:.1f} s")

    def is_over() -> bool:
        deployment.tend()
        return time.monotonic() - gone > OUTAGE

    poll(is_over, OUTAGE, "the minute is over")
    own_control_plane.restart_api()
    back = time.monotonic()

    def leads() -> bool:
        deployment.tend()
        return deployment.operator.leads

    poll(leads, GOES_ON_WITHIN, "an operator leads")
    print(f"API back to leading: {time.monotonic() - back:.1f} s")
    user.wait_ready("running", deadline=60.0)
    print(f"API back to the run's end: {time.monotonic() - back:.1f} s")
    assert_done_once(application)
    assert deployment.exits == [LEASE_LOST]
    assert user.get("resting")["metadata"]["resourceVersion"] == rested

    more = inline(TABLE, "create table more (id int)")
    user.apply(schema_version("resting", "metrics", more, version="002", schema="resting"))
    user.wait_ready("resting")
    assert deployment.exits == [LEASE_LOST]
