"""Decides the steps that bring a schema to its version. Pure: the same arguments, the same plan.

The order is schedule.py's, the gates are gating.py's; here files are cut into steps, each with what
it writes into the journal. Contract files that were not asked for are judged and shown. Raises the
errors of checks.py, InvalidSpec, and MigrationFailed for what cannot be grouped.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from pgstrata.core.names import TableName
from pgstrata.core.windows import Window
from pgstrata.engine.plan import Gate, Outline, Plan, Step
from pgstrata.migrations.alone_step import RunAlone
from pgstrata.migrations.backfill.keep_trigger import DropKeep, EndOfKept
from pgstrata.migrations.backfill.step import RunBackfill
from pgstrata.migrations.baseline import adopt
from pgstrata.migrations.checks import check_history
from pgstrata.migrations.gating import approval_hash, is_gated, may_be_gated
from pgstrata.migrations.group_step import RunGroup
from pgstrata.migrations.groups import Group, GroupKind, cut
from pgstrata.migrations.index_step import BuildIndex
from pgstrata.migrations.journal import Entry, Journal, PhaseMark
from pgstrata.migrations.kept_columns import (
    KeptTrigger,
    Names,
    keeps,
    may_have_kept,
    standing,
)
from pgstrata.migrations.observed import ObservedSchema
from pgstrata.migrations.outlines import outline_of, table_name, title_of
from pgstrata.migrations.schedule import Asked, Schedule, schedule
from pgstrata.migrations.schema_steps import AwaitApproval, CreateSchema, MarkPhases
from pgstrata.migrations.script_file import FileStatement, MigrationFile
from pgstrata.migrations.source import MigrationSource, SourceVersion
from pgstrata.migrations.spec import Phase
from pgstrata.migrations.verify_step import Moment, VerifyVersion, verification_due
from pgstrata.migrations.versions import Version
from pgstrata.pg.batch_statement import read_batch_statement


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the spec asks of the plan, beside the source."""

    schema: str
    asked: Asked
    baseline: Version | None = None
    is_approval_needed: bool = True
    window: Window | None = None


@dataclass(frozen=True, slots=True)
class VersionPlan(Plan):
    """A plan with what is to be told beside it."""

    waits: str | None = None
    """Why later versions are left out, once the steps are done."""
    notices: tuple[str, ...] = ()
    """What is odd and stops nothing."""


def make_plan(
    source: MigrationSource, journal: Journal, observed: ObservedSchema, wanted: Wanted
) -> VersionPlan:
    """Return the steps still to run, and those of contracts that were not asked for."""
    baseline = adopt(source, journal, observed.is_empty, wanted.baseline)
    if baseline is not None:
        journal = baseline.adopted
    notices = check_history(source, journal)
    order = schedule(source, wanted.asked, journal.completed)
    steps = _Planner(source, journal, observed, wanted).steps(order)
    if baseline is not None:
        steps.insert(0, baseline)
    if not observed.exists:
        steps.insert(0, CreateSchema(wanted.schema))
    shown = tuple(_not_asked_for(source, journal, observed, wanted))
    return VersionPlan(
        tuple(steps),
        shown,
        _summary(source, steps, shown, order.waits),
        order.waits,
        tuple(notices),
    )


def pending_statements(
    source: MigrationSource, journal: Journal, order: Schedule | None = None
) -> Iterator[tuple[MigrationFile, FileStatement]]:
    """Yield the statements that were not applied yet, file by file.

    Args:
        order: only those that are to run now, in that order; None: those of all phases.
    """
    applied = {(f.version, f.file) for f in journal.files}
    phases = order.phases if order else tuple((v, p) for p in Phase for v in source.versions)
    for version, phase in phases:
        for file in version.of_phase(phase):
            if (file.version.key, file.file) not in applied:
                for statement in file.statements[journal.applied_statements(file) :]:
                    yield file, statement


