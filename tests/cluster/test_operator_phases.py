"""Phases as a user of kubectl goes through them: what waits for a person, for another resource, for
a window, and what stops and goes on in the middle of a backfill."""

import subprocess
import sys
from typing import Any

import pytest

from tests.testbed.control_plane import ControlPlane
from tests.testbed.database import Database
from tests.testbed.operator_database import APPLICATION
from tests.testbed.operator_sight import owners
from tests.testbed.operator_user import (
    KubectlUser,
    Manifest,
    condition,
    managed_database,
    ready,
    schema_version,
)
from tests.testbed.polling import poll
from tests.testbed.slow_backfill import (
    KEPT,
    ONCE,
    ROWS,
    assert_all_once,
    done,
    kept_triggers,
    prepare,
    speed_up,
    wait_midway,
)

pytestmark = pytest.mark.pg18only

AT_ONCE = 8.0
"""Seconds for what an event wakes; the operator's own retry comes after 10 or more."""
APPROVE = "pgstrata.dev/approve"
OPEN = {"name": "night", "schedule": "* * * * *", "duration": "1m"}
SHUT = {"name": "night", "schedule": "0 0 30 2 *", "duration": "1m"}


def of_files(name: str, files: dict[str, str], version: str, **spec: Any) -> Manifest:
    return schema_version(name, "metrics", {"inline": files}, version=version, **spec)


def waiting_hash(user: KubectlUser, name: str, other_than: str = "") -> str:
    """Wait until it waits for approval of another hash than that; return it."""
    found = user.wait_for(
        name,
        "ApprovalPending",
        until=lambda it: it["status"]["plan"].get("hash", other_than) != other_than,
    )
    hash_ = str(found["status"]["plan"]["hash"])
    assert f'the annotation {APPROVE}: "{hash_}"' in ready(found)["message"]
    return hash_


