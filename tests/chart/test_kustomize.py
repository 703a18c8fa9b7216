"""The kustomize base is the chart's default release, and an overlay can change its image."""

import subprocess
from pathlib import Path

import yaml

from tests.testbed.binaries import CONTROL_PLANE, require
from tests.testbed.helm import Helm, only
from tests.testbed.kustomize_base import FILE, base_text
from tests.testbed.process import child_environment
from tests.testbed.skipping import cannot
from tests.testbed.unavailable import Unavailable


def test_the_committed_base_is_what_the_chart_makes(helm: Helm) -> None:
    assert FILE.read_text() == base_text(helm), "run make kustomize"


def test_an_overlay_sets_the_image(tmp_path: Path) -> None:
    try:
        kubectl = require(*CONTROL_PLANE) / "kubectl"
    except Unavailable as reason:
        cannot(reason)
    # kustomize takes no absolute paths
    (tmp_path / "base").mkdir()
    for file in FILE.parent.iterdir():
        (tmp_path / "base" / file.name).write_text(file.read_text())
    overlay = {
        "resources": ["base"],
        "images": [{"name": "localhost/pgstrata", "newName": "example.com/pgstrata"}],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    built = subprocess.run(
        [kubectl, "kustomize", tmp_path],
        env=child_environment(),
        check=True,
        capture_output=True,
        text=True,
    )
    deployment = only(list(yaml.safe_load_all(built.stdout)), "Deployment")
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"].startswith("example.com/pgstrata:")
