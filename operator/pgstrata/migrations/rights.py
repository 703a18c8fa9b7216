"""Which rights pending statements need, and the refusal that lists those that are missing.

Called by reconcile.py before anything runs. Pure: judged by what observe.py saw. Only what surely
fails is refused: the statement itself has the last word, with its place (statement_failure.py).
"""

import re
from collections.abc import Iterator, Sequence

from pgstrata.core.errors import AccessDenied
from pgstrata.migrations.observed import ObservedSchema, ObservedTable
from pgstrata.migrations.script_file import FileStatement, MigrationFile
from pgstrata.pg.classification import StatementKind
from pgstrata.pg.lock_modes import LockMode, RelationRef
from pgstrata.pg.quoting import quoted
from pgstrata.pg.session import Session
from pgstrata.pg.syntax import node_type, parse_statement, walk

Pending = Sequence[tuple[MigrationFile, FileStatement]]

OWNERS_ONLY = frozenset(
    {
        StatementKind.DDL,
        StatementKind.CREATE_INDEX,
        StatementKind.CREATE_INDEX_CONCURRENTLY,
        StatementKind.VALIDATE_CONSTRAINT,
    }
)
_OWNERS_MODES = frozenset(
    {LockMode.SHARE_UPDATE_EXCLUSIVE, LockMode.SHARE, LockMode.ACCESS_EXCLUSIVE}
)
"""SHARE ROW EXCLUSIVE is left out: REFERENCES or TRIGGER may be granted to others."""

_INDEXES = frozenset({StatementKind.CREATE_INDEX, StatementKind.CREATE_INDEX_CONCURRENTLY})
_ROWS = frozenset({StatementKind.DML, StatementKind.COPY_IN})
_VERBS = {"InsertStmt": "INSERT", "UpdateStmt": "UPDATE", "DeleteStmt": "DELETE"}
_ORDER = ("SELECT", "INSERT", "UPDATE", "DELETE")

_ELSEWHERE = (
    r"(?:CONSTRAINT\s+)?TRIGGER|EVENT|POLICY|RULE|SCHEMA|ROLE|USER|GROUP|EXTENSION|PUBLICATION"
    r"|SERVER|CAST|TRANSFORM|ACCESS|(?:TRUSTED\s+)?(?:PROCEDURAL\s+)?LANGUAGE"
    r"|(?:(?:GLOBAL|LOCAL)\s+)?TEMP(?:ORARY)?"
)
_CREATES = re.compile(
    rf"CREATE\s+(?:OR\s+REPLACE\s+)?(?!(?:{_ELSEWHERE})\b)"
    r"|ALTER\s.*\b(?:UNIQUE|PRIMARY\s+KEY|EXCLUDE|IDENTITY|(?:BIG|SMALL)?SERIAL[248]?"
    r"|RENAME\s+TO|SET\s+SCHEMA)\b",
    re.IGNORECASE | re.DOTALL,
)
"""What makes a relation, type or function in a schema; an index or sequence of a constraint too."""


def check_rights(session: Session, observed: ObservedSchema, pending: Pending, schema: str) -> None:
    """Raise AccessDenied listing every right that is missing, with the statement that grants it."""
    role = quoted(session.facts.role)
    missing: dict[str, str] = {}
    if observed.exists:
        lacking = [] if observed.may_use else ["USAGE"]
        if not observed.may_create and any(_creates(s, schema) for _, s in pending):
            lacking = ["USAGE", "CREATE"]
        if lacking:
            cure = f"GRANT {', '.join(lacking)} ON SCHEMA {quoted(schema)} TO {role};"
            missing[f"schema {schema}"] = cure
    if not observed.may_keep and any(_keeps(observed, f, s) for f, s in pending):
        missing["schema pgstrata"] = f"GRANT CREATE ON SCHEMA pgstrata TO {role};"
    for table in _to_be_owned(observed, pending):
        missing[f"table {table.name}"] = (
            f"ALTER TABLE {_quoted(table)} OWNER TO {role}; "
            f"or GRANT {quoted(table.owner)} TO {role};"
        )
    for table, privileges in _lacking(observed, pending, schema).items():
        missing.setdefault(
            f"table {table.name}",
            f"GRANT {', '.join(p for p in _ORDER if p in privileges)} ON {_quoted(table)} TO "
            f"{role};",
        )
    if missing:
        raise AccessDenied(
            f"role {session.facts.role} lacks rights on {', '.join(missing)}; an administrator can "
            f"run: {' '.join(missing.values())}"
        )


