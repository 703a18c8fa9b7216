"""The operator as a process of its own: what it logs, what it answers, how it ends.

Started by operator_site.py with a ServiceAccount's kubeconfig, as a pod would be.
"""

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.testbed.polling import poll
from tests.testbed.process import Process, child_environment, poll_alive

START = 60.0
"""Seconds until a process answers: mostly imports, on a machine that is busy with other tests."""
_COMMAND = (sys.executable, "-W", "error", "-m", "pgstrata", "run", "--kubeconfig")

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a health endpoint said."""

    status: int
    text: str


class OperatorProcess:
    """One process of `pgstrata run`."""

    def __init__(self, kubeconfig: Path, directory: Path, settings: Mapping[str, str]) -> None:
        """Start it; `directory` is empty and its own."""
        self.process = Process(
            [*_COMMAND, str(kubeconfig)],
            log=directory / "log",
            cwd=directory,
            env=child_environment({"PGSTRATA_HEALTH_ADDRESS": "127.0.0.1:0", **settings}),
        )
        self._port = 0

    def log(self) -> list[Line]:
        """The whole lines of its log; what is not JSON fails."""
        return [json.loads(line) for line in self.process.log.read_text().split("\n")[:-1]]

    def lines_about(self, kind: str, name: str) -> list[Line]:
        """The lines that carry the key of one object."""
        return [
            line
            for line in self.log()
            if line.get("key", "").startswith(f"{kind} ") and line["key"].endswith(f"/{name}")
        ]

    def get(self, path: str) -> Answer:
        """Ask its health server."""
        try:
            with urllib.request.urlopen(f"{self._address()}{path}", timeout=5) as answer:
                return Answer(answer.status, answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read().decode())

    def metric(self, name: str) -> float:
        """The sum of a metric over all of its labels."""
        lines = self.get("/metrics").text.splitlines()
        return sum(
            float(line.rpartition(" ")[2])
            for line in lines
            if line.startswith((f"{name} ", f"{name}{{"))
        )

    @property
    def leads(self) -> bool:
        """Whether it holds the Lease and has listed everything."""
        said = any(line["message"] == "leading" for line in self.log())
        return said and self.get("/readyz").status == 200

    def wait_ready(self) -> None:
        """Wait until /readyz answers 200: leading, or standing by."""
        self._address()
        poll_alive(self.process, lambda: self.get("/readyz").status == 200, START)

    def wait_leading(self, deadline: float = START) -> None:
        """Wait until it leads and has listed everything."""
        poll_alive(self.process, lambda: self.leads, deadline)

    def _address(self) -> str:
        if not self._port:
            found = poll(self._listening, START, f"it says where it listens\n{self.process.tail()}")
            self._port = found[0]["port"]
        return f"http://127.0.0.1:{self._port}"

    def _listening(self) -> list[Line]:
        return [line for line in self.log() if line["message"] == "health server listening"]
