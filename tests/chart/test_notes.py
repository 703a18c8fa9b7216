"""What the notes tell a user to paste does what it says when it is pasted as it stands."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.chart.notes import commands
from tests.testbed.helm import CHART, KUBERNETES, Helm, Values, only
from tests.testbed.process import child_environment

PROGRAM = """#!/bin/sh
echo "$(basename "$0") $*" >> "$LOG"
case "$1" in apply) cat >> "$APPLIED";; esac
"""


def notes_of(helm: Helm, values: Values | None = None) -> str:
    """The notes, by way of a manifest: helm tells them where there is a cluster only."""
    chart = helm.home / "with-notes"
    shutil.copytree(CHART, chart)
    templates = chart / "templates"
    text = (templates / "NOTES.txt").read_text()
    (templates / "_notes.tpl").write_text(f'{{{{ define "notes" }}}}{text}{{{{ end }}}}')
    (templates / "notes.yaml").write_text('kind: Notes\ntext: {{ include "notes" . | toJson }}\n')
    rendered = helm.run(
        "template",
        "pgstrata",
        str(chart),
        "--namespace=pgstrata-system",
        f"--kube-version={KUBERNETES}",
        "--show-only=templates/notes.yaml",
        *helm.values_file(values),
    )
    return str(yaml.safe_load(rendered)["text"])


class Paste:
    """A shell with a kubectl and a helm that write down what they are told."""

    def __init__(self, directory: Path) -> None:
        self._log, self._applied = directory / "log", directory / "applied"
        self._programs = directory / "programs"
        self._programs.mkdir()
        for name in ("kubectl", "helm"):
            (self._programs / name).write_text(PROGRAM)
            (self._programs / name).chmod(0o755)

    def run(self, text: str) -> list[str]:
        """Paste it; return the commands that were called."""
        path = f"{self._programs}:/usr/local/bin:/usr/bin:/bin"
        told = {"PATH": path, "LOG": str(self._log), "APPLIED": str(self._applied)}
        done = subprocess.run(
            ["bash", "-e"],
            input=text,
            env=child_environment(told),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        # bash only warns of a here-document that does not end
        assert (done.returncode, done.stderr) == (0, ""), text
        called = self._log.read_text().splitlines()
        self._log.unlink()
        return called

    def applied(self) -> str:
        """What kubectl got to apply."""
        return self._applied.read_text()


@pytest.fixture
def paste(tmp_path: Path) -> Paste:
    return Paste(tmp_path)


def test_the_first_resources_can_be_pasted(helm: Helm, paste: Paste) -> None:
    first, _ = commands(notes_of(helm))
    called = paste.run(first)
    assert [" ".join(each.split()[:2]) for each in called] == [
        "kubectl create",
        "kubectl apply",
        "kubectl wait",
        "kubectl get",
    ]
    objects = list(yaml.safe_load_all(paste.applied()))
    database = only(objects, "ManagedDatabase")
    version = only(objects, "SchemaVersion")
    assert version["spec"]["databaseRef"]["name"] == database["metadata"]["name"]
    assert [each["apiVersion"] for each in objects] == ["pgstrata.dev/v1alpha1"] * 2


def test_the_end_can_be_pasted(helm: Helm, paste: Paste) -> None:
    _, last = commands(notes_of(helm))
    assert paste.run(last) == [
        "kubectl delete schemaversions --all --all-namespaces",
        "kubectl delete manageddatabases --all --all-namespaces",
        "helm uninstall pgstrata --namespace pgstrata-system",
        "kubectl delete crd schemaversions.pgstrata.dev manageddatabases.pgstrata.dev",
    ]


def test_definitions_that_go_with_the_release_take_the_resources_with_them(
    helm: Helm, paste: Paste
) -> None:
    notes = notes_of(helm, {"crds": {"keep": False}})
    assert [each.split()[:3] for each in paste.run(commands(notes)[1])] == [
        ["kubectl", "delete", "schemaversions"],
        ["kubectl", "delete", "manageddatabases"],
        ["helm", "uninstall", "pgstrata"],
    ]
    assert "crds.keep=false" in notes
    assert "resources stay" not in notes


@pytest.mark.parametrize("crds", [{"keep": True}, {"enabled": False, "keep": False}], ids=str)
def test_definitions_that_stay_keep_the_resources(helm: Helm, crds: dict[str, bool]) -> None:
    assert notes_of(helm, {"crds": crds}).strip().endswith("the resources stay.")


def test_commands_name_a_namespace_where_not_all_are_served(helm: Helm, paste: Paste) -> None:
    first, last = commands(notes_of(helm, {"watchNamespaces": ["shop", "123"]}))
    called = paste.run(first)
    assert len(called) == 4
    assert all(" --namespace shop" in each for each in called)
    assert len(list(yaml.safe_load_all(paste.applied()))) == 2
    assert paste.run(last)[:4] == [
        "kubectl delete schemaversions --all --namespace shop",
        "kubectl delete manageddatabases --all --namespace shop",
        "kubectl delete schemaversions --all --namespace 123",
        "kubectl delete manageddatabases --all --namespace 123",
    ]
