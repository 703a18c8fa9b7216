"""A real PostgreSQL server for tests: made in a second, crashed, frozen, replicated at will.

Every server listens on a random port of 127.0.0.1 and on a unix socket in its own directory.
`postgres` is started directly and not by pg_ctl, which would detach it: it runs under a supervisor
and cannot outlive the tests. Over the socket everyone is trusted; over TCP every role needs its
password (SCRAM), the superuser too.
"""

import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import LiteralString, Self
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from tests.testbed.certificates import Authority, write_private
from tests.testbed.polling import poll
from tests.testbed.ports import free_port
from tests.testbed.postgres_builds import PostgresBuild
from tests.testbed.privileges import Identity, identity_for
from tests.testbed.process import Process, ServerDied, poll_alive
from tests.testbed.unavailable import Unavailable

SUPERUSER = "postgres"
SUPERUSER_PASSWORD = "superuser's own"  # a space and a quote: URIs must be written properly
START_DEADLINE = 60.0
PORT_TRIES = 5

BASE_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "shared_buffers": "64MB",
    "shared_preload_libraries": "pg_stat_statements",
    "wal_level": "logical",
    "max_prepared_transactions": "20",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%a %u@%d ",
}
HBA = """\
local all         all               trust
local replication all               trust
host  all         all 127.0.0.1/32  scram-sha-256
host  replication all 127.0.0.1/32  scram-sha-256
"""


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """What may differ between servers.

    Attributes:
        settings: added to BASE_SETTINGS, and stronger.
        hba: lines of pg_hba.conf that come before those that every server has.
        tls: serve TLS with a certificate for 127.0.0.1 and localhost (PostgresServer.ca_file).
        durable: keep fsync on, for measurements and for kill -9 of a whole machine.
    """

    settings: Mapping[str, str] = field(default_factory=dict)
    hba: tuple[str, ...] = ()
    tls: bool = False
    durable: bool = False


DEFAULT_CONFIG = ServerConfig()


