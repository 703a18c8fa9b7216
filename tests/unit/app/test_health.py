"""Alive is what will get on by itself; ready is what is of use."""

import asyncio
import time
from typing import cast

import pytest

from pgstrata.app.definitions import Definitions
from pgstrata.app.health import Health, LoopLag
from pgstrata.app.streams import WatchStreams
from pgstrata.kube.lease import Lease, LeaseTimings

PATH = "/apis/pgstrata.dev/v1alpha1/schemaversions"


class FakeLease:
    """A Lease, as far as its state is looked at."""

    timings = LeaseTimings()

    def __init__(self) -> None:
        self.acquired = asyncio.Event()
        self.leading = False
        self.renewed_ago: float | None = None
        self.contact: float | None = time.monotonic()

    def lead(self) -> None:
        self.acquired.set()
        self.leading = True
        self.renewed_ago = 0.5


@pytest.fixture
def lease() -> FakeLease:
    return FakeLease()


class FakeDefinitions:
    """Definitions, as far as it is looked at what is wrong with them."""

    problem = ""


@pytest.fixture
def definitions() -> FakeDefinitions:
    return FakeDefinitions()


@pytest.fixture
def health(lease: FakeLease, definitions: FakeDefinitions) -> Health:
    return Health(cast(Lease, lease), LoopLag(), cast(Definitions, definitions), silence=180.0)


def test_standing_by_with_a_lease_that_can_be_read_it_is_ready(health: Health) -> None:
    assert health.wrong_with_readiness() == []
    assert health.wrong_with_life() == []


def test_standing_by_without_the_api_server_it_is_not_ready_but_alive_for_a_while(
    health: Health, lease: FakeLease
) -> None:
    lease.contact = time.monotonic() - 20
    assert health.wrong_with_readiness() == ["standing by, but the lease cannot be read"]
    assert health.wrong_with_life() == []

    # A new process would read credentials and certificates anew.
    lease.contact = time.monotonic() - 200
    assert health.wrong_with_life() == ["no answer from the API server for 200 s"]


def test_leading_it_is_ready_once_everything_is_listed(
    health: Health, lease: FakeLease, definitions: FakeDefinitions
) -> None:
    lease.lead()
    assert health.wrong_with_readiness() == ["starting"]
    definitions.problem = "CustomResourceDefinitions are not installed: schemaversions"
    assert health.wrong_with_readiness() == [definitions.problem]
    health.streams = WatchStreams({PATH})
    assert health.wrong_with_readiness() == [definitions.problem, f"not listed yet: {PATH}"]


def test_standing_by_without_definitions_it_is_not_ready(
    health: Health, definitions: FakeDefinitions
) -> None:
    definitions.problem = "CustomResourceDefinitions are not installed: schemaversions"
    assert health.wrong_with_readiness() == [definitions.problem]
    assert health.wrong_with_life() == []


def test_a_lease_that_is_not_renewed_in_time_is_told(health: Health, lease: FakeLease) -> None:
    lease.lead()
    lease.renewed_ago = 11.0

    assert health.wrong_with_life() == ["the lease was renewed 11 s ago, limit 8 s"]


def test_a_silent_stream_is_told_by_its_path(health: Health, lease: FakeLease) -> None:
    now = 0.0
    lease.lead()
    health.streams = WatchStreams({PATH}, clock=lambda: now)
    assert health.wrong_with_life() == []
    now = 181.0

    assert health.wrong_with_life() == [f"the watch on {PATH} has been silent for 181 s"]


async def test_a_loop_that_was_held_up_lags() -> None:
    lag = LoopLag()
    measuring = asyncio.create_task(lag.measure())
    await asyncio.sleep(0)
    assert lag.seconds < 0.5
    time.sleep(1.3)  # noqa: ASYNC251  the very thing that is measured
    assert lag.seconds > 0.2
    measuring.cancel()
