"""What must hold between a source and the journal before anything runs: an ordered chain.

Pure; called by plan.py. Each check raises the one error that it stands for.
"""

from pgstrata.core.errors import ChecksumMismatch, DowngradeRefused, OutOfOrder
from pgstrata.migrations.journal import Journal
from pgstrata.migrations.script_file import MigrationFile
from pgstrata.migrations.source import MigrationSource
from pgstrata.migrations.versions import Version


def check_history(source: MigrationSource, journal: Journal) -> list[str]:
    """Run all checks in order; return what is odd and stops nothing."""
    for check in _CHAIN:
        check(source, journal)
    present = {(f.version.key, f.file) for v in source.versions for f in v.files}
    return [
        f"file {f.file} of the baseline has vanished from the source"
        for f in journal.files
        if f.is_baseline and (f.version, f.file) not in present
    ]


def _refuse_downgrade(source: MigrationSource, journal: Journal) -> None:
    highest = _highest(journal)
    if highest is not None and source.target < highest:
        raise DowngradeRefused(
            f"the schema has version {highest}, above the target {source.target}; a version is "
            "never taken back: set spec.version to it, or add a new version that undoes it"
        )


def _refuse_edited_files(source: MigrationSource, journal: Journal) -> None:
    present = {(f.version.key, f.file): f for v in source.versions for f in v.files}
    for applied in journal.files:
        file = present.get((applied.version, applied.file))
        if file is None and applied.is_baseline:
            continue
        if file is None:
            raise ChecksumMismatch(
                f"file {applied.file} was applied and has vanished from the source; put it back"
            )
        if file.checksum != applied.checksum:
            raise ChecksumMismatch(
                f"file {applied.file} was changed after it was applied; put it back as it was and "
                "bring the change in a new version"
            )


def _refuse_edited_statements(source: MigrationSource, journal: Journal) -> None:
    """A file under way is held statement by statement: what ran must stay, the rest may change."""
    present = {(f.version.key, f.file): f for v in source.versions for f in v.files}
    for step in journal.steps:
        if not step.is_applied:
            continue
        file = present.get((step.version, step.file))
        if file is None:
            raise ChecksumMismatch(
                f"file {step.file} was applied in part and has vanished from the source; put it "
                "back"
            )
        _compare(file, step.first_statement, tuple(step.checksums))


def _compare(file: MigrationFile, first: int, checksums: tuple[str, ...]) -> None:
    now = {s.index: s for s in file.statements}
    for index, checksum in enumerate(checksums, start=first):
        statement = now.get(index)
        if statement is None or statement.checksum != checksum:
            where = file.place(statement) if statement is not None else file.file
            raise ChecksumMismatch(
                f"{where}: statement {index + 1} of the file was changed after it was applied; put "
                "it back as it was; only statements behind those that were applied may be mended"
            )


def _refuse_out_of_order(source: MigrationSource, journal: Journal) -> None:
    touched = journal.touched
    highest = _highest(journal)
    if highest is None:
        return
    for version in source.versions:
        if version.version < highest and version.version.key not in touched:
            raise OutOfOrder(
                f"version {version.version} was never applied, but {highest} above it was; give "
                "its files a version above"
            )
    known = {(f.version, f.file) for f in journal.files}
    completed = journal.completed
    for version in source.versions:
        for file in version.files:
            if (file.version.key, file.phase.value) in completed and (
                file.version.key,
                file.file,
            ) not in known:
                raise OutOfOrder(
                    f"file {file.file} was added to version {file.version}, whose "
                    f"{file.phase.value} is complete; give it a version above {highest}"
                )


def _highest(journal: Journal) -> Version | None:
    return max(map(Version, journal.touched), default=None)


_CHAIN = (
    _refuse_downgrade,
    _refuse_edited_files,
    _refuse_edited_statements,
    _refuse_out_of_order,
)
