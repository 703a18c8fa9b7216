"""From the release before this one to this one and back: all is replaced, and nothing is lost."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pgstrata import __version__
from tests.testbed.node.node import Node
from tests.testbed.node.older_release import VERSION as OLDER
from tests.testbed.node.postgres_pod import PodDatabase, PostgresPod
from tests.testbed.node.release import CRDS, Release
from tests.testbed.node.tenant import reachable, tenant
from tests.testbed.operator_ledger import assert_done_once, ledger, wait_in_the_middle
from tests.testbed.operator_sight import host_of_run
from tests.testbed.operator_user import KubectlUser, Manifest, inline, schema_version

SLOW = 30.0
"""Seconds for what waits for a pod to start."""
CREATE = "create table orders (id int)"
NEWER_FIELDS = {"maxConnections": CRDS[1], "appliedCount": CRDS[0]}


@pytest.fixture
def user(node: Node, tmp_path: Path) -> Iterator[KubectlUser]:
    with tenant(node, tmp_path) as user:
        yield user


@pytest.fixture
def database(postgres_pod: PostgresPod, request: pytest.FixtureRequest) -> PodDatabase:
    return postgres_pod.database(f"upgrade_{abs(hash(request.node.name)) % 10**6}")


def test_an_upgrade_replaces_all_of_the_release_and_a_rollback_all_of_it_again(
    own_release: Release, older_chart: Path, user: KubectlUser, database: PodDatabase
) -> None:
    own_release.install(chart=older_chart)
    first = pods_of(own_release, OLDER)
    assert fields_known(own_release.node) == set()
    user.apply(*reachable(database), schema_version("shop", "metrics", inline(CREATE)))
    user.wait_ready("shop", deadline=SLOW)
    user.wait_for("metrics", "Succeeded", kind="ManagedDatabase")
    before, done = resources(user), everything_done(database)
    assert "appliedCount" not in user.get("shop")["status"]

    own_release.upgrade()
    second = pods_of(own_release, __version__)
    assert not first & second
    assert fields_known(own_release.node) == set(NEWER_FIELDS)
    wait_looked_at(user, "after-the-upgrade")
    assert user.get("shop")["status"]["appliedCount"] == 1, "the new one says what only it knows"
    assert (resources(user), everything_done(database)) == (before, done)

    own_release.rollback()
    assert not (first | second) & pods_of(own_release, OLDER)
    assert fields_known(own_release.node) == set()
    wait_looked_at(user, "after-the-rollback")
    assert "appliedCount" not in user.get("shop")["status"]
    assert (resources(user), everything_done(database)) == (before, done)


def test_a_field_that_a_rollback_takes_away_is_back_when_its_manifest_is_applied_again(
    own_release: Release, older_chart: Path, user: KubectlUser, database: PodDatabase
) -> None:
    own_release.install(chart=older_chart)
    own_release.upgrade()
    manifests = with_newer_field(database)
    user.apply(*manifests)
    user.wait_ready("shop", deadline=SLOW)
    before, done = resources(user), everything_done(database)

    own_release.rollback()
    pods_of(own_release, OLDER)
    wait_looked_at(user, "after-the-rollback")
    assert "maxConnections" not in user.get("metrics", "ManagedDatabase")["spec"]
    assert (resources(user), everything_done(database)) == (before, done)
    refused = user.try_apply(manifests[1])
    assert 'unknown field "spec.maxConnections"' in refused.stderr

    own_release.upgrade()
    pods_of(own_release, __version__)
    user.apply(*manifests)
    assert user.get("metrics", "ManagedDatabase")["spec"]["maxConnections"] == 7
    wait_looked_at(user, "after-the-second-upgrade")
    assert [kept["uid"] for kept in resources(user)] == [kept["uid"] for kept in before]
    assert everything_done(database) == done


def test_an_older_operator_under_the_newer_definitions_leaves_newer_fields_alone(
    own_release: Release, older_chart: Path, user: KubectlUser, database: PodDatabase
) -> None:
    own_release.install()
    user.apply(*with_newer_field(database))
    user.wait_ready("shop", deadline=SLOW)
    before = resources(user)

    own_release.run_image(OLDER)
    pods_of(own_release, OLDER)
    assert fields_known(own_release.node) == set(NEWER_FIELDS)
    two = inline(CREATE, "alter table orders add note text")
    user.apply(schema_version("shop", "metrics", two, version="002"))
    user.wait_ready("shop", deadline=SLOW)
    assert user.get("metrics", "ManagedDatabase")["spec"]["maxConnections"] == 7

    done = everything_done(database)
    own_release.run_image(__version__)
    pods_of(own_release, __version__)
    wait_looked_at(user, "by-the-newer")
    assert user.get("metrics", "ManagedDatabase")["spec"]["maxConnections"] == 7
    assert [kept["uid"] for kept in resources(user)] == [kept["uid"] for kept in before]
    assert everything_done(database) == done


def test_a_run_in_its_middle_is_gone_on_with_by_the_newer_operator(
    own_release: Release, older_chart: Path, user: KubectlUser, database: PodDatabase
) -> None:
    own_release.install(chart=older_chart)
    user.apply(*reachable(database), ledger("shop", "metrics", seconds=6.0))
    wait_in_the_middle(database)
    own_release.upgrade()
    pods = pods_of(own_release, __version__)
    user.wait_ready("shop", deadline=SLOW)
    assert_done_once(database)
    assert host_of_run(database, "schema:public") in pods, "the newer one ended it"


def test_definitions_that_are_left_behind_are_told_and_worked_with(
    own_release: Release, older_chart: Path, user: KubectlUser, database: PodDatabase
) -> None:
    own_release.install(chart=older_chart)
    user.apply(*reachable(database), schema_version("shop", "metrics", inline(CREATE)))
    user.wait_ready("shop", deadline=SLOW)
    before, done = resources(user), everything_done(database)

    own_release.upgrade({"crds": {"enabled": False}})
    pods_of(own_release, __version__)
    assert fields_known(own_release.node) == set()
    wait_looked_at(user, "under-older-definitions")
    assert (resources(user), everything_done(database)) == (before, done)
    said = [line["message"] for line in own_release.log(own_release.leader())]
    told = [text for text in said if "is of an older release" in text]
    for crd, field in ((CRDS[1], "spec.maxConnections"), (CRDS[0], "status.appliedCount")):
        [line] = [text for text in told if text.startswith(f"the CustomResourceDefinition {crd} ")]
        assert field in line
    user.wait_event("shop", ("Warning", "OutdatedDefinition"))
    user.wait_event("metrics", ("Warning", "OutdatedDefinition"), kind="ManagedDatabase")

    own_release.uninstall()
    own_release.install()
    assert fields_known(own_release.node) == set(NEWER_FIELDS), "taken over, and brought up to date"
    wait_looked_at(user, "under-newer-definitions")
    assert user.get("shop")["status"]["appliedCount"] == 1
    assert (resources(user), everything_done(database)) == (before, done)


def pods_of(release: Release, version: str) -> set[str]:
    """Wait until the release's pods run, all of a version's image; return their names."""
    release.wait_available()
    images = release.images()
    assert set(images.values()) == {f"localhost/pgstrata:{version}"}
    assert len(images) == 2
    return set(images)


def fields_known(node: Node) -> set[str]:
    """Which of the newer fields the definitions in the cluster have."""
    text = {crd: node.kubectl("get", "crd", crd, "--output=json").stdout for crd in CRDS}
    return {field for field, crd in NEWER_FIELDS.items() if f'"{field}":' in text[crd]}


def resources(user: KubectlUser) -> list[dict[str, Any]]:
    """What of the resources no upgrade may change."""
    found = [user.get("shop"), user.get("metrics", "ManagedDatabase")]
    return [
        {
            "uid": each["metadata"]["uid"],
            "generation": each["metadata"]["generation"],
            "finalizers": each["metadata"].get("finalizers"),
            "conditions": each["status"]["conditions"],
        }
        for each in found
    ]


def everything_done(database: PodDatabase) -> list[str]:
    """The journal, row by row, who owns what, and the table itself."""
    rows = "select json_agg(t order by t::text)::text from pgstrata.{} t"
    table = database.value("select 'orders'::regclass::oid::text")
    return [table, *(database.value(rows.format(name)) for name in ("step", "claim"))]


def wait_looked_at(user: KubectlUser, when: str) -> None:
    """Have the operator that leads look at both resources, and wait until they are well."""
    for kind, name in (("SchemaVersion", "shop"), ("ManagedDatabase", "metrics")):
        user.annotate(name, f"reconcile.pgstrata.dev/requestedAt={when}", kind)
    for kind, name in (("SchemaVersion", "shop"), ("ManagedDatabase", "metrics")):
        user.wait_for(
            name,
            "Succeeded",
            kind=kind,
            deadline=SLOW,
            until=lambda found: found["status"].get("lastHandledReconcileAt") == when,
        )


def with_newer_field(database: PodDatabase) -> list[Manifest]:
    """Manifests of which the ManagedDatabase, the second, says what the older release cannot."""
    credentials, reached = reachable(database)
    reached["spec"]["maxConnections"] = 7
    return [credentials, reached, schema_version("shop", "metrics", inline(CREATE))]
