"""Says what went wrong with a user's statement: file, line, SQLSTATE, message, what stands.

Called by the steps. What may go well next time passes through as it is; what only a person can mend
becomes MigrationFailed or AccessDenied, with the place in the file.
"""

from pgstrata.core.errors import AccessDenied, MigrationFailed, PgstrataError
from pgstrata.migrations.script_file import FileStatement, MigrationFile
from pgstrata.pg.failures import (
    Contention,
    InsufficientPrivilege,
    LockNotAvailable,
    StatementFailed,
    StatementTimeout,
)
from pgstrata.pg.session import Session

_PASSING_CLASSES = frozenset({"53", "58"})
_PASSING = frozenset({"55006"})
"""Insufficient resources, the system's own errors, an object in use: not the file's fault."""


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
        return AccessDenied(
            f"{where}: {error.message}; role {session.facts.role} must own what the statement "
            "changes or be a member of the role that does, for example: ALTER TABLE ... OWNER TO "
            f"{session.facts.role};"
        )
    stands = f"; {_standing_text(file, standing)}" if standing is not None else ""
    return MigrationFailed(f"{where}: {error.message}{stands}")


def timed_out(
    file: MigrationFile, statement: FileStatement, session: Session, *, standing: int
) -> MigrationFailed:
    """Return the error for a statement that ran into its timeout again and again."""
    return MigrationFailed(
        f"{file.place(statement)}: the statement was cancelled three times, at the latest after "
        f"timeouts.statement ({session.target.timeouts.statement:g} s, SQLSTATE 57014); split its "
        "work, or raise the ManagedDatabase's spec.timeouts.statement; "
        f"{_standing_text(file, standing)}"
    )


def _standing_text(file: MigrationFile, standing: int) -> str:
    total = len(file.statements)
    if standing == 0:
        return f"nothing of the file's {total} statements stands"
    return f"the first {standing} of the file's {total} statements stand, the rest was undone"
