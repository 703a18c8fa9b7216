"""A whole Kubernetes node in namespaces of its own: control plane, kubelet, containerd, DNS.

Root only. Ready in about 4 s; everything that it is ends with the test process (house.py). Images
are those that it is given: nothing is pulled, and pods have no way out of the node.
"""

import contextlib
import json
import os
import socket
import ssl
import subprocess
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.testbed.binaries import CONTROL_PLANE, require
from tests.testbed.certificates import (
    Authority,
    KeyPair,
    new_key,
    private_pem,
    public_pem,
    write_private,
)
from tests.testbed.control_plane import Endpoint, KubectlFailed, certificate_user
from tests.testbed.node import configuration as conf
from tests.testbed.node.debian import install_debian
from tests.testbed.node.house import House
from tests.testbed.polling import poll
from tests.testbed.process import ServerDied, child_environment
from tests.testbed.unavailable import Unavailable

NODE_PROGRAMS = (*CONTROL_PLANE, "kube-scheduler", "kubelet", "kube-proxy", "coredns")
DEBIAN = {
    "containerd": "containerd",
    "runc": "runc",
    "nft": "nftables",
    "iptables": "iptables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
}
"""What a node needs of Debian, by a program that tells whether it is here."""
READY_DEADLINE = 90.0
CLIENTS = {
    "admin": ("admin", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", None),
    "scheduler": ("system:kube-scheduler", None),
    "node": (f"system:node:{conf.NAME}", "system:nodes"),
    "kube-proxy": ("system:kube-proxy", None),
}


def require_node() -> Path:
    """Return the folder with a node's programs, built or installed if need be.

    Raises Unavailable, naming what is missing: root, apt-get, or a program.
    """
    if os.geteuid() != 0:
        raise Unavailable("a node needs root")
    install_debian(DEBIAN)
    return require(*NODE_PROGRAMS)


class Node:
    """One node; a context manager that ends it. Made by start()."""

    def __init__(self, directory: Path, programs: Path) -> None:
        """Use start()."""
        self.directory = directory
        self._bin = programs
        self.house = House(directory)
        self._servers: dict[str, subprocess.Popen[bytes]] = {}
        self._write_files()

    @classmethod
    def start(cls, directory: Path, images: Sequence[Path]) -> Self:
        """Start a node in an empty directory (see scratch.py: its path must be short).

        `images` are docker archives; one of them must be conf.SANDBOX_IMAGE.
        Raises Unavailable where this machine cannot have one.
        """
        directory.chmod(0o700)
        node = cls(directory, require_node())
        try:
            node._start_api(images)
            node._start_agents()
        except BaseException:
            node.stop()
            raise
        return node

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End everything."""
        self.house.stop()
        for server in self._servers.values():
            server.wait(10.0)

    def kubectl(
        self,
        *arguments: str,
        input: str | None = None,
        check: bool = True,
        timeout: float = 60.0,
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as admin. Raises KubectlFailed, with what it said, if `check`."""
        program = (self._bin / "kubectl", f"--kubeconfig={self.kubeconfig}")
        done = subprocess.run(
            [*self.house.in_network, *map(str, program), *arguments],
            input=input,
            env=child_environment({"KUBECACHEDIR": str(self.directory / "kubectl-cache")}),
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode != 0:
            raise KubectlFailed(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done

    def apply(self, *objects: dict[str, Any]) -> None:
        """kubectl apply."""
        bundle = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        self.kubectl("apply", "--filename=-", input=bundle)

    def import_image(self, archive: Path) -> None:
        """Give an image to containerd."""
        self._run("ctr", f"--address={conf.socket(self.directory)}", "--namespace=k8s.io",
                  "images", "import", archive)  # fmt: skip

    def nft(self, script: str) -> None:
        """Change the node's packet filter."""
        command = [*self.house.in_network, "nft", "--file", "-"]
        done = subprocess.run(command, input=script, text=True, capture_output=True, check=False)
        assert done.returncode == 0, f"{script}{done.stderr}"

    def log_of(self, name: str) -> str:
        """Return the log of one server."""
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def _write_files(self) -> None:
        d = self.directory
        for name in ("cni", "pod-logs", "plugins"):
            (d / name).mkdir()
        authority = Authority.create("pgstrata-test-node")
        kubelet_client = authority.client("kube-apiserver-kubelet-client", "system:masters")
        pairs = {
            "server": authority.server("kube-apiserver", conf.API_NAMES),
            "kubelet": authority.server(f"system:node:{conf.NAME}", [conf.NODE, conf.NAME]),
            "kubelet-client": kubelet_client,
            "ca": authority.pair,
        }
        for name, pair in pairs.items():
            _write_pair(d / name, pair)
        token_key = new_key()
        write_private(d / "sa.key", private_pem(token_key))
        write_private(d / "sa.pub", public_pem(token_key))
        endpoint = Endpoint(conf.URL, authority.pair.certificate)
        for name, (user, group) in CLIENTS.items():
            pair = authority.client(user, group)
            endpoint.kubeconfig(d / f"{name}.kubeconfig", certificate_user(pair))
        self.kubeconfig = d / "admin.kubeconfig"
        for file, text in conf.files(d, self.house.cgroup).items():
            (d / file).write_text(text)
        self._tls = ssl.create_default_context(cadata=authority.pair.certificate.decode())
        self._tls.load_cert_chain(d / "kubelet-client.crt", d / "kubelet-client.key")

    def _start_api(self, images: Sequence[Path]) -> None:
        d = self.directory
        self._launch(
            "etcd",
            "--name=node",
            f"--data-dir={d}/etcd",
            "--unsafe-no-fsync",
            "--log-level=warn",
            f"--listen-client-urls=unix://{d}/etcd.sock",
            f"--listen-peer-urls=unix://{d}/peer.sock",
            "--advertise-client-urls=http://localhost:2379",
            "--initial-advertise-peer-urls=http://localhost:2380",
            "--initial-cluster=node=http://localhost:2380",
        )
        self._launch("containerd", f"--config={d}/containerd.toml")
        self._wait((d / "etcd.sock").exists, "etcd listens")
        self._launch(
            "kube-apiserver",
            f"--etcd-servers=unix://{d}/etcd.sock",
            f"--bind-address={conf.NODE}",
            f"--advertise-address={conf.NODE}",
            f"--secure-port={conf.API_PORT}",
            f"--cert-dir={d}/certs",
            f"--tls-cert-file={d}/server.crt",
            f"--tls-private-key-file={d}/server.key",
            f"--client-ca-file={d}/ca.crt",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            f"--service-cluster-ip-range={conf.SERVICE_RANGE}",
            f"--kubelet-certificate-authority={d}/ca.crt",
            f"--kubelet-client-certificate={d}/kubelet-client.crt",
            f"--kubelet-client-key={d}/kubelet-client.key",
            "--kubelet-preferred-address-types=InternalIP",
            f"--service-account-issuer=https://kubernetes.default.svc.{conf.DOMAIN}",
            f"--service-account-key-file={d}/sa.pub",
            f"--service-account-signing-key-file={d}/sa.key",
            f"--audit-policy-file={d}/audit.json",
            f"--audit-log-path={d}/audit.log",
            "--shutdown-delay-duration=0s",
            "--profiling=false",
        )
        self._wait(Path(conf.socket(d)).exists, "containerd listens")
        for image in images:
            self.import_image(image)
        self._wait(lambda: self._get("/readyz") is not None, "the API server is ready")

    def _start_agents(self) -> None:
        d = self.directory
        self._launch(
            "kube-controller-manager",
            f"--kubeconfig={d}/controller-manager.kubeconfig",
            "--leader-elect=false",
            "--secure-port=0",
            f"--cert-dir={d}/certs-manager",
            f"--root-ca-file={d}/ca.crt",
            f"--service-account-private-key-file={d}/sa.key",
            "--use-service-account-credentials=true",
            f"--cluster-signing-cert-file={d}/ca.crt",
            f"--cluster-signing-key-file={d}/ca.key",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
            "--controllers=*,-nodeipam",
            f"--flex-volume-plugin-dir={d}/plugins",
            "--profiling=false",
        )
        self._launch(
            "kube-scheduler",
            f"--kubeconfig={d}/scheduler.kubeconfig",
            "--leader-elect=false",
            "--secure-port=0",
        )
        self._launch(
            "kubelet",
            f"--config={d}/kubelet.json",
            f"--kubeconfig={d}/node.kubeconfig",
            f"--hostname-override={conf.NAME}",
            f"--node-ip={conf.NODE}",
            f"--root-dir={d}/kubelet",
            f"--cert-dir={d}/kubelet/pki",
        )
        self._launch(
            "kube-proxy", f"--config={d}/kube-proxy.json", f"--hostname-override={conf.NAME}"
        )
        self._launch("coredns", "-conf", f"{d}/Corefile")
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        self._wait(lambda: self._get(account) is not None, "the default ServiceAccount is there")
        self._wait(self._is_schedulable, "the node is ready")
        self._wait(self._names_resolve, "CoreDNS answers")
        self._wait(self._services_work, "kube-proxy is healthy")

    def _is_schedulable(self) -> bool:
        found = self._get(f"/api/v1/nodes/{conf.NAME}")
        if found is None or found["spec"].get("taints"):
            return False
        conditions = found["status"].get("conditions", [])
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    def _names_resolve(self) -> bool:
        """Ask CoreDNS for the API's own name; right is an answer without error."""
        labels = f"kubernetes.default.svc.{conf.DOMAIN}".encode().split(b".")
        name = b"".join(bytes([len(label)]) + label for label in labels)
        question = b"\0\1\1\0\0\1\0\0\0\0\0\0" + name + b"\0\0\1\0\1"
        with self.house.network(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.settimeout(0.3)
            try:
                asker.sendto(question, (conf.DNS, 53))
                answer = asker.recv(512)
            except OSError:
                return False
        return answer[3] & 15 == 0 and answer[7] > 0

    def _services_work(self) -> bool:
        with contextlib.suppress(OSError), self.house.network():
            url = f"http://{conf.NODE}:10256/healthz"
            with urllib.request.urlopen(url, timeout=1) as answer:
                return bool(answer.status == 200)
        return False

    def _get(self, path: str) -> dict[str, Any] | None:
        with contextlib.suppress(OSError), self.house.network():
            opener = urllib.request.build_opener(
                urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._tls)
            )
            with opener.open(conf.URL + path, timeout=2) as answer:
                found: dict[str, Any] = {} if path == "/readyz" else json.load(answer)
                return found
        return None

    def _launch(self, program: str, *flags: str) -> None:
        here = self._bin / program
        command = here if here.exists() else Path(program)
        self._servers[program] = self.house.launch(program, [command, *flags])

    def _wait(self, look: Any, what: str) -> None:
        def seen() -> bool:
            for name, server in self._servers.items():
                if server.poll() is not None:
                    raise ServerDied(f"{name} has ended:\n{self.log_of(name)[-3000:]}")
            return bool(look())

        poll(seen, READY_DEADLINE, what)

    def _run(self, *command: str | Path) -> None:
        done = subprocess.run(
            self.house.inside(*command), capture_output=True, text=True, check=False, timeout=120
        )
        if done.returncode != 0:
            raise ServerDied(f"{command[0]}: {done.stderr.strip()}")


def _write_pair(path: Path, pair: KeyPair) -> None:
    write_private(path.with_suffix(".crt"), pair.certificate)
    write_private(path.with_suffix(".key"), pair.key)
