"""Adopts an existing schema: versions up to the baseline count as applied, without running
anything.

Only where the journal is empty: once anything was applied, the journal knows better. Pure but for
the step that writes it down; called by plan.py.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pgstrata.core.errors import InvalidSpec
from pgstrata.engine.exclusive import Exclusive
from pgstrata.engine.plan import Outline
from pgstrata.engine.progress import Progress
from pgstrata.migrations.journal import AppliedFile, DonePhase, Journal
from pgstrata.migrations.script_file import MigrationFile
from pgstrata.migrations.source import MigrationSource, SourceVersion
from pgstrata.migrations.spec import Phase
from pgstrata.migrations.versions import Version

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class AdoptBaseline:
    """Write the versions up to the baseline into the journal."""

    baseline: Version
    versions: tuple[SourceVersion, ...]
    before: Journal

    @property
    def adopted(self) -> Journal:
        """The journal as it will be."""
        return replace(
            self.before,
            files=[
                AppliedFile(f.version.key, f.file, f.phase.value, f.checksum, is_baseline=True)
                for f in self._files
            ],
            phases=[
                DonePhase(v.version.key, p.value, v.name, _NEVER, 0)
                for v in self.versions
                for p in Phase
            ],
        )

    @property
    def _files(self) -> list[MigrationFile]:
        return [file for version in self.versions for file in version.files]

    @property
    def outline(self) -> Outline:
        count = len(self.versions)
        return Outline(
            id=f"baseline/{self.baseline.key}",
            title=f"adopt the schema as it is: {count} version{'s' if count != 1 else ''} up to "
            f"{self.baseline} count{'s' if count == 1 else ''} as applied",
        )

    async def probe(self, work: Exclusive) -> bool:
        """The journal was read under the lock, and it was empty."""
        return False

    async def execute(self, work: Exclusive, progress: Progress) -> None:
        files = self._files
        marks = [(v.version.key, p.value, v.name) for v in self.versions for p in Phase]
        async with work.journalled():
            await work.session.run(
                "migrations/adopt_baseline",
                object=work.fence.object.text,
                file_versions=[f.version.key for f in files],
                files=[f.file for f in files],
                file_phases=[f.phase.value for f in files],
                checksums=[f.checksum for f in files],
                texts=[f.text for f in files],
                versions=[mark[0] for mark in marks],
                phases=[mark[1] for mark in marks],
                names=[mark[2] for mark in marks],
            )

    async def verify(self, work: Exclusive) -> None:
        """The transaction committed or it did not."""

    async def record(self, work: Exclusive) -> None:
        """Recorded by execute, in its own transaction."""


def as_counted(source: MigrationSource, journal: Journal, baseline: Version | None) -> Journal:
    """Return the journal with what the baseline counts as applied: of that nothing is judged."""
    if baseline is None or not journal.is_empty:
        return journal
    return AdoptBaseline(baseline, _up_to(source, baseline), journal).adopted


def adopt(
    source: MigrationSource, journal: Journal, is_empty: bool, baseline: Version | None
) -> AdoptBaseline | None:
    """Return the step that adopts, or None where there is nothing to adopt (any more).

    Raises InvalidSpec where the schema is empty, the baseline above the target, or below all.
    """
    if baseline is None or not journal.is_empty:
        return None
    if baseline > source.target:
        raise InvalidSpec(f"spec.baseline {baseline} is above spec.version {source.target}")
    if is_empty:
        raise InvalidSpec(
            f"spec.baseline is {baseline}, but the schema has no relation that could be adopted: "
            "take spec.baseline away, and all versions will be applied"
        )
    versions = _up_to(source, baseline)
    if not versions:
        raise InvalidSpec(
            f"spec.baseline {baseline} is below every version of the source, the lowest of which "
            f"is {source.versions[0].version}: name the highest version that the schema has already"
        )
    return AdoptBaseline(baseline, versions, journal)


def _up_to(source: MigrationSource, baseline: Version) -> tuple[SourceVersion, ...]:
    return tuple(v for v in source.versions if v.version <= baseline)
