"""The examples, applied with kubectl as their comments say."""

from pathlib import Path

from tests.testbed.node.node import Node
from tests.testbed.node.postgres_pod import PostgresPod
from tests.testbed.node.release import Release
from tests.testbed.node.tenant import tenant
from tests.testbed.operator_user import secret

EXAMPLE = Path(__file__).parents[2] / "examples" / "api-monitoring"
SLOW = 60.0


def test_the_dashboard_gets_its_schema(
    node: Node, release: Release, postgres_pod: PostgresPod, tmp_path: Path
) -> None:
    release.wait_available()
    database = postgres_pod.database("dashboard")
    with tenant(node, tmp_path) as user:
        user.apply(secret("metrics-app", database.uri))
        user.kubectl("apply", f"--filename={EXAMPLE}")
        user.wait_ready("dashboard", deadline=SLOW)
        table = "select to_regclass('public.api_metrics') is not null"
        assert database.value(table)
        user.kubectl("delete", f"--filename={EXAMPLE}", "--timeout=30s")
        assert database.value(table), "data stays"
