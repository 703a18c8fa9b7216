"""What was applied to a schema: read as values, written behind the fence.

The journal (tables version, file and step of the control schema) is the truth about a schema's
version; the resource's status is a projection of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pgstrata.core.names import LockedObject, TableName
from pgstrata.engine.estimate import Work
from pgstrata.engine.exclusive import Exclusive
from pgstrata.engine.owned import Owned, list_owned
from pgstrata.migrations.backfill.cursor import Begun, list_begun
from pgstrata.migrations.script_file import MigrationFile
from pgstrata.migrations.spec import Phase
from pgstrata.migrations.versions import Version
from pgstrata.pg.quoting import quoted
from pgstrata.pg.session import Effect, Session


@dataclass(frozen=True, slots=True)
class DonePhase:
    """A phase of a version that is complete."""

    version: str
    """Version.key"""
    phase: str
    name: str
    completed_at: datetime
    duration_ms: int


@dataclass(frozen=True, slots=True)
class AppliedFile:
    """A file that was applied whole."""

    version: str
    file: str
    phase: str
    checksum: str
    is_baseline: bool = False
    """It counts as applied because the schema was adopted."""


@dataclass(frozen=True, slots=True)
class JournalStep:
    """A step of a file that is under way."""

    id: str
    version: str
    file: str
    first_statement: int
    checksums: Sequence[str]
    state: str

    @property
    def is_applied(self) -> bool:
        return self.state == "Applied"


@dataclass(frozen=True, slots=True)
class StepBefore:
    """A step outside a transaction as an earlier run left it."""

    state: str
    checksums: Sequence[str]
    error: str
    """Why it failed, where it did."""

    def has_failed(self, entry: "Entry") -> bool:
        """Whether this very statement has failed before."""
        return self.state == "Failed" and tuple(self.checksums) == entry.checksums


@dataclass(frozen=True, slots=True)
class Journal:
    """All that the control schema knows of one schema."""

    phases: Sequence[DonePhase] = ()
    files: Sequence[AppliedFile] = ()
    steps: Sequence[JournalStep] = ()
    verified: frozenset[tuple[str, str, str]] = frozenset()
    """Version.key, phase and checksum of verify files that held."""
    owned: list[Owned] = field(default_factory=list)
    """Triggers that keep backfills right."""
    begun: Sequence[Begun] = ()
    """Backfills that are half done."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever applied, or is half done."""
        is_begun = bool(self.begun) or any(step.is_applied for step in self.steps)
        return not (self.phases or self.files or is_begun)

    @property
    def completed(self) -> frozenset[tuple[str, str]]:
        """Version.key and phase of everything that was carried out whole."""
        return frozenset((p.version, p.phase) for p in self.phases)

    @property
    def touched(self) -> frozenset[str]:
        """Keys of versions of which anything was applied."""
        return frozenset(
            [p.version for p in self.phases]
            + [f.version for f in self.files]
            + [s.version for s in self.steps if s.is_applied]
        )

    def has_begun(self, version: str, phase: str) -> bool:
        """Whether anything of a version's phase was applied, by Version.key."""
        return any((f.version, f.phase) == (version, phase) for f in self.files) or any(
            s.is_applied and s.id.startswith(f"{version}/{phase}/") for s in self.steps
        )

    def has_adopted(self, version: str) -> bool:
        """Whether a version counts as applied without having been run, by Version.key."""
        return any(f.is_baseline and f.version == version for f in self.files)

    def has_applied(self, step: str) -> bool:
        """Whether a step was applied, by its id, also where its file is whole since."""
        if any(s.id == step and s.is_applied for s in self.steps):
            return True
        version, _, rest = step.split("/", 2)
        return any((f.version, f.file) == (version, rest.rpartition("/")[0]) for f in self.files)

    def applied_statements(self, file: MigrationFile) -> int:
        """Return how many of a file's statements stand already, from its beginning."""
        return max(
            (
                s.first_statement + len(s.checksums)
                for s in self.steps
                if (s.version, s.file) == (file.version.key, file.file) and s.is_applied
            ),
            default=0,
        )


