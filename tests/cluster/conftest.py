"""The control plane that the cluster tests share, a namespace for each test, and an operator."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testbed.control_plane import ControlPlane
from tests.testbed.database import Database
from tests.testbed.operator_database import APPLICATION, PASSWORD, owned, owner_uri
from tests.testbed.operator_site import OperatorSite
from tests.testbed.operator_user import KubectlUser, managed_database, secret
from tests.testbed.postgres import PostgresServer
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


@pytest.fixture(scope="session")
def application_role(postgres: PostgresServer) -> str:
    """The role that the operator logs in as, with PASSWORD."""
    postgres.create_role(APPLICATION, PASSWORD)
    return APPLICATION


@pytest.fixture
def application(application_role: str, database: Database) -> Database:
    """A fresh database that belongs to the application's role."""
    return owned(database)


@pytest.fixture(scope="session")
def shared_site(control_plane: ControlPlane) -> Iterator[OperatorSite]:
    """A namespace whose operator serves all tests that do not end it, and site.second_namespace."""
    with OperatorSite.open(control_plane) as site:
        site.start({"PGSTRATA_WATCH_SECRETS": "true"}).wait_leading()
        yield site


@pytest.fixture
def user(shared_site: OperatorSite, application: Database) -> Iterator[KubectlUser]:
    """A user of the shared namespace; `metrics` is the ManagedDatabase of `application`."""
    user = shared_site.user
    user.apply(
        secret("metrics", owner_uri(application)), managed_database("metrics", secret="metrics")
    )
    yield user
    shared_site.assert_no_password()
    shared_site.settle()
    assert shared_site.operators[0].process.alive
