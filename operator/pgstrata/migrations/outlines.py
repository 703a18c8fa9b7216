"""What a person reads of a step before it runs: title, tables, lock, hazards. Pure; called by
plan.py.
"""

import re

from pgstrata.core.names import TableName
from pgstrata.core.reasons import Reason
from pgstrata.engine.plan import Outline
from pgstrata.migrations.gating import work_of
from pgstrata.migrations.groups import Group, GroupKind
from pgstrata.migrations.journal import Entry
from pgstrata.migrations.observed import ObservedSchema
from pgstrata.migrations.script_file import FileStatement, MigrationFile
from pgstrata.pg.lock_modes import RelationRef, TableLock

_TITLE_LENGTH = 100
_SECRET = re.compile(r"\bpassword\b", re.IGNORECASE)
_REASONS = {
    GroupKind.INDEX_BUILD: Reason.BUILDING_INDEX,
    GroupKind.BACKFILL: Reason.BACKFILLING,
}


def outline_of(group: Group, entry: Entry, observed: ObservedSchema, schema: str) -> Outline:
    """Return the outline of a group, without its gates."""
    tables = tuple(sorted({t for k in group.locks for t in _tables_of(k, observed, schema)}))
    hazards = [
        hazard
        for statement in group.statements
        if not observed.is_proven(entry.file, statement)
        for hazard in statement.what.hazards
    ]
    hazards += [
        f"rewrites the table under ACCESS EXCLUSIVE: {domain} is a domain with constraints"
        for statement in group.statements
        for domain in observed.domains_of(statement)
    ]
    hazards += [n for s in group.statements for n in _notes(entry.file, s, observed)]
    if group.kind is GroupKind.ALONE:
        hazards.append("runs outside a transaction: after a crash it may run a second time")
    work = work_of(group, entry.file, observed)
    return Outline(
        id=entry.id,
        title=entry.title,
        statements=tuple(s.text for s in group.statements),
        tables=tables,
        lock=max(lock.mode for lock in group.locks).sql if group.locks else None,
        hazards=tuple(dict.fromkeys(hazards)),
        reason=_REASONS.get(group.kind, Reason.PROGRESSING),
        work=work,
        work_tables=tables if work is not None else (),
    )


def _tables_of(lock: TableLock, observed: ObservedSchema, schema: str) -> tuple[TableName, ...]:
    named = (table_name(lock.table, observed, schema),) if lock.is_on_relation else ()
    return (*named, *observed.reached_by(lock))


def title_of(file: MigrationFile, group: Group) -> str:
    """Return the file, the line, and how the statement begins; never a password."""
    if not group.statements:
        return f"{file.file}: nothing to run"
    first: FileStatement = group.statements[0]
    what = " ".join(first.text.split())
    if _SECRET.search(what):  # titles are shown in status and events
        what = f"{' '.join(what.split()[:2])} … (not shown: it may hold a password)"
    what = what if len(what) <= _TITLE_LENGTH else what[: _TITLE_LENGTH - 1] + "…"
    more = len(group.statements) - 1
    return f"{file.file}:{first.line}: {what}" + (f" (and {more} more)" if more else "")


def _notes(
    file: MigrationFile, statement: FileStatement, observed: ObservedSchema
) -> tuple[str, ...]:
    note = observed.notes.get((file.file, statement.index))
    return () if note is None else note.said


def table_name(ref: RelationRef, observed: ObservedSchema, schema: str) -> TableName:
    """Where the relation is, or will be once the steps before have made it."""
    known = observed.tables.get(ref)
    return known.name if known is not None else TableName(ref.schema or schema, ref.name)
