"""Looks at the catalog for what a plan needs: the schema, the tables that files name, and rights.

Called by reconcile.py and `pgstrata plan`. Changes nothing and takes no lock.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pgstrata.core.errors import MigrationFailed
from pgstrata.core.names import TableName
from pgstrata.engine.table_locks import reached_tables
from pgstrata.migrations.backfill.check import Notes
from pgstrata.migrations.domains import constrained_domains
from pgstrata.migrations.gating import may_stop_writers
from pgstrata.migrations.not_null import proven_not_null
from pgstrata.migrations.observed import ObservedSchema, ObservedTable, Reached
from pgstrata.migrations.rights import OWNERS_ONLY
from pgstrata.migrations.script_file import FileStatement, MigrationFile
from pgstrata.migrations.source import MigrationSource
from pgstrata.pg.classification import StatementKind
from pgstrata.pg.failures import LockNotAvailable, StatementFailed
from pgstrata.pg.lock_modes import Reach, RelationRef
from pgstrata.pg.quoting import quoted, quoted_relation
from pgstrata.pg.session import Session

PARSER_VERSION = 180000
"""server_version_num of the grammar that pg/syntax.py has."""
_SYNTAX_ERROR = "42601"


@dataclass(frozen=True, slots=True)
class _Rights:
    schema_exists: bool
    may_create: bool
    may_use: bool
    may_keep: bool
    is_empty: bool


@dataclass(frozen=True, slots=True)
class _Bytes:
    name: str
    bytes: int


@dataclass(frozen=True, slots=True)
class _Relation:
    position: int
    schema: str
    name: str
    owns: bool
    owner: str
    privileges: Sequence[str]


async def observe_schema(
    session: Session,
    source: MigrationSource,
    schema: str,
    pending: Sequence[tuple[MigrationFile, FileStatement]],
    notes: Notes,
) -> ObservedSchema:
    """Return what is there of the schema and of the tables that the source's statements name.

    Args:
        pending: statements that were not applied yet, in the order in which they would run.
        notes: what is known of backfills (backfill/check.py).
    """
    rights = await session.one("migrations/schema_rights", _Rights, schema=schema)
    refs = sorted(
        {lock.table for s in _statements(source) for lock in s.what.locks if lock.is_on_relation},
        key=lambda ref: (ref.schema or "", ref.name),
    )
    rows = await session.all(
        "migrations/observe_tables", _Relation, names=[quoted_relation(ref) for ref in refs]
    )
    tables = {
        refs[row.position - 1]: ObservedTable(
            TableName(row.schema, row.name), row.owns, row.owner, frozenset(row.privileges)
        )
        for row in rows
    }
    sizes, reached = await _sizes(session, source, tables)
    return ObservedSchema(
        exists=rights.schema_exists,
        may_create=rights.may_create,
        may_use=rights.may_use,
        may_keep=rights.may_keep,
        tables=tables,
        is_empty=rights.is_empty,
        sizes=sizes,
        reached=reached,
        proven=await proven_not_null(session, pending),
        constrained=await constrained_domains(
            session, list(_statements(source)), [statement for _, statement in pending]
        ),
        notes=notes,
    )


async def _sizes(
    session: Session, source: MigrationSource, tables: Mapping[RelationRef, ObservedTable]
) -> tuple[Mapping[RelationRef, int], Mapping[tuple[RelationRef, Reach], Reached]]:
    """Return the bytes of tables that a statement goes over while writers wait, and what locks
    reach, with its bytes.

    Where a lock keeps the size from being read, the statistics must do: a look must not wait for a
    stopped run that has the table locked, or nobody would come to end it.
    """
    locks = {lock for statement in _statements(source) for lock in statement.what.locks}
    reached = await reached_tables(session, sorted(locks, key=str))
    gone_over = {k for s in _statements(source) if may_stop_writers(s) for k in s.what.locks}
    names = {k.table: tables[k.table].name for k in gone_over if k.table in tables}
    found = await _bytes_of(
        session, {*names.values(), *(t for k in gone_over for t in reached.get(k, ()))}
    )
    return (
        {ref: found.get(name, 0) for ref, name in names.items()},
        {
            (lock.table, lock.reach): Reached(beside, sum(found.get(table, 0) for table in beside))
            for lock, beside in reached.items()
        },
    )


async def _bytes_of(session: Session, tables: Iterable[TableName]) -> Mapping[TableName, int]:
    names = {quoted(table.schema, table.name): table for table in tables}
    if not names:
        return {}
    try:
        found = await session.all("engine/table_bytes", _Bytes, names=list(names))
    except LockNotAvailable:
        found = await session.all("migrations/table_bytes_by_statistics", _Bytes, names=list(names))
    return {names[row.name]: row.bytes for row in found}


async def check_syntax(
    session: Session, pending: Iterable[tuple[MigrationFile, FileStatement]]
) -> None:
    """Let the server itself judge what the parser does not know, or knows and the server may not.

    A Parse message runs nothing. Only 42601 is a syntax error; whatever else the server says may
    come of what earlier statements still have to make. Raises MigrationFailed with the place.
    """
    is_older = session.facts.version_number < PARSER_VERSION
    for file, statement in pending:
        kind = statement.what.kind
        if kind is not StatementKind.UNKNOWN and not (is_older and kind in OWNERS_ONLY):
            continue
        try:
            await session.parse(statement.text)
        except StatementFailed as error:
            if error.sqlstate == _SYNTAX_ERROR:
                raise MigrationFailed(
                    f"{file.place(statement, error.position)}: {error.message}; nothing was run"
                ) from error


def _statements(source: MigrationSource) -> Iterable[FileStatement]:
    return (s for version in source.versions for file in version.files for s in file.statements)
