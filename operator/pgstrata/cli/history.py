"""`pgstrata history`: what was ever done to the schemas of a database, from its control schema.

Versions with their phases, files and rows, approvals with who gave them, and on demand the text of
each file as it was applied. Of a cluster's resource it is what the status has: the newest versions.
Changes nothing.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pgstrata.cli.apply import ExitCode
from pgstrata.cli.cluster import cluster, read_resources
from pgstrata.cli.control_schema import control_of
from pgstrata.cli.status import print_versions
from pgstrata.cli.tables import result_console
from pgstrata.core.errors import ResourceNotFound
from pgstrata.core.names import LockedObject
from pgstrata.engine.approvals import Approval, read_approvals
from pgstrata.migrations.spec import SCHEMA_VERSION
from pgstrata.migrations.versions import Version
from pgstrata.pg.connect import connect
from pgstrata.pg.session import Session
from pgstrata.pg.target import Target, parse_url


@dataclass(frozen=True, slots=True)
class _Object:
    object: str


@dataclass(frozen=True, slots=True)
class _Phase:
    version: str
    phase: str
    name: str
    completed_at: datetime
    duration_ms: int
    is_baseline: bool
    rows: int | None


@dataclass(frozen=True, slots=True)
class _File:
    version: str
    phase: str
    file: str
    checksum: str
    completed_at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class _History:
    object: str
    phases: Sequence[_Phase]
    files: Sequence[_File]
    approvals: Sequence[Approval]


async def print_history(url: str, version: str | None, output: str) -> ExitCode:
    """Print all of it, or of one version with the text of its files."""
    target = Target(parse_url(url, origin="--database-url"))
    session = await connect(target, application_name="pgstrata:history")
    try:
        await control_of(session)
        objects = await session.all("engine/list_objects", _Object)
        found = [await _read(session, o.object, version) for o in objects]
        if version is not None and not any(h.phases or h.files for h in found):
            raise ResourceNotFound(f"nothing of version {version} was ever applied")
    finally:
        await session.close()
    if output == "json":
        print(json.dumps({"objects": [_as_json(h) for h in found]}, indent=2, default=str))
    else:
        console = result_console()
        for history in found:
            _print(console, history, with_text=version is not None)
    return ExitCode.READY


async def print_cluster_history(
    kubeconfig: str | None, namespace: str, name: str | None, output: str
) -> ExitCode:
    """Print the versions that the status of SchemaVersions has."""
    async with cluster(kubeconfig) as client:
        found = [
            raw
            for raw in await read_resources(client, namespace)
            if raw.key.kind == SCHEMA_VERSION.kind and name in {None, raw.key.name}
        ]
    if name is not None and not found:
        raise ResourceNotFound(f"there is no SchemaVersion {name} in namespace {namespace}")
    if output == "json":
        versions = {raw.key.name: raw.status.get("versions", []) for raw in found}
        print(json.dumps(versions, indent=2))
    else:
        console = result_console()
        for raw in found:
            print_versions(console, raw)
    return ExitCode.READY


_SUFFIXES = re.compile(r"(\.[a-z]+)?\.sql$")


async def _read(session: Session, object_: str, version: str | None) -> _History:
    phases = await session.all("migrations/read_history", _Phase, object=object_)
    files = await session.all("migrations/read_file_texts", _File, object=object_)
    approvals = await read_approvals(session, LockedObject(object_))
    if version is not None:
        wanted = Version(version).key
        phases = [p for p in phases if p.version == wanted]
        files = [f for f in files if f.version == wanted]
        names = {_SUFFIXES.sub("", f.file) for f in files}  # its verify file has the same
        approvals = [a for a in approvals if any(f" {name}." in f" {a.what}" for name in names)]
    return _History(object_, phases, files, approvals)


def _as_json(history: _History) -> dict[str, object]:
    return {
        "object": history.object,
        "phases": [asdict(p) for p in history.phases],
        "files": [asdict(f) for f in history.files],
        "approvals": [asdict(a) for a in history.approvals],
    }


def _print(console: Console, history: _History, *, with_text: bool) -> None:
    console.print(Text(history.object, "bold"))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("COMPLETED", "VERSION", "PHASE", "NAME", "TOOK", "ROWS", "HOW"):
        table.add_column(name, overflow="fold")
    for phase in history.phases:
        table.add_row(
            f"{phase.completed_at:%Y-%m-%d %H:%M:%S}",
            phase.version,
            phase.phase,
            phase.name,
            f"{phase.duration_ms} ms",
            "" if phase.rows is None else f"{phase.rows:,}",
            "adopted" if phase.is_baseline else "applied",
        )
    console.print(table)
    for approval in history.approvals:
        if approval.approved_at is not None:
            done = (
                f", carried out {approval.consumed_at:%Y-%m-%d %H:%M:%S}"
                if approval.consumed_at
                else ""
            )
            console.print(
                Text(
                    f"approved {approval.approved_at:%Y-%m-%d %H:%M:%S} by {approval.approved_by}: "
                    f"{approval.hash} ({approval.what}){done}"
                )
            )
    if with_text:
        for file in history.files:
            console.print(Text(f"\n-- {file.file}, applied {file.completed_at:%Y-%m-%d %H:%M:%S}"))
            console.print(Text(file.text.rstrip()))
