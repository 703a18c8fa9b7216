"""A dashboard's way from version 000 to the end of version 003, with people using it all along.

Called by the tests of the bundle and by measurements: the same story told in different ways must
end with the same schema and the same rows.
"""

from datetime import datetime
from pathlib import Path
from typing import Protocol

from tests.testbed.apply import READY, run_apply, write_manifests
from tests.testbed.database import Database
from tests.testbed.monitoring.bundle import BUNDLE, PHASES, VERSIONS, apply_phase
from tests.testbed.monitoring.generator import fill
from tests.testbed.monitoring.older_code import write_as_before
from tests.testbed.monitoring.organizations import Joined, join_organizations

UNTIL = datetime(2026, 3, 4, 12, 0)
LAST_VERSION = VERSIONS[-1]
APPLY_DEADLINE = 120.0


class Way(Protocol):
    """How one database is taken on."""

    def go(self, version: str, through: str) -> None:
        """Bring it to `version`, all phases up to `through`; what is done already is not repeated.

        Args:
            version: one of bundle.VERSIONS.
            through: one of bundle.PHASES.
        """
        ...


class Plainly:
    """The files' statements one after the other, as a person with psql would: the truth."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._done: set[tuple[str, str]] = set()

    def go(self, version: str, through: str) -> None:
        """See Way: all expand files, then all migrate files, then all contract files."""
        phases = PHASES[: PHASES.index(through) + 1]
        versions = VERSIONS[: VERSIONS.index(version) + 1]
        with self._database.connect() as connection:
            for part in ((v, p) for p in phases for v in versions):
                if part not in self._done:
                    apply_phase(connection, *part)
                    self._done.add(part)


class ByPgstrata:
    """`pgstrata apply`, with all approved that needs approval."""

    OPTIONS = ("--approve", "all")

    def __init__(self, database: Database, directory: Path) -> None:
        """Manifests and logs go to `directory`."""
        self._database = database
        self._directory = directory

    def manifests(self, version: str, through: str) -> Path:
        """Write what asks for a version and phase; return the file, for `apply -f`."""
        source = {"bundle": BUNDLE.name}
        directory = self._directory / f"{version}-{through}"
        return write_manifests(directory, source, version, through=through.capitalize())

    def go(self, version: str, through: str) -> None:
        """See Way."""
        log = self._directory / f"{version}-{through}.log"
        manifests = self.manifests(version, through)
        done = run_apply(manifests, self._database.uri, log, *self.OPTIONS, deadline=APPLY_DEADLINE)
        assert done.status == READY, done.output


def tell(way: Way, database: Database, metrics: int) -> Joined:
    """Go from an empty database to the last version's end; return who joined an organization.

    Code of version 000 writes on until the last version's Migrate begins. What it writes during
    Migrate is for tests of a way that can bear it.
    """
    way.go("000", "expand")
    fill(database.uri, metrics, until=UNTIL)
    with database.connect() as older_code:
        write_as_before(older_code, "early", UNTIL)
        way.go(LAST_VERSION, "expand")
        write_as_before(older_code, "expanded", UNTIL)
        joined = join_organizations(database.uri, until=UNTIL)
        write_as_before(older_code, "joined", UNTIL)
    way.go(LAST_VERSION, "contract")
    return joined
