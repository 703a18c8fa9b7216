"""Build etcd, Kubernetes, CoreDNS and Helm from their Go modules, once per machine and version.

Called by control_plane.py, by the chart tests and by the demo. The result is kept in the cache
under a name made of everything that decides it: go.mod, go.sum, flags and Go's version. Binaries
appear there by rename, so that a killed build leaves nothing half done, and behind a file lock, so
that two runs do not build at once.
"""

import hashlib
import os
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.testbed.scratch import cache_home, locked, say
from tests.testbed.toolchain import Toolchain, find_toolchain
from tests.testbed.unavailable import Unavailable

HERE = Path(__file__).parent
FLAGS = ("-trimpath", "-tags", "selinux,notest,grpcnotrace")
BUILD_TIMEOUT = 3600.0
"""Seconds for one binary: the first one, cold, takes about five minutes on two cores."""

CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")


@dataclass(frozen=True, slots=True)
class Program:
    """One main package and the module (a folder beside this file) whose go.sum pins it."""

    module: str
    package: str


PROGRAMS = {
    "etcd": Program("etcd", "go.etcd.io/etcd/server/v3"),
    "kube-apiserver": Program("kubernetes", "k8s.io/kubernetes/cmd/kube-apiserver"),
    "kube-controller-manager": Program(
        "kubernetes", "k8s.io/kubernetes/cmd/kube-controller-manager"
    ),
    "kubectl": Program("kubernetes", "k8s.io/kubernetes/cmd/kubectl"),
    "kube-scheduler": Program("kubernetes", "k8s.io/kubernetes/cmd/kube-scheduler"),
    "kube-proxy": Program("kubernetes", "k8s.io/kubernetes/cmd/kube-proxy"),
    "kubelet": Program("kubernetes", "k8s.io/kubernetes/cmd/kubelet"),
    "helm": Program("kubernetes", "helm.sh/helm/v3/cmd/helm"),
    "coredns": Program("kubernetes", "./coredns"),
}


def require(*names: str) -> Path:
    """Return a folder with these programs in it, built if need be (minutes, when cold).

    KUBEBUILDER_ASSETS is taken for the control plane if it has all of it; a controller manager is
    needed for garbage collection, so assets without one are passed over, and that is said.
    Raises Unavailable when there is no Go to build with, or a build fails.
    """
    if set(names) <= set(CONTROL_PLANE) and (assets := _given_assets()):
        return assets
    toolchain = find_toolchain([HERE / module / "go.mod" for module in ("etcd", "kubernetes")])
    folder = cache_home() / "bin" / _fingerprint(toolchain)
    if all((folder / name).exists() for name in names):
        return folder
    with locked(folder):
        for leftover in folder.glob("*.partial"):
            leftover.unlink()
        for name in names:
            if not (folder / name).exists():
                _build(toolchain, name, folder)
    return folder


def _given_assets() -> Path | None:
    given = os.environ.get("KUBEBUILDER_ASSETS")
    if not given:
        return None
    missing = [name for name in CONTROL_PLANE if not os.access(Path(given) / name, os.X_OK)]
    if missing:
        say(f"KUBEBUILDER_ASSETS is ignored: {given} has no {', '.join(missing)}")
        return None
    return Path(given)


def _fingerprint(toolchain: Toolchain) -> str:
    digest = hashlib.sha256()
    for module in ("etcd", "kubernetes"):
        for file in ("go.mod", "go.sum"):
            digest.update((HERE / module / file).read_bytes())
    digest.update((HERE / "kubernetes" / "coredns" / "main.go").read_bytes())
    digest.update(" ".join((*FLAGS, _linker_flags(), toolchain.version)).encode())
    return digest.hexdigest()[:16]


def _linker_flags() -> str:
    """Return -ldflags that strip, and that tell Kubernetes its version: clients parse it."""
    go_mod = (HERE / "kubernetes" / "go.mod").read_text()
    match = re.search(r"^require k8s\.io/kubernetes (v(\d+)\.(\d+)\.\S+)$", go_mod, re.MULTILINE)
    if match is None:
        raise ValueError("tests/testbed/kubernetes/go.mod does not require k8s.io/kubernetes")
    values = {
        "gitVersion": match[1],
        "gitMajor": match[2],
        "gitMinor": match[3],
        "gitCommit": "unknown",
        "gitTreeState": "archive",
        "buildDate": "1970-01-01T00:00:00Z",
    }
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    settings = [f"-X {package}.{key}={values[key]}" for package in packages for key in values]
    return " ".join(["-s", "-w", *settings])


def _build(toolchain: Toolchain, name: str, folder: Path) -> None:
    program = PROGRAMS[name]
    partial = folder / f"{name}.{os.getpid()}.partial"
    say(f"building {name} with {toolchain.version} (kept in {folder})")
    started = time.monotonic()
    done = subprocess.run(
        [
            toolchain.go,
            "build",
            *FLAGS,
            "-ldflags",
            _linker_flags(),
            "-o",
            partial,
            program.package,
        ],
        cwd=HERE / program.module,
        env=toolchain.environment(),
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT,
        check=False,
    )
    if done.returncode != 0:
        raise Unavailable(f"go build of {name} failed: {done.stderr.strip()[-2000:]}")
    partial.rename(folder / name)
    say(f"built {name} in {time.monotonic() - started:.0f} s")
