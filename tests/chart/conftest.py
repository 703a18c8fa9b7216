"""Helm for the chart tests."""

from pathlib import Path

import pytest

from tests.testbed.helm import Helm, Manifest


@pytest.fixture
def helm(helm_program: Path, tmp_path: Path) -> Helm:
    """Helm without a cluster."""
    return Helm(helm_program, tmp_path)


@pytest.fixture
def default(helm: Helm) -> list[Manifest]:
    """The release that the chart's own values make."""
    return helm.render()
