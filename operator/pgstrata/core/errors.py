"""The failures that pgstrata tells apart, each with the reason that its condition will give.

Raised at the border where the cause is known (pg/ for PostgreSQL, kube/ for the API server, a
room for its own rules) and turned into an outcome in one place, engine/drive.py. The text of an
error is read by users: what is wrong, where, and the next step. It never holds a secret.
"""

from typing import ClassVar

from pgstrata.core.reasons import Reason


class PgstrataError(Exception):
    """The base of all: a failure with a reason that users see."""

    reason: ClassVar[Reason] = Reason.PROGRESSING_WITH_RETRY

    @property
    def message(self) -> str:
        """The sentence for the condition."""
        return str(self)


class InvalidSpec(PgstrataError):
    """The resource asks for something that cannot be."""

    reason = Reason.INVALID_SPEC


class InvalidSettings(PgstrataError):
    """A setting of the process has a value that cannot be."""

    reason = Reason.INVALID_SPEC


class InvalidKubeConfig(PgstrataError):
    """There is no usable way to an API server: the kubeconfig or the pod's service account."""

    reason = Reason.INVALID_SPEC


# -- what the resource refers to ------------------------------------------------------------------


class DatabaseNotFound(PgstrataError):
    """The ManagedDatabase that a resource names does not exist (yet)."""

    reason = Reason.DATABASE_NOT_FOUND


class ResourceNotFound(PgstrataError):
    """A person asks for a resource that does not exist."""

    reason = Reason.INVALID_SPEC


class SecretNotFound(PgstrataError):
    """A Secret that a resource names does not exist (yet)."""

    reason = Reason.SECRET_NOT_FOUND


class SecretKeyMissing(PgstrataError):
    """A Secret exists, but not the key that is needed."""

    reason = Reason.SECRET_KEY_MISSING


class SourceNotReady(PgstrataError):
    """A migration source, or the wanted version in it, does not exist (yet)."""

    reason = Reason.SOURCE_NOT_READY


# -- reaching the database ------------------------------------------------------------------------


class ConnectionFailed(PgstrataError):
    """The server did not answer, or the connection broke."""

    reason = Reason.CONNECTION_FAILED


class AuthenticationFailed(PgstrataError):
    """The server knows neither this user nor this password."""

    reason = Reason.AUTHENTICATION_FAILED


class TLSFailed(PgstrataError):
    """No TLS session as demanded could be made."""

    reason = Reason.TLS_FAILED


class ReadOnlyDatabase(PgstrataError):
    """The server is a standby, or refuses writes."""

    reason = Reason.READ_ONLY_DATABASE


class PoolerUnsupported(PgstrataError):
    """A transaction pooler stands in between; session locks would be a lie."""

    reason = Reason.POOLER_UNSUPPORTED


class AccessDenied(PgstrataError):
    """The role lacks rights; the message lists what an administrator can run."""

    reason = Reason.ACCESS_DENIED


# -- who may work here ----------------------------------------------------------------------------


class ConflictingManager(PgstrataError):
    """Another resource manages this object."""

    reason = Reason.CONFLICTING_MANAGER


class ControlSchemaTooNew(PgstrataError):
    """A newer pgstrata has been here; this one must not write."""

    reason = Reason.CONTROL_SCHEMA_TOO_NEW


class DatabaseChanged(PgstrataError):
    """The server or database is not the one that the control schema was made for."""

    reason = Reason.DATABASE_CHANGED


class SessionLost(PgstrataError):
    """This run's fence was raised by another, or its session ended; whoever took over goes on."""


class Busy(PgstrataError):
    """Another session holds the object's lock and is alive."""


# -- carrying it out ------------------------------------------------------------------------------


class MigrationFailed(PgstrataError):
    """A statement of the user's own cannot run."""

    reason = Reason.MIGRATION_FAILED


class ChecksumMismatch(PgstrataError):
    """A file that was applied is not what it was."""

    reason = Reason.CHECKSUM_MISMATCH


class OutOfOrder(PgstrataError):
    """An unapplied version or file stands below one that was applied."""

    reason = Reason.OUT_OF_ORDER


class DowngradeRefused(PgstrataError):
    """The target is below the version that the database has."""

    reason = Reason.DOWNGRADE_REFUSED


class Blocked(PgstrataError):
    """Something in the database stands in the way and only a person can decide about it."""

    reason = Reason.BLOCKED


class VerificationFailed(PgstrataError):
    """A step ran and the catalog does not show what it should."""

    reason = Reason.VERIFICATION_FAILED


class LockTimeout(PgstrataError):
    """A lock was not had in time; the message names who holds it."""

    reason = Reason.LOCK_TIMEOUT


class WaitingForVacuum(PgstrataError):
    """A vacuum that prevents wraparound runs on the table; no strong lock is tried against it."""

    reason = Reason.WAITING_FOR_VACUUM


class NotNow(PgstrataError):
    """Nothing is wrong, and something else comes first: the base of what is waited for."""

    look_again: float = 10.0
    """Seconds until it is worth a look."""


class WaitingForWindow(NotNow):
    """The maintenance window is closed, or closes before the step could end."""

    reason = Reason.WAITING_FOR_WINDOW

    def __init__(self, message: str, look_again: float) -> None:
        super().__init__(message)
        self.look_again = look_again


class ApprovalPending(NotNow):
    """A step destroys or blocks, and nobody has agreed to it yet."""

    reason = Reason.APPROVAL_PENDING
    look_again = 60.0


class ContractPending(NotNow):
    """Later versions wait behind a barrier for a contract that was not asked for."""

    reason = Reason.CONTRACT_PENDING
    look_again = 600.0


class DependencyNotReady(NotNow):
    """Another resource comes first."""

    reason = Reason.DEPENDENCY_NOT_READY


class DependencyCycle(PgstrataError):
    """Resources wait for each other in a circle."""

    reason = Reason.DEPENDENCY_CYCLE


class Suspended(NotNow):
    """The resource, or its database, is suspended, and a change waits for the end of that."""

    reason = Reason.SUSPENDED
    look_again = 600.0


class DiskFull(PgstrataError):
    """The server's disk is full."""

    reason = Reason.DISK_FULL


class Interrupted(PgstrataError):
    """The run was asked to stop: deletion, a new generation, shutdown. Nothing is wrong."""
