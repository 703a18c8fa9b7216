"""Pods that are killed, stopped, rolled, cut off: the standby goes on, and nothing is done twice.

The times are printed: until the Lease is another pod's, until that one has carried out a change
made right after the event, and until it has the run that was in its middle. Cuts are made in
the node's packet filter, since nothing enforces a NetworkPolicy there.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pgstrata.app.operator import LEASE_LOST
from tests.testbed.helm import NAMESPACE
from tests.testbed.node import configuration as conf
from tests.testbed.node.node import Node
from tests.testbed.node.postgres_pod import PodDatabase, PostgresPod
from tests.testbed.node.release import Release
from tests.testbed.node.takeover import Takeover
from tests.testbed.node.tenant import reachable, tenant
from tests.testbed.operator_ledger import assert_done_once
from tests.testbed.operator_user import KubectlUser, inline, ready, schema_version
from tests.testbed.polling import poll

AFTER_SIGTERM = 5.0
AFTER_SILENCE = 20.0
END = 60.0
API_PORT, SERVICE_PORT, DATABASE_PORT = conf.API_PORT, 443, 5432


@pytest.fixture
def user(node: Node, release: Release, tmp_path: Path) -> Iterator[KubectlUser]:
    release.wait_available()
    with tenant(node, tmp_path) as user:
        yield user
        user.kubectl("delete", "schemaversions,manageddatabases", "--all", "--timeout=60s")


@pytest.fixture
def database(postgres_pod: PostgresPod, request: pytest.FixtureRequest) -> PodDatabase:
    return postgres_pod.database(f"out_{abs(hash(request.node.name)) % 10**6}")


@pytest.fixture
def takeover(release: Release, user: KubectlUser, database: PodDatabase) -> Takeover:
    """The pod that leads has a run in its middle."""
    return Takeover.prepare(release, user, database)


def time_until(condition: Callable[[], bool], what: str, limit: float) -> float:
    """Wait, print how long that took, and fail where it is more than `limit`."""
    started = time.monotonic()
    poll(condition, limit + 20.0, what)
    taken = time.monotonic() - started
    print(f"{what}: {taken:.1f} s")
    assert taken < limit, what
    return taken


def end_well(user: KubectlUser, database: PodDatabase) -> None:
    user.wait_ready("shop", deadline=END)
    assert_done_once(database)


def test_a_deleted_pod_hands_over(
    takeover: Takeover, release: Release, user: KubectlUser, database: PodDatabase
) -> None:
    delete = ("delete", "pod", takeover.leader, f"--namespace={NAMESPACE}", "--wait=false")
    takeover.time("SIGTERM", lambda: release.node.kubectl(*delete), AFTER_SIGTERM)
    end_well(user, database)


def test_a_killed_pod_is_replaced(
    takeover: Takeover, release: Release, user: KubectlUser, database: PodDatabase
) -> None:
    leader, process = takeover.leader, release.holder()
    takeover.time("SIGKILL", lambda: release.send(leader, signal.SIGKILL), AFTER_SILENCE)
    end_well(user, database)
    assert release.holder() != process
    [status] = release.pod(leader)["status"]["containerStatuses"]
    assert status["restartCount"] == 1


def test_a_paused_leader_is_replaced_and_ends_when_it_wakes(
    takeover: Takeover, release: Release, user: KubectlUser, database: PodDatabase
) -> None:
    leader = takeover.leader
    pid = release.process(leader)
    assert pid is not None
    try:
        takeover.time("SIGSTOP", lambda: os.kill(pid, signal.SIGSTOP), AFTER_SILENCE)
    finally:
        os.kill(pid, signal.SIGCONT)
    poll(lambda: exit_status(release, leader) == LEASE_LOST, END, "the woken leader has ended")
    end_well(user, database)


def test_a_leader_cut_from_the_api_gives_up_and_the_standby_goes_on(
    release: Release, user: KubectlUser, database: PodDatabase
) -> None:
    # it would end a shorter run before it gives up: nothing is between it and the database
    takeover = Takeover.prepare(release, user, database, step=5.0)
    leader = takeover.leader
    try:
        takeover.time(
            "the API cut", lambda: release.cut(leader, SERVICE_PORT, API_PORT), AFTER_SILENCE
        )
        assert exit_status(release, leader) == LEASE_LOST
        end_well(user, database)
    finally:
        release.mend()


def test_a_leader_cut_from_the_database_alone_stays_and_says_so(
    release: Release, user: KubectlUser, database: PodDatabase
) -> None:
    user.apply(*reachable(database), schema_version("shop", "metrics", inline("create table a ()")))
    user.wait_ready("shop")
    leader, holder = release.leader(), release.holder()
    release.cut(leader, DATABASE_PORT)
    two = inline("create table a ()", "create table b ()")
    try:
        user.apply(schema_version("shop", "metrics", two, version="002"))
        user.wait_for("shop", "ConnectionFailed", deadline=END)
        said = ready(user.get("shop"))["message"]
    finally:
        release.mend()
    print(f"cut from the database: {said}")
    time_until(
        lambda: ready(user.get("shop")).get("reason") == "Succeeded",
        "the database back to Ready",
        END,
    )
    assert release.holder() == holder, "the Lease was kept all the time"
    assert database.value("select count(*) from pgstrata.step where state <> 'Applied'") == 0


def test_a_rolled_deployment_goes_on(
    takeover: Takeover, release: Release, user: KubectlUser, database: PodDatabase
) -> None:
    assert takeover.leader in release.ready_pods()
    old = {pod["metadata"]["name"] for pod in release.pods()}
    place = ("deployment/pgstrata", f"--namespace={NAMESPACE}")
    release.node.kubectl("rollout", "restart", *place)
    release.node.kubectl("rollout", "status", *place, "--timeout=60s", timeout=90.0)
    end_well(user, database)
    release.wait_available()
    assert not old & {pod["metadata"]["name"] for pod in release.pods()}
    assert all(
        status["restartCount"] == 0
        for pod in release.pods()
        for status in pod["status"]["containerStatuses"]
    )


def exit_status(release: Release, pod: str) -> int | None:
    """How the pod's container ended the last time."""
    [status] = release.pod(pod)["status"]["containerStatuses"]
    ended = status["lastState"].get("terminated") or status["state"].get("terminated") or {}
    code: int | None = ended.get("exitCode")
    return code