@dataclass(frozen=True, slots=True)
class PhaseMark:
    """A phase of a version that is complete once a step is recorded."""

    version: Version
    phase: Phase
    name: str


@dataclass(frozen=True, slots=True)
class Entry:
    """What one step writes into the journal."""

    id: str
    title: str
    file: MigrationFile
    first_statement: int
    checksums: tuple[str, ...]
    completes_file: bool
    completes: tuple[PhaseMark, ...]
    consumes: str | None = None
    """The approval that is carried out with it."""
    work: Work | None = None
    """What it does to whole tables, for the estimate of others."""
    work_tables: tuple[TableName, ...] = ()
    rows: int | None = None
    """Rows that it changed, where they were counted."""


@dataclass(frozen=True, slots=True)
class _Verification:
    version: str
    phase: str
    checksum: str


async def read_journal(session: Session, object_: LockedObject) -> Journal:
    """Read what was applied. The control schema must exist."""
    return Journal(
        phases=await session.all("migrations/read_phases", DonePhase, object=object_.text),
        files=await session.all("migrations/read_files", AppliedFile, object=object_.text),
        steps=await session.all("migrations/read_steps", JournalStep, object=object_.text),
        verified=frozenset(
            (v.version, v.phase, v.checksum)
            for v in await session.all(
                "migrations/read_verifications", _Verification, object=object_.text
            )
        ),
        owned=await list_owned(session, object_),
        begun=await list_begun(session, object_),
    )


async def start_step(work: Exclusive, entry: Entry, leftover: str | None) -> None:
    """Write down that a step outside a transaction begins, in a transaction of its own."""
    async with work.journalled() as transaction:
        columns = {**_columns(work, entry), "leftover": leftover}
        transaction.closing.append(Effect("migrations/start_step", columns))


async def fail_step(work: Exclusive, entry: Entry, error: str) -> None:
    """Write down why a statement failed that may have committed part of its work before."""
    async with work.journalled():
        await work.session.run(
            "migrations/fail_step", object=work.fence.object.text, id=entry.id, error=error
        )


async def step_before(work: Exclusive, entry: Entry) -> StepBefore | None:
    """Return what an earlier run wrote about a step that did not finish, or None."""
    return await work.session.one_or_none(
        "migrations/step_before", StepBefore, object=work.fence.object.text, id=entry.id
    )


def step_finished(work: Exclusive, entry: Entry) -> Effect:
    """Return what writes down that a step was applied, and what was completed by it."""
    columns = {
        "completes_file": entry.completes_file,
        "checksum": entry.file.checksum,
        "text": entry.file.text if entry.completes_file else "",
        "consumes": entry.consumes,
        "rows": entry.rows,
        "work": None if entry.work is None else entry.work.value,
        "work_tables": [quoted(t.schema, t.name) for t in entry.work_tables],
    }
    return Effect(
        "migrations/finish_step", _columns(work, entry) | columns | _marks(entry.completes)
    )


async def finish_phases(
    work: Exclusive, marks: tuple[PhaseMark, ...], consumes: str | None = None
) -> None:
    """Write down phases without any statement. The caller has a journalled transaction open."""
    await work.session.run(
        "migrations/finish_phases",
        object=work.fence.object.text,
        consumes=consumes,
        **_marks(marks),
    )


def _marks(marks: tuple[PhaseMark, ...]) -> dict[str, object]:
    return {
        "done_versions": [mark.version.key for mark in marks],
        "done_phases": [mark.phase.value for mark in marks],
        "done_names": [mark.name for mark in marks],
    }


def _columns(work: Exclusive, entry: Entry) -> dict[str, object]:
    return {
        "object": work.fence.object.text,
        "id": entry.id,
        "version": entry.file.version.key,
        "phase": entry.file.phase.value,
        "file": entry.file.file,
        "first_statement": entry.first_statement,
        "title": entry.title,
        "checksums": list(entry.checksums),
        "token": work.fence.token,
    }
