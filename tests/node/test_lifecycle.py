"""The chart on a real node: from helm install to Ready, taken away, and back again."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chart.notes import commands
from tests.testbed.certificates import write_private
from tests.testbed.helm import CHART, NAMESPACE, HelmFailed
from tests.testbed.node.node import Node
from tests.testbed.node.postgres_pod import PodDatabase, PostgresPod
from tests.testbed.node.release import CRDS, Release
from tests.testbed.node.tenant import reachable, tenant
from tests.testbed.operator_user import KubectlUser, inline, ready, schema_version
from tests.testbed.polling import poll
from tests.testbed.process import child_environment

FIRST_READY = 60.0
SLOW = 30.0
"""Seconds for what waits for a pod to start."""
CREATE = "create table orders (id int)"


@pytest.fixture
def user(node: Node, tmp_path: Path) -> Iterator[KubectlUser]:
    with tenant(node, tmp_path) as user:
        yield user


@pytest.fixture
def database(postgres_pod: PostgresPod, request: pytest.FixtureRequest) -> PodDatabase:
    return postgres_pod.database(f"life_{abs(hash(request.node.name)) % 10**6}")


@pytest.fixture
def release(own_release: Release) -> Release:
    """None that others use."""
    return own_release


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "not kept"])
def test_the_notes_lead_from_install_to_ready_and_back(
    release: Release, user: KubectlUser, database: PodDatabase, tmp_path: Path, keep: bool
) -> None:
    shell = Shell(release, user.namespace, tmp_path)
    started = time.monotonic()
    first, last = commands(release.install({"crds": {"keep": keep}}, wait=False))
    shell.run(first.replace("postgresql://USER:PASSWORD@HOST:5432/DATABASE", database.uri))
    taken = time.monotonic() - started
    print(f"helm install to the first resource Ready: {taken:.1f} s")
    assert taken < FIRST_READY
    user.wait_ready("app")
    assert database.value("select count(*) from orders") == 0

    shell.run(last)
    assert database.value("select count(*) from orders") == 0, "data stays"
    assert database.value("select count(*) from pgstrata.claim") == 0, "nobody manages it any more"
    poll(lambda: not definitions(release.node), SLOW, "the definitions have gone: nothing hangs")
    objects = "all,lease,role,rolebinding,pdb,serviceaccount,secret"
    left = release.node.kubectl("get", objects, f"--namespace={NAMESPACE}", "--output=name").stdout
    assert {name for name in left.split() if not name.startswith("pod/")} == {
        "serviceaccount/default",
        "lease.coordination.k8s.io/pgstrata",  # the pods made it, not Helm
    }


def test_an_operator_that_was_taken_away_goes_on_when_it_is_back(
    release: Release, user: KubectlUser, database: PodDatabase
) -> None:
    release.install()
    user.apply(*reachable(database), schema_version("shop", "metrics", inline(CREATE)))
    user.wait_ready("shop", deadline=SLOW)
    uid = user.get("shop")["metadata"]["uid"]
    release.uninstall()
    assert user.get("shop")["metadata"]["uid"] == uid, "definitions and resources stay"
    two = inline(CREATE, "alter table orders add note text")
    user.apply(schema_version("shop", "metrics", two, version="002"))
    user.kubectl("delete", "schemaversion", "shop", "--wait=false")
    assert user.get("shop")["metadata"]["deletionTimestamp"], "it waits for the operator"

    # docs/operations.md: the way out without an operator
    escape = '[{"op":"remove","path":"/metadata/finalizers"}]'
    user.kubectl("patch", "sv", "shop", "--type=json", "-p", escape)
    user.wait_gone("shop")
    user.apply(schema_version("shop", "metrics", two, version="002"))
    release.install()
    user.wait_ready("shop", deadline=SLOW)
    assert database.value("select count(note) from orders") == 0


def test_the_kustomize_base_does_the_same(
    node: Node, absent_release: Release, user: KubectlUser, database: PodDatabase
) -> None:
    root = CHART.parents[1]
    node.kubectl("create", f"--filename={root / 'crds'}")
    node.kubectl("apply", f"--kustomize={root / 'kustomize'}")
    user.apply(*reachable(database), schema_version("shop", "metrics", inline(CREATE)))
    user.wait_ready("shop", deadline=SLOW)
    user.delete("shop")
    user.delete("metrics", "ManagedDatabase")
    node.kubectl("delete", f"--kustomize={root / 'kustomize'}", "--timeout=90s", timeout=100.0)
    node.kubectl("delete", "crd", *CRDS)
    assert not absent_release.is_installed()


def test_definitions_that_are_missing_are_named_until_they_are_there(
    release: Release, user: KubectlUser, database: PodDatabase
) -> None:
    crds = {path.name.split("_")[1]: path for path in (CHART.parents[1] / "crds").iterdir()}
    release.node.kubectl("create", f"--filename={crds['manageddatabases.yaml']}")
    release.install({"crds": {"enabled": False}}, wait=False)
    words = "CustomResourceDefinitions are not installed: schemaversions.pgstrata.dev; "

    def complaints() -> int:
        return sum(
            any(line["message"].startswith(words) for line in release.log(pod["metadata"]["name"]))
            for pod in release.pods()
            if pod["status"]["phase"] == "Running"
        )

    poll(lambda: complaints() == 2, SLOW, "the log of each names what is missing")
    assert not release.ready_pods(), "neither leading nor standing by"
    release.node.kubectl("create", f"--filename={crds['schemaversions.yaml']}")
    release.wait_available()
    user.apply(*reachable(database), schema_version("shop", "metrics", inline(CREATE)))
    user.wait_ready("shop")


def test_a_pod_that_is_deleted_while_it_starts_ends_at_once(release: Release) -> None:
    release.install({"replicas": 1}, wait=False)
    [pod] = poll(release.pods, SLOW, "there is a pod")
    name = pod["metadata"]["name"]
    poll(lambda: release.process(name), SLOW, "its process has begun to start")
    started = time.monotonic()
    release.node.kubectl("delete", "pod", name, f"--namespace={NAMESPACE}")
    assert time.monotonic() - started < 15.0, "not at the end of its grace period"


def test_a_namespace_that_is_not_there_is_refused_by_name(release: Release) -> None:
    with pytest.raises(HelmFailed, match='namespaces "nowhere" not found'):
        release.install({"watchNamespaces": ["nowhere"]})


def test_where_it_may_not_read_secrets_the_resource_says_so(
    release: Release, user: KubectlUser, database: PodDatabase
) -> None:
    """The operator's account is made by somebody else, who forgot the rights to Secrets."""
    release.install({"watchNamespaces": [user.namespace], "replicas": 1})
    role = f"{NAMESPACE}:pgstrata"
    rules = json.loads(user.kubectl("get", "role", role, "--output=json").stdout)["rules"]
    kept = [rule for rule in rules if rule["resources"] != ["secrets"]]
    patch = [{"op": "replace", "path": "/rules", "value": kept}]
    user.kubectl("patch", "role", role, "--type=json", f"--patch={json.dumps(patch)}")
    user.apply(*reachable(database))

    def told() -> str:
        return str(ready(user.get("metrics", "ManagedDatabase")).get("message", ""))

    poll(lambda: 'cannot get resource "secrets"' in told(), SLOW, f"the resource says it: {told()}")


def definitions(node: Node) -> list[str]:
    listed = node.kubectl("get", "crd", "--output=name").stdout
    return [name for name in CRDS if name in listed]


class Shell:
    """Runs text from the documentation as it stands, with kubectl and helm of the node."""

    def __init__(self, release: Release, namespace: str, directory: Path) -> None:
        self._directory = directory
        node, program = release.node, release.helm.program
        config = json.loads(node.kubeconfig.read_text())
        config["contexts"][0]["context"]["namespace"] = namespace
        kubeconfig = write_private(directory / "kubeconfig", json.dumps(config).encode())
        for path in (program, program.with_name("kubectl")):
            prefix = " ".join(node.house.in_network)
            script = f'#!/bin/sh\nKUBECONFIG={kubeconfig} exec {prefix} {path} "$@"\n'
            (directory / path.name).write_text(script)
            (directory / path.name).chmod(0o755)

    def run(self, text: str) -> None:
        """Fail with what was said if any command fails."""
        path = f"{self._directory}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        env = child_environment({"PATH": path, "HOME": str(self._directory)})
        done = subprocess.run(
            ["sh", "-ex"], input=text, env=env, text=True, capture_output=True, timeout=120,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