def approvals_wanted(plan: Plan) -> dict[str, str]:
    """Return the hashes that the plan's steps wait for, with what each covers, in order."""
    found: dict[str, list[Outline]] = {}
    for step in plan.steps:
        if step.outline.approval is not None:
            found.setdefault(step.outline.approval, []).append(step.outline)
    return {hash_: _covered(outlines) for hash_, outlines in found.items()}


def _covered(outlines: Sequence[Outline]) -> str:
    """Name the first that changes anything: what is verified before needs no agreement."""
    first = next((outline for outline in outlines if outline.tables), outlines[0])
    more = len(outlines) - 1
    return first.title + (f" (and {more} more step{'s' if more > 1 else ''})" if more else "")


@dataclass(frozen=True, slots=True)
class _Draft:
    """A step that may still be the last of phases: what those are comes with `make`."""

    make: Callable[[tuple[PhaseMark, ...]], Step]


class _Planner:
    """Turns phases into steps; the marks of complete phases go into the last step before them."""

    def __init__(
        self, source: MigrationSource, journal: Journal, observed: ObservedSchema, wanted: Wanted
    ) -> None:
        self._source = source
        self._journal = journal
        self._observed = observed
        self._wanted = wanted
        self._steps: list[Step] = []
        self._last: _Draft | None = None
        self._marks: tuple[PhaseMark, ...] = ()
        self._names = Names(observed, wanted.schema)
        self._kept = standing(source, journal)
        self._asked: frozenset[tuple[str, Phase]] = frozenset()
        self._looked_at: set[Version] = set()
        """Whose contract was prepared for, as that of another version ends triggers of theirs."""

    def steps(self, order: Schedule) -> list[Step]:
        completed = self._journal.completed
        self._asked = frozenset((v.version.key, p) for v, p in order.phases)
        for version, phase in order.phases:
            if (version.version.key, phase.value) not in completed:
                self._before(version, phase)
                for draft in self._drafts(version, phase):
                    self._flush()
                    self._last = draft
                self._marks += (PhaseMark(version.version, phase, version.name),)
            self._after(version, phase)
        self._flush()
        return self._steps

    def _flush(self) -> None:
        """Make the last step, now that it is known which phases are complete with it."""
        if self._last is not None:
            self._steps.append(self._last.make(self._marks))
        elif self._marks:
            self._steps.append(MarkPhases(self._marks))
        self._last, self._marks = None, ()

    def _drafts(self, version: SourceVersion, phase: Phase) -> Iterator[_Draft]:
        applied = {(f.version, f.file) for f in self._journal.files}
        groups = [
            pair
            for file in version.of_phase(phase)
            if (file.version.key, file.file) not in applied
            for pair in entries(file, self._journal.applied_statements(file))
        ]
        has_kept = phase is Phase.CONTRACT and self._keeps(version)
        gate = self._gate(version, phase)
        gated = [is_gated(g, e.file, self._observed) for g, e in groups]
        # What a table's size may yet gate needs the approval, too, that all of the phase has.
        last_covered = max(
            (n for n, (g, _) in enumerate(groups) if gated[n] or may_be_gated(g)), default=None
        )
        tables = self._kept_tables(version) if has_kept else ()
        for number, (group, entry) in enumerate(groups):
            stopped = self._stopped(version, phase, group, entry.file)
            others = _versions(stopped)
            for other in others:
                self._prepare_contract_of(other)
            self._kept += self._names.made_by(version, group, entry)
            own = [table for table in tables if self._names.ends(group, (table,))]
            ends = None
            if group.kind is GroupKind.TRANSACTION:
                ends = _end_of(version, own, stopped)
            else:
                ended = [version, *others] if own else others
                yield from (self._drop_draft(one, entry.id) for one in ended)
            approval = gate if gated[number] else None
            is_last = number == last_covered and not has_kept
            yield self._group_draft(group, entry, approval, gate if is_last else None, ends)
        if has_kept:
            yield self._drop_draft(version)
        if phase is Phase.CONTRACT:
            self._kept = [one for one in self._kept if one.version.version != version.version]

    def _stopped(
        self, version: SourceVersion, phase: Phase, group: Group, file: MigrationFile
    ) -> list[KeptTrigger]:
        """Return other versions' triggers that stop a group and go with it, as was asked for.

        Raises MigrationFailed where it was not: old code may still write rows that they keep right.
        """
        is_contract = phase is Phase.CONTRACT
        kept = [
            one for one in self._kept if not is_contract or one.version.version != version.version
        ]
        changes = list(self._names.changes(group, file, kept))
        for change in changes:
            if not is_contract or (change.kept.version.version.key, phase) not in self._asked:
                raise change.refusal(file)
        moved = [
            one
            for one in kept
            if is_contract and (one.version.version.key, phase) in self._asked
            if any(self._names.moves(statement, (one.table,)) for statement in group.statements)
        ]
        gone = {(one.version.version, one.table) for one in (*(c.kept for c in changes), *moved)}
        stopped = [one for one in self._kept if (one.version.version, one.table) in gone]
        self._kept = [one for one in self._kept if (one.version.version, one.table) not in gone]
        return stopped

    def _prepare_contract_of(self, other: SourceVersion) -> None:
        """See that what another version's contract takes a part of may begin."""
        if other.version in self._looked_at:
            return
        self._before(other, Phase.CONTRACT)
        self._looked_at.add(other.version)
        gate = self._gate(other, Phase.CONTRACT)
        if gate is not None and not other.verify:
            self._flush()
            self._steps.append(AwaitApproval(other.version, gate, self._gates(gate)))

    def _drop_draft(self, version: SourceVersion, before: str = "") -> _Draft:
        """The step that drops a version's kept triggers: the last of its contract, or `before`."""
        gate = self._gate(version, Phase.CONTRACT)
        tables, gates = self._kept_tables(version), self._gates(gate)
        consumes = None if before else gate
        return _Draft(
            lambda marks: DropKeep(version.version, tables, marks, gate, consumes, gates, before)
        )

    def _keeps(self, version: SourceVersion) -> bool:
        # Of one that has begun all may be done but to say so, and to take the approval for used.
        return keeps(version, self._journal) or (
            self._is_contracted(version) and may_have_kept(version)
        )

    def _group_draft(
        self,
        group: Group,
        entry: Entry,
        approval: str | None,
        consumes: str | None,
        ends: EndOfKept | None,
    ) -> _Draft:
        outline = outline_of(group, entry, self._observed, self._wanted.schema)
        if ends is not None:
            outline = replace(outline, hazards=(*outline.hazards, ends.said))
        outline = replace(outline, approval=approval, gates=self._gates(approval))
        entry = replace(
            entry, consumes=consumes, work=outline.work, work_tables=outline.work_tables
        )

        def make(marks: tuple[PhaseMark, ...]) -> Step:
            done = replace(entry, completes=marks)
            return _step(outline, group, done, self._wanted.schema, ends)

        return _Draft(make)

    def _gate(self, version: SourceVersion, phase: Phase) -> str | None:
        if not self._wanted.is_approval_needed:
            return None
        return approval_hash(version, phase, self._wanted.schema)

    def _gates(self, approval: str | None) -> tuple[Gate, ...]:
        window = (Gate.WINDOW,) if self._wanted.window is not None else ()
        return (Gate.APPROVAL, *window) if approval is not None else window

    def _before(self, version: SourceVersion, phase: Phase) -> None:
        """A contract begins, or is gone on with, only where what it relies on still holds."""
        begun = self._journal.has_begun(version.version.key, phase.value)
        has_any = version.of_phase(phase) or keeps(version, self._journal)
        is_over = version.version in self._looked_at
        if phase is Phase.CONTRACT and version.verify and has_any and not is_over:
            gate = self._gate(version, phase)
            moment = Moment.WITHIN_CONTRACT if begun else Moment.BEFORE_CONTRACT
            self._flush()
            self._steps.append(
                VerifyVersion(version, moment, self._wanted.schema, gate, self._gates(gate))
            )

    def _after(self, version: SourceVersion, phase: Phase) -> None:
        """What a version promises is looked at when its data is migrated, and when it is whole."""
        moment = verification_due(version, phase, self._journal)
        if moment is not None:
            self._flush()
            schema, gates = self._wanted.schema, self._gates(None)
            self._steps.append(VerifyVersion(version, moment, schema, None, gates))

    def _is_contracted(self, version: SourceVersion) -> bool:
        """Whether its contract has begun."""
        return self._journal.has_begun(version.version.key, Phase.CONTRACT.value)

    def _kept_tables(self, version: SourceVersion) -> tuple[TableName, ...]:
        """The tables that a version's backfills change."""
        refs = {
            read_batch_statement(statement.text).table
            for file in version.files
            for statement in file.statements
            if statement.batch is not None
        }
        schema = self._wanted.schema
        return tuple(sorted({table_name(ref, self._observed, schema) for ref in refs}))


