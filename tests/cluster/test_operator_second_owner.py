"""One schema, two who want to manage it: the second is told who the first is."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.testbed.database import Database
from tests.testbed.operator_database import owner_uri
from tests.testbed.operator_sight import journal, owners
from tests.testbed.operator_user import (
    SOON,
    KubectlUser,
    Manifest,
    inline,
    managed_database,
    ready,
    schema_version,
    write_manifest,
)
from tests.testbed.process import child_environment

pytestmark = pytest.mark.pg18only

TABLE = "create table orders (id int)"
TAKE_OVER = "pgstrata.dev/take-over"
LOOK = "reconcile.pgstrata.dev/requestedAt"
STALLED = 2


def _shop(name: str) -> Manifest:
    return schema_version(name, "metrics", inline(TABLE))


def _named_owner(message: str) -> str:
    """The value that the message tells to take over."""
    found = re.search(rf'{TAKE_OVER}: "([^"]+)"', message)
    assert found is not None, message
    return found[1]


def test_a_second_resource_is_refused_until_the_first_is_deleted(
    user: KubectlUser, application: Database
) -> None:
    user.apply(_shop("first"))
    user.wait_ready("first")
    user.apply(_shop("second"))
    message = ready(user.wait_for("second", "ConflictingManager"))["message"]
    assert f"managed by SchemaVersion {user.namespace}/first" in message
    assert _named_owner(message).endswith(f"/{user.namespace}/first")
    assert owners(application) == ["first"]

    user.delete("first")
    user.annotate("second", f"{LOOK}=now")
    user.wait_ready("second")
    assert owners(application) == ["second"]


def test_the_annotation_moves_a_schema_to_another_resource(
    user: KubectlUser, application: Database
) -> None:
    user.apply(_shop("first"))
    user.wait_ready("first")
    before = journal(application)
    user.apply(_shop("second"))
    message = ready(user.wait_for("second", "ConflictingManager"))["message"]
    user.annotate("second", f"{TAKE_OVER}={_named_owner(message)}")
    user.wait_ready("second")
    assert owners(application) == ["second"]
    assert journal(application) == before

    user.annotate("first", f"{LOOK}=now")
    message = ready(user.wait_for("first", "ConflictingManager"))["message"]
    assert f"managed by SchemaVersion {user.namespace}/second" in message
    user.delete("first")
    assert owners(application) == ["second"], "who lost a schema does not give it free"


def test_the_command_line_is_refused_where_the_operator_manages(
    user: KubectlUser, application: Database, tmp_path: Path
) -> None:
    user.apply(_shop("shop"))
    user.wait_ready("shop")
    status, condition = _apply(tmp_path, application)
    assert (status, condition["reason"]) == (STALLED, "ConflictingManager")
    assert f"managed by SchemaVersion {user.namespace}/shop of cluster " in condition["message"]
    assert owners(application) == ["shop"]


def test_the_operator_is_refused_where_the_command_line_managed(
    user: KubectlUser, application: Database, tmp_path: Path
) -> None:
    status, condition = _apply(tmp_path, application)
    assert (status, condition["reason"]) == (0, "Succeeded")
    user.apply(_shop("shop"))
    message = ready(user.wait_for("shop", "ConflictingManager"))["message"]
    assert "managed by SchemaVersion default/pipeline of cluster cli" in message

    user.annotate("shop", f"{TAKE_OVER}={_named_owner(message)}")
    user.wait_ready("shop")
    assert owners(application) == ["shop"]


def _apply(directory: Path, database: Database) -> tuple[int, dict[str, str]]:
    """pgstrata apply; return its exit status and the SchemaVersion's Ready condition."""
    file = write_manifest(directory, managed_database("metrics", "none"), _shop("pipeline"))
    options = [
        "-f",
        str(file),
        "--database-url",
        owner_uri(database),
        "--timeout=50s",
        "-o",
        "json",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pgstrata", "apply", *options],
        capture_output=True,
        text=True,
        cwd=directory,
        env=child_environment(),
        timeout=3 * SOON,
        check=False,
    )
    assert done.stdout, done.stderr
    found = next(r for r in json.loads(done.stdout)["resources"] if r["kind"] == "SchemaVersion")
    condition: dict[str, str] = next(
        c for c in found["status"]["conditions"] if c["type"] == "Ready"
    )
    return done.returncode, condition
