"""A database that cannot be reached, or not as it must be: one reason each, and no password."""

import signal
from dataclasses import dataclass
from urllib.parse import quote

import pytest

from pgstrata.engine.control import CONTROL_VERSION
from tests.conftest import MakePostgres
from tests.database.conftest import MakePgBouncer
from tests.testbed.command_line import PASSWORD, CommandLine, Ended, Running
from tests.testbed.database import Database
from tests.testbed.declarations import (
    EVERYWHERE,
    FILES,
    Manifest,
    declared,
    managed_database,
    schema_version,
    secret,
)
from tests.testbed.pgbouncer import PoolMode
from tests.testbed.postgres import PostgresServer, ServerConfig
from tests.testbed.roles import new_role


def by_secret(host: str, port: int, role: str, dbname: str) -> list[Manifest]:
    """Manifests whose Secret has the connection in single keys."""
    connection = secret(
        "main-app", host=host, port=str(port), dbname=dbname, user=role, password=PASSWORD
    )
    return [managed_database(tls={"mode": "disable"}), schema_version("1", FILES), connection]


def seen_to_retry(running: Running, reason: str) -> Ended:
    """Wait until both resources have `reason`, end the run, and return how it stood."""
    for kind in EVERYWHERE:
        running.wait_for(
            f"{kind} default/{'main' if kind == 'ManagedDatabase' else 'app'}: {reason}"
        )
    running.send(signal.SIGTERM)
    ended = running.wait()
    assert ended.code == 130
    for kind in EVERYWHERE:
        assert ended.condition("Ready", kind)["status"] == "False"
        assert ended.condition("Reconciling", kind)["reason"] == reason
    return ended


@dataclass(frozen=True, slots=True)
class Address:
    """Where a connection goes wrong."""

    says: str
    role: str = ""
    """What ALTER ROLE shall say of a role that exists; empty: nothing is made."""
    host: str = "127.0.0.1"
    port: int | None = None
    dbname: str = "postgres"
    password: str = PASSWORD
    user: str | None = None


REFUSED = {
    "wrong-password": Address("password authentication failed", password="is-not-the-pass-word"),
    "no-password": Address("password", password=""),
    "unknown-role": Address("password authentication failed", user="nobody_of_this_name"),
    "role-named-like-tls": Address("password authentication failed", user="ssl_certificate_app"),
    "role-may-not-log-in": Address("is not permitted to log in", role="nologin"),
}


@pytest.mark.parametrize("case", [pytest.param(c, id=name) for name, c in REFUSED.items()])
@pytest.mark.parametrize("way", ["url", "secret"])
def test_a_login_that_is_refused_ends_the_command_at_once(
    pgstrata: CommandLine, postgres: PostgresServer, case: Address, way: str
) -> None:
    role = case.user or new_role(postgres, case.role)
    if way == "url":
        uri = postgres.uri("postgres", role, case.password or None)
        ended = pgstrata.apply(declared("1", FILES), uri)
    else:
        connection = secret(
            "main-app",
            host="127.0.0.1",
            port=str(postgres.port),
            dbname="postgres",
            username=role,
            password=case.password,
        )
        documents = [managed_database(tls={"mode": "disable"}), schema_version("1", FILES)]
        ended = pgstrata.apply([*documents, connection], None)
    for kind in EVERYWHERE:
        code, reason, message = ended.said(kind)
        assert (code, reason) == (2, "AuthenticationFailed")
        assert case.says in message
        assert f"database postgres at 127.0.0.1:{postgres.port} as {role}" in message
        assert ended.condition("Stalled", kind)["status"] == "True"
    assert "is-not-the-pass-word" not in ended.stdout + ended.stderr


RETRIED = {
    "nothing-listens": Address("refused", port=1),
    "unknown-host": Address("host", host="database.invalid"),
    "no-such-database": Address("does not exist", dbname="no such database"),
    "no-such-database-named-like-tls": Address("does not exist", dbname="tls certificates"),
    "too-many-connections": Address("too many connections", role="connection limit 0"),
}


@pytest.mark.parametrize("case", [pytest.param(c, id=name) for name, c in RETRIED.items()])
def test_a_server_that_does_not_take_connections_is_tried_again(
    pgstrata: CommandLine, postgres: PostgresServer, case: Address
) -> None:
    role = new_role(postgres, case.role)
    user = f"{role}:{quote(PASSWORD, safe='')}"
    uri = f"postgresql://{user}@{case.host}:{case.port or postgres.port}/{quote(case.dbname)}"
    ended = seen_to_retry(pgstrata.start_apply(declared("1", FILES), uri), "ConnectionFailed")
    for kind in EVERYWHERE:
        assert case.says in ended.said(kind)[2]


@pytest.mark.pg18only
def test_a_server_that_stays_away_times_out(pgstrata: CommandLine) -> None:
    uri = "postgresql://somebody@127.0.0.1:1/postgres"
    ended = pgstrata.apply(declared("1", FILES), uri, timeout="5s")
    assert ended.said()[:2] == (3, "ConnectionFailed")
    assert ended.condition("Reconciling")["status"] == "True"


