"""Decides the steps that bring a schema to its version. Pure: the same arguments, the same plan.

All Expand, then all Migrate, each in version order; contract files are judged and shown, never run
by this release. Raises the errors of checks.py, and MigrationFailed for what cannot be grouped.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pgstrata.core.names import TableName
from pgstrata.core.reasons import Reason
from pgstrata.engine.plan import Gate, Outline, Plan, Step
from pgstrata.migrations.alone_step import RunAlone
from pgstrata.migrations.checks import check_history
from pgstrata.migrations.group_step import RunGroup
from pgstrata.migrations.groups import Group, GroupKind, cut
from pgstrata.migrations.index_step import BuildIndex
from pgstrata.migrations.journal import Entry, Journal, PhaseMark
from pgstrata.migrations.schema_steps import CreateSchema, MarkPhases
from pgstrata.migrations.script_file import FileStatement, MigrationFile
from pgstrata.migrations.source import MigrationSource
from pgstrata.migrations.spec import Phase, Through
from pgstrata.pg.lock_modes import RelationRef

_TITLE_LENGTH = 100
_SECRET = re.compile(r"\bpassword\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ObservedTable:
    """A relation that exists and that a statement names."""

    name: TableName
    owns: bool
    """Whether our role is a member of its owner."""
    owner: str


@dataclass(frozen=True, slots=True)
class ObservedSchema:
    """What the catalog says of the schema and of the tables that the source names."""

    exists: bool
    may_create: bool
    tables: Mapping[RelationRef, ObservedTable]
    """Relations that exist, by the names that statements use."""


def make_plan(
    source: MigrationSource,
    journal: Journal,
    observed: ObservedSchema,
    *,
    schema: str,
    through: Through,
) -> Plan:
    """Return the steps still to run, and those that wait behind the contract gate."""
    check_history(source, journal)
    steps = _steps(source, journal, observed, phases_through(through), schema)
    if not observed.exists:
        steps.insert(0, CreateSchema(schema))
    shown = tuple(_contract_outlines(source, journal, observed, schema))
    return Plan(tuple(steps), shown, _summary(source, steps, shown))


def phases_through(through: Through) -> tuple[Phase, ...]:
    """Return the phases that are run now, in their order."""
    return (Phase.EXPAND,) if through is Through.EXPAND else (Phase.EXPAND, Phase.MIGRATE)


def pending_statements(
    source: MigrationSource, journal: Journal, phases: Sequence[Phase]
) -> Iterator[tuple[MigrationFile, FileStatement]]:
    """Yield the statements of these phases that were not applied yet, file by file."""
    applied = {(f.version, f.file) for f in journal.files}
    for version in source.versions:
        for file in version.files:
            if file.phase in phases and (file.version.key, file.file) not in applied:
                for statement in file.statements[journal.applied_statements(file) :]:
                    yield file, statement


def _steps(
    source: MigrationSource,
    journal: Journal,
    observed: ObservedSchema,
    phases: Sequence[Phase],
    schema: str,
) -> list[Step]:
    steps: list[Step] = []
    last: tuple[Group, Entry] | None = None
    leading: list[PhaseMark] = []
    applied = {(f.version, f.file) for f in journal.files}
    completed = journal.completed
    for phase in phases:
        for version in source.versions:
            if (version.version.key, phase.value) in completed:
                continue
            for file in version.of_phase(phase):
                if (file.version.key, file.file) in applied:
                    continue
                for group, entry in _entries(file, journal.applied_statements(file)):
                    if last is not None:
                        steps.append(_step(*last, observed, schema))
                    last = (group, entry)
            mark = PhaseMark(version.version, phase, version.name)
            if last is None:
                leading.append(mark)
            else:
                last = (last[0], replace(last[1], completes=(*last[1].completes, mark)))
    if last is not None:
        steps.append(_step(*last, observed, schema))
    if leading:
        steps.insert(0, MarkPhases(tuple(leading)))
    return steps


def _entries(file: MigrationFile, applied: int) -> Iterator[tuple[Group, Entry]]:
    """Yield the file's remaining groups, each with what it will write into the journal."""
    groups = cut(file, applied=applied) or (Group(GroupKind.TRANSACTION, (), ()),)
    for number, group in enumerate(groups, start=1):
        first = group.statements[0].index if group.statements else len(file.statements)
        yield (
            group,
            Entry(
                id=f"{file.version.key}/{file.phase.value}/{file.file}/{first + 1}",
                title=_title(file, group),
                file=file,
                first_statement=first,
                checksums=tuple(s.checksum for s in group.statements),
                completes_file=number == len(groups),
                completes=(),
            ),
        )


def _step(group: Group, entry: Entry, observed: ObservedSchema, schema: str) -> Step:
    outline = _outline(group, entry, observed, schema)
    match group.kind:
        case GroupKind.TRANSACTION:
            return RunGroup(outline, group, entry, schema)
        case GroupKind.INDEX_BUILD:
            return BuildIndex(outline, group, entry, schema)
        case GroupKind.ALONE:
            return RunAlone(outline, group, entry, schema)


def _outline(group: Group, entry: Entry, observed: ObservedSchema, schema: str) -> Outline:
    locks = [(_table_name(lock.table, observed, schema), lock.mode) for lock in group.locks]
    hazards = [h for s in group.statements for h in s.what.hazards]
    if group.kind is GroupKind.ALONE:
        hazards.append("runs outside a transaction: after a crash it may run a second time")
    building = group.kind is GroupKind.INDEX_BUILD
    return Outline(
        id=entry.id,
        title=entry.title,
        statements=tuple(s.text for s in group.statements),
        tables=tuple(sorted({table for table, _ in locks})),
        lock=max(mode for _, mode in locks).sql if locks else None,
        hazards=tuple(dict.fromkeys(hazards)),
        reason=Reason.BUILDING_INDEX if building else Reason.PROGRESSING,
    )


def _table_name(ref: RelationRef, observed: ObservedSchema, schema: str) -> TableName:
    """Where the relation is, or will be once the steps before have made it."""
    known = observed.tables.get(ref)
    return known.name if known is not None else TableName(ref.schema or schema, ref.name)


def _contract_outlines(
    source: MigrationSource, journal: Journal, observed: ObservedSchema, schema: str
) -> Iterator[Outline]:
    completed = journal.completed
    for version in source.versions:
        if (version.version.key, Phase.CONTRACT.value) in completed:
            continue
        for file in version.of_phase(Phase.CONTRACT):
            for group, entry in _entries(file, 0):
                outline = _outline(group, entry, observed, schema)
                yield replace(outline, gate=Gate.CONTRACT)


def _title(file: MigrationFile, group: Group) -> str:
    if not group.statements:
        return f"{file.file}: nothing to run"
    first: FileStatement = group.statements[0]
    what = " ".join(first.text.split())
    if _SECRET.search(what):  # titles are shown in status and events
        what = f"{' '.join(what.split()[:2])} … (not shown: it may hold a password)"
    what = what if len(what) <= _TITLE_LENGTH else what[: _TITLE_LENGTH - 1] + "…"
    more = len(group.statements) - 1
    return f"{file.file}:{first.line}: {what}" + (f" (and {more} more)" if more else "")


def _summary(source: MigrationSource, steps: list[Step], shown: tuple[Outline, ...]) -> str:
    if not steps and not shown:
        return f"nothing to do for version {source.target}"
    text = f"{len(steps)} steps to version {source.target}"
    if shown:
        text += f"; {len(shown)} contract steps are shown and not run"
    return text
