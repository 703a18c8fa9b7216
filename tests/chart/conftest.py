"""Helm for the chart tests; where it cannot be built they are skipped with the reason."""

from pathlib import Path

import pytest

from tests.testbed.binaries import require
from tests.testbed.helm import Helm, Manifest
from tests.testbed.skipping import cannot
from tests.testbed.unavailable import Unavailable


@pytest.fixture(scope="session")
def helm_program() -> Path:
    """The program."""
    try:
        return require("helm") / "helm"
    except Unavailable as reason:
        cannot(reason)


@pytest.fixture
def helm(helm_program: Path, tmp_path: Path) -> Helm:
    """Helm without a cluster."""
    return Helm(helm_program, tmp_path)


@pytest.fixture
def default(helm: Helm) -> list[Manifest]:
    """The release that the chart's own values make."""
    return helm.render()
