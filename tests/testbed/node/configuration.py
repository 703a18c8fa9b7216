"""The configuration files of a node's servers. Pure: texts, for a folder that is given.

Everything that a server would put where it likes is pointed into the node's folder. The network is
the node's own (housekeeper.py), so that addresses and ports can be fixed.
"""

import json
from pathlib import Path
from typing import Any

from tests.testbed.node.housekeeper import IMAGES

NODE, DNS, API_PORT = "172.30.0.1", "172.30.0.53", 6443
NAME = "n1"
URL = f"https://{NODE}:{API_PORT}"
POD_SUBNET, SERVICE_RANGE, API_SERVICE = "10.244.0.0/24", "10.96.0.0/16", "10.96.0.1"
DOMAIN = "cluster.local"
SANDBOX_IMAGE = "localhost/pgstrata-test-base:1"
API_NAMES = [NODE, API_SERVICE, "127.0.0.1", "localhost", "kubernetes", "kubernetes.default"]
API_NAMES += ["kubernetes.default.svc", f"kubernetes.default.svc.{DOMAIN}"]

_UNUSED_PLUGINS = [
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.tracing.processor.v1.otlp",
    "io.containerd.internal.v1.tracing",
]


def files(d: Path, cgroup: str) -> dict[str, str]:
    """Return the content of each file, by its path below the folder `d`."""
    return {
        "containerd.toml": _containerd(d),
        "cni/10-node.conflist": json.dumps(_cni()),
        "kubelet.json": json.dumps(_kubelet(d, cgroup)),
        "kube-proxy.json": json.dumps(_kube_proxy(d)),
        "Corefile": _corefile(d),
        "audit.json": json.dumps(_audit_policy()),
    }


def _containerd(d: Path) -> str:
    return f"""\
version = 2
root = "{d}/{IMAGES}"
state = "/run/node/containerd"
oom_score = 0
disabled_plugins = {json.dumps(_UNUSED_PLUGINS)}
[grpc]
  address = "{socket(d)}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{d}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{SANDBOX_IMAGE}"
  restrict_oom_score_adj = true  # a machine without CAP_SYS_RESOURCE starts no sandbox otherwise
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{d}/cni"
"""


def socket(d: Path) -> str:
    """Where containerd listens."""
    return f"{d}/containerd.sock"


def _cni() -> dict[str, Any]:
    """One bridge; no way out of the node."""
    ipam = {
        "type": "host-local",
        "dataDir": "/run/node/ipam",
        "ranges": [[{"subnet": POD_SUBNET}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "pods0", "isGateway": True, "hairpinMode": True}
    plugins = [{**bridge, "ipMasq": False, "ipam": ipam}]
    return {"cniVersion": "0.4.0", "name": "node", "plugins": plugins}


def _kubelet(d: Path, cgroup: str) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE,
        "port": 10250,
        "healthzBindAddress": NODE,
        "tlsCertFile": f"{d}/kubelet.crt",
        "tlsPrivateKeyFile": f"{d}/kubelet.key",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{d}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{socket(d)}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "featureGates": {"KubeletSeparateDiskGC": False},
        "oomScoreAdj": 0,
        "maxOpenFiles": 20000,
        "clusterDNS": [DNS],
        "clusterDomain": DOMAIN,
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {
            "memory.available": "50Mi",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "imagefs.available": "0%",
            "imagefs.inodesFree": "0%",
        },
        "serializeImagePulls": False,
        "makeIPTablesUtilChains": False,
        "podLogsDir": f"{d}/pod-logs",
        "volumePluginDir": f"{d}/plugins",
        "syncFrequency": "10s",
        "registryPullQPS": 0,
        "eventRecordQPS": 0,
    }


def _kube_proxy(d: Path) -> dict[str, Any]:
    conntrack = ("min", "maxPerCore"), ("tcpEstablishedTimeout", "tcpCloseWaitTimeout")
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clusterCIDR": "10.244.0.0/16",
        "oomScoreAdj": 0,
        "conntrack": dict.fromkeys(conntrack[0], 0) | dict.fromkeys(conntrack[1], "0s"),
        "iptables": {"localhostNodePorts": False, "minSyncPeriod": "200ms"},
        "healthzBindAddress": f"{NODE}:10256",
        "metricsBindAddress": f"{NODE}:10249",
        "clientConnection": {"kubeconfig": f"{d}/kube-proxy.kubeconfig"},
    }


def _audit_policy() -> dict[str, Any]:
    """Keep what the operator's accounts ask for, and nobody else."""
    group = "system:serviceaccounts:pgstrata-system"
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{"level": "Metadata", "userGroups": [group]}, {"level": "None"}],
    }


def _corefile(d: Path) -> str:
    return f"""\
{DOMAIN}:53 in-addr.arpa:53 {{
  bind {DNS}
  errors
  kubernetes {DOMAIN} in-addr.arpa {{
    kubeconfig {d}/admin.kubeconfig
  }}
}}
"""
