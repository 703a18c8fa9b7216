"""The demo's story: from version 000 to the contract of 003, beside an application that writes."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.demo.stage import Stage
from tests.testbed.monitoring.dashboard import Measurement, measure
from tests.testbed.monitoring.generator import fill
from tests.testbed.monitoring.latencies import Report
from tests.testbed.monitoring.organizations import join_organizations
from tests.testbed.monitoring.writer_process import WriterProcess

UNDISTURBED_SECONDS = 3.0
WINDOW = "maintenance"

Show = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Played:
    """What there is to tell at the end."""

    report: Report
    """Of the writer, over all of the versions."""
    before: list[Measurement]
    after: list[Measurement]
    filled: str
    """How many rows the backfills and the kept triggers filled."""


def play(running: Stage, metrics: int, show: Show) -> Played:
    """Tell the story; the application of version 000 goes on until it is retired."""
    _begin(running, metrics, show)
    with running.postgres.connect("metrics") as connection:
        before = measure(connection)
        with WriterProcess(running.uri) as writer:
            show("an application of version 000 writes and reads, and goes on doing so")
            threading.Event().wait(UNDISTURBED_SECONDS)
            _commit(running, show, "Add the indexes", version="001")
            _commit(running, show, "Expand to 003", version="003", through="Expand")
            joined = join_organizations(running.uri, until=_now())
            show(
                f"the new application founds {joined.organizations} organizations; "
                f"{joined.members:,} users join them"
            )
            _commit(running, show, "Migrate the data", through="Migrate")
            report = writer.stop()
        filled = _filled(running)
        show(f"the application of version 000 is retired; {filled}")
        after = measure(connection)
    _contract(running, show)
    return Played(report, before, after, filled)


def _begin(running: Stage, metrics: int, show: Show) -> None:
    running.control_plane.kubectl(
        "create", "secret", "generic", "metrics-app", f"--from-literal=uri={running.uri}"
    )
    running.commit("schemaversion.yaml", version="000")
    show("$ kubectl apply -f repository   # version 000, the existing schema")
    indent(running.apply())
    running.wait_until("Succeeded", lambda line: show(f"  {line}"))
    counts = fill(running.uri, metrics, until=_now())
    show(f"filled with {counts.api_metrics:,} metrics of {counts.users:,} users")


def _commit(running: Stage, show: Show, message: str, **spec: object) -> None:
    """Change the SchemaVersion, apply it, and wait until it is so."""
    running.commit("schemaversion.yaml", **spec)
    asked = ", ".join(f"{name}: {value}" for name, value in spec.items())
    show(f'$ git commit -m "{message}"; kubectl apply -f repository   # {asked}')
    indent(running.apply())
    running.wait_until("Succeeded", lambda line: show(f"  {line}"))


def _contract(running: Stage, show: Show) -> None:
    """What older code would not bear: asked for in Git, agreed to by a person, in a window."""
    opens = _now() + timedelta(minutes=1)
    running.commit(
        "database.yaml",
        windows=[{"name": WINDOW, "schedule": f"{opens:%M %H * * *}", "duration": "30m"}],
    )
    running.commit("schemaversion.yaml", through="Contract", window=WINDOW)
    show('$ git commit -m "Contract, in the maintenance window"; kubectl apply -f repository')
    indent(running.apply())
    waiting = running.wait_until("ApprovalPending", lambda line: show(f"  {line}"))
    plan: dict[str, Any] = waiting["status"]["plan"]
    show("the steps that wait for a person:")
    indent("\n".join(step["title"] for step in plan["steps"] if "gate" in step))
    config = f"--kubeconfig={running.control_plane.kubeconfig}"
    show(f"$ kubectl pgstrata approve dashboard {plan['hash']}")
    indent(running.pgstrata("approve", "dashboard", plan["hash"], config))
    running.wait_until("Succeeded", lambda line: show(f"  {line}"))


def _filled(running: Stage) -> str:
    """Count what older code left out, which is nothing once the data is migrated."""
    with running.postgres.connect("metrics") as connection:
        row = connection.execute(_COUNTS).fetchone()
    assert row is not None
    of_members, without, keys = row
    return (
        f"of {of_members:,} metrics of members {without} lack their organization, and "
        f"{keys} keys their prefix"
    )


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def indent(text: str) -> None:
    """Print lines as what a command said."""
    print("\n".join(f"        {line}" for line in text.strip("\n").splitlines()), flush=True)


_COUNTS = """
select
    count(*),
    count(*) filter (where m.organization_id is null),
    (select count(*) from api_keys where key_prefix is null)
from api_metrics as m
inner join users as u on m.user_id = u.id
where u.organization_id is not null
"""
