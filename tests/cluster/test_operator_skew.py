"""Operators that do not know of each other: two releases, two clusters, a restored copy."""

import re
import shutil
from pathlib import Path

import pytest

from tests.testbed.control_plane import ControlPlane
from tests.testbed.database import Database
from tests.testbed.operator_database import owned, owner_uri
from tests.testbed.operator_sight import journal, owners
from tests.testbed.operator_site import OperatorSite
from tests.testbed.operator_user import (
    KubectlUser,
    inline,
    managed_database,
    ready,
    schema_version,
    secret,
)

pytestmark = pytest.mark.pg18only

ROOT = Path(__file__).parents[2]
SLOW = 60.0
ONE, TWO = "create table orders (id int)", "alter table orders add note text"
TAKE_OVER = "pgstrata.dev/take-over"
LOOK = "reconcile.pgstrata.dev/requestedAt"


def reached(database: Database, name: str = "metrics") -> tuple[dict[str, object], ...]:
    return secret(name, owner_uri(database)), managed_database(name, secret=name)


def to_take_over(message: str) -> str:
    found = re.search(rf'{TAKE_OVER}: "([^"]+)"', message)
    assert found is not None, message
    return f"{TAKE_OVER}={found[1]}"


def wait_told(user: KubectlUser, reason: str, kind: str = "SchemaVersion") -> str:
    name = "shop" if kind == "SchemaVersion" else "metrics"
    return ready(user.wait_for(name, reason, kind=kind, deadline=SLOW))["message"]


def release_of(directory: Path, version: int, min_reader: int) -> dict[str, str]:
    """A pgstrata whose control schema is newer: what makes an operator run it."""
    copy = directory / f"release{version}"
    shutil.copytree(ROOT / "operator", copy / "operator")
    shutil.copytree(ROOT / "sql", copy / "sql")
    present = len(list((copy / "sql" / "control").glob("0*.sql")))
    for number in range(present + 1, version + 1):
        file = copy / "sql" / "control" / f"{number:04}_later.sql"
        file.write_text(f"create table pgstrata.later_{number} (id int primary key);\n")
    control = copy / "operator" / "pgstrata" / "engine" / "control.py"
    text = control.read_text()
    assert text.count("\nMIN_READER = 1\n") == 1
    control.write_text(text.replace("\nMIN_READER = 1\n", f"\nMIN_READER = {min_reader}\n"))
    return {"PYTHONPATH": str(copy / "operator")}


def test_an_older_release_works_beside_a_newer_one_until_it_could_not_read_it(
    control_plane: ControlPlane, application: Database, tmp_path: Path
) -> None:
    with OperatorSite.open(control_plane) as old, OperatorSite.open(control_plane) as new:
        old.start().wait_leading()
        old.user.apply(*reached(application), schema_version("shop", "metrics", inline(ONE)))
        old.user.wait_ready("shop", deadline=SLOW)
        version = int(application.psql("select version from pgstrata.control"))

        added = new.start(release_of(tmp_path, version + 1, min_reader=1))
        audit = schema_version("audit", "metrics", inline("create table log ()"), schema="audit")
        new.user.apply(*reached(application), audit)
        new.user.wait_ready("audit", deadline=SLOW)
        assert application.psql("select version from pgstrata.control").strip() == str(version + 1)
        two = schema_version("shop", "metrics", inline(ONE, TWO), version="002")
        old.user.apply(two)
        old.user.wait_ready("shop", deadline=SLOW)
        assert owners(application) == ["audit", "shop"]

        added.process.stop()
        new.start(release_of(tmp_path, version + 2, min_reader=version + 2))
        new.user.annotate("audit", f"{LOOK}=by-the-newest")
        new.user.wait_for(
            "audit",
            "Succeeded",
            deadline=SLOW,
            until=lambda found: found["status"].get("lastHandledReconcileAt") == "by-the-newest",
        )
        before = journal(application)
        three = inline(ONE, TWO, "alter table orders add total int")
        old.user.apply(schema_version("shop", "metrics", three, version="003"))
        message = wait_told(old.user, "ControlSchemaTooNew")
        assert f"has version {version + 2}" in message
        assert "upgrade it" in message
        assert journal(application) == before, "nothing is touched"


def test_the_second_of_two_clusters_is_refused_until_it_takes_over(
    control_plane: ControlPlane, own_control_plane: ControlPlane, application: Database
) -> None:
    with OperatorSite.open(control_plane) as here, OperatorSite.open(own_control_plane) as there:
        for site in (here, there):
            site.start()
        manifests = (*reached(application), schema_version("shop", "metrics", inline(ONE)))
        here.user.apply(*manifests)
        here.user.wait_ready("shop", deadline=SLOW)
        done = journal(application)
        there.user.apply(*manifests)
        message = wait_told(there.user, "ConflictingManager")
        uid = here.plane.kubectl(
            "get", "namespace", "kube-system", "--output=jsonpath={.metadata.uid}"
        ).stdout
        assert f"SchemaVersion {here.namespace}/shop of cluster {uid}" in message

        there.user.annotate("shop", to_take_over(message))
        there.user.wait_ready("shop", deadline=SLOW)
        assert journal(application) == done, "nothing is done twice"
        here.user.annotate("shop", f"{LOOK}=now")
        assert f"{there.namespace}/shop" in wait_told(here.user, "ConflictingManager")


def test_a_restored_copy_is_left_alone_until_somebody_says_so(
    control_plane: ControlPlane, application: Database
) -> None:
    server, copy = application.server, f"{application.name}_restored"
    with OperatorSite.open(control_plane) as site:
        site.start()
        user = site.user
        user.apply(*reached(application), schema_version("shop", "metrics", inline(ONE)))
        user.wait_ready("shop", deadline=SLOW)
        user.kubectl("delete", "mdb", "metrics")
        server.createdb(copy, template=application.name)
        try:
            user.apply(*reached(owned(Database(copy, server))))
            user.apply(schema_version("shop", "metrics", inline(ONE, TWO), version="002"))
            message = wait_told(user, "DatabaseChanged")
            wait_told(user, "DatabaseChanged", "ManagedDatabase")
            assert application.name in message
            assert len(journal(Database(copy, server))) == 1, "nothing is touched"

            user.annotate("metrics", to_take_over(message), "ManagedDatabase")
            user.annotate("shop", to_take_over(message))
            user.wait_ready("shop", deadline=SLOW)
            assert len(journal(Database(copy, server))) == 2
            assert len(journal(application)) == 1, "the first one is another database"
        finally:
            server.dropdb(copy)
