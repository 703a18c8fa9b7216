"""One leads, the others stand by; who leads no longer knows it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest

from pgstrata.kube.client import KubeClient
from pgstrata.kube.lease import Lease, LeaseTimings
from tests.testbed.control_plane import ControlPlane

TIMINGS = LeaseTimings(duration=2, renew=1.5, retry=0.2)
SOON = 10.0

Elect = Callable[[], Lease]


class Election:
    """Starts candidates for one Lease, each with its own connections."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self._plane = plane
        self._namespace = namespace
        self._clients: list[KubeClient] = []
        self._runs: dict[str, asyncio.Task[None]] = {}

    async def candidate(self, timings: LeaseTimings = TIMINGS) -> Lease:
        client = await KubeClient.open(str(self._plane.kubeconfig))
        self._clients.append(client)
        lease = Lease(client, namespace=self._namespace, name="test", timings=timings)
        self._runs[lease.identity] = asyncio.create_task(lease.run())
        return lease

    async def leader(self, timings: LeaseTimings = TIMINGS) -> Lease:
        lease = await self.candidate(timings)
        async with asyncio.timeout(SOON):
            await lease.acquired.wait()
        return lease

    async def silence(self, lease: Lease) -> None:
        """As if its process had died: it does not renew, and gives nothing back."""
        run = self._runs[lease.identity]
        run.cancel()
        with suppress(asyncio.CancelledError):
            await run

    async def close(self) -> None:
        for run in self._runs.values():
            run.cancel()
        await asyncio.gather(*self._runs.values(), return_exceptions=True)
        for client in self._clients:
            await client.close()

    def seize(self, **spec: str | int) -> None:
        """Another that we know nothing of takes the Lease."""
        patch = json.dumps({"spec": {"holderIdentity": "a-stranger", **spec}})
        self._plane.kubectl(
            "patch", "lease", "test", "-n", self._namespace, "--type=merge", "-p", patch
        )


@pytest.fixture
async def election(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Election]:
    election = Election(control_plane, namespace)
    yield election
    await election.close()


async def test_of_several_that_begin_at_once_one_leads(election: Election) -> None:
    candidates = [await election.candidate() for _ in range(4)]
    async with asyncio.timeout(SOON):
        while not any(lease.acquired.is_set() for lease in candidates):
            await asyncio.wait(
                [asyncio.create_task(lease.acquired.wait()) for lease in candidates],
                return_when=asyncio.FIRST_COMPLETED,
            )
        # All have been answered after that: whoever believes to lead would have said so.
        seen = time.monotonic()
        while any((lease.contact or 0) < seen for lease in candidates):  # noqa: ASYNC110  no event
            await asyncio.sleep(0.02)

    assert [lease.leading for lease in candidates].count(True) == 1


async def test_a_lease_given_back_is_taken_without_waiting_for_its_end(election: Election) -> None:
    first = await election.leader()
    second = await election.candidate()
    await election.silence(first)
    started = time.monotonic()
    await first.release()
    async with asyncio.timeout(SOON):
        await second.acquired.wait()

    assert time.monotonic() - started < TIMINGS.duration / 2
    assert not first.leading


async def test_a_silent_holder_is_waited_for_and_not_much_longer(election: Election) -> None:
    first = await election.leader()
    second = await election.candidate()
    async with asyncio.timeout(SOON):
        while second.contact is None:  # noqa: ASYNC110  no event for it
            await asyncio.sleep(0.02)
    await election.silence(first)
    started = time.monotonic()
    async with asyncio.timeout(SOON):
        await second.acquired.wait()

    # The last renewal was up to one retry before.
    assert TIMINGS.duration - 0.5 < time.monotonic() - started < TIMINGS.duration + 1


async def test_who_finds_another_in_its_place_has_lost_at_once(election: Election) -> None:
    long = LeaseTimings(duration=60, renew=50, retry=0.2)
    first = await election.leader(long)
    election.seize(renewTime="2026-01-01T00:00:00.000000Z")
    async with asyncio.timeout(SOON):
        await first.lost.wait()

    assert not first.leading


@pytest.mark.parametrize("clock", ["2001-01-01T00:00:00.000000Z", "2099-01-01T00:00:00.000000Z"])
async def test_a_strangers_clock_does_not_matter(election: Election, clock: str) -> None:
    first = await election.leader()
    await election.silence(first)
    election.seize(renewTime=clock, leaseDurationSeconds=2)
    started = time.monotonic()
    second = await election.leader()

    assert time.monotonic() - started > 1.5
    assert second.leading
