"""ManagedDatabase: how to reach a database and how to treat it.

The one description of the kind: CRD, validation and the table in docs/kinds come from it.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from pgstrata.core.api_model import ApiKind, ApiModel, Column, LocalRef, cel
from pgstrata.core.api_status import KindStatus
from pgstrata.core.api_values import (
    SHORT_DURATION_PATTERN,
    ByteSize,
    Clipped,
    Count,
    Cron,
    DataKey,
    First,
    Flag,
    Integer,
    LabelName,
    ListMap,
    ObjectName,
    Query,
    ShortDuration,
    Timestamp,
    TimeZone,
)

WINDOWS_MAX = 16
"""Maintenance windows of a database."""


class TlsMode(StrEnum):
    """What is asked of TLS, in libpq's words."""

    DISABLE = "disable"
    REQUIRE = "require"
    VERIFY_CA = "verify-ca"
    VERIFY_FULL = "verify-full"

    @property
    def verifies(self) -> bool:
        """Whether the server's certificate is checked against a certificate authority."""
        return self in {TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL}


class CaKind(StrEnum):
    """Where a certificate authority's certificate is kept."""

    SECRET = "Secret"  # noqa: S105 - the name of a kind, not a password
    CONFIG_MAP = "ConfigMap"


class CaRef(ApiModel):
    """Names the certificates of the authorities that the server's certificate may be signed by."""

    kind: CaKind = CaKind.SECRET
    """Secret or ConfigMap."""
    name: ObjectName
    """The object's name, in the same namespace."""
    key: DataKey = "ca.crt"
    """The key whose value is the PEM text."""


class TlsSpec(ApiModel):
    """How the connection is encrypted and the server is known."""

    mode: TlsMode | None = None
    """Unset: the Secret's sslmode, else verify-full with caRef, else require."""
    ca_ref: CaRef | None = None
    """The certificate authority; the operator's system has none that it would trust."""
    cert_ref: LocalRef | None = None
    """A Secret of type kubernetes.io/tls: the client certificate to show."""

    @cel(
        "!has(self.mode) || !(self.mode in ['verify-ca', 'verify-full']) || has(self.caRef)",
        message="modes verify-ca and verify-full need caRef, the authority to verify with",
        field_path=".caRef",
        reason="FieldValueRequired",
    )
    def _an_authority_to_verify_with(self) -> bool:
        return self.mode is None or not self.mode.verifies or self.ca_ref is not None


class ConnectionSpec(ApiModel):
    """How to reach the database."""

    secret_ref: LocalRef
    """A Secret with `uri`, or with host, port, dbname, user or username, and password. uri wins."""
    tls: TlsSpec | None = None
    """TLS; unset: what the Secret says, else require."""


class Timeouts(ApiModel):
    """How long to wait; units are ms, s, m and h."""

    connect: Annotated[timedelta, ShortDuration("100ms", "1m")] = timedelta(seconds=5)
    """For a connection, TLS and authentication included."""
    lock: Annotated[timedelta, ShortDuration("10ms", "30s")] = timedelta(milliseconds=500)
    """For a lock that others queue behind: the longest stall of the application's writers."""
    statement: Annotated[timedelta, ShortDuration("100ms", "1h")] = timedelta(seconds=30)
    """For a statement under a strong lock, and for any other statement of a migration file."""

    @cel(
        f"!self.lock.matches('{SHORT_DURATION_PATTERN}')"
        f" || !self.statement.matches('{SHORT_DURATION_PATTERN}')"
        " || duration(self.lock) <= duration(self.statement)",
        message="lock must not be longer than statement, which would end the wait first",
        field_path=".lock",
    )
    def _the_lock_gives_up_first(self) -> bool:
        return self.lock <= self.statement


class WindowSpec(ApiModel):
    """A time in which disturbing work may be done."""

    name: LabelName
    """What other resources call it."""
    schedule: Cron
    """When it opens: cron, five fields; where both day fields are given, one is enough,
    except that one which begins with `*` must hold too."""
    duration: Annotated[timedelta, ShortDuration("1m", "168h")]
    """How long it stays open."""
    time_zone: TimeZone = "UTC"
    """The IANA name of the zone whose clock the schedule is read on."""


class ThrottleSpec(ApiModel):
    """What long work stops at until it is over; any one is enough."""

    max_replica_lag: Annotated[timedelta, ShortDuration("1s", "1h")] = timedelta(seconds=10)
    """How far the slowest replica may be behind."""
    max_connection_utilization: Annotated[Integer, Field(ge=1, le=100)] = 80
    """Percent of the server's max_connections that may be in use."""
    max_slot_retained: ByteSize = ByteSize(10 << 30)
    """WAL that a replication slot may hold back."""
    max_archive_backlog: Annotated[Integer, Field(ge=1, le=100_000)] = 50
    """WAL files that may wait for the archiver."""
    pause_on_autovacuum: Flag = True
    """Whether an autovacuum of the table is waited for, 5 minutes at most."""
    query: Query | None = None
    """One query, run read-only and at most 1 s; true, a number but 0, a text or NULL: stop."""


class ManagedDatabaseSpec(ApiModel):
    """What is asked for."""

    connection: ConnectionSpec
    """How to reach the database."""
    timeouts: Timeouts = Timeouts()
    """How long to wait for connections, locks and statements."""
    max_connections: Annotated[Integer, Field(ge=4, le=100)] = 6
    """Connections that pgstrata opens at a time to this database."""
    windows: Annotated[tuple[WindowSpec, ...], Field(max_length=WINDOWS_MAX), ListMap("name")] = ()
    """Times in which other resources may do what they keep for them."""
    throttle: ThrottleSpec = ThrottleSpec()
    """What long work in this database stops at."""
    suspend: Flag = False
    """Whether all work in this database stops at its next boundary, until this is unset."""


class Pooler(StrEnum):
    """What stands between pgstrata and the server."""

    NONE = "None"
    SESSION = "Session"
    TRANSACTION = "Transaction"


class WindowStatus(ApiModel):
    """A maintenance window as it stands."""

    name: Annotated[str, Clipped(63)]
    """Its name."""
    open: Flag
    """Whether it is open."""
    next_opening: Timestamp | None = None
    """When it opens next; absent: never, or it does not close."""


class ManagedDatabaseStatus(KindStatus):
    """What was seen."""

    server_version: Annotated[str, Clipped(63)] | None = None
    """The server's version."""
    database: Annotated[str, Clipped(63)] | None = None
    """The name of the database."""
    in_recovery: Flag | None = None
    """Whether the server is a standby."""
    pooler: Pooler | None = None
    """The connection pooler in between, and its mode; Transaction is not supported."""
    control_schema_version: Count | None = None
    """The version of the schema `pgstrata` in the database."""
    windows: Annotated[tuple[WindowStatus, ...], First(WINDOWS_MAX)] | None = None
    """The maintenance windows; absent: there are none."""


MANAGED_DATABASE = ApiKind(
    kind="ManagedDatabase",
    plural="manageddatabases",
    short_name="mdb",
    description="How to reach a PostgreSQL database and how to treat it.",
    spec=ManagedDatabaseSpec,
    status=ManagedDatabaseStatus,
    own_columns=(
        Column("Server", "string", ".status.serverVersion"),
        Column("Control", "integer", ".status.controlSchemaVersion"),
    ),
)
