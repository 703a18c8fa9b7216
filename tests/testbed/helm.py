"""Helm, as a user runs it: renders and judges the chart, and installs it where there is a cluster.

Used by the chart tests, and with a kubeconfig by the tests on a node. Helm's own folders are the
test's: nothing of the caller's configuration is read.
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.testbed.process import child_environment

CHART = Path(__file__).parents[2] / "charts" / "pgstrata"
RELEASE, NAMESPACE = "pgstrata", "pgstrata-system"
KUBERNETES = "1.34.0"
"""What is rendered for, where no cluster is asked."""

Manifest = dict[str, Any]
Values = Mapping[str, Any]


class HelmFailed(AssertionError):
    """Helm ended with an error; the message is its own."""


@dataclass(frozen=True, slots=True)
class Helm:
    """One program, one folder for what it remembers, and what its commands are put behind."""

    program: Path
    home: Path
    prefix: tuple[str, ...] = ()
    kubeconfig: Path | None = None

    def run(self, *arguments: str, timeout: float = 120.0) -> str:
        """Run it; return what it printed. Raises HelmFailed."""
        where = (f"--kubeconfig={self.kubeconfig}",) if self.kubeconfig else ()
        folders = {f"HELM_{name}_HOME": str(self.home) for name in ("CACHE", "CONFIG", "DATA")}
        done = subprocess.run(
            [*self.prefix, str(self.program), *arguments, *where],
            env=child_environment({**folders, "HOME": str(self.home)}),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode != 0:
            raise HelmFailed(f"helm {' '.join(arguments)}: {done.stdout}{done.stderr}".strip())
        return done.stdout

    def render(
        self, values: Values | None = None, *, release: str = RELEASE, namespace: str = NAMESPACE
    ) -> list[Manifest]:
        """Return all objects of a release. Raises HelmFailed where the values cannot be."""
        text = self.run(
            "template",
            release,
            str(CHART),
            f"--namespace={namespace}",
            f"--kube-version={KUBERNETES}",
            *self.values_file(values),
        )
        return [document for document in yaml.safe_load_all(text) if document]

    def values_file(self, values: Values | None) -> tuple[str, ...]:
        """Return the flag that gives these values to helm."""
        file = self.home / "values.json"
        file.write_text(json.dumps(values or {}))
        return (f"--values={file}",)


def only(objects: Sequence[Manifest], kind: str, name: str | None = None) -> Manifest:
    """Return the one object of this kind and name."""
    found = [
        each
        for each in objects
        if each["kind"] == kind and name in (None, each["metadata"]["name"])
    ]
    assert len(found) == 1, f"{kind} {name}: {[each['metadata'] for each in found]}"
    return found[0]
