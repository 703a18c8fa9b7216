"""`pgstrata plan`: what apply would do, statement by statement, without changing anything.

Needs no control schema and takes no lock beyond the catalog's.
"""

import json
import socket
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from pgstrata.cli.apply import ExitCode
from pgstrata.cli.file_store import FileStore
from pgstrata.cli.manifests import Manifests
from pgstrata.cli.tables import result_console
from pgstrata.cli.url_databases import UrlDatabases
from pgstrata.core.api_model import parse_spec
from pgstrata.core.resource import ObjectKey, RawResource
from pgstrata.databases.resolve import DatabaseResolver
from pgstrata.engine.context import Databases
from pgstrata.engine.plan import Outline, Plan, gate_text
from pgstrata.migrations.reconcile import plan_only
from pgstrata.migrations.source import read_source
from pgstrata.migrations.spec import SCHEMA_VERSION, SchemaVersionSpec
from pgstrata.pg.connect import connect

_UNITS = ("B", "kB", "MB", "GB", "TB")


@dataclass(frozen=True, slots=True)
class _Planned:
    key: ObjectKey
    plan: Plan
    sizes: dict[str, int]
    """Bytes by table, indexes included."""


@dataclass(frozen=True, slots=True)
class _Size:
    name: str
    bytes: int


async def print_plans(manifests: Manifests, database_url: str | None, output: str) -> ExitCode:
    """Print the plan of each SchemaVersion. Raises what keeps one from being planned."""
    store = FileStore(manifests, lambda raw: None)
    databases: Databases = (
        UrlDatabases(store, database_url) if database_url is not None else DatabaseResolver(store)
    )
    planned = [
        await _plan(raw, store, databases)
        for raw in store.resources
        if raw.key.kind == SCHEMA_VERSION.kind
    ]
    match output:
        case "json":
            print(json.dumps({"plans": [_as_json(p) for p in planned]}, indent=2))
        case "sql":
            for plan in planned:
                _print_sql(plan)
        case _:
            for plan in planned:
                _print_table(plan)
    return ExitCode.READY


async def _plan(raw: RawResource, store: FileStore, databases: Databases) -> _Planned:
    spec = parse_spec(SchemaVersionSpec, raw.spec)
    key = ObjectKey("ManagedDatabase", raw.key.namespace, spec.database_ref.name)
    source = await read_source(store, raw.key.namespace, spec.source, spec.version)
    target = await databases.target(key)
    session = await connect(
        target, schema=spec.schema_name, application_name=f"pgstrata:plan:{socket.gethostname()}"
    )
    try:
        plan = await plan_only(session, source, spec, target)
        names = sorted({str(t) for outline in plan.outlines for t in outline.tables})
        sizes = await session.all("migrations/table_sizes", _Size, names=names)
    finally:
        await session.close()
    return _Planned(raw.key, plan, {size.name: size.bytes for size in sizes})


def _as_json(planned: _Planned) -> dict[str, object]:
    return {
        "kind": planned.key.kind,
        "name": planned.key.name,
        "summary": planned.plan.summary,
        "steps": [
            {
                "id": outline.id,
                "title": outline.title,
                "statements": list(outline.statements),
                "lock": outline.lock,
                "tables": [
                    {"name": str(t), "bytes": planned.sizes.get(str(t))} for t in outline.tables
                ],
                "hazards": list(outline.hazards),
                "gate": gate_text(outline),
                "approval": outline.approval,
            }
            for outline in planned.plan.outlines
        ],
    }


def _print_sql(planned: _Planned) -> None:
    print(f"-- {planned.key}: {planned.plan.summary}")
    for outline in planned.plan.outlines:
        print(f"\n-- {outline.title}")
        if (gate := gate_text(outline)) is not None:
            print(f"-- gate: {gate}{f' of {outline.approval}' if outline.approval else ''}")
        for hazard in outline.hazards:
            print(f"-- hazard: {hazard}")
        for statement in outline.statements:
            print(f"{statement};")


def _print_table(planned: _Planned) -> None:
    console = result_console()
    console.print(Text(f"{planned.key}: {planned.plan.summary}", "bold"))
    if not planned.plan.outlines:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("#", "STEP", "LOCK", "TABLES", "HAZARDS", "GATE"):
        table.add_column(name, overflow="fold")
    for number, outline in enumerate(planned.plan.outlines, start=1):
        table.add_row(
            str(number),
            Text(outline.title),
            outline.lock or "none",
            Text(_tables(outline, planned)),
            Text("; ".join(outline.hazards)),
            Text(_gate(outline)),
        )
    console.print(table)


def _gate(outline: Outline) -> str:
    text = gate_text(outline) or ""
    return f"{text} ({outline.approval})" if outline.approval is not None else text


def _tables(outline: Outline, planned: _Planned) -> str:
    return ", ".join(f"{t} ({_human(planned.sizes.get(str(t), 0))})" for t in outline.tables)


def _human(count: int) -> str:
    value, unit = float(count), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.0f} {_UNITS[unit]}"
