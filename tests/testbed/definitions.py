"""CustomResourceDefinitions as an older release may have had them. Used by cluster tests."""

import json
from collections.abc import Callable
from typing import Any

from tests.testbed.control_plane import ControlPlane

Schema = dict[str, Any]
VERSIONS, DATABASES = "schemaversions.pgstrata.dev", "manageddatabases.pgstrata.dev"


class Definition:
    """One CustomResourceDefinition of a control plane that the test has for itself."""

    def __init__(self, plane: ControlPlane, name: str) -> None:
        self._plane, self._name = plane, name
        self._newest = self._read()

    def age(self, change: Callable[[Schema, Schema], None]) -> None:
        """Change the properties of its spec and of its status."""
        crd = self._read()
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
        change(schema["spec"]["properties"], schema["status"]["properties"])
        self._replace(crd)

    def renew(self) -> None:
        """Make it this release's again, whether it is there or not."""
        if self._plane.kubectl("get", "crd", self._name, "--ignore-not-found").stdout:
            self._replace(self._newest)
        else:
            self._plane.kubectl("create", "-f", "-", input=json.dumps(_bare(self._newest)))

    def delete(self) -> None:
        """Take it away, as in a cluster that never had it."""
        self._plane.kubectl("delete", "crd", self._name, "--timeout=30s")

    def _read(self) -> dict[str, Any]:
        text = self._plane.kubectl("get", "crd", self._name, "-o", "json").stdout
        found: dict[str, Any] = json.loads(text)
        return found

    def _replace(self, crd: dict[str, Any]) -> None:
        self._plane.kubectl("replace", "-f", "-", input=json.dumps(_bare(crd)))


def _bare(crd: dict[str, Any]) -> dict[str, Any]:
    kept = {"name": crd["metadata"]["name"]}
    return {name: crd[name] for name in ("apiVersion", "kind", "spec")} | {"metadata": kept}
