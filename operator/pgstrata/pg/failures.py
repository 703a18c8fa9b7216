"""Turns what psycopg and PostgreSQL report into pgstrata's own errors: the only place that reads
SQLSTATEs (traps: what is retried, what pauses, what a person must see).
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors as pg_errors

from pgstrata.core.errors import (
    AccessDenied,
    AuthenticationFailed,
    ConnectionFailed,
    DiskFull,
    PgstrataError,
    ReadOnlyDatabase,
    TLSFailed,
)
from pgstrata.core.reasons import Reason

_UNKNOWN_NAMES = frozenset({"42703", "42P01", "42883", "42704", "3F000", "42P02"})
"""Undefined column, table, function, object, schema, parameter."""


class StatementFailed(PgstrataError):
    """A statement was refused: PostgreSQL's message with SQLSTATE, detail and hint."""

    def __init__(
        self,
        sqlstate: str,
        primary: str,
        *,
        detail: str | None = None,
        hint: str | None = None,
        context: str | None = None,
        position: int | None = None,
        is_raised: bool = False,
    ) -> None:
        self.sqlstate = sqlstate
        self.primary = primary
        self.detail = detail
        self.hint = hint
        self.context = context
        self.position = position
        """1-based offset in characters into the statement, or None."""
        self.is_raised = is_raised
        """By a RAISE of the database's own code, which may give it any SQLSTATE."""
        parts = [f"{primary} (SQLSTATE {sqlstate})"]
        parts += [f"detail: {detail}"] if detail else []
        parts += [f"hint: {hint}"] if hint else []
        super().__init__("; ".join(parts))

    @property
    def names_unknown(self) -> bool:
        """Whether it names what does not exist."""
        return self.sqlstate in _UNKNOWN_NAMES


class LockNotAvailable(StatementFailed):
    """55P03: lock_timeout ran out."""


class Contention(StatementFailed):
    """40001, 40P01: a serialization failure or deadlock; the same statement may work next time."""


class StatementTimeout(StatementFailed):
    """57014: statement_timeout, or a cancel from outside."""


class InsufficientPrivilege(StatementFailed):
    """42501: the role may not do this."""

    reason = Reason.ACCESS_DENIED


_SESSION_ENDED = frozenset({"57P01", "57P02", "57P03", "57P04", "57P05", "25P03", "53300", "25P04"})
"""Terminated, shut down, starting up, idle limits, too many clients, transaction_timeout."""

_RAISE = "exec_stmt_raise"
"""The server's own function that runs a RAISE of PL/pgSQL, as its error messages name it."""

_BY_SQLSTATE: dict[str, type[StatementFailed]] = {
    "55P03": LockNotAvailable,
    "40001": Contention,
    "40P01": Contention,
    "57014": StatementTimeout,
    "42501": InsufficientPrivilege,
}


def translate(error: psycopg.Error) -> PgstrataError:
    """Return pgstrata's error for one raised on an established session."""
    state = error.sqlstate
    if state is None and not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return StatementFailed("XX000", _first_line(error))
    diagnosis = error.diag
    is_raised = diagnosis.source_function == _RAISE
    if state is None or (not is_raised and (state.startswith("08") or state in _SESSION_ENDED)):
        return ConnectionFailed(f"the connection to the server was lost: {_first_line(error)}")
    if state == "25006" and not is_raised:
        return ReadOnlyDatabase(f"the server refuses writes: {_first_line(error)}")
    if state == "53100" and not is_raised:
        return DiskFull(f"the server's disk is full: {_first_line(error)}")
    return _BY_SQLSTATE.get(state, StatementFailed)(
        state,
        diagnosis.message_primary or _first_line(error),
        detail=diagnosis.message_detail,
        hint=diagnosis.message_hint,
        context=diagnosis.context,
        position=int(diagnosis.statement_position) if diagnosis.statement_position else None,
        is_raised=is_raised,
    )


@contextmanager
def translated() -> Iterator[None]:
    """Translate what psycopg raises inside the block."""
    try:
        yield
    except psycopg.Error as error:
        raise translate(error) from error


_AUTHENTICATION = (
    "authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "pg_hba.conf rejects",
    "is not permitted to log in",
    'role "" does not exist',
)
_TLS = (
    "ssl",
    "tls",
    "certificate",
)
_NOT_WRITABLE = ("session is read-only", "server is in hot standby mode")
_QUOTED = re.compile(r'"[^"]*"')


def translate_connect(error: psycopg.Error, label: str) -> PgstrataError:
    """Return pgstrata's error for a failed connection attempt.

    libpq gives no SQLSTATE here, only text. The server's own part of it may be in the server's
    language; then the failure counts as ConnectionFailed and its text is shown as it came.
    """
    text = _first_line(error)
    # A role may be called ssl_app: what stands in quotes says nothing about the failure.
    wording = _QUOTED.sub('""', text).lower()
    if isinstance(error, pg_errors.ConnectionTimeout):
        return ConnectionFailed(f"{label}: no answer within the connect timeout")
    if any(mark in wording for mark in _NOT_WRITABLE):
        return ReadOnlyDatabase(f"{label}: the server is a standby or read-only: {text}")
    if "permission denied for database" in wording:
        return AccessDenied(
            f"{label}: {text}; an administrator can run: GRANT CONNECT ON DATABASE ... TO ...;"
        )
    if any(mark in wording for mark in _AUTHENTICATION):
        return AuthenticationFailed(f"{label}: {text}")
    if any(mark in wording for mark in _TLS):
        return TLSFailed(f"{label}: {text}")
    return ConnectionFailed(f"{label}: {text}")


def _first_line(error: psycopg.Error) -> str:
    """The first line of libpq's text, which never holds the password."""
    return str(error).strip().split("\n", 1)[0] or type(error).__name__
