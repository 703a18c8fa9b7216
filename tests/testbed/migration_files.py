"""Builders for migration sources and journals as values, for tests without a database."""

from dataclasses import replace
from datetime import UTC, datetime

from pgstrata.migrations.journal import AppliedFile, DonePhase, Journal, JournalStep
from pgstrata.migrations.script_file import MigrationFile, read_migration
from pgstrata.migrations.source import MigrationSource, SourceVersion
from pgstrata.migrations.spec import Phase
from pgstrata.migrations.versions import Version, read_file_name

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def file(name: str, text: str = "SELECT 1;") -> MigrationFile:
    """Read one file as a source would."""
    return read_migration(name, text, read_file_name(name))


def source(target: str, *files: MigrationFile) -> MigrationSource:
    """Put files together as a source that ends with `target`."""
    versions: dict[Version, list[MigrationFile]] = {}
    for one in files:
        versions.setdefault(one.version, []).append(one)
    order = list(Phase)
    return MigrationSource(
        versions=tuple(
            SourceVersion(
                version,
                members[0].name,
                tuple(sorted(members, key=lambda f: (order.index(f.phase), f.file))),
            )
            for version, members in sorted(versions.items())
        ),
        target=Version(target),
    )


def with_verify(wanted: MigrationSource, *verify: MigrationFile) -> MigrationSource:
    """Return the source, with verify files for its first version."""
    first, *others = wanted.versions
    return replace(wanted, versions=(replace(first, verify=verify), *others))


def journal_of(*files: MigrationFile, phases: tuple[Phase, ...] = (Phase.EXPAND,)) -> Journal:
    """Return the journal of a schema to which these files were applied whole."""
    versions = {f.version.key: f for f in files}
    return Journal(
        phases=[
            DonePhase(key, phase.value, f.name, MOMENT, 5)
            for key, f in versions.items()
            for phase in phases
        ],
        files=[AppliedFile(f.version.key, f.file, f.phase.value, f.checksum) for f in files],
    )


def applied_part(one: MigrationFile, count: int) -> JournalStep:
    """Return the journal's step of a file of which the first `count` statements were applied."""
    return JournalStep(
        id="step",
        version=one.version.key,
        file=one.file,
        first_statement=0,
        checksums=[s.checksum for s in one.statements[:count]],
        state="Applied",
    )
