"""Databases that cannot be reached or not be used: the reason, and Ready soon after it is gone."""

import time
from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.testbed.database import Database
from tests.testbed.operator_database import (
    APPLICATION,
    PASSWORD,
    own_database,
    owner_uri,
)
from tests.testbed.operator_sight import journal
from tests.testbed.operator_user import (
    WATCHED,
    KubectlUser,
    condition,
    inline,
    managed_database,
    ready,
    schema_version,
    secret,
)
from tests.testbed.pgbouncer import PgBouncer
from tests.testbed.ports import free_port
from tests.testbed.postgres import PostgresServer
from tests.testbed.scratch import scratch
from tests.testbed.skipping import cannot
from tests.testbed.unavailable import Unavailable

pytestmark = pytest.mark.pg18only

TABLE = "create table orders (id int)"
WRONG = "Falschgold8 /@'"
FIRST_BACKOFF = 5.0


@pytest.mark.parametrize(("labels", "limit"), [({}, 15.0), (WATCHED, 4.0)], ids=["", "watched"])
def test_a_wrong_password_is_retried_and_a_mended_secret_found(
    user: KubectlUser, application: Database, labels: Mapping[str, str], limit: float
) -> None:
    user.apply(
        secret("guarded", owner_uri(application, WRONG), labels),
        managed_database("guarded", secret="guarded"),
        schema_version("shop", "guarded", inline(TABLE)),
    )
    for kind, name in (("ManagedDatabase", "guarded"), ("SchemaVersion", "shop")):
        found = user.wait_for(name, "AuthenticationFailed", kind=kind)
        assert "Stalled" not in {c["type"] for c in found["status"]["conditions"]}
        assert APPLICATION in ready(found)["message"]

    user.apply(secret("guarded", owner_uri(application), labels))
    mended = time.monotonic()
    user.wait_for("guarded", "Succeeded", kind="ManagedDatabase")
    user.wait_ready("shop")
    print(f"Secret mended to Ready: {time.monotonic() - mended:.1f} s")
    assert time.monotonic() - mended < limit


def test_a_server_that_comes_back_is_found_within_a_backoff(
    user: KubectlUser, make_postgres: Callable[[], PostgresServer]
) -> None:
    server = make_postgres()
    database = own_database(server)
    second = "create table lines (id int)"
    user.apply(
        secret("far", owner_uri(database)),
        managed_database("far", secret="far"),
        schema_version("shop", "far", inline(TABLE)),
    )
    user.wait_ready("shop")
    server.stop()
    user.apply(schema_version("shop", "far", inline(TABLE, second), version="002"))
    found = user.wait_for("shop", "ConnectionFailed")
    assert condition(found, "Reconciling")["reason"] == "ConnectionFailed"
    assert f"127.0.0.1:{server.port}" in ready(found)["message"]
    server.start()
    back = time.monotonic()
    user.wait_ready("shop")
    print(f"server back to Ready: {time.monotonic() - back:.1f} s")
    assert time.monotonic() - back < 2 * FIRST_BACKOFF + 5.0
    assert len(journal(database)) == 2


def test_a_standby_is_waited_for_until_it_is_promoted(
    user: KubectlUser, make_postgres: Callable[..., PostgresServer]
) -> None:
    primary = make_postgres()
    database = own_database(primary)
    standby = make_postgres(standby_of=primary)
    copy = Database(database.name, standby)
    user.apply(secret("far", owner_uri(copy)), managed_database("far", secret="far"))
    found = user.wait_for("far", "ReadOnlyDatabase", kind="ManagedDatabase")
    assert "Reconciling" in {c["type"] for c in found["status"]["conditions"]}
    primary.stop()
    copy.psql("select pg_promote()")
    user.wait_for("far", "Succeeded", kind="ManagedDatabase")


def test_tls_that_the_server_does_not_speak_is_told(user: KubectlUser) -> None:
    user.apply(managed_database("strict", secret="metrics", tls="require"))
    user.wait_for("strict", "TLSFailed", kind="ManagedDatabase")


def test_nobody_who_answers_is_told_with_the_address(
    user: KubectlUser, application: Database
) -> None:
    port = free_port()
    uri = owner_uri(application).replace(f":{application.server.port}/", f":{port}/")
    user.apply(secret("nobody", uri), managed_database("nobody", secret="nobody"))
    found = user.wait_for("nobody", "ConnectionFailed", kind="ManagedDatabase")
    assert f"127.0.0.1:{port}" in ready(found)["message"]


@pytest.fixture
def foreign(application: Database) -> Iterator[Database]:
    """A database in which the role may log in, and nothing else."""
    foreign = Database(f"{application.name}_foreign", application.server)
    foreign.server.createdb(foreign.name)
    yield foreign
    foreign.server.dropdb(foreign.name)


def test_missing_rights_are_told_with_the_statement_that_grants_them(
    foreign: Database, user: KubectlUser
) -> None:
    user.apply(secret("far", owner_uri(foreign)), managed_database("far", secret="far"))
    found = user.wait_for("far", "AccessDenied", kind="ManagedDatabase")
    assert condition(found, "Stalled")["status"] == "True"
    cure = ready(found)["message"].partition("an administrator can run: ")[2]
    assert cure.startswith("GRANT CREATE ON DATABASE")
    foreign.psql(cure)
    user.annotate("far", "reconcile.pgstrata.dev/requestedAt=now", "ManagedDatabase")
    user.wait_for("far", "Succeeded", kind="ManagedDatabase")


def test_a_transaction_pooler_is_refused(user: KubectlUser, application: Database) -> None:
    users = {APPLICATION: PASSWORD}
    with scratch("pool") as directory:
        try:
            pooler = PgBouncer.start(application.server, directory, users=users)
        except Unavailable as reason:
            cannot(reason)
        with pooler:
            direct, pooled = f":{application.server.port}/", f":{pooler.port}/"
            uri = owner_uri(application).replace(direct, pooled)
            user.apply(secret("pooled", uri), managed_database("pooled", secret="pooled"))
            found = user.wait_for("pooled", "PoolerUnsupported", kind="ManagedDatabase")
            assert condition(found, "Stalled")["status"] == "True"
