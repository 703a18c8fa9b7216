"""The operator uses every right that the chart gives it, and asks for no other."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testbed.helm import Helm, Manifest
from tests.testbed.node.audit import requests
from tests.testbed.node.node import Node
from tests.testbed.node.postgres_pod import PostgresPod
from tests.testbed.node.release import Release
from tests.testbed.node.tenant import reachable, tenant
from tests.testbed.operator_user import WATCHED, KubectlUser, config_map, schema_version
from tests.testbed.polling import poll

SLOW = 30.0


@pytest.fixture
def user(node: Node, release: Release, tmp_path: Path) -> Iterator[KubectlUser]:
    release.wait_available()
    with tenant(node, tmp_path) as user:
        yield user


def test_every_right_is_used_and_no_other_is_asked_for(
    user: KubectlUser, node: Node, postgres_pod: PostgresPod, helm_program: Path, tmp_path: Path
) -> None:
    target = postgres_pod.database("rights")
    credentials, database = reachable(target)
    credentials["metadata"]["labels"] = WATCHED
    files = config_map("files", {"001_a.sql": "create table a ()"}, WATCHED)
    shop = schema_version("shop", "metrics", {"configMaps": [{"name": "files"}]})
    user.apply(credentials, files, database, shop)
    user.wait_ready("shop", deadline=SLOW)
    for _ in range(2):  # what is told a second time is counted on the first telling: patch
        user.kubectl("delete", "secret", "metrics")
        user.annotate("shop", "reconcile.pgstrata.dev/requestedAt=again")
        user.wait_for("shop", "SecretNotFound", deadline=SLOW)
        user.apply(credentials)
        user.wait_ready("shop", deadline=SLOW)
    with target.connect() as connection:  # as if the owner had been let go by hand
        connection.execute("update pgstrata.claim set name = 'gone', uid = 'gone'")
    user.annotate("shop", "reconcile.pgstrata.dev/requestedAt=once-more")
    poll(
        lambda: target.value("select name from pgstrata.claim") == "shop",
        SLOW,
        "who finds the owner gone takes over",
    )
    user.delete("shop")

    used = {
        (request.resource, request.verb)
        for request in requests(node.directory)
        if not request.resource.startswith("/")  # paths that every account may read
    }
    granted = set(rights(Helm(helm_program, tmp_path).render({"secrets": {"watch": True}})))
    assert sorted(granted - used) == [], "given, and never used"
    assert sorted(used - granted) == [], "asked for, and not given"


def rights(objects: list[Manifest]) -> Iterator[tuple[str, str]]:
    """What the operator's roles give: resources and verbs."""
    for each in objects:
        labels = each["metadata"].get("labels", {})
        if each["kind"] not in ("Role", "ClusterRole") or any("aggregate" in key for key in labels):
            continue
        for rule in each["rules"]:
            group = rule["apiGroups"][0]
            for resource in rule["resources"]:
                name = f"{group}/{resource}" if group else resource
                yield from ((name, verb) for verb in rule["verbs"])
