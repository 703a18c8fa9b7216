"""The generated CRDs on a real API server: what it makes of them and of objects, as kubectl says.

The table of objects is the one that pydantic judges in tests/unit/api/test_judgement.py.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml
from pydantic import JsonValue

from pgstrata.cli.crd_manifest import file_name
from pgstrata.cli.crds import API_KINDS
from pgstrata.core.api_model import ApiKind, SpecProblem, judge, parse_spec
from pgstrata.core.api_status import (
    ConditionModel,
    ConditionStatus,
    KindStatus,
    PlanStatus,
    ProgressStatus,
    StepStatus,
    WorkState,
)
from pgstrata.databases.spec import (
    MANAGED_DATABASE,
    ManagedDatabaseStatus,
    Pooler,
    WindowStatus,
)
from pgstrata.migrations.spec import (
    SCHEMA_VERSION,
    Phase,
    PhaseStatus,
    SchemaVersionStatus,
    VersionStatus,
)
from tests.testbed.control_plane import ControlPlane
from tests.testbed.polling import poll
from tests.unit.api.model_tree import models_below
from tests.unit.api.objects import CASES, DATABASES, VERSIONS, Case
from tests.unit.api.test_generated_files import manifests_of

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

each_kind = pytest.mark.parametrize("kind", API_KINDS, ids=lambda kind: kind.kind)


Said = CompletedProcess[str]


class Cluster:
    """One namespace of a real API server, spoken to with kubectl as users do."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self._plane = plane
        self._inside = f"--namespace={namespace}"

    def kubectl(self, *arguments: str) -> str:
        return self._plane.kubectl(*arguments, self._inside).stdout

    def kubectl_once_it_can(self, *arguments: str, said: str) -> None:
        """Ask until the answer has `said`: discovery follows a new definition with some delay."""

        def is_said() -> bool:
            answer = self._plane.kubectl(*arguments, self._inside, check=False).stdout
            return said in " ".join(answer.split())

        poll(is_said, 30, f"kubectl {' '.join(arguments)} says: {said}")

    def read(self, *arguments: str) -> Any:
        return json.loads(self.kubectl(*arguments, "--output=json"))

    def apply(self, *documents: JsonValue) -> Any:
        """Apply; return what the server made of it."""
        return json.loads(self._apply(documents, "--output=json", check=True).stdout)

    def dry_run(self, *documents: JsonValue) -> Any:
        """Let the server judge a valid document; return what it would store."""
        said = self._apply(documents, "--dry-run=server", "--output=json", check=True)
        return json.loads(said.stdout)

    def refusal(self, document: JsonValue, *flags: str) -> str:
        """Let the server judge a document that is wrong; return what it says."""
        said = self._apply((document,), "--dry-run=server", *flags, check=False)
        assert said.returncode != 0, f"accepted: {document}"
        return said.stderr

    def _apply(self, documents: tuple[JsonValue, ...], *flags: str, check: bool) -> Said:
        text = "\n---\n".join(json.dumps(document) for document in documents)
        arguments = ("apply", "--validate=strict", "--filename=-", self._inside, *flags)
        return self._plane.kubectl(*arguments, input=text, check=check)


@pytest.fixture
def cluster(control_plane: ControlPlane, namespace: str) -> Cluster:
    return Cluster(control_plane, namespace)


@pytest.fixture(scope="module")
def judge_cluster(control_plane: ControlPlane) -> Cluster:
    """For dry runs alone, which leave nothing behind."""
    return Cluster(control_plane, "default")


@each_kind
def test_the_server_takes_the_definition_as_it_is_written(
    control_plane: ControlPlane, kind: ApiKind
) -> None:
    live = json.loads(control_plane.kubectl("get", "crd", kind.crd_name, "--output=json").stdout)
    written = yaml.safe_load((ROOT / "crds" / file_name(kind)).read_text())

    conditions = {c["type"]: c["status"] for c in live["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}  # no NonStructuralSchema
    assert live["spec"]["versions"] == written["spec"]["versions"]
    assert live["spec"]["names"] == written["spec"]["names"]
    assert live["spec"]["scope"] == "Namespaced"


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind.kind}: {case.title}")
def test_the_server_judges_an_object_as_pydantic_does(judge_cluster: Cluster, case: Case) -> None:
    manifest = case.manifest("judged")
    if not case.refused:
        stored = judge_cluster.dry_run(manifest)["spec"]
        assert parse_spec(case.kind.spec, stored) == judge(case.kind.spec, case.spec)
        return
    said = judge_cluster.refusal(manifest)
    assert case.refused in said
    for message in rules_broken(case):
        assert message in said


def rules_broken(case: Case) -> set[str]:
    """The messages of the CEL rules that `case` breaks, as their Python twins say."""
    rules = {rule.message for model in models_below(case.kind.spec) for rule in model.cel_rules()}
    try:
        judge(case.kind.spec, case.spec)
    except SpecProblem as refusal:
        return rules & {message for _, message in refusal.problems}
    return set()


def test_server_side_apply_alone_refuses_a_null_where_there_is_no_default(
    judge_cluster: Cluster,
) -> None:
    connection: JsonValue = {"secretRef": {"name": "a"}, "tls": None}
    case = Case("null", MANAGED_DATABASE, {"connection": connection, "maxConnections": None})
    said = judge_cluster.refusal(case.manifest("null"), "--server-side")
    assert "spec.connection.tls" in said
    assert "maxConnections" not in said


@each_kind
def test_the_manifests_on_the_page_of_a_kind_are_accepted(
    judge_cluster: Cluster, kind: ApiKind
) -> None:
    for document in manifests_of(kind):
        judge_cluster.dry_run(document)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"databaseRef": {"name": "other"}}, "databaseRef"),
        ({"schema": "other"}, "schema"),
        ({"schema": None}, "schema"),
    ],
    ids=["another database", "another schema", "the default schema"],
)
def test_what_is_immutable_stays(
    cluster: Cluster, change: dict[str, JsonValue], field: str
) -> None:
    assert isinstance(VERSIONS[0].spec, dict)
    spec = {**VERSIONS[0].spec, "schema": "app"}
    cluster.apply(Case("before", SCHEMA_VERSION, spec).manifest("sv"))

    said = cluster.refusal(Case("after", SCHEMA_VERSION, {**spec, **change}).manifest("sv"))
    assert f"spec.{field}" in said
    assert f"{field} is immutable; make a new resource" in said


