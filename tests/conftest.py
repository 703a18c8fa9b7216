"""What every level of tests shares: options, servers, databases, and an honest list of skips.

A PostgreSQL version or a control plane that this machine cannot have is skipped with its reason,
and the reasons are printed again at the end; in CI (CI=true) it is a failure instead.
"""

import functools
import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import hypothesis
import pytest

from tests.testbed.binaries import CONTROL_PLANE, require
from tests.testbed.database import Database
from tests.testbed.postgres import DEFAULT_CONFIG, PostgresServer, ServerConfig
from tests.testbed.postgres_builds import SUPPORTED, find_postgres, find_postgres_with_tls
from tests.testbed.scratch import scratch
from tests.testbed.skipping import cannot
from tests.testbed.unavailable import Unavailable

# How long an example takes says how busy the machine is; what takes long is measured in bench/.
hypothesis.settings.register_profile("pgstrata", deadline=None)
hypothesis.settings.load_profile("pgstrata")

DEFAULT_MAJORS = "18,15"
BUILT_FOR = {
    frozenset({"control_plane", "own_control_plane"}): CONTROL_PLANE,
    frozenset({"helm_program"}): ("helm",),
}
"""Fixtures, and the programs that these need."""
MakePostgres = Callable[..., PostgresServer]

os.environ.pop("KUBECONFIG", None)  # a test never touches a cluster that it did not start


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare --pg and --whole."""
    group = parser.getgroup("pgstrata")
    group.addoption(
        "--pg",
        default=DEFAULT_MAJORS,
        help=f"versions of PostgreSQL to test against: 15,18 or all (default {DEFAULT_MAJORS})",
    )
    group.addoption(
        "--whole", action="store_true", help="run every kill matrix whole, not a sample of it"
    )


def requested_majors(config: pytest.Config) -> list[int]:
    """Return the versions that --pg names, newest first. Raises UsageError for others."""
    wanted = config.getoption("--pg")
    if wanted == "all":
        return sorted(SUPPORTED, reverse=True)
    try:
        majors = sorted({int(part) for part in wanted.split(",")}, reverse=True)
    except ValueError as error:
        raise pytest.UsageError(f"--pg={wanted}: a list like 15,18, or all") from error
    if unknown := set(majors) - set(SUPPORTED):
        raise pytest.UsageError(f"--pg: {sorted(unknown)} not among {SUPPORTED}")
    return majors


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that needs a server once per version; `pg18only` on the newest alone."""
    if "postgres_major" not in metafunc.fixturenames:
        return
    majors = requested_majors(metafunc.config)
    if metafunc.definition.get_closest_marker("pg18only"):
        majors = majors[:1]
    metafunc.parametrize(
        "postgres_major", majors, scope="session", ids=[f"pg{major}" for major in majors]
    )


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build programs before the first test: cold that takes longer than a test may."""
    if session.config.option.collectonly:
        return
    asked = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    capture = session.config.pluginmanager.getplugin("capturemanager")
    for fixtures, programs in BUILT_FOR.items():
        if asked & fixtures:
            # where this cannot be had, the fixture asks again and says why
            with capture.global_and_fixture_disabled(), suppress(Unavailable):
                require(*programs)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name at the end what was not run on this machine, and why."""
    skips: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        if isinstance(report.longrepr, tuple):
            skips[str(report.longrepr[2]).removeprefix("Skipped: ")] += 1
    if skips:
        terminalreporter.section("not run on this machine")
        for reason, count in sorted(skips.items()):
            terminalreporter.write_line(f"{count} test{'s' * (count > 1)}: {reason}")


@pytest.fixture(scope="session")
def whole(pytestconfig: pytest.Config) -> bool:
    """Whether kill matrices run whole (--whole) or as a sample."""
    return bool(pytestconfig.getoption("--whole"))


@pytest.fixture(scope="session")
def helm_program() -> Path:
    """Helm."""
    try:
        return require("helm") / "helm"
    except Unavailable as reason:
        cannot(reason)


@pytest.fixture(scope="session")
def shared_server() -> Iterator[Callable[[int], PostgresServer]]:
    """Start the shared server of a version when first asked for it; stop all at the end."""
    with ExitStack() as stack:

        @functools.cache
        def start(major: int) -> PostgresServer:
            build = find_postgres(major)
            directory = stack.enter_context(scratch(f"pg{major}"))
            return stack.enter_context(PostgresServer.create(build, directory))

        yield start


@pytest.fixture(scope="session")
def postgres(postgres_major: int, shared_server: Callable[[int], PostgresServer]) -> PostgresServer:
    """The server that all tests of one version share. Do not stop it, freeze it or reconfigure it:
    that is what make_postgres is for."""
    try:
        return shared_server(postgres_major)
    except Unavailable as reason:
        cannot(reason)


@pytest.fixture(scope="session")
def template(postgres: PostgresServer) -> str:
    """Name of the database that `database` copies; a folder of tests may override this."""
    return "template1"


@pytest.fixture
def database(postgres: PostgresServer, template: str) -> Iterator[Database]:
    """A fresh database, a copy of `template`, dropped after the test with all its sessions."""
    name = f"test_{secrets.token_hex(6)}"
    postgres.createdb(name, template)
    yield Database(name, postgres)
    postgres.dropdb(name)


@pytest.fixture
def make_postgres(postgres_major: int) -> Iterator[MakePostgres]:
    """Start servers of this test's own, to be crashed, frozen or replicated: about 1 s each.

    make_postgres(config=ServerConfig(...)) initialises one; make_postgres(standby_of=primary)
    makes a streaming standby.
    """
    with ExitStack() as stack:

        def make(
            config: ServerConfig = DEFAULT_CONFIG, standby_of: PostgresServer | None = None
        ) -> PostgresServer:
            directory = stack.enter_context(scratch(f"pg{postgres_major}"))
            try:
                if standby_of is not None:
                    server = PostgresServer.standby_of(standby_of, directory, config)
                else:
                    find = find_postgres_with_tls if config.tls else find_postgres
                    build = find(postgres_major)
                    server = PostgresServer.create(build, directory, config)
            except Unavailable as reason:
                cannot(reason)
            return stack.enter_context(server)

        yield make
