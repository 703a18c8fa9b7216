"""`pgstrata status`: what was applied, of a cluster's resources or of a database itself."""

import json
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pgstrata.cli.apply import ExitCode, condition_of
from pgstrata.cli.cluster import cluster, read_resources
from pgstrata.cli.control_schema import control_of
from pgstrata.cli.tables import result_console, result_table
from pgstrata.core.names import LockedObject
from pgstrata.core.resource import RawResource
from pgstrata.migrations.journal import read_journal
from pgstrata.pg.connect import connect
from pgstrata.pg.session import Session
from pgstrata.pg.target import Target, parse_url


@dataclass(frozen=True, slots=True)
class _Claim:
    object: str
    cluster: str
    kind: str
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class _Step:
    version: str
    phase: str
    title: str
    state: str
    started_at: datetime
    duration_ms: float | None


async def print_database_status(database_url: str, output: str) -> ExitCode:
    """Print what the control schema of a database says. Changes nothing."""
    target = Target(parse_url(database_url, origin="--database-url"))
    session = await connect(target, application_name="pgstrata:status")
    try:
        control = await control_of(session)
        claims = await session.all("engine/list_claims", _Claim)
        if output == "json":
            objects = [await _object_as_json(session, claim) for claim in claims]
            print(json.dumps({"controlSchema": control.version, "objects": objects}, indent=2))
        else:
            console = result_console()
            console.print(f"{control.database}: control schema {control.version}")
            for claim in claims:
                await _print_object(console, session, claim)
    finally:
        await session.close()
    return ExitCode.READY


async def _object_as_json(session: Session, claim: _Claim) -> dict[str, object]:
    journal = await read_journal(session, LockedObject(claim.object))
    steps = await session.all("migrations/read_applied_steps", _Step, object=claim.object)
    return {
        "object": claim.object,
        "managedBy": f"{claim.cluster}/{claim.namespace}/{claim.name}",
        "versions": [
            {
                "version": p.version,
                "name": p.name,
                "phase": p.phase,
                "completedAt": p.completed_at.isoformat(),
                "durationSeconds": p.duration_ms / 1000,
            }
            for p in sorted(journal.phases, key=lambda p: p.completed_at)
        ],
        "steps": [
            {"title": s.title, "state": s.state, "startedAt": s.started_at.isoformat()}
            for s in steps
        ],
    }


async def _print_object(console: Console, session: Session, claim: _Claim) -> None:
    console.print(
        f"\n{claim.object}, managed by {claim.kind} {claim.namespace}/{claim.name} of cluster "
        f"{claim.cluster}"
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("APPLIED", "VERSION", "PHASE", "TOOK", "STATE", "STEP"):
        table.add_column(name, overflow="fold")
    for step in await session.all("migrations/read_applied_steps", _Step, object=claim.object):
        took = f"{step.duration_ms:.0f} ms" if step.duration_ms is not None else ""
        table.add_row(
            f"{step.started_at:%Y-%m-%d %H:%M:%S}",
            step.version,
            step.phase,
            took,
            step.state,
            Text(step.title),
        )
    console.print(table)


async def print_cluster_status(
    kubeconfig: str | None, namespace: str, name: str | None, output: str
) -> ExitCode:
    """Print the resources of a namespace, and what was applied of each."""
    async with cluster(kubeconfig) as client:
        resources = await read_resources(client, namespace)
    chosen = [raw for raw in resources if name is None or raw.key.name == name]
    if output == "json":
        print(
            json.dumps(
                [
                    {"kind": r.key.kind, "name": r.key.name, "status": dict(r.status)}
                    for r in chosen
                ],
                indent=2,
            )
        )
    else:
        console = result_console()
        console.print(result_table(chosen))
        for raw in chosen:
            print_versions(console, raw)
    stalled = any(condition_of(raw, "Stalled")["status"] == "True" for raw in chosen)
    return ExitCode.STALLED if stalled else ExitCode.READY


def print_versions(console: Console, raw: RawResource) -> None:
    """Print the versions that a status has, phase by phase."""
    versions = raw.status.get("versions")
    if not isinstance(versions, list):
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("VERSION", "NAME", "PHASE", "STATE", "COMPLETED", "TOOK"):
        table.add_column(name)
    for version in versions:
        phases = version.get("phases") if isinstance(version, dict) else None
        for phase in phases if isinstance(phases, list) else []:
            if isinstance(version, dict) and isinstance(phase, dict):
                took = phase.get("durationSeconds")
                table.add_row(
                    str(version["version"]),
                    str(version["name"]),
                    str(phase["phase"]),
                    str(phase["state"]),
                    str(phase.get("completedAt", "")),
                    f"{took} s" if took is not None else "",
                )
    console.print(f"\n{raw.key}")
    console.print(table)
