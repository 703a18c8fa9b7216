"""Where a database is and how it wants to be treated: the value that pg/connect.py turns into a
session. Made by databases/resolve.py from a ManagedDatabase, and by cli/ from --database-url.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from pgstrata.core.errors import InvalidSpec
from pgstrata.core.windows import Window


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds, as in ManagedDatabase.spec.timeouts."""

    connect: float = 5.0
    lock: float = 0.5
    statement: float = 30.0


@dataclass(frozen=True, slots=True)
class ThrottleLimits:
    """What long work stops at, as in ManagedDatabase.spec.throttle."""

    max_replica_lag: float = 10.0
    """Seconds."""
    max_connection_utilization: int = 80
    """Percent of max_connections."""
    max_slot_retained: int = 10 << 30
    """Bytes."""
    max_archive_backlog: int = 50
    """WAL files that wait for the archiver."""
    pause_on_autovacuum: bool = True
    query: str | None = None
    """The user's own; what it returns says whether to stop (engine/throttle.py)."""


@dataclass(frozen=True, slots=True)
class TLSFiles:
    """PEM texts that libpq can only read from files; written for the length of a connect."""

    root_certificate: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """One database. `parameters` holds libpq keywords, perhaps a password; it is never printed."""

    parameters: Mapping[str, str] = field(repr=False)
    timeouts: Timeouts = Timeouts()
    tls: TLSFiles = field(default=TLSFiles(), repr=False)
    max_connections: int = 6
    windows: tuple[Window, ...] = ()
    throttle: ThrottleLimits = ThrottleLimits()
    suspended: bool = False
    """Whether nothing is to be changed in this database for now."""

    def window(self, name: str) -> Window:
        """Return the window of that name. Raises InvalidSpec where there is none."""
        for window in self.windows:
            if window.name == name:
                return window
        known = ", ".join(window.name for window in self.windows) or "none"
        raise InvalidSpec(f"the ManagedDatabase has no window {name!r}; those that it has: {known}")

    @property
    def server(self) -> str:
        """host:port, the key under which connections are counted."""
        host = self.parameters.get("host", "") or self.parameters.get("hostaddr", "") or "local"
        return f"{host}:{self.parameters.get('port', '') or '5432'}"

    @property
    def label(self) -> str:
        """What messages call it: database, server and user; never a password."""
        name = self.parameters.get("dbname", "") or "(default database)"
        user = self.parameters.get("user", "") or "(default user)"
        return f"database {name} at {self.server} as {user}"


def parse_url(url: str, *, origin: str) -> dict[str, str]:
    """Take a libpq connection URI or keyword string apart.

    Raises InvalidSpec naming `origin` and never the text, which may hold a password. So is refused
    what libpq would take to pieces in the middle of a password, and then show as a host or a port.
    """
    if _has_a_stray_mark(url):
        raise InvalidSpec(
            f"{origin} has an @ or / in its user or password that is not percent-encoded (%40, %2F)"
        )
    try:
        parsed = conninfo_to_dict(url)
    except ProgrammingError:
        raise InvalidSpec(
            f"{origin} is not a connection URI that libpq understands "
            "(postgresql://user:password@host:port/dbname)"
        ) from None
    return {name: str(value) for name, value in parsed.items() if value is not None}


def _has_a_stray_mark(url: str) -> bool:
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in {"postgresql", "postgres"}:
        return False
    authority, _, path = rest.partition("?")[0].partition("/")
    return authority.count("@") > 1 or "@" in path
