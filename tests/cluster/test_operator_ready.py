"""From kubectl apply to Ready: the example as shipped, its next version, and what a user sees.

The operator looks at every resource each two seconds here: what it writes without need shows.
"""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.testbed.control_plane import ControlPlane
from tests.testbed.database import Database
from tests.testbed.operator_database import owner_uri
from tests.testbed.operator_ledger import ledger
from tests.testbed.operator_site import OperatorSite
from tests.testbed.operator_user import KubectlUser, ready
from tests.testbed.polling import poll

pytestmark = pytest.mark.pg18only

EXAMPLE = Path(__file__).parents[2] / "examples" / "api-monitoring"
LOOKS = "pgstrata_reconcile_duration_seconds_count"


class Repository:
    """A copy of the example, as a user keeps it in Git, and the namespace it is applied to."""

    def __init__(self, directory: Path, site: OperatorSite) -> None:
        self.log_before = len(site.operators[0].log())
        self.user: KubectlUser = site.user
        self._directory = directory
        for file in EXAMPLE.glob("*.yaml"):
            (directory / file.name).write_text(file.read_text())
        self.edit("database.yaml", ("connection", "tls"), {"mode": "disable"})
        self.edit("schemaversion.yaml", ("version",), "000")

    def edit(self, file: str, field: tuple[str, ...], value: object) -> None:
        """Set one field of a spec."""
        path = self._directory / file
        manifest = yaml.safe_load(path.read_text())
        *outer, last = ("spec", *field)
        target = manifest
        for name in outer:
            target = target[name]
        target[last] = value
        path.write_text(yaml.safe_dump(manifest))

    def apply(self) -> str:
        """kubectl apply."""
        return self.user.kubectl("apply", f"--filename={self._directory}").stdout


@pytest.fixture(scope="module")
def site(control_plane: ControlPlane) -> Iterator[OperatorSite]:
    with OperatorSite.open(control_plane) as site:
        site.start({"PGSTRATA_RESYNC": "2s"}).wait_leading()
        yield site


@pytest.fixture
def repository(site: OperatorSite, application: Database, tmp_path: Path) -> Iterator[Repository]:
    """The example, applied at version 000, the Secret made as its comment says, and Ready."""
    uri = owner_uri(application)
    site.user.kubectl("create", "secret", "generic", "metrics-app", f"--from-literal=uri={uri}")
    repository = Repository(tmp_path, site)
    repository.apply()
    site.user.kubectl("wait", "--for=condition=Ready", "mdb/metrics", "--timeout=60s")
    site.user.kubectl("wait", "--for=condition=Ready", "sv/dashboard", "--timeout=60s")
    site.user.wait_event("metrics", ("Normal", "Succeeded"), "ManagedDatabase")
    site.user.wait_event("dashboard", ("Normal", "Succeeded"))
    yield repository
    site.assert_no_password()
    site.settle()


def test_the_example_brings_the_schema_and_says_so(
    repository: Repository, application: Database
) -> None:
    user = repository.user
    for condition in ("Expanded", "Migrated"):
        user.kubectl("wait", f"--for=condition={condition}", "sv/dashboard", "--timeout=10s")
    assert application.psql("select count(*) from api_metrics") == "0\n"
    status = user.get("dashboard")["status"]
    assert status["currentVersion"] == status["targetVersion"] == "000"
    assert user.get("metrics", "ManagedDatabase")["status"]["database"] == application.name

    shown = user.kubectl("get", "pgstrata").stdout.split("\n")
    titles = [line.split() for line in shown if line.startswith("NAME")]
    rows = [line.split() for line in shown if line and not line.startswith("NAME")]
    assert titles == [
        ["NAME", "READY", "REASON", "SERVER", "CONTROL", "AGE"],
        ["NAME", "READY", "REASON", "VERSION", "TARGET", "PHASE", "AGE"],
    ]
    (database, version) = rows
    assert database[:3] == ["manageddatabase.pgstrata.dev/metrics", "True", "Succeeded"]
    assert version[:3] == ["schemaversion.pgstrata.dev/dashboard", "True", "Succeeded"]
    assert version[3:5] == ["000", "000"]


def test_the_next_version_is_one_line_in_the_manifest(
    repository: Repository, application: Database
) -> None:
    user = repository.user
    repository.edit("schemaversion.yaml", ("version",), "001")
    assert "schemaversion.pgstrata.dev/dashboard configured" in repository.apply()
    user.wait_ready("dashboard", deadline=60.0)

    status = user.get("dashboard")["status"]
    assert status["currentVersion"] == status["targetVersion"] == "001"
    invalid = "select count(*) from pg_index where not indisvalid"
    assert application.psql(invalid) == "0\n"
    steps = "select count(*) from pgstrata.step where version = '1'"
    assert application.psql(steps) != "0\n"
    assert application.psql(f"{steps} and state <> 'Applied'") == "0\n"


def test_neither_a_second_apply_nor_the_resync_writes_anything(
    repository: Repository, site: OperatorSite
) -> None:
    user, operator = repository.user, site.operators[0]

    def world() -> list[object]:
        found = [user.get("metrics", "ManagedDatabase"), user.get("dashboard")]
        return [item["metadata"]["resourceVersion"] for item in found] + [
            *user.events("metrics", "ManagedDatabase"),
            *user.events("dashboard"),
        ]

    before = world()
    looks = operator.metric(LOOKS)
    unchanged = [line for line in repository.apply().splitlines() if line.endswith("unchanged")]
    assert len(unchanged) == 2
    poll(lambda: operator.metric(LOOKS) >= looks + 4, 30.0, "each was looked at twice")
    assert world() == before


def test_events_and_log_lines_tell_of_transitions_alone(
    repository: Repository, site: OperatorSite
) -> None:
    user, operator = repository.user, site.operators[0]
    transitions = [("Normal", "Progressing"), ("Normal", "Succeeded")]
    for kind, name in (("ManagedDatabase", "metrics"), ("SchemaVersion", "dashboard")):
        assert user.events(name, kind) == transitions
        logged = [
            line
            for line in operator.log()[repository.log_before :]
            if line.get("key") == f"{kind} {user.namespace}/{name}"
        ]
        assert [line["reason"] for line in logged] == [reason for _, reason in transitions]
    assert "forbidden" not in operator.process.log.read_text(), "its rights are enough"


def test_the_step_that_runs_is_shown_in_the_status_and_is_no_event(
    repository: Repository, site: OperatorSite
) -> None:
    user = repository.user
    user.apply(ledger("slow", "metrics", seconds=4.0, schema="slow"))
    for step in ("4 of 6", "5 of 6"):
        user.wait_for(
            "slow",
            "Progressing",
            deadline=60.0,
            until=lambda it, step=step: step in ready(it)["message"],  # type: ignore[misc]
        )
    user.wait_ready("slow", deadline=60.0)
    user.wait_event("slow", ("Normal", "Succeeded"))
    told = ["Progressing", "Succeeded"]
    assert [reason for _, reason in user.events("slow")] == told
    lines = site.operators[0].lines_about("SchemaVersion", "slow")
    assert [line["reason"] for line in lines] == told


def test_a_look_that_was_asked_for_is_echoed(repository: Repository) -> None:
    user = repository.user
    asked = secrets.token_hex(4)
    user.annotate("dashboard", f"reconcile.pgstrata.dev/requestedAt={asked}")
    user.wait_for(
        "dashboard",
        "Succeeded",
        until=lambda found: found["status"].get("lastHandledReconcileAt") == asked,
    )
