"""Which statements change columns that kept triggers depend on: those go first, or nothing runs.

PostgreSQL refuses to retype or drop a column that stands in a trigger's UPDATE OF. A trigger stays
until the contract of its version, so what changes its columns must be a contract's, of that version
or beside it. Pure; called by plan.py.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pgstrata.core.errors import MigrationFailed
from pgstrata.core.names import TableName
from pgstrata.migrations.groups import Group, GroupKind
from pgstrata.migrations.journal import Entry, Journal
from pgstrata.migrations.observed import ObservedSchema
from pgstrata.migrations.outlines import table_name
from pgstrata.migrations.script_file import FileStatement, MigrationFile
from pgstrata.migrations.source import MigrationSource, SourceVersion
from pgstrata.migrations.spec import Phase
from pgstrata.pg.batch_statement import read_batch_statement
from pgstrata.pg.classification import StatementKind
from pgstrata.pg.syntax import enum_name, parse_statement

_CHANGES = {"AT_AlterColumnType": "retypes", "AT_DropColumn": "drops"}
_MOVES = frozenset({"rename_stmt", "alter_object_schema_stmt"})
_OPAQUE = frozenset({StatementKind.DO_BLOCK, StatementKind.UNKNOWN})


@dataclass(frozen=True, slots=True)
class KeptTrigger:
    """A trigger that is there, or will be once its backfill is done."""

    version: SourceVersion
    table: TableName
    columns: frozenset[str]
    """Whose UPDATE it is for, which PostgreSQL holds fast, and those that it sets, which nobody
    else does: without them it would leave rows as they come."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A statement that PostgreSQL would refuse for a trigger."""

    kept: KeptTrigger
    place: str
    what: str
    """`drops column v of public.t`."""

    def refusal(self, file: MigrationFile) -> MigrationFailed:
        """Return the error that says what comes first."""
        version = self.kept.version.version
        if version == file.version:
            first = (
                f"put the statement into the contract file of version {version}, or say keep=never "
                "in the backfill's directive"
            )
        elif file.phase is Phase.CONTRACT:
            first = (
                f"the contract of version {version} must be asked for as well: set "
                f'spec.contractThrough to "{version}", or spec.through to Contract'
            )
        else:
            first = (
                f"first apply version {version} through Contract (spec.version {version}, "
                "spec.through Contract)"
            )
        return MigrationFailed(
            f"{self.place}: the statement {self.what}, by which a trigger of pgstrata keeps a "
            f"backfill of version {version} right until that version is contracted; {first}; "
            "nothing was run"
        )


class Names:
    """Where the relations are that statements name."""

    def __init__(self, observed: ObservedSchema, schema: str) -> None:
        self.observed = observed
        self.schema = schema

    def tables_of(self, statement: FileStatement) -> set[TableName]:
        """Return the tables that a statement locks."""
        return {table_name(k.table, self.observed, self.schema) for k in statement.what.locks}

    def changes(
        self, group: Group, file: MigrationFile, kept: Sequence[KeptTrigger]
    ) -> Iterator[Changed]:
        """Yield what in a group retypes or drops a column that a trigger is for."""
        for statement in group.statements:
            tables = self.tables_of(statement)
            touched = [one for one in kept if one.table in tables]
            what = statement.what
            is_rename = what.kind is StatementKind.DDL and self.moves(statement, list(tables))
            if not touched or not (what.is_destructive or what.rewrites or is_rename):
                continue
            for verb, column in _columns_changed(statement):
                for one in touched:
                    if column in one.columns:
                        text = f"{verb} column {column} of {one.table}"
                        yield Changed(one, file.place(statement), text)

    def ends(self, group: Group, tables: Sequence[TableName]) -> bool:
        """Whether a group may take away, retype or move columns of these tables, or the tables."""
        return any(
            self._may_change(statement, tables) or self.moves(statement, tables)
            for statement in group.statements
        )

    def moves(self, statement: FileStatement, tables: Sequence[TableName]) -> bool:
        """Whether one of these tables may have another name afterwards, or anything at all."""
        if statement.what.kind in _OPAQUE:
            names = "|".join(re.escape(table.name) for table in tables)
            return bool(re.search(rf"(?<!\w)(?:{names})(?!\w)", statement.text, re.IGNORECASE))
        if statement.what.kind is not StatementKind.DDL:
            return False
        if not self.tables_of(statement) & set(tables):
            return False
        return parse_statement(statement.text).kind in _MOVES

    def _may_change(self, statement: FileStatement, tables: Sequence[TableName]) -> bool:
        what = statement.what
        if what.kind is not StatementKind.DDL or not (what.is_destructive or what.rewrites):
            return False
        return bool(self.tables_of(statement) & set(tables))

    def made_by(self, version: SourceVersion, group: Group, entry: Entry) -> Iterator[KeptTrigger]:
        """Yield the trigger that a backfill leaves behind."""
        if group.kind is not GroupKind.BACKFILL:
            return
        note = self.observed.notes.get((entry.file.file, group.first.index))
        if note is not None and note.sources:
            ref = read_batch_statement(group.first.text).table
            table = table_name(ref, self.observed, self.schema)
            yield KeptTrigger(version, table, note.sources | _targets(version, ref.name))


def standing(source: MigrationSource, journal: Journal) -> list[KeptTrigger]:
    """Return the triggers of backfills that were applied, those of unfinished ones left out."""
    versions = {version.version.key: version for version in source.versions}
    return [
        KeptTrigger(
            versions[one.version],
            TableName(one.schema, one.table),
            frozenset(one.columns) | _targets(versions[one.version], one.table),
        )
        for one in journal.owned
        if one.version in versions and one.schema is not None and one.table is not None
        if journal.has_applied(one.step)
    ]


def _targets(version: SourceVersion, table: str) -> frozenset[str]:
    """Return the columns that a version's backfills of a table set."""
    texts = [s.text for file in version.files for s in file.statements if s.batch is not None]
    found = [read_batch_statement(text) for text in texts]
    return frozenset(target for one in found if one.table.name == table for target in one.targets)


def keeps(version: SourceVersion, journal: Journal) -> bool:
    """Whether a trigger of this version's backfills is there, or will be."""
    if any(owned.version == version.version.key for owned in journal.owned):
        return True
    applied = {(f.version, f.file) for f in journal.files}
    return any(
        statement.batch is not None and statement.batch.may_keep
        for file in version.files
        if (file.version.key, file.file) not in applied
        for statement in file.statements[journal.applied_statements(file) :]
        if not statement.what.is_destructive
    )


def may_have_kept(version: SourceVersion) -> bool:
    """Whether one of its backfills may have made a trigger, whatever became of it."""
    return any(
        statement.batch is not None and statement.batch.may_keep
        for file in version.files
        for statement in file.statements
    )


def _columns_changed(statement: FileStatement) -> Iterator[tuple[str, str]]:
    """Yield what ALTER TABLE does to which column, where a trigger would stop it, or be stopped."""
    parsed = parse_statement(statement.text)
    if parsed.kind == "rename_stmt" and enum_name(parsed.node, "rename_type") == "OBJECT_COLUMN":
        yield "renames", parsed.node.subname
    if parsed.kind != "alter_table_stmt":
        return
    for command in (node.alter_table_cmd for node in parsed.node.cmds):
        verb = _CHANGES.get(enum_name(command, "subtype"))
        if verb is not None and enum_name(command, "behavior") != "DROP_CASCADE":
            yield verb, command.name
