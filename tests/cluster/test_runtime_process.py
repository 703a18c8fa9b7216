"""The operator as a process: standing by, taking over, ending; outages of the API server."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgstrata.app.operator import FAILED, LEASE_LOST, STOPPED
from tests.cluster.runtime_operator import FAST_LEASE, SOON, START, Resources, RuntimeOperator
from tests.testbed.control_plane import ControlPlane
from tests.testbed.polling import poll
from tests.testbed.scratch import scratch
from tests.testbed.skipping import cannot
from tests.testbed.unavailable import Unavailable

CRDS = Path(__file__).parents[2] / "crds"
RENEW_DEADLINE = 3.0
LEASE_DURATION = 4.0


@pytest.fixture
def resources(control_plane: ControlPlane, namespace: str) -> Resources:
    return Resources(control_plane, namespace)


@pytest.fixture
def pair(
    control_plane: ControlPlane, resources: Resources
) -> Iterator[tuple[RuntimeOperator, RuntimeOperator]]:
    """Two operators that were started together: the leader, and the one that stands by."""
    settings = FAST_LEASE | {
        "PGSTRATA_WATCH_NAMESPACES": resources.namespace,
        "PGSTRATA_NAMESPACE": resources.namespace,
    }
    with (
        RuntimeOperator.running(control_plane.kubeconfig, settings) as one,
        RuntimeOperator.running(control_plane.kubeconfig, settings) as two,
    ):
        one.wait_ready()
        two.wait_ready()
        poll(lambda: one.trace("made") or two.trace("made"), START, "one of them leads")
        leader, standby = (one, two) if one.trace("made") else (two, one)
        leader.wait_leading()
        yield leader, standby


def test_on_sigterm_the_run_is_asked_to_stop_and_the_standby_goes_on(
    pair: tuple[RuntimeOperator, RuntimeOperator], resources: Resources
) -> None:
    leader, standby = pair
    resources.schema_version("soft-run")
    leader.wait_trace("begun", "soft-run")
    assert standby.get("/readyz").status == 200
    assert standby.trace("made") == [], "it only polls the lease"

    started = time.monotonic()
    assert leader.process.stop() == STOPPED
    assert leader.trace("ended", "soft-run")[0]["cause"] == "the operator is shutting down"
    poll(lambda: standby.trace("look", "soft-run"), SOON, "the standby looks at it")
    print(f"SIGTERM to the standby's first look: {time.monotonic() - started:.1f} s")


def test_a_frozen_leader_is_replaced_and_ends_when_it_wakes(
    pair: tuple[RuntimeOperator, RuntimeOperator], resources: Resources
) -> None:
    leader, standby = pair
    resources.schema_version("survivor")
    leader.wait_trace("ended", "survivor")

    leader.process.freeze()
    started = time.monotonic()
    poll(lambda: standby.trace("look", "survivor"), LEASE_DURATION + SOON, "it is replaced")
    print(f"freeze to the standby's first look: {time.monotonic() - started:.1f} s")
    leader.process.thaw()
    assert leader.process.wait(SOON) == LEASE_LOST
    assert standby.get("/healthz").status == 200


def test_a_frozen_api_ends_the_process_within_the_renew_deadline(
    own_control_plane: ControlPlane,
) -> None:
    plane = own_control_plane
    with RuntimeOperator.running(plane.kubeconfig, FAST_LEASE) as operator:
        operator.wait_leading()
        Resources(plane, "default").schema_version("stubborn-run")
        operator.wait_trace("begun", "stubborn-run")

        plane.freeze_api()
        started = time.monotonic()
        assert operator.process.wait(RENEW_DEADLINE + SOON) == LEASE_LOST
        assert time.monotonic() - started < RENEW_DEADLINE + 1
        plane.thaw_api()


def test_after_an_outage_a_process_started_meanwhile_goes_on(
    own_control_plane: ControlPlane,
) -> None:
    plane = own_control_plane
    resources = Resources(plane, "default")
    with RuntimeOperator.running(plane.kubeconfig, FAST_LEASE) as operator:
        operator.wait_leading()
        resources.schema_version("survivor")
        operator.wait_trace("ended", "survivor")
        plane.kill_api()
        started = time.monotonic()
        assert operator.process.wait(RENEW_DEADLINE + SOON) == LEASE_LOST
        assert time.monotonic() - started < RENEW_DEADLINE + 1

    with RuntimeOperator.running(plane.kubeconfig, FAST_LEASE) as operator:
        assert operator.get("/readyz").text == "standing by, but the lease cannot be read\n"
        assert operator.get("/healthz").status == 200
        plane.restart_api()
        started = time.monotonic()
        poll(lambda: operator.trace("look", "survivor"), 2 * SOON, "it goes on")
        print(f"API ready to the first look: {time.monotonic() - started:.1f} s")


def test_it_waits_for_its_crds_and_ends_when_they_are_taken_away() -> None:
    try:
        with scratch("plane") as directory, ControlPlane.start(directory) as plane:
            _without_crds(plane)
    except Unavailable as reason:
        cannot(reason)


def _without_crds(plane: ControlPlane) -> None:
    with RuntimeOperator.running(plane.kubeconfig, FAST_LEASE) as operator:
        missing = "CustomResourceDefinitions are not installed: manageddatabases, schemaversions\n"
        poll(lambda: operator.get("/readyz").text == missing, START, "it says what is missing")
        plane.kubectl("create", "-f", str(CRDS))
        operator.wait_leading()
        Resources(plane, "default").schema_version("plain-first")
        operator.wait_trace("ended", "plain-first")

        plane.kubectl("delete", "-f", str(CRDS), "--wait=false")
        assert operator.process.wait(SOON) == FAILED
