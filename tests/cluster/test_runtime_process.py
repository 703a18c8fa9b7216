"""The operator as a process: standing by, taking over, ending; outages of the API server."""

import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pgstrata.app.operator import LEASE_LOST, STOPPED
from tests.cluster.runtime_operator import FAST_LEASE, SOON, START, Resources, RuntimeOperator
from tests.testbed.control_plane import ControlPlane
from tests.testbed.polling import poll
from tests.testbed.scratch import scratch
from tests.testbed.skipping import cannot
from tests.testbed.unavailable import Unavailable

CRDS = Path(__file__).parents[2] / "crds"
RENEW_DEADLINE = 6.0
LEASE_DURATION = 10.0
NOTICED = 60.0
"""Seconds until it is noticed that definitions have come or gone: asked every 30 s."""


@pytest.fixture(scope="module")
def resources(control_plane: ControlPlane) -> Iterator[Resources]:
    """A namespace for this module."""
    yield from _namespace(control_plane)


def _namespace(plane: ControlPlane) -> Iterator[Resources]:
    name = f"test-{secrets.token_hex(4)}"
    plane.kubectl("create", "namespace", name)
    yield Resources(plane, name)
    plane.kubectl("delete", "namespace", name, "--wait=false")


def _settings(resources: Resources) -> dict[str, str]:
    return FAST_LEASE | {
        "PGSTRATA_WATCH_NAMESPACES": resources.namespace,
        "PGSTRATA_NAMESPACE": resources.namespace,
    }


@pytest.fixture(scope="module")
def trio(control_plane: ControlPlane, resources: Resources) -> Iterator[list[RuntimeOperator]]:
    """Three operators that were started together: one leads, the others stand by."""
    with ExitStack() as stack:
        operators = [
            stack.enter_context(
                RuntimeOperator.running(control_plane.kubeconfig, _settings(resources))
            )
            for _ in range(3)
        ]
        for operator in operators:
            operator.wait_ready()
        yield operators


def _roles(trio: list[RuntimeOperator]) -> tuple[RuntimeOperator, list[RuntimeOperator]]:
    """Who leads, and who stands by, of those that still run."""
    alive = [operator for operator in trio if operator.process.alive]
    [leader] = poll(lambda: [one for one in alive if one.trace("made")], START, "one leads")
    leader.wait_leading()
    return leader, [operator for operator in alive if operator is not leader]


def _look_of_any(operators: list[RuntimeOperator], name: str) -> bool:
    return any(operator.trace("look", name) for operator in operators)


def test_on_sigterm_the_run_is_asked_to_stop_and_a_standby_goes_on(
    trio: list[RuntimeOperator], resources: Resources
) -> None:
    leader, others = _roles(trio)
    resources.schema_version("soft-run")
    leader.wait_trace("begun", "soft-run")
    assert [other.get("/readyz").status for other in others] == [200] * len(others)
    assert [other.trace("made") for other in others] == [[]] * len(others), "they only poll"

    started = time.monotonic()
    assert leader.process.stop(deadline=45) == STOPPED
    assert leader.trace("ended", "soft-run")[0]["cause"] == "the operator is shutting down"
    poll(lambda: _look_of_any(others, "soft-run"), SOON, "a standby looks at it")
    print(f"SIGTERM to the standby's first look: {time.monotonic() - started:.1f} s")


def test_a_frozen_leader_is_replaced_and_ends_when_it_wakes(
    trio: list[RuntimeOperator], resources: Resources
) -> None:
    leader, others = _roles(trio)
    resources.schema_version("survivor")
    leader.wait_trace("ended", "survivor")

    leader.process.freeze()
    started = time.monotonic()
    limit = LEASE_DURATION + SOON
    poll(lambda: _look_of_any(others, "survivor"), limit, "it is replaced")
    print(f"freeze to the standby's first look: {time.monotonic() - started:.1f} s")
    leader.process.thaw()
    assert leader.process.wait(SOON) == LEASE_LOST
    assert others[0].get("/healthz").status == 200


@pytest.fixture(scope="module")
def outage_plane() -> Iterator[ControlPlane]:
    """A control plane whose API server is frozen and killed; every test leaves it working."""
    try:
        with scratch("plane") as directory, ControlPlane.start(directory, crds=[CRDS]) as plane:
            yield plane
    except Unavailable as reason:
        cannot(reason)


@pytest.fixture
def exposed(outage_plane: ControlPlane) -> Iterator[Resources]:
    """A namespace in there."""
    yield from _namespace(outage_plane)


def test_a_frozen_api_ends_the_process_before_the_lease_is_anothers(
    outage_plane: ControlPlane, exposed: Resources
) -> None:
    with RuntimeOperator.running(outage_plane.kubeconfig, _settings(exposed)) as operator:
        operator.wait_leading()
        exposed.schema_version("stubborn-run")
        operator.wait_trace("begun", "stubborn-run")

        outage_plane.freeze_api()
        started = time.monotonic()
        try:
            assert operator.process.wait(RENEW_DEADLINE + SOON) == LEASE_LOST
        finally:
            outage_plane.thaw_api()
        assert time.monotonic() - started < LEASE_DURATION


def test_after_an_outage_a_process_started_meanwhile_goes_on(
    outage_plane: ControlPlane, exposed: Resources
) -> None:
    with RuntimeOperator.running(outage_plane.kubeconfig, _settings(exposed)) as operator:
        operator.wait_leading()
        exposed.schema_version("survivor")
        operator.wait_trace("ended", "survivor")
        outage_plane.kill_api()
        started = time.monotonic()
        assert operator.process.wait(RENEW_DEADLINE + SOON) == LEASE_LOST
        assert time.monotonic() - started < LEASE_DURATION

    with RuntimeOperator.running(outage_plane.kubeconfig, _settings(exposed)) as operator:
        assert operator.get("/readyz").text == "standing by, but the lease cannot be read\n"
        assert operator.get("/healthz").status == 200
        outage_plane.restart_api()
        started = time.monotonic()
        poll(lambda: operator.trace("look", "survivor"), NOTICED, "it goes on")
        print(f"API ready to the first look: {time.monotonic() - started:.1f} s")


def test_it_waits_for_its_crds_also_when_they_are_taken_away() -> None:
    try:
        with scratch("plane") as directory, ControlPlane.start(directory) as plane:
            _without_crds(plane)
    except Unavailable as reason:
        cannot(reason)


def _without_crds(plane: ControlPlane) -> None:
    with RuntimeOperator.running(plane.kubeconfig, FAST_LEASE) as operator:
        names = "manageddatabases.pgstrata.dev, schemaversions.pgstrata.dev"
        missing = f"CustomResourceDefinitions are not installed: {names}; "
        poll(lambda: missing in operator.get("/readyz").text, START, "it says what is missing")
        plane.kubectl("create", "-f", str(CRDS))
        operator.wait_leading()
        Resources(plane, "default").schema_version("plain-first")
        operator.wait_trace("ended", "plain-first")

        plane.kubectl("delete", "-f", str(CRDS))
        poll(lambda: operator.get("/readyz").status == 503, NOTICED, "it sees that they have gone")
        poll(lambda: missing in operator.get("/readyz").text, NOTICED, "it says what is missing")
        assert operator.get("/healthz").status == 200
        plane.kubectl("create", "-f", str(CRDS))
        operator.wait_ready()
        Resources(plane, "default").schema_version("plain-second")
        poll(lambda: operator.trace("ended", "plain-second"), NOTICED, "it is looked at")
