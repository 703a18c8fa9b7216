"""A real Kubernetes API on loopback: etcd, kube-apiserver, kube-controller-manager, in 3 seconds.

No root, no container, no fixed port; any number at a time, one directory each. The only TCP
listener is the API server's, on 127.0.0.1; etcd listens on a unix socket. There is no scheduler
and no kubelet: pods stay Pending, and tests set the status of workloads by hand.
"""

import base64
import http.client
import json
import signal
import socket
import ssl
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.testbed.binaries import CONTROL_PLANE, require
from tests.testbed.certificates import (
    Authority,
    KeyPair,
    new_key,
    private_pem,
    public_pem,
    write_private,
)
from tests.testbed.process import Process, child_environment, poll_alive

READY_DEADLINE = 90.0
"""Seconds; 2 to 4 are usual, a machine that compiles beside it needs more."""
SERVER_NAMES = [
    "127.0.0.1",
    "10.96.0.1",
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the API is and whom to trust there."""

    url: str
    authority: bytes

    def kubeconfig(self, path: Path, user: dict[str, str]) -> Path:
        """Write a kubeconfig for one user; JSON, which is YAML."""
        cluster = {"server": self.url, "certificate-authority-data": _base64(self.authority)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "testbed",
            "clusters": [{"name": "testbed", "cluster": cluster}],
            "users": [{"name": "testbed", "user": user}],
            "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": "testbed"}}],
        }
        return write_private(path, json.dumps(config, indent=1).encode())


class ControlPlane:
    """One running control plane; a context manager that stops it.

    Attributes:
        kubeconfig: admin's (system:masters).
        url: https://127.0.0.1:port, the same for the whole life.
    """

    def __init__(self, directory: Path) -> None:
        """Use start()."""
        self._directory = directory
        self._bin = require(*CONTROL_PLANE)
        # Bound, never listened on, and kept: the API server shares the port (SO_REUSEPORT), nobody
        # else can get it, not even while the API server is down.
        self._port_holder = socket.socket()
        self._port_holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._port_holder.bind(("127.0.0.1", 0))
        self._port = int(self._port_holder.getsockname()[1])
        self.url = f"https://127.0.0.1:{self._port}"
        self._servers: list[Process] = []
        self._write_certificates()

    @classmethod
    def start(cls, directory: Path, *, crds: Sequence[Path] = ()) -> Self:
        """Start a control plane in an empty directory (see scratch.py: its path must be short).

        `crds` are files or folders. They are created before the controller manager starts: its
        garbage collector learns of kinds that come later only after up to 40 s.
        """
        directory.chmod(0o700)
        plane = cls(directory)
        try:
            plane._start_etcd()
            plane._start_api()
            plane._create_crds(crds)
            plane._start_controller_manager()
        except BaseException:
            plane.stop()
            raise
        return plane

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
        """End all three processes. Safe to call again.

        By SIGKILL: nothing of it is kept, and a graceful end of the API server takes seconds.
        """
        while self._servers:
            self._servers.pop().stop(signal.SIGKILL)
        self._port_holder.close()

    def kubectl(
        self,
        *arguments: str,
        input: str | None = None,
        check: bool = True,
        kubeconfig: Path | None = None,
        timeout: float = 60.0,
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl against this control plane, as admin or as the user of `kubeconfig`.

        Raises KubectlFailed, with what it said, if `check` and it exits other than 0.
        """
        done = subprocess.run(
            [self._bin / "kubectl", f"--kubeconfig={kubeconfig or self.kubeconfig}", *arguments],
            input=input,
            env=child_environment({"KUBECACHEDIR": str(self._directory / "kubectl-cache")}),
            cwd=self._directory,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode != 0:
            raise KubectlFailed(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done

    def service_account_kubeconfig(self, name: str, namespace: str, duration: str = "2h") -> Path:
        """Return a kubeconfig with a fresh token of this ServiceAccount (TokenRequest)."""
        token = self.kubectl(
            "create", "token", name, f"--namespace={namespace}", f"--duration={duration}"
        ).stdout.strip()
        path = self._directory / f"{namespace}.{name}.kubeconfig"
        return self._endpoint.kubeconfig(path, {"token": token})

    def kill_api(self) -> None:
        """End the API server at once (SIGKILL): connections are refused until restart_api()."""
        self._api.stop(signal.SIGKILL)

    def restart_api(self) -> None:
        """Start the API server again on the same port with the same certificates; wait for it."""
        self._api.stop()
        self._servers.remove(self._api)
        self._start_api()

    def freeze_api(self) -> None:
        """Stop the API server (SIGSTOP): connections are accepted by the kernel, never answered."""
        self._api.freeze()

    def thaw_api(self) -> None:
        """Let a frozen API server run on."""
        self._api.thaw()

    def is_ready(self) -> bool:
        """Return whether the API server says that it is ready."""
        return self._exists("/readyz")

    def log_of(self, name: str) -> str:
        """Return the log of etcd, kube-apiserver or kube-controller-manager."""
        return (self._directory / f"{name}.log").read_text(errors="replace")

    def _write_certificates(self) -> None:
        authority = Authority.create("pgstrata-testbed")
        admin = authority.client("admin", "system:masters")
        serving = authority.server("kube-apiserver", SERVER_NAMES)
        token_key = new_key()
        for name, data in {
            "ca.crt": authority.pair.certificate,
            "ca.key": authority.pair.key,
            "server.crt": serving.certificate,
            "server.key": serving.key,
            "sa.key": private_pem(token_key),
            "sa.pub": public_pem(token_key),
            "admin.pem": admin.certificate + admin.key,
        }.items():
            write_private(self._directory / name, data)
        self._endpoint = Endpoint(self.url, authority.pair.certificate)
        self.kubeconfig = self._endpoint.kubeconfig(
            self._directory / "admin.kubeconfig", certificate_user(admin)
        )
        self._endpoint.kubeconfig(
            self._directory / "controller-manager.kubeconfig",
            certificate_user(authority.client("system:kube-controller-manager")),
        )
        self._tls = ssl.create_default_context(cadata=authority.pair.certificate.decode())
        self._tls.load_cert_chain(self._directory / "admin.pem")

    def _start_etcd(self) -> None:
        d = self._directory
        etcd = self._launch(
            "etcd",
            "--name=testbed",
            f"--data-dir={d}/etcd",
            "--unsafe-no-fsync",
            "--log-level=warn",
            f"--listen-client-urls=unix://{d}/etcd.sock",
            f"--listen-peer-urls=unix://{d}/peer.sock",
            # etcd refuses unix sockets for these; a single member never dials itself
            "--advertise-client-urls=http://localhost:2379",
            "--initial-advertise-peer-urls=http://localhost:2380",
            "--initial-cluster=testbed=http://localhost:2380",
            "--quota-backend-bytes=2147483648",
        )
        # without its socket the API server's first dial backs off for seconds
        poll_alive(etcd, (d / "etcd.sock").exists, READY_DEADLINE)

    def _start_api(self) -> None:
        d = self._directory
        self._api = self._launch(
            "kube-apiserver",
            f"--etcd-servers=unix://{d}/etcd.sock",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._port}",
            "--permit-port-sharing=true",
            f"--cert-dir={d}/certs",
            "--endpoint-reconciler-type=none",
            f"--tls-cert-file={d}/server.crt",
            f"--tls-private-key-file={d}/server.key",
            f"--client-ca-file={d}/ca.crt",
            "--authorization-mode=RBAC",
            "--allow-privileged=true",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={d}/sa.pub",
            f"--service-account-signing-key-file={d}/sa.key",
            "--shutdown-delay-duration=0s",
            "--profiling=false",
        )
        poll_alive(self._api, self.is_ready, READY_DEADLINE)

    def _start_controller_manager(self) -> None:
        d = self._directory
        manager = self._launch(
            "kube-controller-manager",
            f"--kubeconfig={d}/controller-manager.kubeconfig",
            "--leader-elect=false",
            "--secure-port=0",
            f"--cert-dir={d}/certs-manager",
            f"--root-ca-file={d}/ca.crt",
            f"--service-account-private-key-file={d}/sa.key",
            # else root-ca-cert-publisher and role aggregation are forbidden
            "--use-service-account-credentials=true",
            f"--cluster-signing-cert-file={d}/ca.crt",
            f"--cluster-signing-key-file={d}/ca.key",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
            "--controllers=*,-nodeipam,-nodelifecycle,-node-route-controller,-attachdetach",
            "--profiling=false",
        )
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        poll_alive(manager, lambda: self._exists(account), READY_DEADLINE)

    def _create_crds(self, paths: Sequence[Path]) -> None:
        manifests = [f for path in paths for f in (_manifests(path) if path.is_dir() else [path])]
        if manifests:
            self.kubectl("create", *(f"--filename={path}" for path in manifests))
            self.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")

    def _launch(self, program: str, *flags: str) -> Process:
        process = Process([self._bin / program, *flags], log=self._directory / f"{program}.log")
        self._servers.append(process)
        return process

    def _exists(self, path: str) -> bool:
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self._port, context=self._tls, timeout=2
        )
        try:
            connection.request("GET", path)
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


class KubectlFailed(AssertionError):
    """kubectl ended with an error where none was expected; the message is its own."""


def _manifests(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.yaml"))


def certificate_user(pair: KeyPair) -> dict[str, str]:
    """Return what a kubeconfig says of a user with a client certificate."""
    return {
        "client-certificate-data": _base64(pair.certificate),
        "client-key-data": _base64(pair.key),
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
