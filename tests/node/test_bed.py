"""The node itself: it is whole, and nothing of it is left, however its tests end."""

import subprocess
from pathlib import Path

from tests.testbed.node.images import Images
from tests.testbed.orphans import survivors
from tests.testbed.scratch import scratch

CGROUPS = Path("/sys/fs/cgroup")


def traces() -> dict[str, set[str]]:
    """What a node could leave on the machine."""
    return {
        "links": set(listed("ip", "-brief", "link")),
        "network namespaces": set(listed("ip", "netns", "list")),
        "mounts": set(Path("/proc/self/mounts").read_text().splitlines()),
        "cgroups": {str(path) for path in CGROUPS.glob("**/pgstrata-node-*")},
        "folders": {
            str(path)
            for folder in ("/var/lib/kubelet", "/var/lib/cni", "/var/log/pods", "/run/containerd")
            for path in Path(folder).glob("*")
        },
        "rules": set(listed("nft", "list", "ruleset")),
        "settings": {
            Path(f"/proc/sys/{name}").read_text()
            for name in ("vm/overcommit_memory", "kernel/panic", "net/ipv4/ip_forward")
        },
    }


def listed(*command: str) -> list[str]:
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [line.split()[0] for line in done.stdout.splitlines() if line.strip()]


def test_nothing_is_left_when_the_test_process_is_killed_under_running_pods(
    images: Images,
) -> None:
    with scratch("killed") as directory:
        before = traces()
        assert survivors("node", directory, str(images.base)) == set()
        assert traces() == before
        assert not directory.exists()
