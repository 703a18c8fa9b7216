"""The PostgreSQL servers of the test bed do what the database tests rely on."""

import psycopg
import pytest

from tests.conftest import MakePostgres
from tests.testbed.database import Database
from tests.testbed.orphans import survivors
from tests.testbed.postgres import PostgresServer, ServerConfig
from tests.testbed.scratch import scratch


def test_each_test_has_a_database_of_its_own(database: Database) -> None:
    with psycopg.connect(database.uri) as connection:
        row = connection.execute("select current_database()").fetchone()
    assert row == (database.name,)


def test_the_server_is_of_the_version_that_was_asked_for(
    postgres: PostgresServer, postgres_major: int
) -> None:
    with postgres.connect() as connection:
        assert connection.info.server_version // 10000 == postgres_major


def test_what_was_committed_survives_a_crash(make_postgres: MakePostgres) -> None:
    server = make_postgres()
    with server.connect() as connection:
        connection.execute("create table kept as select 1 as n")

    server.crash()
    server.start()

    assert server.psql("postgres", "table kept") == "1\n"
    assert "was not properly shut down" in server.log.read_text()


def test_a_wrong_password_is_refused(database: Database) -> None:
    role = f"app_{database.name}"
    database.server.create_role(role, "right")
    try:
        with psycopg.connect(database.server.uri(database.name, role, "right")):
            pass
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(database.server.uri(database.name, role, "wrong"))
    finally:
        database.psql(f'drop role "{role}"')


def test_a_frozen_server_hangs_and_a_thawed_one_answers(make_postgres: MakePostgres) -> None:
    server = make_postgres()
    server.freeze()
    with pytest.raises(psycopg.errors.ConnectionTimeout):
        psycopg.connect(server.uri("postgres"), connect_timeout=2)
    server.thaw()
    assert server.psql("postgres", "select 1") == "1\n"


def test_a_standby_replays_and_is_in_recovery(make_postgres: MakePostgres) -> None:
    primary = make_postgres()
    standby = make_postgres(standby_of=primary)
    primary.psql("postgres", "create table t as select 7 as n")

    standby.wait_for_replay(primary)

    assert standby.psql("postgres", "select pg_is_in_recovery(), n from t") == "t|7\n"


def test_tls_is_verified_against_the_servers_own_authority(
    make_postgres: MakePostgres,
) -> None:
    server = make_postgres(ServerConfig(tls=True))
    uri = server.uri("postgres")
    with psycopg.connect(uri, sslmode="verify-full", sslrootcert=str(server.ca_file)) as connection:
        assert connection.pgconn.ssl_in_use


def test_no_server_outlives_a_killed_test_run_even_a_frozen_one(
    postgres: PostgresServer, postgres_major: int
) -> None:
    with scratch("orphans") as directory:
        assert survivors("postgres", directory, str(postgres_major)) == set()
