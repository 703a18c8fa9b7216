"""pgbouncer in front of a test server, in transaction or session mode.

From Debian's package, which is installed if the tests run as root. Clients log in by SCRAM with the
roles that are handed in; every database of the server can be reached under its own name.
"""

import os
import shutil
import signal
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from tests.testbed.certificates import write_private
from tests.testbed.ports import free_port
from tests.testbed.postgres import SUPERUSER, SUPERUSER_PASSWORD, PostgresServer
from tests.testbed.postgres_packages import apt_install
from tests.testbed.privileges import identity_for
from tests.testbed.process import Process, ServerDied, poll_alive
from tests.testbed.scratch import say
from tests.testbed.unavailable import Unavailable

PORT_TRIES = 5
START_DEADLINE = 60.0


class PoolMode(Enum):
    """When a server connection goes back to the pool."""

    SESSION = "session"
    TRANSACTION = "transaction"


def find_pgbouncer() -> Path:
    """Return the program, installed with apt-get if absent and allowed. Raises Unavailable."""
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
    if found := shutil.which("pgbouncer", path=path):
        return Path(found)
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        raise Unavailable("no pgbouncer here, and installing Debian's package needs root")
    say("installing pgbouncer with apt-get")
    apt_install(Path(apt), "pgbouncer")
    return Path("/usr/sbin/pgbouncer")


class PgBouncer:
    """One running pgbouncer; a context manager that stops it.

    Attributes:
        port: on 127.0.0.1.
    """

    def __init__(self, server: PostgresServer, directory: Path, users: Mapping[str, str]) -> None:
        """Use start()."""
        self._server = server
        self._directory = directory
        self._users = {SUPERUSER: SUPERUSER_PASSWORD, **users}
        self.port = free_port()
        self._process: Process | None = None

    @classmethod
    def start(
        cls,
        server: PostgresServer,
        directory: Path,
        mode: PoolMode = PoolMode.TRANSACTION,
        users: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> Self:
        """Start a pgbouncer in an empty directory (see scratch.py).

        Args:
            server: where connections go.
            directory: for its files and its unix socket.
            mode: what is pooled.
            users: names and passwords of roles that may log in, besides the superuser.
            settings: added to [pgbouncer] of its configuration.
        """
        bouncer = cls(server, directory, users or {})
        for _ in range(PORT_TRIES):
            try:
                bouncer._process = bouncer._launch(mode, settings or {})
            except ServerDied as error:
                if "ddress already in use" not in str(error):
                    raise
                bouncer.port = free_port()
            else:
                return bouncer
        raise ServerDied("no port to be had for pgbouncer")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.stop(signal.SIGKILL)

    def uri(self, dbname: str, user: str = SUPERUSER) -> str:
        """Return a URI through the pool for one of its users."""
        credentials = f"{quote(user, safe='')}:{quote(self._users[user], safe='')}"
        return f"postgresql://{credentials}@127.0.0.1:{self.port}/{quote(dbname, safe='')}"

    def _launch(self, mode: PoolMode, settings: Mapping[str, str]) -> Process:
        program = find_pgbouncer()
        identity = identity_for(program, self._directory)
        for path in self._write_configuration(mode, settings):
            identity.give(path)
        process = Process(
            [*identity.prefix, str(program), str(self._directory / "pgbouncer.ini")],
            log=self._directory / "pgbouncer.log",
            env=identity.environment(self._directory),
        )
        # pgbouncer opens its unix socket last
        socket = self._directory / f".s.PGSQL.{self.port}"
        try:
            poll_alive(process, socket.exists, START_DEADLINE)
        except BaseException:
            process.stop(signal.SIGKILL)
            raise
        return process

    def _write_configuration(self, mode: PoolMode, settings: Mapping[str, str]) -> list[Path]:
        options = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(self.port),
            "unix_socket_dir": str(self._directory),
            "auth_type": "scram-sha-256",
            "auth_file": str(self._directory / "users"),
            "pool_mode": mode.value,
            "max_client_conn": "200",
        } | dict(settings)
        lines = ["[databases]", f"* = host=127.0.0.1 port={self._server.port}", "[pgbouncer]"]
        lines += [f"{name} = {value}" for name, value in options.items()]
        users = [f"{_quoted(name)} {_quoted(word)}" for name, word in self._users.items()]
        return [
            write_private(self._directory / "pgbouncer.ini", _text(lines)),
            write_private(self._directory / "users", _text(users)),
        ]


def _quoted(value: str) -> str:
    escaped = value.replace('"', '""')
    return f'"{escaped}"'


def _text(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