def test_what_is_not_immutable_can_change(cluster: Cluster) -> None:
    cluster.apply(VERSIONS[0].manifest("sv"))
    changed: JsonValue = {
        "databaseRef": {"name": "metrics"},
        "source": {"inline": {"004_a.sql": ""}},
        "version": "004",
        "through": "Expand",
    }
    after = Case("after", SCHEMA_VERSION, changed).manifest("sv")
    assert cluster.apply(after)["metadata"]["generation"] == 2


def full_text(length: int) -> str:
    return "ß" * (length * 2)


def full_conditions() -> tuple[ConditionModel, ...]:
    return tuple(
        ConditionModel(
            type=name,
            status=ConditionStatus.FALSE,
            observed_generation=7,
            last_transition_time=NOW,
            reason="MigrationFailed",
            message=full_text(32768),
        )
        for name in ("Ready", "Stalled")
    )


DATABASE_STATUS = ManagedDatabaseStatus(
    observed_generation=7,
    conditions=full_conditions(),
    last_handled_reconcile_at=full_text(253),
    server_version=full_text(63),
    database=full_text(63),
    in_recovery=False,
    pooler=Pooler.NONE,
    control_schema_version=1,
    windows=tuple(WindowStatus(name=full_text(63), open=True, next_opening=NOW) for _ in range(99)),
)
VERSION_STATUS = SchemaVersionStatus(
    observed_generation=7,
    conditions=full_conditions(),
    current_version="002",
    target_version="1.2.10",
    phase=Phase.MIGRATE,
    applied_count=300,
    versions=tuple(
        VersionStatus(
            version=f"{number:03}",
            name=full_text(253),
            checksum="0" * 128,
            phases=tuple(
                PhaseStatus(
                    phase=phase, state=WorkState.DONE, completed_at=NOW, duration_seconds=0.25
                )
                for phase in Phase
            ),
        )
        for number in range(99)
    ),
    plan=PlanStatus(
        hash="0" * 128,
        summary=full_text(1024),
        steps=tuple(
            StepStatus(
                id=f"{number}" + full_text(253),
                title=full_text(512),
                state=WorkState.PENDING,
                gate=full_text(63),
                lock="ACCESS EXCLUSIVE",
                tables=(full_text(257),) * 99,
            )
            for number in range(99)
        ),
    ),
    progress=ProgressStatus(
        step=full_text(253),
        done=1,
        total=10**15,
        unit="rows",
        rate=170_000.5,
        eta=timedelta(hours=25, milliseconds=1),
    ),
)


@pytest.mark.parametrize(
    ("case", "status"),
    [(DATABASES[0], DATABASE_STATUS), (VERSIONS[0], VERSION_STATUS)],
    ids=lambda value: value.kind.kind if isinstance(value, Case) else "",
)
def test_the_largest_status_that_the_models_can_build_is_stored_as_it_is(
    cluster: Cluster, case: Case, status: KindStatus, tmp_path: Path
) -> None:
    cluster.apply(case.manifest("full"))
    patch = tmp_path / "status.json"
    patch.write_text(json.dumps({"status": status.as_json()}, ensure_ascii=False))
    cluster.kubectl(
        "patch",
        case.kind.plural,
        "full",
        "--type=merge",
        "--subresource=status",
        f"--patch-file={patch}",
    )

    stored = cluster.read("get", case.kind.plural, "full")["status"]
    assert stored == status.as_json()
    assert parse_spec(type(status), stored, "status") == status


def test_kubectl_get_shows_the_columns_of_a_kind(cluster: Cluster) -> None:
    cluster.apply(DATABASES[0].manifest("metrics"))
    cluster.apply(VERSIONS[0].manifest("dashboard"))
    for kind in API_KINDS:
        heads = cluster.kubectl("get", kind.short_name).splitlines()[0].split()
        assert heads == ["NAME", *(column.name.upper() for column in kind.columns)]


def test_one_category_lists_all_kinds(cluster: Cluster) -> None:
    cluster.apply(DATABASES[0].manifest("metrics"))
    cluster.apply(VERSIONS[0].manifest("dashboard"))

    both = "manageddatabase.pgstrata.dev/metrics schemaversion.pgstrata.dev/dashboard"
    cluster.kubectl_once_it_can("get", "pgstrata", "--output=name", said=both)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("manageddatabases", MANAGED_DATABASE.description),
        ("mdb.spec.timeouts.lock", "the longest stall of the application's"),
        ("mdb.spec.windows.schedule", "cron, five fields"),
        ("mdb.spec.throttle", "What long work in this database stops at"),
        ("schemaversions", SCHEMA_VERSION.description),
        ("sv.spec.source.configMaps", "ConfigMaps whose keys are file names"),
        ("sv.status.conditions.reason", "One word for programs"),
    ],
)
def test_kubectl_explains_a_field(cluster: Cluster, field: str, said: str) -> None:
    cluster.kubectl_once_it_can("explain", field, said=said)
