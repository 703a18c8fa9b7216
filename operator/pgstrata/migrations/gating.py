"""Which steps need a person's agreement, and the hash that the agreement is given to. Pure.

Gated is every step of phase Contract, and in any phase what drops a table, column, schema, type,
sequence or materialized view, truncates, deletes, or goes over a whole table of more than 100 MB
under a lock that stops writers, or over tables that it does not name (VACUUM FULL without a table).
The hash covers the source text and options of one version and phase, and never the progress: what
was agreed to stays agreed to after a crash. Called by plan.py.
"""

from collections.abc import Iterator

from pgstrata.engine.estimate import Work
from pgstrata.engine.plan import hash_of
from pgstrata.migrations.groups import Group, GroupKind
from pgstrata.migrations.observed import ObservedSchema
from pgstrata.migrations.script_file import FileStatement, MigrationFile
from pgstrata.migrations.source import SourceVersion
from pgstrata.migrations.spec import Phase
from pgstrata.pg.classification import StatementKind
from pgstrata.pg.lock_modes import RelationRef

LARGE_BYTES = 100 * 1024 * 1024
_REWRITING = frozenset({StatementKind.CLUSTER, StatementKind.VACUUM, StatementKind.REFRESH})
_SETTINGS = frozenset({StatementKind.SET, StatementKind.RESET})
_INDEXING = frozenset(
    {
        StatementKind.CREATE_INDEX,
        StatementKind.CREATE_INDEX_CONCURRENTLY,
        StatementKind.REINDEX,
        StatementKind.REINDEX_CONCURRENTLY,
    }
)


def is_gated(group: Group, file: MigrationFile, observed: ObservedSchema) -> bool:
    """Whether a group of a file needs agreement."""
    if file.phase is Phase.CONTRACT:
        return True
    stopped = frozenset(lock.table for lock in group.locks if lock.mode.stops_writers)
    return any(_is_gated(statement, file, observed, stopped) for statement in group.statements)


def may_be_gated(group: Group) -> bool:
    """Whether a group needs agreement as it is, or would if its tables were large."""
    return any(map(_may_be_gated, group.statements))


def approval_hash(version: SourceVersion, phase: Phase, schema: str) -> str:
    """Return the hash of what could be gated in one phase of one version."""
    return hash_of([schema, version.version.key, phase.value, *_parts(version, phase)])


def work_of(group: Group, file: MigrationFile, observed: ObservedSchema) -> Work | None:
    """Return what a group does to whole tables in one go; None: nothing that takes long."""
    if group.kind is GroupKind.BACKFILL:
        return None
    kinds = {s.what.kind for s in group.statements}
    if any(map(observed.rewrites, group.statements)) or kinds & _REWRITING:
        return Work.REWRITE
    if kinds & _INDEXING:
        return Work.BUILD_INDEX
    scans = any(s.what.scans and not observed.is_proven(file, s) for s in group.statements)
    return Work.SCAN if scans else None


def may_stop_writers(statement: FileStatement) -> bool:
    """Whether it goes over a whole table under a lock that writers wait for, or may do so: what
    the catalog decides is not looked at, since the hash must not depend on it.
    """
    what = statement.what
    if what.stops_unnamed:
        return True
    if what.kind is StatementKind.VALIDATE_CONSTRAINT:
        return True  # behind a lock that its group has for another statement
    goes_over = what.rewrites or what.scans or what.added_types
    return bool(goes_over) and any(lock.mode.stops_writers for lock in what.locks)


def _is_gated(
    statement: FileStatement,
    file: MigrationFile,
    observed: ObservedSchema,
    stopped: frozenset[RelationRef],
) -> bool:
    """Whether a statement needs agreement where its group stops the writers of these tables."""
    if statement.what.is_destructive or statement.what.stops_unnamed:
        return True
    goes_over = observed.rewrites(statement) or statement.what.scans
    if not goes_over or observed.is_proven(file, statement):
        return False
    locked = (lock for lock in statement.what.locks if lock.table in stopped)
    return any(observed.bytes_of(lock) > LARGE_BYTES for lock in locked)


def _may_be_gated(statement: FileStatement) -> bool:
    return statement.what.is_destructive or may_stop_writers(statement)


def _parts(version: SourceVersion, phase: Phase) -> Iterator[str]:
    for file in version.of_phase(phase):
        yield file.file
        if file.no_transaction:
            yield "no-transaction"
        settings: list[str] = []  # they decide which table a name is
        for statement in file.statements:
            if phase is Phase.CONTRACT or _may_be_gated(statement):
                yield from settings
                settings.clear()
                yield statement.checksum
                yield str(statement.batch or "")
            elif statement.what.kind in _SETTINGS:
                settings.append(statement.checksum)
