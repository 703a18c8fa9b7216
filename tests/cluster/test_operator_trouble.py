"""Migrations that cannot go on, as a user of kubectl meets them: what is said, what stands, and how
it goes on once the cause is mended."""

import pytest

from tests.testbed.database import Database
from tests.testbed.operator_sight import (
    invalid_indexes,
    journal,
    old_snapshot,
    reader_of,
    wait_running,
)
from tests.testbed.operator_user import KubectlUser, condition, inline, ready, schema_version

pytestmark = pytest.mark.pg18only

TABLE = "create table orders (id int); insert into orders values (1), (1)"
BUILD = "create index concurrently orders_id on orders (id)"


def test_a_syntax_error_is_told_with_its_place_before_anything_runs(
    user: KubectlUser, application: Database
) -> None:
    broken = "create table lines (id int);\ncreate tabel notes (id int);\n"
    user.apply(schema_version("shop", "metrics", inline(TABLE, broken), version="002"))
    found = user.wait_for("shop", "MigrationFailed")
    message = ready(found)["message"]
    assert "002_change.expand.sql:2:8" in message
    assert 'syntax error at or near "tabel"' in message
    assert condition(found, "Stalled")["message"] == message
    assert application.psql("select to_regclass('orders') is null") == "t\n"
    user.wait_event("shop", ("Warning", "MigrationFailed"))


def test_a_failure_in_the_middle_is_told_and_goes_on_once_mended(
    user: KubectlUser, application: Database
) -> None:
    failing = "create table lines (id int);\ninsert into lines values ('x');\n"
    user.apply(schema_version("shop", "metrics", inline(TABLE, failing), version="002"))
    found = user.wait_for("shop", "MigrationFailed")
    message = ready(found)["message"]
    for part in ("002_change.expand.sql:2", "22P02", "nothing of the file's 2 statements stands"):
        assert part in message
    standing = [(v["version"], v["phases"][0]["state"]) for v in found["status"]["versions"]]
    assert standing == [("001", "Done")]
    assert application.psql("select to_regclass('lines') is null") == "t\n"

    mended = failing.replace("'x'", "7")
    user.apply(schema_version("shop", "metrics", inline(TABLE, mended), version="002"))
    user.wait_ready("shop")
    counts = "select (select count(*) from orders), (select sum(id) from lines)"
    assert application.psql(counts) == "2|7\n"


def test_what_contradicts_history_runs_nothing_until_it_is_taken_back(
    user: KubectlUser, application: Database
) -> None:
    files = {"001_a.sql": TABLE, "003_c.sql": "create table lines (id int)"}
    user.apply(schema_version("shop", "metrics", {"inline": files}, version="003"))
    user.wait_ready("shop")
    before = journal(application)
    for reason, changed, version in (
        ("ChecksumMismatch", files | {"001_a.sql": TABLE + ", (2)"}, "003"),
        ("DowngradeRefused", files, "001"),
        ("OutOfOrder", files | {"002_b.sql": "create table notes (id int)"}, "003"),
    ):
        user.apply(schema_version("shop", "metrics", {"inline": changed}, version=version))
        found = user.wait_for("shop", reason)
        assert condition(found, "Stalled")["reason"] == reason
        assert journal(application) == before
        user.apply(schema_version("shop", "metrics", {"inline": files}, version="003"))
        user.wait_ready("shop")
    assert application.psql("select to_regclass('notes') is null") == "t\n"


def test_through_expand_stops_there_until_migrate_is_asked_for(
    user: KubectlUser, application: Database
) -> None:
    files = {"001_a.expand.sql": TABLE, "001_a.migrate.sql": "update orders set id = 2"}
    source = {"inline": files}
    user.apply(schema_version("shop", "metrics", source, through="Expand"))
    found = user.wait_for("shop", "Succeeded")
    assert condition(found, "Expanded")["status"] == "True"
    assert condition(found, "Migrated")["status"] == "False"
    assert application.psql("select sum(id) from orders") == "2\n"

    user.apply(schema_version("shop", "metrics", source, through="Migrate"))
    user.kubectl("wait", "--for=condition=Migrated", "sv/shop", "--timeout=20s")
    user.wait_ready("shop")
    assert application.psql("select sum(id) from orders") == "4\n"


def test_a_lock_that_is_not_had_names_who_holds_it(
    user: KubectlUser, application: Database
) -> None:
    user.apply(schema_version("shop", "metrics", inline(TABLE)))
    user.wait_ready("shop")
    alter = "alter table orders add column note text"
    with reader_of(application, "orders", "nightly report") as pid:
        user.apply(schema_version("shop", "metrics", inline(TABLE, alter), version="002"))
        found = user.wait_for("shop", "LockTimeout")
        said = ready(found)["message"]
        assert f"pid {pid} (nightly report, idle in transaction, " in said
        assert "AccessShareLock on public.orders" in said
        assert "Stalled" not in {c["type"] for c in found["status"]["conditions"]}
    user.wait_ready("shop", deadline=60.0)


def test_a_build_waits_for_an_old_snapshot_and_says_for_whom(
    user: KubectlUser, application: Database
) -> None:
    with old_snapshot(application) as pid:
        user.apply(schema_version("shop", "metrics", inline(TABLE, BUILD), version="002"))
        wait_running(application, "create index concurrently")
        found = user.wait_for(
            "shop", "BuildingIndex", until=lambda it: f"pid {pid}" in ready(it)["message"]
        )
        assert ready(found)["status"] == "Unknown"
        assert "progress" in found["status"]
    user.wait_ready("shop")
    assert "progress" not in user.get("shop")["status"]
    assert invalid_indexes(application) == []


def test_a_build_that_was_killed_is_finished_later(
    user: KubectlUser, application: Database
) -> None:
    with old_snapshot(application):
        user.apply(schema_version("shop", "metrics", inline(TABLE, BUILD), version="002"))
        pid = wait_running(application, "create index concurrently")
        application.psql(f"select pg_terminate_backend({pid})")
        user.wait_for("shop", "ConnectionFailed")
    user.wait_ready("shop", deadline=30.0)
    assert invalid_indexes(application) == []


def test_a_duplicate_key_is_told_and_no_invalid_index_is_left(
    user: KubectlUser, application: Database
) -> None:
    unique = BUILD.replace("index", "unique index")
    user.apply(schema_version("shop", "metrics", inline(TABLE, unique), version="002"))
    message = ready(user.wait_for("shop", "MigrationFailed"))["message"]
    assert "002_change.expand.sql:1" in message
    assert "23505" in message
    assert invalid_indexes(application) == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"versoin": "002"}, 'unknown field "spec.versoin"'),
        ({"through": "Everything"}, "spec.through: Unsupported value"),
        ({"source": {"bundle": "api-monitoring", **inline(TABLE)}}, "spec.source"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_kubectl_with_the_field(
    user: KubectlUser, change: dict[str, object], named: str
) -> None:
    manifest = schema_version("shop", "metrics", {"bundle": "api-monitoring"})
    manifest["spec"].update(change)
    refused = user.try_apply(manifest)
    assert refused.returncode != 0
    assert named in refused.stderr
