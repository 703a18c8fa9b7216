"""A node with PostgreSQL and the operator in it, made once for all tests of this folder."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.testbed.binaries import require
from tests.testbed.node.images import Images, require_images
from tests.testbed.node.node import Node, require_node
from tests.testbed.node.older_release import CHART, VERSION, make_older_release
from tests.testbed.node.operator_image import require_image_of, require_operator_image
from tests.testbed.node.postgres_pod import PostgresPod
from tests.testbed.node.release import Release
from tests.testbed.scratch import scratch
from tests.testbed.skipping import cannot
from tests.testbed.unavailable import Unavailable


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build programs and images before the first test: cold that takes longer than a test may."""
    here = Path(__file__).parent
    if session.config.option.collectonly or not any(here in i.path.parents for i in session.items):
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    # where this cannot be had, the fixtures ask again and say why
    with capture.global_and_fixture_disabled(), suppress(Unavailable):
        require_node()
        require("helm")
        require_operator_image()


@pytest.fixture(scope="session")
def images() -> Images:
    """What the node's pods are made of."""
    try:
        return require_images()
    except Unavailable as reason:
        cannot(reason)


@pytest.fixture(scope="session")
def operator_image(images: Images) -> Path:
    """The operator's image of this checkout, as an archive."""
    return require_operator_image()


@pytest.fixture(scope="session")
def node(images: Images, operator_image: Path) -> Iterator[Node]:
    """The node that the tests share."""
    with scratch("node") as directory:
        try:
            started = Node.start(directory, [images.base, images.postgres, operator_image])
        except Unavailable as reason:
            cannot(reason)
        with started:
            yield started


@pytest.fixture(scope="session")
def postgres_pod(node: Node) -> PostgresPod:
    """The server that the tests share."""
    return PostgresPod.start(node)


@pytest.fixture(scope="session")
def absent_release(
    node: Node, helm_program: Path, tmp_path_factory: pytest.TempPathFactory
) -> Release:
    """A release that is not installed; who installs it removes it."""
    return Release(node, helm_program, tmp_path_factory.mktemp("helm"))


@pytest.fixture
def own_release(absent_release: Release) -> Iterator[Release]:
    """A release of the test's own: not installed, and taken away unless the test did that.

    Only where the shared one is not there yet: in the files whose names come before.
    """
    yield absent_release
    if absent_release.is_installed():
        absent_release.remove()


@pytest.fixture(scope="session")
def older_chart(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart of a release before this one; the node has that one's image."""
    tree = tmp_path_factory.mktemp("older")
    make_older_release(tree)
    node.import_image(require_image_of(tree, VERSION))
    return tree / CHART


@pytest.fixture(scope="session")
def release(absent_release: Release) -> Release:
    """The release that the later tests share: two replicas, and Secrets are watched."""
    absent_release.install({"secrets": {"watch": True}})
    absent_release.wait_available()
    return absent_release
