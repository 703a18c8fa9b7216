"""A deleted resource is gone within five seconds, whatever its run and its clean-up do.

Every worker of this module's operator is busy with a run that does not end while this is tried. All
times are stretched, so that a busy machine's part of them is small.
"""

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.cluster.runtime_operator import FAST_LEASE, Resources, RuntimeOperator, schema_version
from tests.cluster.runtime_process import STRETCH as STRETCH_VARIABLE
from tests.testbed.control_plane import ControlPlane
from tests.testbed.polling import poll

STRETCH = 3.0
LIMIT = 5.0 * STRETCH
PROMPT = 2.0 * STRETCH
MANY = 40
IDLE = ("done", "messy-cleanup", "broken-cleanup")
RUNNING = ("soft-run", "hard-run", "stubborn-run")
WORKERS = 8


@dataclass(frozen=True, slots=True)
class Deletions:
    """What came of the deletion of all of IDLE and RUNNING at once."""

    operator: RuntimeOperator
    resources: Resources
    gone_after: dict[str, float]


@pytest.fixture(scope="module")
def deletions(control_plane: ControlPlane) -> Iterator[Deletions]:
    namespace = f"test-{secrets.token_hex(4)}"
    control_plane.kubectl("create", "namespace", namespace)
    resources = Resources(control_plane, namespace)
    settings = FAST_LEASE | {
        "PGSTRATA_WATCH_NAMESPACES": namespace,
        "PGSTRATA_NAMESPACE": namespace,
        "PGSTRATA_WORKERS": str(WORKERS),
        "PGSTRATA_GRACE": "1s",
        STRETCH_VARIABLE: str(STRETCH),
    }
    with RuntimeOperator.running(control_plane.kubeconfig, settings) as operator:
        resources.database("metrics", secret="login")
        operator.wait_leading()
        gone_after = _delete_all_while_busy(operator, resources)
        print("gone after", {name: round(after, 2) for name, after in gone_after.items()})
        yield Deletions(operator, resources, gone_after)
    control_plane.kubectl("delete", "namespace", namespace, "--wait=false")


def _delete_all_while_busy(operator: RuntimeOperator, resources: Resources) -> dict[str, float]:
    resources.apply(*(schema_version(name) for name in IDLE))
    for name in IDLE:
        operator.wait_trace("ended", name)
    busy = [f"soft-busy-{number}" for number in range(WORKERS - len(RUNNING))]
    resources.apply(*(schema_version(name) for name in (*RUNNING, *busy)))
    for name in (*RUNNING, *busy):
        operator.wait_trace("begun", name)
    return _delete(resources, (*IDLE, *RUNNING))


def _delete(resources: Resources, names: tuple[str, ...]) -> dict[str, float]:
    """Delete all at once; return after how many seconds each was gone."""
    resources.kubectl("delete", "sv", *names, "--wait=false")
    started = time.monotonic()  # the last of them was deleted just now, the first a bit before
    gone: dict[str, float] = {}

    def all_gone() -> bool:
        for name in set(names) - resources.names("schemaversions") - set(gone):
            gone[name] = time.monotonic() - started
        return len(gone) == len(names)

    poll(all_gone, 3 * LIMIT, "all are gone")
    return gone


def _ended(operator: RuntimeOperator, names: tuple[str, ...]) -> set[str]:
    return {line["key"].rpartition("/")[2] for line in operator.trace("ended")} & set(names)


@pytest.mark.parametrize("name", [*IDLE, *RUNNING])
def test_it_is_gone_within_five_seconds(deletions: Deletions, name: str) -> None:
    assert deletions.gone_after[name] < LIMIT


@pytest.mark.parametrize("name", ["done", "broken-cleanup", "soft-run"])
def test_it_is_gone_at_once_where_nothing_holds_it_up(deletions: Deletions, name: str) -> None:
    assert deletions.gone_after[name] < PROMPT


@pytest.mark.parametrize("name", ["soft-run", "hard-run"])
def test_the_clean_up_begins_when_the_run_has_ended(deletions: Deletions, name: str) -> None:
    [stopped] = deletions.operator.trace("stopped", name)
    [clean_up] = deletions.operator.trace("clean_up", name)

    assert stopped["cause"] == "the resource was deleted"
    for line in (stopped, *deletions.operator.trace("ended", name)):
        assert line["at"] <= clean_up["at"]


def test_a_run_is_interrupted_hard_only_after_three_seconds(deletions: Deletions) -> None:
    [asked] = deletions.operator.trace("asked", "hard-run")
    [stopped] = deletions.operator.trace("stopped", "hard-run")

    assert 2.5 * STRETCH < stopped["at"] - asked["at"] < 3.5 * STRETCH


def test_nothing_is_cleaned_up_beside_a_run_that_goes_on(deletions: Deletions) -> None:
    assert deletions.operator.trace("clean_up", "stubborn-run") == []


def test_the_database_is_looked_at_again_to_collect_what_was_left(deletions: Deletions) -> None:
    operator = deletions.operator
    kind = "ManagedDatabase"
    # A worker may have become free only when the runs were stopped.
    last = max(line["at"] for line in operator.trace("clean_up"))
    poll(
        lambda: any(look["at"] > last for look in operator.trace("look", "metrics", kind)),
        30.0,
        "the database was looked at",
    )


def test_a_namesake_is_not_looked_at_beside_the_run_that_goes_on(deletions: Deletions) -> None:
    operator, resources = deletions.operator, deletions.resources
    resources.schema_version("stubborn-run")
    resources.schema_version("plain-later")
    operator.wait_trace("ended", "plain-later")

    assert len(operator.trace("look", "stubborn-run")) == 1


def test_many_at_once_are_gone_as_soon_although_no_clean_up_ends(deletions: Deletions) -> None:
    operator, resources = deletions.operator, deletions.resources
    names = tuple(f"messy-{number}" for number in range(MANY))
    resources.apply(*(schema_version(name) for name in names))
    poll(lambda: len(_ended(operator, names)) == MANY, 60.0, "all were looked at")

    gone = _delete(resources, names)

    assert max(gone.values()) < LIMIT


def test_the_process_ends_in_order_although_a_run_does_not(
    deletions: Deletions, control_plane: ControlPlane
) -> None:
    """The last test here: it stops the operator, which other runs go on in."""
    operator, resources = deletions.operator, deletions.resources
    started = time.monotonic()

    assert operator.process.stop(deadline=45) == 0
    assert time.monotonic() - started < 21.0, "the grace and the 20 s that a pod is given"
    causes = {line["key"]: line["cause"] for line in operator.trace("stopped")}
    key = f"SchemaVersion {resources.namespace}/soft-busy-0"
    assert causes[key] == "the operator is shutting down"
    lease = resources.get("lease", "pgstrata")
    assert lease is not None
    assert lease["spec"]["holderIdentity"] == ""
