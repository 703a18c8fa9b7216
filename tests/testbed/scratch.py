"""Directories of the test bed: short-lived ones for servers, and the cache that outlives runs."""

import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST_SOCKET_NAME = len("/.s.PGSQL.65535.lock")
SOCKET_PATH_LIMIT = 107
"""sun_path holds 108 bytes with its final zero."""


@contextmanager
def scratch(name: str) -> Iterator[Path]:
    """Yield a new directory whose path leaves room for unix sockets; removed at the end.

    A TMPDIR that is too deep for a socket is passed over in favour of /tmp.
    """
    for parent in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 - mkdtemp is safe in it
        if len(str(parent)) + len(name) + 24 + LONGEST_SOCKET_NAME < SOCKET_PATH_LIMIT:
            break
    directory = Path(tempfile.mkdtemp(prefix=f"pgs-{name}-", dir=parent)).resolve()
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def cache_home() -> Path:
    """Return where built binaries and unpacked packages are kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pgstrata"


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold `directory` (made if absent) for this process alone; a second run waits and says so.

    The kernel releases the lock when its holder dies, so a killed run blocks nobody.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another run that is filling {directory}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def say(line: str) -> None:
    """Print one line of progress, at once, beside the test output."""
    print(line, file=sys.stderr, flush=True)