def _quoted(table: ObservedTable) -> str:
    return quoted(table.name.schema, table.name.name)


def _creates(statement: FileStatement, schema: str) -> bool:
    """Whether a statement surely makes something in the schema, so that CREATE on it is needed."""
    what = statement.what
    if what.creates and all(ref.schema not in {None, schema} for ref in what.creates):
        return False
    if what.kind in _INDEXES:
        return what.index is None or what.index.table.schema in {None, schema}
    return what.kind is StatementKind.DDL and _CREATES.match(statement.text) is not None


def _keeps(observed: ObservedSchema, file: MigrationFile, statement: FileStatement) -> bool:
    """Whether a backfill makes a trigger, which only a table's owner can."""
    note = observed.notes.get((file.file, statement.index))
    if note is None or not note.keeps:
        return False
    written = [lock.table for lock in statement.what.locks if lock.mode is LockMode.ROW_EXCLUSIVE]
    return all(table.owns for ref in written if (table := observed.tables.get(ref)) is not None)


def _to_be_owned(observed: ObservedSchema, pending: Pending) -> Iterator[ObservedTable]:
    for _, statement in pending:
        if statement.what.kind not in OWNERS_ONLY or _may_be_granted(statement):
            continue
        for lock in statement.what.locks:
            table = observed.tables.get(lock.table)
            if table is not None and not table.owns and lock.mode in _OWNERS_MODES:
                yield table


def _may_be_granted(statement: FileStatement) -> bool:
    """TRUNCATE and LOCK TABLE are rights that others than the owner may have."""
    return statement.text.split(maxsplit=1)[0].upper() in {"TRUNCATE", "LOCK"}


def _lacking(
    observed: ObservedSchema, pending: Pending, schema: str
) -> dict[ObservedTable, set[str]]:
    """Return what statements over rows need and the role has not, table by table."""
    lacking: dict[ObservedTable, set[str]] = {}
    made = {ref.name for _, s in pending for ref in s.what.creates}
    rows_only = all(s.what.kind in _ROWS for _, s in pending)
    for file, statement in pending:
        if statement.what.kind not in _ROWS:
            continue
        for lock in statement.what.locks:
            table = observed.tables.get(lock.table)
            if table is None or table.owns or lock.table.name in made:
                continue
            is_here = lock.table.schema is not None or table.name.schema == schema
            if (is_here or rows_only) and not _moves_about(file, lock.table):
                needed = _needed(statement, lock.table, lock.mode) - table.privileges
                if needed:
                    lacking.setdefault(table, set()).update(needed)
    return lacking


def _moves_about(file: MigrationFile, ref: RelationRef) -> bool:
    """Whether the file sets the search_path by which the name is looked up."""
    settings = (s.what.setting for s in file.statements)
    return ref.schema is None and any(
        setting is not None and setting.name in {"search_path", "schema"} for setting in settings
    )


def _needed(statement: FileStatement, table: RelationRef, mode: LockMode) -> frozenset[str]:
    """Return the rights that a statement cannot do without; others are a matter of the columns."""
    if mode < LockMode.ROW_EXCLUSIVE:
        return frozenset({"SELECT"})
    if statement.what.kind is StatementKind.COPY_IN:
        return frozenset({"INSERT"})
    node = parse_statement(statement.text).node
    verb = _VERBS.get(node_type(node))
    target = node.relation
    if verb is None or (target.schemaname or None, target.relname) != (table.schema, table.name):
        return frozenset()
    reads = statement.batch is not None or (
        verb != "INSERT"
        and len(statement.what.locks) == 1
        and any(node_type(n) == "ColumnRef" for n in walk(node))
    )
    return frozenset({verb, "SELECT"}) if reads else frozenset({verb})