def approve(plane: ControlPlane, user: KubectlUser, *arguments: str) -> tuple[int, str]:
    """kubectl pgstrata approve; return its exit status and all that it said."""
    where = ("-n", user.namespace, "--kubeconfig", str(plane.kubeconfig))
    ended = subprocess.run(
        [sys.executable, "-m", "pgstrata", "approve", *arguments, *where],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return ended.returncode, ended.stdout + ended.stderr


def test_each_contract_waits_for_its_own_approval_by_annotation_or_command(
    user: KubectlUser, application: Database, control_plane: ControlPlane
) -> None:
    files = {
        "001_a.sql": "create table a (x int, y int, z int)",
        "001_a.contract.sql": "alter table a drop column nothing",
        "002_b.sql": "create table b ()",
        "002_b.contract.sql": "alter table a drop column y",
    }
    user.apply(of_files("shop", files, "002", through="Contract"))
    broken = waiting_hash(user, "shop")
    user.kubectl("wait", "--for=condition=Migrated", "sv/shop", "--timeout=5s")
    user.annotate("shop", f"{APPROVE}={broken}")
    found = user.wait_for("shop", "MigrationFailed")
    assert "001_a.contract.sql:1" in ready(found)["message"]
    assert condition(found, "Contracted")["status"] == "False"

    files["001_a.contract.sql"] = "alter table a drop column x"
    user.apply(of_files("shop", files, "002", through="Contract"))
    first = waiting_hash(user, "shop")
    assert first != broken
    stale = f"{broken} was offered and is not what waits"
    user.wait_for("shop", "ApprovalPending", until=lambda it: stale in ready(it)["message"])
    code, said = approve(control_plane, user, "shop", broken)
    assert (code, f"waits for approval of {first}, not of {broken}" in said) == (2, True)

    user.annotate("shop", f"{APPROVE}={broken}, {first}")
    second = waiting_hash(user, "shop", other_than=first)
    columns = "select string_agg(attname, ' ') from pg_attribute where attrelid = 'a'::regclass \
and attnum > 0 and not attisdropped"
    assert application.psql(columns) == "y z\n"
    assert approve(control_plane, user, "shop", second) == (
        0,
        f"approved {second} of SchemaVersion {user.namespace}/shop\n",
    )
    user.wait_ready("shop")
    user.kubectl("wait", "--for=condition=Contracted", "sv/shop", "--timeout=5s")
    assert application.psql(columns) == "z\n"
    code, said = approve(control_plane, user, "shop", "-y")
    assert (code, "waits for no approval (Succeeded)" in said) == (2, True)


def test_who_depends_on_another_goes_on_as_soon_as_that_is_far_enough(
    user: KubectlUser, application: Database
) -> None:
    application.psql("create table busy (id int)")
    application.psql(f"alter table busy owner to {APPLICATION}")
    base = {"001_a.sql": "create table a ()", "001_a.contract.sql": "drop table busy"}
    later: dict[str, Any] = {"source": {"inline": {"001_b.sql": "create table b ()"}}}
    on_version = {"kind": "SchemaVersion", "name": "base", "version": "001"}
    on_ready = {"kind": "SchemaVersion", "name": "base"}
    user.apply(
        schema_version("early", "metrics", schema="early", dependsOn=[on_version], **later),
        schema_version("late", "metrics", schema="late", dependsOn=[on_ready], **later),
        schema_version(
            "round", "metrics", schema="round", dependsOn=[{**on_ready, "name": "round"}], **later
        ),
    )
    for name in ("early", "late"):
        said = ready(user.wait_for(name, "DependencyNotReady"))["message"]
        assert said == f"SchemaVersion {user.namespace}/base of spec.dependsOn does not exist"
    circle = ready(user.wait_for("round", "DependencyCycle"))["message"]
    assert circle == "spec.dependsOn goes in a circle: round -> round"

    user.apply(of_files("base", base, "001", through="Contract"))
    hash_ = waiting_hash(user, "base")
    user.wait_ready("early", deadline=AT_ONCE)
    said = ready(user.wait_for("late", "DependencyNotReady"))["message"]
    assert "is not Ready yet" in said
    assert application.psql("select to_regclass('late.b')") == "\n"
    user.annotate("base", f"{APPROVE}={hash_}")
    user.wait_ready("base", "late", deadline=AT_ONCE)


def test_a_backfill_stops_for_suspend_goes_on_after_it_and_ends_with_its_deletion(
    user: KubectlUser, application: Database
) -> None:
    prepare(application, APPLICATION)
    files = {"001_t.migrate.sql": KEPT}

    def shop(*, suspend: bool) -> Manifest:
        return of_files("shop", files, "001", suspend=suspend)

    user.apply(shop(suspend=False))
    wait_midway(application)
    user.apply(shop(suspend=True))
    found = user.wait_for("shop", "Suspended")
    stopped = done(application)
    assert 0 < stopped < ROWS
    assert application.psql("select rows from pgstrata.cursor") == f"{stopped}\n"
    assert "progress" not in found["status"]
    [kept] = found["status"]["temporary"]
    assert (kept["table"], kept["until"]) == ("public.t", "Contract")
    application.psql("insert into t values (5000)")
    assert application.psql("select b from t where id = 5000") == "5000\n", "kept right meanwhile"
    assert done(application) == stopped + 1

    user.apply(shop(suspend=False))
    wait_midway(application, beyond=stopped + 1)
    assert kept_triggers(application).count("\n") == 2
    seconds = user.delete("shop")
    print(f"deleted in the middle of a backfill: {seconds:.1f} s")
    assert seconds < 5.0
    poll(lambda: kept_triggers(application) == "", 15.0, "the kept trigger is gone")
    poll(lambda: owners(application) == [], 15.0, "the schema is free again")
    left = done(application)
    assert left < ROWS

    user.apply(shop(suspend=False))
    wait_midway(application, beyond=left)
    speed_up(application)
    user.wait_ready("shop")
    assert done(application) == ROWS + 1


def test_windows_that_are_changed_hold_and_release_what_is_under_way(
    user: KubectlUser, application: Database
) -> None:
    prepare(application, APPLICATION)

    def windows(window: dict[str, str]) -> Manifest:
        return managed_database("metrics", secret="metrics", windows=[window])

    user.apply(windows(SHUT))
    files = {"001_t.migrate.sql": f"{ONCE}\ncreate table behind ();"}
    user.apply(of_files("shop", files, "001", window="night"))
    said = ready(user.wait_for("shop", "WaitingForWindow"))["message"]
    assert said.endswith("waits for window night (0 0 30 2 *, UTC), which never opens")
    assert done(application) == 0

    user.apply(windows(OPEN))
    wait_midway(application)
    user.apply(windows(SHUT))
    user.wait_for("shop", "WaitingForWindow")
    stopped = done(application)
    assert 0 < stopped < ROWS
    assert application.psql("select rows from pgstrata.cursor") == f"{stopped}\n"
    speed_up(application)
    assert done(application) == stopped
    user.apply(windows(OPEN))
    user.wait_ready("shop")
    assert_all_once(application)
    assert application.psql("select to_regclass('behind')") == "behind\n"