def test_a_connection_that_is_free_again_is_used(pgstrata: CommandLine, database: Database) -> None:
    role = new_role(database.server, "connection limit 0")
    database.psql(
        f"grant create on database {database.name} to {role};"
        f"grant create on schema public to {role}"
    )
    running = pgstrata.start_apply(
        declared("1", FILES), database.server.uri(database.name, role, PASSWORD)
    )
    running.wait_for("too many connections")
    database.psql(f"alter role {role} connection limit 10")
    assert running.wait().said()[:2] == (0, "Succeeded")


def test_a_server_that_comes_back_is_noticed(
    pgstrata: CommandLine, make_postgres: MakePostgres
) -> None:
    """Down, then starting up for long, then not answering: Ready soon after it serves again."""
    server = make_postgres()
    documents = declared("1", FILES, timeouts={"connect": "1s"})
    server.stop()
    running = pgstrata.start_apply(documents, server.uri("postgres"))
    running.wait_for("ConnectionFailed")
    (server.data / "standby.signal").touch()
    with (server.data / "postgresql.conf").open("a") as file:
        file.write("hot_standby = off\n")
    server.start()
    running.wait_for(
        "not accepting connections" if server.build.major > 15 else "the database system"
    )
    (server.data / "standby.signal").unlink()
    server.crash()
    server.start()
    server.freeze()
    running.wait_for("no answer within")
    server.thaw()
    assert running.wait().said()[:2] == (0, "Succeeded")


@pytest.mark.parametrize("way", ["url", "secret"])
def test_a_standby_is_refused(
    pgstrata: CommandLine, postgres: PostgresServer, make_postgres: MakePostgres, way: str
) -> None:
    role = new_role(postgres)
    standby = make_postgres(standby_of=postgres)
    standby.wait_for_replay(postgres)
    if way == "url":
        running = pgstrata.start_apply(
            declared("1", FILES), standby.uri("postgres", role, PASSWORD)
        )
    else:
        running = pgstrata.start_apply(by_secret("127.0.0.1", standby.port, role, "postgres"), None)
    ended = seen_to_retry(running, "ReadOnlyDatabase")
    assert "standby" in ended.said()[2]


@pytest.mark.parametrize("way", ["url", "secret"])
def test_a_role_that_only_reads_is_refused(
    pgstrata: CommandLine, postgres: PostgresServer, way: str
) -> None:
    role = new_role(postgres, "set default_transaction_read_only = on")
    if way == "url":
        running = pgstrata.start_apply(
            declared("1", FILES), postgres.uri("postgres", role, PASSWORD)
        )
    else:
        running = pgstrata.start_apply(
            by_secret("127.0.0.1", postgres.port, role, "postgres"), None
        )
    ended = seen_to_retry(running, "ReadOnlyDatabase")
    assert "read-only" in ended.said()[2] or "read_only" in ended.said()[2]


@pytest.mark.parametrize("mode", PoolMode)
def test_a_pool_is_taken_only_where_it_keeps_sessions(
    pgstrata: CommandLine, database: Database, make_pgbouncer: MakePgBouncer, mode: PoolMode
) -> None:
    bouncer = make_pgbouncer(database.server, mode)
    ended = pgstrata.apply(declared("1", FILES), bouncer.uri(database.name))
    if mode is PoolMode.TRANSACTION:
        for kind in EVERYWHERE:
            code, reason, message = ended.said(kind)
            assert (code, reason) == (2, "PoolerUnsupported")
            assert "give the Secret the address of the server itself" in message
        assert database.psql("select to_regclass('t'), to_regnamespace('pgstrata')") == "|\n"
    else:
        assert ended.said()[:2] == (0, "Succeeded")
        assert ended.status("ManagedDatabase")["pooler"] == "Session"


def test_what_was_seen_of_a_database_is_in_its_status(
    pgstrata: CommandLine, database: Database
) -> None:
    ended = pgstrata.apply(declared("1", FILES), database.uri)
    status = dict(ended.status("ManagedDatabase"))
    del status["conditions"]
    assert status == {
        "observedGeneration": 1,
        "serverVersion": database.psql("show server_version").strip(),
        "database": database.name,
        "inRecovery": False,
        "pooler": "None",
        "controlSchemaVersion": CONTROL_VERSION,
    }


@pytest.mark.pg18only
@pytest.mark.parametrize(
    "line",
    [
        pytest.param("host all {role} 127.0.0.1/32 reject", id="rejected"),
        pytest.param("hostssl all {role} 127.0.0.1/32 scram-sha-256", id="only-with-tls"),
    ],
)
def test_a_line_of_pg_hba_that_turns_us_away(
    pgstrata: CommandLine, make_postgres: MakePostgres, line: str
) -> None:
    last = "host all app 127.0.0.1/32 reject"
    server = make_postgres(config=ServerConfig(hba=(line.format(role="app"), last), tls=True))
    server.create_role("app", PASSWORD)
    uri = server.uri("postgres", "app", PASSWORD) + "?sslmode=disable"
    ended = pgstrata.apply(declared("1", FILES), uri)
    code, reason, message = ended.said()
    assert (code, reason) == (2, "AuthenticationFailed")
    assert "pg_hba.conf rejects connection" in message
    assert "no encryption" in message
