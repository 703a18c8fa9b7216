"""The operator under CustomResourceDefinitions of an older release, until they are upgraded.

Each test has a control plane of its own, and the operator runs there as a process.
"""

from collections.abc import Callable, Iterator

import pytest

from tests.testbed.control_plane import ControlPlane
from tests.testbed.database import Database
from tests.testbed.definitions import DATABASES, VERSIONS, Definition, Schema
from tests.testbed.operator_database import owner_uri
from tests.testbed.operator_process import OperatorProcess
from tests.testbed.operator_site import OperatorSite
from tests.testbed.operator_user import inline, managed_database, schema_version, secret
from tests.testbed.polling import poll

pytestmark = pytest.mark.pg18only

NOTICED = 60.0
"""Seconds until a change of the definitions is noticed: asked every 30 s, and the work itself."""
CURE = "kubectl apply --server-side -f crds/"
OUTDATED = ("Warning", "OutdatedDefinition")


@pytest.fixture
def site(own_control_plane: ControlPlane) -> Iterator[OperatorSite]:
    with OperatorSite.open(own_control_plane) as site:
        yield site


def lack_much(spec: Schema, status: Schema) -> None:
    """A field of the spec; of the status one, one deep inside, and a value that is written."""
    del spec["approval"]
    del status["appliedCount"]
    del status["versions"]["items"]["properties"]["phases"]["items"]["properties"][
        "durationSeconds"
    ]
    status["phase"]["enum"].remove("Migrate")


def lack_a_field_of_the_spec(spec: Schema, status: Schema) -> None:
    del spec["timeouts"]


def warned(operator: OperatorProcess, *words: str) -> Callable[[], bool]:
    """Whether one warning has all of these words."""
    return lambda: any(
        all(word in line["message"] for word in words)
        for line in operator.log()
        if line["level"] == "warning"
    )


def unready(operator: OperatorProcess, words: str) -> Callable[[], bool]:
    """Whether it is not ready, for this reason."""
    return lambda: words in (answer := operator.get("/readyz")).text and answer.status == 503


def times_told(site: OperatorSite, reason: str) -> list[int]:
    """The counts of the Events with this reason on a ManagedDatabase."""
    return [
        event["count"]
        for event in site.user.reader.list("Event", site.user.namespace)
        if (event["involvedObject"]["kind"], event["reason"]) == ("ManagedDatabase", reason)
    ]


def declare(site: OperatorSite, database: Database) -> None:
    site.user.apply(
        secret("metrics", owner_uri(database)),
        managed_database("metrics", secret="metrics"),
        schema_version("shop", "metrics", inline("create table a ()")),
    )


def test_what_the_definitions_lack_is_told_and_all_else_is_done_and_said(
    site: OperatorSite, application: Database
) -> None:
    versions, databases = (Definition(site.plane, name) for name in (VERSIONS, DATABASES))
    versions.age(lack_much)
    databases.age(lack_a_field_of_the_spec)
    operator = site.start()
    lacking = (
        "spec.approval",
        "status.phase Migrate",
        "status.appliedCount",
        "status.versions[].phases[].durationSeconds",
    )
    poll(warned(operator, VERSIONS, *lacking, CURE), NOTICED, "the SchemaVersion's is told")
    poll(warned(operator, DATABASES, "spec.timeouts", CURE), NOTICED, "the ManagedDatabase's, too")

    declare(site, application)
    site.user.wait_ready("shop", deadline=NOTICED)
    site.user.wait_event("shop", OUTDATED)
    site.user.wait_event("metrics", OUTDATED, "ManagedDatabase")
    status = site.user.get("shop")["status"]
    assert {"Ready", "Expanded", "Migrated"} <= {each["type"] for each in status["conditions"]}
    assert status["currentVersion"] == status["targetVersion"] == "001"
    assert not status.keys() & {"phase", "appliedCount"}
    [version] = status["versions"]
    assert {"phase": "Expand", "state": "Done"}.items() <= version["phases"][0].items()
    assert not any("durationSeconds" in phase for phase in version["phases"])

    versions.renew()
    databases.renew()
    site.user.wait_for(
        "shop",
        "Succeeded",
        deadline=NOTICED,
        until=lambda it: it["status"].get("phase") and it["status"].get("appliedCount") == 1,
    )
    [version] = site.user.get("shop")["status"]["versions"]
    assert all("durationSeconds" in each for each in version["phases"] if each["state"] == "Done")
    assert [line["message"] for line in operator.log()].count("leading") == 1, "without a restart"


def test_a_definition_that_becomes_older_while_the_operator_runs_is_told_each_time(
    site: OperatorSite, application: Database
) -> None:
    operator = site.start()
    operator.wait_leading()
    declare(site, application)
    site.user.wait_ready("shop", deadline=NOTICED)
    databases = Definition(site.plane, DATABASES)
    databases.age(lack_a_field_of_the_spec)
    poll(warned(operator, DATABASES, "spec.timeouts", CURE), NOTICED, "it is told")
    site.user.wait_event("metrics", OUTDATED, "ManagedDatabase")

    databases.renew()
    upgraded = "the CustomResourceDefinition of ManagedDatabase lacks nothing any more"
    poll(
        lambda: upgraded in [line["message"] for line in operator.log()], NOTICED, "it is upgraded"
    )
    databases.age(lack_a_field_of_the_spec)
    poll(lambda: times_told(site, OUTDATED[1]) == [2], NOTICED, "the rollback is told")


def test_what_it_may_not_see_is_not_taken_for_missing(site: OperatorSite) -> None:
    site.plane.kubectl("delete", "clusterrolebinding", "system:discovery")
    operator = site.start()
    words = ("cannot see which CustomResourceDefinitions are installed", "403 Forbidden")
    poll(warned(operator, *words), NOTICED, "it is told")
    poll(unready(operator, "403 Forbidden"), NOTICED, "it is not ready")
    assert "not installed" not in operator.process.log.read_text()

    discovery = ("system:discovery", "--clusterrole=system:discovery")
    everybody = "--group=system:authenticated"
    site.plane.kubectl("create", "clusterrolebinding", *discovery, everybody)
    operator.wait_leading()


def test_a_kind_that_is_missing_is_told_by_every_pod_and_the_other_is_served(
    site: OperatorSite, application: Database
) -> None:
    versions = Definition(site.plane, VERSIONS)
    versions.delete()
    operators = [site.start(), site.start()]
    missing = f"CustomResourceDefinitions are not installed: {VERSIONS}; "
    for operator in operators:
        poll(warned(operator, VERSIONS, CURE), NOTICED, "it is told")
        poll(unready(operator, missing), NOTICED, "it is not ready")
        assert operator.get("/healthz").status == 200
    site.user.apply(
        secret("metrics", owner_uri(application)), managed_database("metrics", secret="metrics")
    )
    site.user.wait_for("metrics", "Succeeded", kind="ManagedDatabase", deadline=NOTICED)

    versions.renew()
    for operator in operators:
        operator.wait_ready()
    site.user.apply(schema_version("shop", "metrics", inline("create table a ()")))
    site.user.wait_ready("shop", deadline=NOTICED)
    for operator in operators:
        assert operator.process.stop(deadline=45) == 0, "what was watched later ends as well"
