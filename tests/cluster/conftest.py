"""The control plane that the cluster tests share, and a namespace for each test."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testbed.control_plane import ControlPlane
from tests.testbed.scratch import scratch
from tests.testbed.skipping import cannot
from tests.testbed.unavailable import Unavailable

CRDS = Path(__file__).parents[2] / "crds"


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """A running API with pgstrata's CRDs. Do not kill or freeze it: see own_control_plane."""
    yield from _started()


@pytest.fixture
def own_control_plane() -> Iterator[ControlPlane]:
    """A control plane of this test's own, for outages: about 4 s."""
    yield from _started()


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A new namespace; its deletion is begun after the test and not waited for (5 s, always)."""
    name = f"test-{secrets.token_hex(4)}"
    control_plane.kubectl("create", "namespace", name)
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false")


def _started() -> Iterator[ControlPlane]:
    with scratch("plane") as directory:
        try:
            plane = ControlPlane.start(directory, crds=[CRDS])
        except Unavailable as reason:
            cannot(reason)
        with plane:
            yield plane
