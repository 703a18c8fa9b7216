"""Says what went wrong with a user's statement: file, line, SQLSTATE, message, what stands.

Called by the steps. What may go well next time passes through as it is; what only a person can mend
becomes MigrationFailed or AccessDenied, with the place in the file.
"""

import re
from collections.abc import Sequence

from pgstrata.core.errors import AccessDenied, MigrationFailed, PgstrataError
from pgstrata.engine.exclusive import Exclusive
from pgstrata.engine.lock_retry import Cancelled
from pgstrata.engine.owned import Owned, list_owned, trigger_name
from pgstrata.migrations.script_file import FileStatement, MigrationFile
from pgstrata.migrations.spec import Phase
from pgstrata.pg.failures import (
    Contention,
    InsufficientPrivilege,
    LockNotAvailable,
    StatementFailed,
    StatementTimeout,
)
from pgstrata.pg.quoting import quoted
from pgstrata.pg.session import Session

_PASSING_CLASSES = frozenset({"53", "58"})
_PASSING = frozenset({"55006"})
"""Insufficient resources, the system's own errors, an object in use: not the file's fault."""
_KEPT = re.compile(rf"\b{trigger_name('keep_')}[0-9a-f]+")
_DENIED = re.compile(r"permission denied for (?P<sort>[a-z ]+) (?P<name>.+)")
_ROWS = ("SELECT, INSERT, UPDATE, DELETE", "")
_GRANTED = {
    "table": _ROWS,
    "view": _ROWS,
    "sequence": ("USAGE, SELECT, UPDATE", "SEQUENCE "),
    "schema": ("USAGE, CREATE", "SCHEMA "),
    "database": ("CREATE", "DATABASE "),
    "function": ("EXECUTE", "FUNCTION "),
    "procedure": ("EXECUTE", "PROCEDURE "),
    "type": ("USAGE", "TYPE "),
}
"""The rights that there are on each sort of object, as PostgreSQL's messages call the sorts."""
_BY_SOMEBODY = "user request"
"""What the server's message has where no timeout was the cause, in English; it gives no number."""
_FILE_OF_STEP = re.compile(r"[^/]*/[^/]*/[vV]?(?P<version>[0-9]+(?:\.[0-9]+)*)")


class KeptColumn(MigrationFailed):
    """A statement would change a column that kept triggers depend on.

    PostgreSQL's own hint would take the trigger away without its function and without the journal.
    """

    def __init__(self, refused: str, triggers: Sequence[str], stands: str) -> None:
        self.refused = refused
        self.triggers = tuple(triggers)
        self.stands = stands
        super().__init__(
            f"{refused}: {self.triggers[0]}, a trigger of pgstrata, keeps a backfill right until "
            "its version is contracted: first apply that version through Contract"
            f"{stands}"
        )

    async def with_version(self, work: Exclusive, file: MigrationFile) -> MigrationFailed:
        """Return the error with the versions to contract, once its transaction is over."""
        owned = await list_owned(work.session, work.fence.object)
        blocking = [one for one in owned if one.trigger in self.triggers]
        if not blocking:
            return self
        last = blocking[-1]
        version = version_text(last)
        kept = f"{self.refused}: a trigger of pgstrata {last.purpose.partition(':')[0]}"
        kept += f" in {last.table_name} until version {version} is contracted"
        if file.phase is Phase.CONTRACT:
            return MigrationFailed(
                f"{kept}: the trigger goes before a statement of a contract whose text names the "
                f"table, where version {version}'s was asked for too: name it there{self.stands}"
            )
        if last.version == file.version.key:
            return MigrationFailed(
                f"{kept}: put what changes the column into the contract file of version {version}"
                f"{self.stands}"
            )
        return MigrationFailed(
            f"{kept}: first apply version {version} through Contract (spec.version {version}, "
            f"spec.through Contract){self.stands}"
        )


def version_text(owned: Owned) -> str:
    """Return the version of what we made as its file spells it."""
    match = _FILE_OF_STEP.match(owned.step)
    return match["version"] if match else owned.version


def explain(
    error: StatementFailed,
    file: MigrationFile,
    statement: FileStatement,
    session: Session,
    *,
    standing: int | None,
) -> PgstrataError:
    """Return the error that users shall see for a statement that failed.

    Args:
        standing: how many statements of the file stand, those of the same group were undone; None:
            the file changes nothing.
    """
    if isinstance(error, Contention | LockNotAvailable | StatementTimeout):
        return error
    if error.sqlstate[:2] in _PASSING_CLASSES or error.sqlstate in _PASSING:
        return error
    where = file.place(statement, error.position)
    if isinstance(error, InsufficientPrivilege):
        return AccessDenied(f"{where}: {error.message}; {_right_text(error, session.facts.role)}")
    stands = f"; {_standing_text(file, standing)}" if standing is not None else ""
    if triggers := _KEPT.findall(f"{error.primary} {error.detail}"):
        return KeptColumn(f"{where}: {error.primary} (SQLSTATE {error.sqlstate})", triggers, stands)
    return MigrationFailed(f"{where}: {error.message}{stands}")


def _right_text(error: InsufficientPrivilege, role: str) -> str:
    """The server says of what the right is missing, though not which; else it is the owner's."""
    if (denied := _DENIED.match(error.primary)) is None:
        return (
            f"role {role} must own what the statement changes or be a member of the role that "
            f"does, for example: ALTER TABLE ... OWNER TO {quoted(role)};"
        )
    sort, name = denied["sort"], denied["name"]
    if sort not in _GRANTED:
        return f"role {role} needs a GRANT on it, or to be a member of a role that has one"
    rights, on = _GRANTED[sort]
    return (
        f"an administrator can grant role {role} what the statement needs, for example: GRANT "
        f"{rights} ON {on}{name} TO {quoted(role)};"
    )


def cancelled(error: StatementTimeout, session: Session) -> Cancelled:
    """Return why a statement was cancelled that is tried again."""
    if error.is_raised:
        return Cancelled(error.message)
    if _BY_SOMEBODY in error.primary:
        return Cancelled(f"the statement was cancelled from outside (SQLSTATE {error.sqlstate})")
    return Cancelled(
        "the statement was cancelled, at the latest after timeouts.statement "
        f"({session.target.timeouts.statement:g} s, SQLSTATE {error.sqlstate})"
    )


def timed_out(
    error: StatementTimeout,
    file: MigrationFile,
    statement: FileStatement,
    session: Session,
    *,
    tries: int,
    standing: int,
) -> MigrationFailed:
    """Return the error for a statement that was cancelled again and again, or may not be repeated.

    Args:
        tries: how often it was cancelled.
    """
    times = "once" if tries == 1 else "three times"
    if error.is_raised:
        cause = f"{error.message}, {times}"
    elif _BY_SOMEBODY in error.primary:
        cause = (
            f"the statement was cancelled from outside, {times} (SQLSTATE 57014): by "
            "pg_cancel_backend, or a tool that calls it"
        )
    else:
        cause = (
            f"the statement was cancelled {times}, at the latest after timeouts.statement "
            f"({session.target.timeouts.statement:g} s, SQLSTATE 57014); split its work, or raise "
            "the ManagedDatabase's spec.timeouts.statement"
        )
    return MigrationFailed(f"{file.place(statement)}: {cause}; {_standing_text(file, standing)}")


def _standing_text(file: MigrationFile, standing: int) -> str:
    total = len(file.statements)
    if standing == 0:
        return f"nothing of the file's {total} statements stands"
    return f"the first {standing} of the file's {total} statements stand, the rest was undone"
