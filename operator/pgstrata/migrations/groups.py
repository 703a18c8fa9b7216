"""Cuts a file into groups: what runs in one transaction, and what is a step of its own.

Pure; called by plan.py. Statements that cannot run in a transaction, scan or build an index stand
alone; what lies between is one transaction, and so is what stands between BEGIN and COMMIT;
`-- pgstrata: no-transaction` makes each statement its own. SET lasts for its file: each group knows
the settings that were made before it, so that a resumed file has them too.
"""

import re
from dataclasses import dataclass, field
from enum import Enum, auto

from pgstrata.core.errors import MigrationFailed
from pgstrata.migrations.script_file import FileStatement, MigrationFile
from pgstrata.pg.classification import StatementKind
from pgstrata.pg.lock_modes import RelationRef, TableLock, strongest_locks

Kind = StatementKind


class GroupKind(Enum):
    """How a group is carried out."""

    TRANSACTION = auto()
    INDEX_BUILD = auto()
    """CREATE INDEX CONCURRENTLY."""
    ALONE = auto()
    """One statement outside any transaction."""
    BACKFILL = auto()
    """One UPDATE or DELETE, run in batches."""


@dataclass(frozen=True, slots=True)
class Group:
    """Statements that succeed or fail together."""

    kind: GroupKind
    statements: tuple[FileStatement, ...]
    settings: tuple[FileStatement, ...]
    """SET statements that came before in the file."""

    @property
    def first(self) -> FileStatement:
        """The statement whose index names the group."""
        return self.statements[0]

    @property
    def locks(self) -> tuple[TableLock, ...]:
        """The strongest lock per relation that exists before the group, sorted by name."""
        made: set[RelationRef] = set()
        wanted: list[TableLock] = []
        for statement in self.statements:
            wanted += [lock for lock in statement.what.locks if lock.table not in made]
            made.update(statement.what.creates)
        return strongest_locks(wanted)


_BEGIN_TEXTS = frozenset({"begin", "begin work", "begin transaction", "start transaction"})
_SESSION_BOUND = re.compile(
    r"create\s+(?:or\s+replace\s+)?(?:(?:local|global)\s+)?temp(?:orary)?\s"
    r"|prepare\s+(?!transaction\b)"
    r"|declare\s.*\bwith\s+hold\b",
    re.IGNORECASE | re.DOTALL,
)
"""Temporary tables, prepared statements, cursors that outlive their transaction."""
_SETTINGS = frozenset({Kind.SET, Kind.RESET})
SELF_COMMITTING = frozenset({Kind.CALL, Kind.DO_BLOCK, Kind.UNKNOWN})
"""What no-transaction runs outside a transaction, because it may commit by itself."""


@dataclass(slots=True)
class _Cutter:
    file: MigrationFile
    groups: list[Group] = field(default_factory=list)
    settings: list[FileStatement] = field(default_factory=list)
    open: list[FileStatement] = field(default_factory=list)
    settings_before: tuple[FileStatement, ...] = ()
    begin: FileStatement | None = None

    def cut(self, statements: tuple[FileStatement, ...]) -> tuple[Group, ...]:
        for statement in statements:
            self._take(statement)
        if self.begin is not None:
            raise MigrationFailed(f"{self.file.place(self.begin)}: BEGIN without COMMIT")
        self._close()
        self._refuse_session_objects()
        return tuple(self.groups)

    def _refuse_session_objects(self) -> None:
        """What lives in a session is gone when a later group runs in another one."""
        for group in self.groups[:-1]:
            for statement in group.statements:
                if _SESSION_BOUND.match(statement.text):
                    raise MigrationFailed(
                        f"{self.file.place(statement)}: what this makes lives as long as a "
                        "session, and groups behind it may run in another one; put all that uses "
                        "it between one BEGIN and COMMIT at the file's end, or make a real table"
                    )

    def _take(self, statement: FileStatement) -> None:
        what = statement.what
        if what.kind is Kind.TRANSACTION_BEGIN:
            self._begin(statement)
        elif what.kind is Kind.TRANSACTION_COMMIT:
            self._commit(statement)
        elif what.kind in _SETTINGS and not self._is_local(statement):
            self._set(statement)
        elif self.begin is not None:
            if not what.is_transactional or statement.batch is not None:
                raise MigrationFailed(
                    f"{self.file.place(statement)}: this statement cannot run between the BEGIN of "
                    f"line {self.begin.line} and its COMMIT"
                )
            self._add(statement)
        elif self.file.no_transaction or what.is_own_step or statement.batch is not None:
            self._close()
            self._alone(statement)
        else:
            self._add(statement)

    def _begin(self, statement: FileStatement) -> None:
        if self.begin is not None:
            raise MigrationFailed(f"{self.file.place(statement)}: BEGIN inside BEGIN")
        if " ".join(statement.text.lower().split()) not in _BEGIN_TEXTS:
            raise MigrationFailed(
                f"{self.file.place(statement)}: options of BEGIN are not carried out; write BEGIN"
            )
        self._close()
        self.begin = statement

    def _commit(self, statement: FileStatement) -> None:
        if self.begin is None:
            raise MigrationFailed(f"{self.file.place(statement)}: COMMIT without BEGIN")
        self.begin = None
        self._close()

    def _set(self, statement: FileStatement) -> None:
        """A setting at a group's border belongs to what follows; inside, it keeps its place."""
        if self.open:
            self.open.append(statement)
        self.settings.append(statement)

    def _is_local(self, statement: FileStatement) -> bool:
        setting = statement.what.setting
        return setting is not None and setting.is_local

    def _add(self, statement: FileStatement) -> None:
        if not self.open:
            self.settings_before = tuple(self.settings)
        self.open.append(statement)

    def _alone(self, statement: FileStatement) -> None:
        kind = GroupKind.TRANSACTION
        if statement.batch is not None:
            kind = GroupKind.BACKFILL
        elif statement.what.kind is Kind.CREATE_INDEX_CONCURRENTLY:
            kind = GroupKind.INDEX_BUILD
            if statement.what.index is None or statement.what.index.name is None:
                raise MigrationFailed(
                    f"{self.file.place(statement)}: CREATE INDEX CONCURRENTLY needs a name for the "
                    "index, by which an unfinished build is found again"
                )
        elif not statement.what.is_transactional or statement.what.kind in SELF_COMMITTING:
            kind = GroupKind.ALONE
        self.groups.append(Group(kind, (statement,), tuple(self.settings)))

    def _close(self) -> None:
        if self.open:
            group = Group(GroupKind.TRANSACTION, tuple(self.open), self.settings_before)
            self.groups.append(group)
            self.open = []


def cut(file: MigrationFile, *, applied: int = 0) -> tuple[Group, ...]:
    """Return the groups of a file's statements from index `applied` on.

    Settings of the part that was applied count for the groups that remain. Raises MigrationFailed,
    naming the line, for what cannot be grouped.
    """
    cutter = _Cutter(file)
    before = file.statements[:applied]
    cutter.settings = [s for s in before if s.what.kind in _SETTINGS and not cutter._is_local(s)]
    opened = None
    for statement in before:
        if statement.what.kind is Kind.TRANSACTION_BEGIN:
            opened = statement
        elif statement.what.kind is Kind.TRANSACTION_COMMIT:
            opened = None
    cutter.begin = opened
    return cutter.cut(file.statements[applied:])
