"""The operator as Helm installs it on a node: its pods, who leads, what they say.

Used by the tests in tests/node. Signals are sent to the operator's process in its pod, as seen from
the machine.
"""

import json
import os
import signal
from pathlib import Path
from typing import Any

from tests.testbed.helm import CHART, NAMESPACE, RELEASE, Helm, Values
from tests.testbed.node.node import Node
from tests.testbed.node.postgres_pod import RESTRICTED
from tests.testbed.polling import poll

AVAILABLE = 60.0
LEADING = 30.0
CRDS = ("schemaversions.pgstrata.dev", "manageddatabases.pgstrata.dev")


class Release:
    """One release; install() makes it."""

    def __init__(self, node: Node, helm_program: Path, home: Path) -> None:
        self.node = node
        self.helm = Helm(helm_program, home, node.house.in_network, node.kubeconfig)

    def install(
        self, values: Values | None = None, *, chart: Path = CHART, wait: bool = True
    ) -> str:
        """helm install into its namespace, which is restricted; return the notes."""
        labels = {"name": NAMESPACE, "labels": RESTRICTED}
        self.node.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": labels})
        return self._command("install", chart, values, wait=wait).partition("NOTES:")[2]

    def upgrade(self, values: Values | None = None, *, chart: Path = CHART) -> None:
        """helm upgrade."""
        self._command("upgrade", chart, values, wait=True)

    def run_image(self, tag: str) -> None:
        """helm upgrade to another image alone; chart and values stay."""
        options = ("--reuse-values", f"--set=image.tag={tag}", "--wait", "--timeout=90s")
        self.helm.run("upgrade", RELEASE, str(CHART), f"--namespace={NAMESPACE}", *options)

    def rollback(self) -> None:
        """helm rollback to the revision before."""
        self.helm.run("rollback", RELEASE, f"--namespace={NAMESPACE}", "--wait")

    def uninstall(self) -> None:
        """helm uninstall; what there may still be of resources stays.

        The Lease stays, too: the right to give it back goes with the release, and who comes next
        would wait for it to run out.
        """
        self.helm.run("uninstall", RELEASE, f"--namespace={NAMESPACE}", "--wait")
        poll(lambda: not self.pods(), AVAILABLE, "the pods have gone")
        self.node.kubectl(
            "delete", "lease", RELEASE, f"--namespace={NAMESPACE}", "--ignore-not-found"
        )

    def is_installed(self) -> bool:
        """Whether Helm knows of it."""
        return RELEASE in self.helm.run("list", "--short", "--all", f"--namespace={NAMESPACE}")

    def remove(self) -> None:
        """Uninstall in the documented order, definitions included."""
        for kind in ("schemaversions", "manageddatabases"):
            self.node.kubectl("delete", kind, "--all", "--all-namespaces", "--timeout=60s")
        self.uninstall()
        self.node.kubectl("delete", "crd", *CRDS, "--ignore-not-found", "--timeout=30s")

    def pods(self) -> list[dict[str, Any]]:
        """The operator's pods, those that are going away included."""
        listed = self.node.kubectl("get", "pods", f"--namespace={NAMESPACE}", "--output=json")
        items: list[dict[str, Any]] = json.loads(listed.stdout)["items"]
        return items

    def images(self) -> dict[str, str]:
        """The pods' names, each with the image of its container."""
        return {
            pod["metadata"]["name"]: pod["spec"]["containers"][0]["image"] for pod in self.pods()
        }

    def pod(self, name: str) -> dict[str, Any]:
        """One pod."""
        return next(pod for pod in self.pods() if pod["metadata"]["name"] == name)

    def holder(self) -> str:
        """The Lease's holder: pod, process and a random part; empty: nobody."""
        wanted = ("lease", RELEASE, f"--namespace={NAMESPACE}")
        path = "--output=jsonpath={.spec.holderIdentity}"
        lease = self.node.kubectl("get", *wanted, path, check=False)
        return lease.stdout.strip()

    def leader(self) -> str:
        """Wait for a leader; return its pod's name."""
        return poll(lambda: self.holder().partition("_")[0], LEADING, "a pod leads")

    def wait_available(self, replicas: int = 2) -> None:
        """Wait until there are so many pods and no other, all ready, and one leads."""

        def ready() -> bool:
            names = [pod["metadata"]["name"] for pod in self.pods()]
            return len(names) == replicas and self.ready_pods() == names

        poll(ready, AVAILABLE, f"{replicas} pods are ready")
        poll(lambda: self.leader() in self.ready_pods(), LEADING, "one of them leads")

    def ready_pods(self) -> list[str]:
        """The names of those that are ready."""
        return [
            pod["metadata"]["name"]
            for pod in self.pods()
            for condition in pod["status"].get("conditions", [])
            if (condition["type"], condition["status"]) == ("Ready", "True")
        ]

    def log(self, pod: str, *, before: bool = False) -> list[dict[str, Any]]:
        """The lines of a pod's log; of its container's life before the last restart, if asked."""
        said = self.node.kubectl(
            "logs", pod, f"--namespace={NAMESPACE}", f"--previous={str(before).lower()}"
        )
        return [json.loads(line) for line in said.stdout.splitlines()]

    def address(self, pod: str) -> str:
        """The pod's address."""
        address: str = self.pod(pod)["status"]["podIP"]
        return address

    def send(self, pod: str, number: signal.Signals) -> int:
        """Send a signal to the operator's process in a pod; return its number on this machine."""
        pid = self.process(pod)
        assert pid is not None, f"no operator runs in {pod}"
        os.kill(pid, number)
        return pid

    def process(self, pod: str) -> int | None:
        """The operator's process as this machine numbers it, or None where there is none."""
        uid = self.pod(pod)["metadata"]["uid"]
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and _is_operator(entry, uid):
                return int(entry.name)
        return None

    def cut(self, pod: str, *ports: int) -> None:
        """Drop all that a pod sends to these ports, wherever they are."""
        address = self.address(pod)
        wanted = f"ip saddr {address} tcp dport {{ {', '.join(map(str, ports))} }} drop"
        hook = "type filter hook prerouting priority -350"
        self.node.nft(f"table ip cut {{ chain cut {{ {hook}; {wanted}; }}; }}\n")

    def mend(self) -> None:
        """Undo cut()."""
        self.node.nft("table ip cut; delete table ip cut\n")

    def _command(self, verb: str, chart: Path, values: Values | None, *, wait: bool) -> str:
        waiting = ("--wait", "--timeout=90s") if wait else ()
        place = (f"--namespace={NAMESPACE}", *waiting)
        return self.helm.run(verb, RELEASE, str(chart), *place, *self.helm.values_file(values))


def _is_operator(entry: Path, uid: str) -> bool:
    try:
        where, what = (entry / "cgroup").read_text(), (entry / "cmdline").read_bytes()
    except OSError:
        return False
    return uid in where and b"pgstrata" in what
