"""A thousand resources over fifty databases: what the operator costs while nothing happens."""

import json
import os
import threading
import time
import urllib.request
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pgstrata.core.api_model import API_VERSION
from tests.testbed.node.audit import requests
from tests.testbed.node.node import Node
from tests.testbed.node.postgres_pod import PostgresPod
from tests.testbed.node.release import Release
from tests.testbed.node.tenant import reachable, tenant
from tests.testbed.operator_user import inline, schema_version
from tests.testbed.polling import poll

DATABASES = 50
SCHEMAS = 19
"""SchemaVersions in each; with the ManagedDatabases these are 1,000 resources."""
RESOURCES = DATABASES * (SCHEMAS + 1)
PODS = 2
CONVERGED = 480.0
"""Seconds; about 70 on two idle cores."""
IDLE = 30.0
"""Seconds: as often each pod looks at the definitions, by two requests."""
DEFINITIONS = {f"get {base}/apis/{API_VERSION}" for base in ("", "/openapi/v3")}
MEMORY_LIMIT = 256
"""MiB, half of what the chart allows."""


@pytest.mark.timeout(CONVERGED + 120.0)
def test_what_a_thousand_resources_cost_at_rest(
    node: Node, release: Release, postgres_pod: PostgresPod, tmp_path: Path
) -> None:
    release.wait_available()
    with tenant(node, tmp_path) as user:
        started = time.monotonic()
        file = tmp_path / "resources.json"
        file.write_text(
            json.dumps({"apiVersion": "v1", "kind": "List", "items": many(postgres_pod)})
        )
        leader = release.leader()
        address = release.address(leader)
        wanted = ready_at(node, address) + RESOURCES
        user.kubectl("create", f"--filename={file}")
        looks = threading.Event()
        poll(
            lambda: looks.wait(1.0) or ready_at(node, address) >= wanted,
            CONVERGED,
            "all are Ready",
        )
        print(
            f"{RESOURCES} resources Ready {time.monotonic() - started:.0f} s after kubectl create"
        )

        pid = release.process(leader)
        assert pid is not None
        settled = datetime.now(UTC)
        before = cpu_seconds(pid)
        threading.Event().wait(IDLE)
        cpu = (cpu_seconds(pid) - before) / IDLE
        asked = Counter(
            f"{r.verb} {r.resource}" for r in requests(node.directory) if r.at > settled
        )
        memory, calls = resident_mib(pid), sum(asked.values()) * 60 / IDLE
        print(
            f"at rest: {memory} MiB resident, {cpu:.1%} of a core, {calls:.0f} API calls a minute:"
            f" {dict(asked)}"
        )
        assert ready_at(node, address) == wanted
        assert memory < MEMORY_LIMIT
        looks_at_definitions = {call: asked.pop(call, 0) for call in DEFINITIONS}
        assert all(1 <= count <= 2 * PODS for count in looks_at_definitions.values())
        # nothing else is read or written because time passes: two Leases' holders, and open streams
        assert {call.split("/")[0] for call in asked} <= {
            "get coordination.k8s.io",
            "update coordination.k8s.io",
            "watch pgstrata.dev",
            "watch secrets",
            "watch configmaps",
        }


def many(server: PostgresPod) -> list[dict[str, object]]:
    objects: list[dict[str, object]] = []
    for number in range(DATABASES):
        name = f"many-{number:02}"
        objects += reachable(server.database(name), name)
        objects += [
            schema_version(f"{name}-{each:02}", name, inline("create table t (id int)"),
                           schema=f"s{each:02}")
            for each in range(SCHEMAS)
        ]  # fmt: skip
    return objects


def ready_at(node: Node, address: str) -> int:
    """How many the operator in a pod counts as ready."""
    with node.house.network():
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{address}:8080/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
    counted = [
        line for line in lines if line.startswith("pgstrata_resources{") and '"ready"' in line
    ]
    return sum(int(float(line.rpartition(" ")[2])) for line in counted)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) // 1024
