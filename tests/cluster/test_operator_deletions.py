"""kubectl delete: within five seconds, whatever the operator is doing and wherever the database is;
what is left there goes at the next look at it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.testbed.database import Database
from tests.testbed.operator_database import own_database, owner_uri
from tests.testbed.operator_sight import (
    invalid_indexes,
    journal,
    old_snapshot,
    owners,
    running,
    wait_running,
)
from tests.testbed.operator_site import OperatorSite
from tests.testbed.operator_user import (
    KubectlUser,
    inline,
    managed_database,
    schema_version,
    secret,
)
from tests.testbed.polling import poll
from tests.testbed.postgres import PostgresServer

pytestmark = pytest.mark.pg18only

LIMIT = 5.0
TABLE = "create table orders (id int)"
BUILD = "create index concurrently orders_id on orders (id)"


def test_a_waiting_build_is_cancelled_and_its_index_removed(
    user: KubectlUser, application: Database
) -> None:
    with old_snapshot(application):
        user.apply(schema_version("shop", "metrics", inline(TABLE, BUILD), version="002"))
        wait_running(application, "create index concurrently")
        poll(lambda: invalid_indexes(application), LIMIT, "the index is there, and invalid")
        seconds = user.delete("shop")
        print(f"deleted in the middle of a build: {seconds:.1f} s")
        assert seconds < LIMIT
        assert running(application, "create index concurrently") == []
        started = time.monotonic()
        poll(lambda: not invalid_indexes(application), 15.0, "the invalid index is removed")
        print(f"its index was removed {time.monotonic() - started:.1f} s later")
    assert owners(application) == []
    assert user.get("metrics", "ManagedDatabase")["status"]["conditions"][0]["status"] == "True"


@contextmanager
def _frozen(server: PostgresServer) -> Iterator[None]:
    server.freeze()
    yield
    server.thaw()


@contextmanager
def _down(server: PostgresServer) -> Iterator[None]:
    server.stop()
    yield
    server.start()


def test_a_database_that_cannot_be_reached_holds_nothing_up(
    user: KubectlUser, make_postgres: Callable[[], PostgresServer]
) -> None:
    server = make_postgres()
    database = own_database(server)
    user.apply(secret("far", owner_uri(database)), managed_database("far", secret="far"))
    for outage in (_frozen, _down):
        name = outage.__name__.strip("_")
        user.apply(schema_version(name, "far", inline(TABLE), schema=name))
        user.wait_ready(name)
        with outage(server):
            seconds = user.delete(name)
        print(f"deleted while the server is {name}: {seconds:.1f} s")
        assert seconds < LIMIT
        user.annotate("far", f"reconcile.pgstrata.dev/requestedAt={name}", "ManagedDatabase")
        poll(lambda: owners(database) == [], 15.0, "what it managed is free again")


def test_a_managed_database_goes_at_once_and_its_versions_after_it(
    user: KubectlUser, application: Database
) -> None:
    user.apply(schema_version("shop", "metrics", inline(TABLE)))
    user.wait_ready("shop")
    seconds = user.delete("metrics", "ManagedDatabase")
    print(f"ManagedDatabase deleted: {seconds:.1f} s")
    assert seconds < LIMIT
    user.wait_for("shop", "DatabaseNotFound")
    seconds = user.delete("shop")
    print(f"deleted without its ManagedDatabase: {seconds:.1f} s")
    assert seconds < LIMIT


def test_a_namespace_is_not_held_up(shared_site: OperatorSite, application: Database) -> None:
    user = KubectlUser(shared_site.plane, shared_site.second_namespace, shared_site.user.reader)
    user.kubectl("create", "namespace", user.namespace)
    user.apply(
        secret("metrics", owner_uri(application)),
        managed_database("metrics", secret="metrics"),
        schema_version("shop", "metrics", inline(TABLE)),
    )
    user.wait_ready("shop")
    user.kubectl("delete", "namespace", user.namespace, "--wait=false")
    started = time.monotonic()
    user.wait_gone("shop")
    print(f"deleted with its namespace: {time.monotonic() - started:.1f} s")
    poll(lambda: not user.reader.namespace_exists(user.namespace), 30.0, "the namespace is gone")
    print(f"namespace gone: {time.monotonic() - started:.1f} s (5 s are the controller's own)")
    shared_site.assert_no_password()


def test_one_made_anew_under_the_same_name_adopts_what_is_there(
    user: KubectlUser, application: Database
) -> None:
    manifest = schema_version("shop", "metrics", inline(TABLE))
    user.apply(manifest)
    user.wait_ready("shop")
    before, uid = journal(application), user.get("shop")["metadata"]["uid"]

    user.replace(manifest)
    found = user.wait_for("shop", "Succeeded")
    assert found["metadata"]["uid"] != uid
    assert journal(application) == before
    assert owners(application) == ["shop"]
    assert not [event for event in user.events("shop") if event[0] == "Warning"]
