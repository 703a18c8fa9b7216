"""Watches SchemaVersions as any client would, and notes when each was accepted and when answered.

A thread with a plain HTTP connection, so that neither kubectl nor the operator's own client stands
between the API server and the clock.
"""

import http.client
import json
import socket
import ssl
import threading
import time
from base64 import b64decode
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from bench.manifests import API_VERSION
from tests.testbed.polling import poll

_PATH = f"/apis/{API_VERSION}/namespaces/default/schemaversions"
_Key = tuple[str, int]


class Watch:
    """Times by the monotonic clock, by name and generation."""

    def __init__(self, kubeconfig: Path, directory: Path) -> None:
        config = json.loads(kubeconfig.read_text(encoding="utf-8"))
        self._host = urlsplit(config["clusters"][0]["cluster"]["server"]).netloc
        self._tls = _tls(config, directory / "client.pem")
        self._accepted: dict[_Key, float] = {}
        self._answered: dict[_Key, float] = {}
        self._ready: dict[_Key, float] = {}
        self._connection = http.client.HTTPSConnection(self._host, context=self._tls, timeout=600)
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        listed = http.client.HTTPSConnection(self._host, context=self._tls, timeout=60)
        listed.request("GET", _PATH)
        version = json.loads(listed.getresponse().read())["metadata"]["resourceVersion"]
        listed.close()
        self._connection.request("GET", f"{_PATH}?watch=1&resourceVersion={version}")
        self._response = self._connection.getresponse()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._connection.sock is not None:  # what is being read cannot be closed
            self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._connection.close()

    def accepted(self, name: str, generation: int) -> float:
        """When the API server had this generation of the object."""
        return self._wait(self._accepted, name, generation)

    def answered(self, name: str, generation: int) -> float:
        """When a status spoke of this generation for the first time."""
        return self._wait(self._answered, name, generation)

    def ready(self, name: str, generation: int) -> float:
        """When a status said Ready of this generation for the first time."""
        return self._wait(self._ready, name, generation)

    def _wait(self, times: dict[_Key, float], name: str, generation: int) -> float:
        key = (name, generation)
        return poll(lambda: times.get(key), 60, f"{name} of generation {generation} is seen")

    def _read(self) -> None:
        try:
            while line := self._response.readline():
                self._note(json.loads(line)["object"], time.monotonic())
        except (OSError, ValueError, AttributeError):  # closed while it was read
            return

    def _note(self, found: dict[str, Any], now: float) -> None:
        name, generation = found["metadata"]["name"], found["metadata"]["generation"]
        self._accepted.setdefault((name, generation), now)
        observed = found.get("status", {}).get("observedGeneration")
        if observed is not None:
            self._answered.setdefault((name, observed), now)
        for condition in found.get("status", {}).get("conditions", ()):
            if (condition["type"], condition["status"]) == ("Ready", "True"):
                self._ready.setdefault((name, condition["observedGeneration"]), now)


def _tls(config: dict[str, Any], file: Path) -> ssl.SSLContext:
    """The authority and the client certificate that a kubeconfig has inside."""
    user = config["users"][0]["user"]
    authority = config["clusters"][0]["cluster"]["certificate-authority-data"]
    file.touch(mode=0o600)
    file.write_bytes(
        b64decode(user["client-certificate-data"]) + b64decode(user["client-key-data"])
    )
    context = ssl.create_default_context(cadata=b64decode(authority).decode())
    context.load_cert_chain(file)
    return context