def entries(file: MigrationFile, applied: int) -> Iterator[tuple[Group, Entry]]:
    """Yield the file's remaining groups, each with what it will write into the journal."""
    groups = cut(file, applied=applied) or (Group(GroupKind.TRANSACTION, (), ()),)
    for number, group in enumerate(groups, start=1):
        first = group.statements[0].index if group.statements else len(file.statements)
        yield (
            group,
            Entry(
                id=file.step_id(first),
                title=title_of(file, group),
                file=file,
                first_statement=first,
                checksums=tuple(s.checksum for s in group.statements),
                completes_file=number == len(groups),
                completes=(),
            ),
        )


def _versions(kept: Sequence[KeptTrigger]) -> list[SourceVersion]:
    """Return whose triggers they are, each once."""
    return list({one.version.version: one.version for one in kept}.values())


def _end_of(
    version: SourceVersion, own: Sequence[TableName], others: Sequence[KeptTrigger]
) -> EndOfKept | None:
    kept = {(version.version, table) for table in own}
    kept |= {(one.version.version, one.table) for one in others}
    return EndOfKept(frozenset(kept)) if kept else None


def _step(
    outline: Outline, group: Group, entry: Entry, schema: str, ends: EndOfKept | None
) -> Step:
    match group.kind:
        case GroupKind.TRANSACTION:
            return RunGroup(outline, group, entry, schema, ends)
        case GroupKind.INDEX_BUILD:
            return BuildIndex(outline, group, entry, schema)
        case GroupKind.ALONE:
            return RunAlone(outline, group, entry, schema)
        case GroupKind.BACKFILL:
            return RunBackfill(outline, group, entry, schema)


def _not_asked_for(
    source: MigrationSource, journal: Journal, observed: ObservedSchema, wanted: Wanted
) -> Iterator[Outline]:
    completed = journal.completed
    applied = {(f.version, f.file) for f in journal.files}
    for version in source.versions:
        if wanted.asked.includes(version.version, Phase.CONTRACT):
            continue
        if (version.version.key, Phase.CONTRACT.value) in completed:
            continue
        for file in version.of_phase(Phase.CONTRACT):
            if (file.version.key, file.file) in applied:
                continue
            for group, entry in entries(file, journal.applied_statements(file)):
                outline = outline_of(group, entry, observed, wanted.schema)
                yield replace(outline, gates=(Gate.CONTRACT,))


def _summary(
    source: MigrationSource, steps: Sequence[Step], shown: Sequence[Outline], waits: str | None
) -> str:
    if not steps and not shown and waits is None:
        return f"nothing to do for version {source.target}"
    text = f"{len(steps)} step{'s' if len(steps) != 1 else ''} to version {source.target}"
    if shown:
        text += f"; {len(shown)} contract steps are shown and not run"
    if waits is not None:
        text += f"; {waits}"
    return text