class PostgresServer:
    """One server; a context manager that stops it. Made by create() or standby_of()."""

    def __init__(self, build: PostgresBuild, directory: Path, config: ServerConfig) -> None:
        """Use create() or standby_of()."""
        self.build = build
        self.directory = directory
        self.config = config
        self.data = directory / "data"
        self.log = directory / "postgres.log"
        self.port = free_port()
        self.ca_file: Path | None = None
        self._process: Process | None = None
        self._identity: Identity = identity_for(build.bin / "postgres", directory)

    @classmethod
    def create(
        cls, build: PostgresBuild, directory: Path, config: ServerConfig = DEFAULT_CONFIG
    ) -> Self:
        """Initialise a cluster in an empty directory (see scratch.py) and start it: about 1 s.

        Raises Unavailable if TLS is wanted of a build without it.
        """
        server = cls(build, directory, config)
        password = write_private(directory / "password", SUPERUSER_PASSWORD.encode())
        server._identity.give(password)
        server._run(
            build.bin / "initdb",
            f"--pgdata={server.data}",
            f"--username={SUPERUSER}",
            f"--pwfile={password}",
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C",
            "--auth=scram-sha-256",
        )
        server._write_configuration()
        server.start()
        return server

    @classmethod
    def standby_of(
        cls,
        primary: "PostgresServer",
        directory: Path,
        config: ServerConfig = DEFAULT_CONFIG,
    ) -> Self:
        """Make a hot standby that streams from `primary`, whose configuration it takes over.

        Of `config` only the settings count. Returns when it accepts connections.
        """
        server = cls(primary.build, directory, config)
        server._run(
            primary.build.tool("pg_basebackup"),
            f"--pgdata={server.data}",
            f"--dbname={primary.socket_uri('')}",
            "--wal-method=stream",
            "--checkpoint=fast",
            "--no-sync",
        )
        # not --write-recovery-conf: a newer pg_basebackup writes options that the server rejects
        (server.data / "standby.signal").touch()
        server._append_settings(
            {"primary_conninfo": primary.socket_uri("")} | dict(config.settings)
        )
        server.start()
        return server

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.stop(signal.SIGQUIT)

    @property
    def process(self) -> Process:
        """The postmaster. Fails if the server is stopped."""
        if self._process is None:
            raise ServerDied("this PostgreSQL is stopped")
        return self._process

    def start(self) -> None:
        """Start a server that is not running, on the port it had; wait until it takes connections.

        The first start may move to another port if somebody took the chosen one meanwhile.
        """
        first = not self.log.exists()
        for _ in range(PORT_TRIES):
            try:
                self._launch()
            except ServerDied:
                if "Address already in use" not in self._last_words():
                    raise
                if first:
                    self.port = free_port()
            else:
                return
        raise ServerDied(f"no port to be had: {self._last_words()}")

    def stop(self) -> None:
        """Stop in fast mode: transactions are rolled back, a checkpoint is written."""
        self.process.stop(signal.SIGINT)
        self._process = None

    def crash(self) -> None:
        """Stop in immediate mode: no checkpoint, the next start recovers from the WAL."""
        self.process.stop(signal.SIGQUIT)
        self._process = None

    def restart(self) -> None:
        """Stop in fast mode and start again on the same port."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Stop the postmaster and its backends (SIGSTOP): connections hang instead of failing."""
        self.process.freeze()

    def thaw(self) -> None:
        """Let a frozen server run on."""
        self.process.thaw()

    def uri(self, dbname: str, user: str = SUPERUSER, password: str | None = None) -> str:
        """Return a URI over TCP; without a password the superuser's, for others none."""
        if password is None and user == SUPERUSER:
            password = SUPERUSER_PASSWORD
        credentials = quote(user, safe="")
        if password is not None:
            credentials += f":{quote(password, safe='')}"
        return f"postgresql://{credentials}@127.0.0.1:{self.port}/{quote(dbname, safe='')}"

    def socket_uri(self, dbname: str, user: str = SUPERUSER) -> str:
        """Return a URI over the unix socket, where every role is trusted."""
        host = quote(str(self.directory), safe="")
        return (
            f"postgresql://{quote(user, safe='')}@/{quote(dbname, safe='')}"
            f"?host={host}&port={self.port}"
        )

    def connect(self, dbname: str = SUPERUSER) -> psycopg.Connection[TupleRow]:
        """Return an autocommit connection of the superuser over the socket; the caller closes."""
        return psycopg.connect(self.socket_uri(dbname), autocommit=True)

    def createdb(self, name: str, template: str = "template1") -> None:
        """Create a database as a copy of another, which nobody may be connected to."""
        statement = sql.SQL("create database {} template {}")
        with self.connect() as connection:
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))

    def dropdb(self, name: str) -> None:
        """Drop a database if it exists, ending its sessions."""
        statement = sql.SQL("drop database if exists {} with (force)")
        with self.connect() as connection:
            connection.execute(statement.format(sql.Identifier(name)))

    def create_role(self, name: str, password: str, attributes: LiteralString = "login") -> None:
        """Create a role with a SCRAM password.

        Roles outlive databases: where tests share a server, each needs a name of its own.
        """
        statement = sql.SQL("create role {} {} password {}").format(
            sql.Identifier(name), sql.SQL(attributes), sql.Literal(password)
        )
        with self.connect() as connection:
            connection.execute(statement)

    def psql(self, dbname: str, script: str) -> str:
        """Run a script as psql would and return what it prints, unaligned, tuples only."""
        return self._client("psql", "-XAtq", "--set=ON_ERROR_STOP=1", dbname=dbname, given=script)

    def dump_schema(self, dbname: str) -> str:
        """Return pg_dump --schema-only, without the lines that differ from run to run."""
        text = self._client("pg_dump", "--schema-only", dbname=dbname)
        random = ("\\restrict", "\\unrestrict")
        return "".join(line for line in text.splitlines(True) if not line.startswith(random))

    def dump(self, dbname: str) -> str:
        """Return what pg_dump writes of schema and rows, owners left out."""
        return self._client("pg_dump", "--no-owner", dbname=dbname)

    def wait_for_replay(self, primary: "PostgresServer", deadline: float = 30.0) -> None:
        """Wait until this standby has replayed all that was committed on `primary` up to now.

        That is what was flushed; a record past it, of no transaction, may stay in memory for long.
        """
        with primary.connect() as connection:
            wanted = connection.execute("select pg_current_wal_flush_lsn()").fetchone()
        assert wanted is not None
        with self.connect() as connection:
            query = "select pg_last_wal_replay_lsn() >= %s::pg_lsn"

            def replayed() -> bool:
                row = connection.execute(query, wanted).fetchone()
                return row is not None and row[0] is True

            poll(replayed, deadline, f"the standby has replayed {wanted[0]}")

    def _launch(self) -> None:
        process = Process(
            [
                *self._identity.prefix,
                str(self.build.bin / "postgres"),
                f"-D{self.data}",
                f"-p{self.port}",
                f"-k{self.directory}",
            ],
            log=self.log,
            env=self._identity.environment(self.directory),
            farewell=signal.SIGQUIT,
        )
        try:
            poll_alive(process, lambda: self._accepts(process.pid), START_DEADLINE)
        except BaseException:
            process.stop(signal.SIGQUIT)
            raise
        self._process = process

    def _accepts(self, pid: int) -> bool:
        """Read the status that the postmaster keeps in its pid file, as pg_ctl does."""
        try:
            lines = (self.data / "postmaster.pid").read_text().split("\n")
        except OSError:
            return False
        return lines[0] == str(pid) and lines[7:8] in (["ready   "], ["standby "])

    def _last_words(self) -> str:
        return self.log.read_text(errors="replace")[-2000:]

    def _write_configuration(self) -> None:
        hba = "".join(f"{line}\n" for line in self.config.hba) + HBA
        (self.data / "pg_hba.conf").write_text(hba)
        settings = dict(BASE_SETTINGS)
        if not self.config.durable:
            settings |= {"fsync": "off"}
        if self.config.tls:
            settings |= self._write_certificates()
        self._append_settings(settings | dict(self.config.settings))

    def _append_settings(self, settings: Mapping[str, str]) -> None:
        quoted = {name: value.replace("'", "''") for name, value in settings.items()}
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in quoted.items())

    def _write_certificates(self) -> dict[str, str]:
        if not self.build.has_tls:
            raise Unavailable(f"the PostgreSQL {self.build.version} in use was built without TLS")
        authority = Authority.create("pgstrata-testbed-postgres")
        pair = authority.server("localhost", ["127.0.0.1", "localhost"])
        self.ca_file = self.directory / "ca.crt"
        self.ca_file.write_bytes(authority.pair.certificate)
        for name, content in (("server.crt", pair.certificate), ("server.key", pair.key)):
            self._identity.give(write_private(self.data / name, content))
        return {"ssl": "on", "ssl_cert_file": "server.crt", "ssl_key_file": "server.key"}

    def _client(self, tool: str, *arguments: str, dbname: str, given: str | None = None) -> str:
        uri = f"--dbname={self.socket_uri(dbname)}"
        return self._run(self.build.tool(tool), uri, *arguments, given=given)

    def _run(self, program: Path, *arguments: str, given: str | None = None) -> str:
        """Run a program of PostgreSQL to its end, as the server's user."""
        done = subprocess.run(
            [*self._identity.prefix, program, *arguments],
            input=given,
            env=self._identity.environment(self.directory),
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode != 0:
            raise ToolFailed(f"{program.name}: {done.stderr.strip()}")
        return done.stdout


class ToolFailed(AssertionError):
    """A program of PostgreSQL ended with an error; the message is its own."""
