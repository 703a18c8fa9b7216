"""The reasons that a condition can give: part of the API, frozen, documented in docs/kinds.

Every reason belongs to one situation, and the situation alone decides the conditions
(engine/status.py), so that no code path can invent a combination of its own.
"""

from enum import Enum, StrEnum, auto


class Situation(Enum):
    """What a reason says about a resource; one row each of the table in docs/kinds."""

    READY = auto()
    """As declared."""
    WORKING = auto()
    """Steps are running."""
    WAITING = auto()
    """Nothing is wrong; something else comes first."""
    RETRY = auto()
    """It failed and will be tried again without anybody's doing."""
    STALLED = auto()
    """A person must act."""


class Reason(StrEnum):
    """Why a resource is in its situation."""

    SUCCEEDED = "Succeeded"

    PROGRESSING = "Progressing"
    BUILDING_INDEX = "BuildingIndex"
    BACKFILLING = "Backfilling"
    THROTTLED = "Throttled"

    WAITING_FOR_WINDOW = "WaitingForWindow"
    APPROVAL_PENDING = "ApprovalPending"
    CONTRACT_PENDING = "ContractPending"
    DEPENDENCY_NOT_READY = "DependencyNotReady"
    WAITING_FOR_VACUUM = "WaitingForVacuum"
    SUSPENDED = "Suspended"

    CONNECTION_FAILED = "ConnectionFailed"
    AUTHENTICATION_FAILED = "AuthenticationFailed"
    TLS_FAILED = "TLSFailed"
    READ_ONLY_DATABASE = "ReadOnlyDatabase"
    LOCK_TIMEOUT = "LockTimeout"
    SOURCE_NOT_READY = "SourceNotReady"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105  a reason, no password
    SECRET_KEY_MISSING = "SecretKeyMissing"  # noqa: S105  a reason, no password
    DATABASE_NOT_FOUND = "DatabaseNotFound"
    PROGRESSING_WITH_RETRY = "ProgressingWithRetry"

    INVALID_SPEC = "InvalidSpec"
    ACCESS_DENIED = "AccessDenied"
    POOLER_UNSUPPORTED = "PoolerUnsupported"
    CONFLICTING_MANAGER = "ConflictingManager"
    CONTROL_SCHEMA_TOO_NEW = "ControlSchemaTooNew"
    DATABASE_CHANGED = "DatabaseChanged"
    MIGRATION_FAILED = "MigrationFailed"
    CHECKSUM_MISMATCH = "ChecksumMismatch"
    OUT_OF_ORDER = "OutOfOrder"
    DOWNGRADE_REFUSED = "DowngradeRefused"
    BLOCKED = "Blocked"
    VERIFICATION_FAILED = "VerificationFailed"
    DEPENDENCY_CYCLE = "DependencyCycle"
    DISK_FULL = "DiskFull"

    @property
    def situation(self) -> Situation:
        """The one situation that this reason belongs to."""
        return _SITUATIONS.get(self, Situation.STALLED)


_SITUATIONS = {
    Reason.SUCCEEDED: Situation.READY,
    **dict.fromkeys(
        (Reason.PROGRESSING, Reason.BUILDING_INDEX, Reason.BACKFILLING, Reason.THROTTLED),
        Situation.WORKING,
    ),
    **dict.fromkeys(
        (
            Reason.WAITING_FOR_WINDOW,
            Reason.APPROVAL_PENDING,
            Reason.CONTRACT_PENDING,
            Reason.DEPENDENCY_NOT_READY,
            Reason.WAITING_FOR_VACUUM,
            Reason.SUSPENDED,
        ),
        Situation.WAITING,
    ),
    **dict.fromkeys(
        (
            Reason.CONNECTION_FAILED,
            Reason.AUTHENTICATION_FAILED,
            Reason.TLS_FAILED,
            Reason.READ_ONLY_DATABASE,
            Reason.LOCK_TIMEOUT,
            Reason.SOURCE_NOT_READY,
            Reason.SECRET_NOT_FOUND,
            Reason.SECRET_KEY_MISSING,
            Reason.DATABASE_NOT_FOUND,
            Reason.PROGRESSING_WITH_RETRY,
        ),
        Situation.RETRY,
    ),
}

PATIENT_REASONS = frozenset(
    {
        Reason.SOURCE_NOT_READY,
        Reason.SECRET_NOT_FOUND,
        Reason.SECRET_KEY_MISSING,
        Reason.DATABASE_NOT_FOUND,
    }
)
"""Ordinary GitOps races: retried every 10 s, and Stalled with the same reason after 5 minutes."""
