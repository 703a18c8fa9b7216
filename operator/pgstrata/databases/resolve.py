"""Finds the way to a ManagedDatabase, and how to treat it: Secret, certificates, timeouts, windows.

Used by this room's reconcile and, through engine.context.Databases, by every other room. Secrets
are read at each look. From a Secret only what names the server, the database, the user and the mode
of TLS is taken: any other URI parameter would be read in the operator's own pod.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pgstrata.core.api_model import parse_spec
from pgstrata.core.errors import (
    DatabaseNotFound,
    InvalidSpec,
    SecretKeyMissing,
    SecretNotFound,
)
from pgstrata.core.resource import ObjectKey, ObjectStore
from pgstrata.core.windows import Window
from pgstrata.databases.spec import CaKind, ManagedDatabaseSpec, TlsMode, TlsSpec
from pgstrata.pg.target import Target, ThrottleLimits, Timeouts, TLSFiles, parse_url

_TAKEN = frozenset(
    {"host", "hostaddr", "port", "dbname", "user", "password", "sslmode", "target_session_attrs"}
)
_OF_PATHS = frozenset("/@")
"""A host with one of these is a socket, in the file system or in Linux's abstract space."""
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_NOWHERE = "/nonexistent"


@dataclass(frozen=True, slots=True)
class DatabaseResolver:
    """Resolves by the object store: the API server, or manifests."""

    store: ObjectStore

    async def target(self, key: ObjectKey) -> Target:
        """Return how to reach the database. See engine.context.Databases."""
        raw = await self.store.read(key)
        if raw is None or raw.deleting:
            raise DatabaseNotFound(
                f"ManagedDatabase {key.name} does not exist in namespace {key.namespace}"
            )
        spec = parse_spec(ManagedDatabaseSpec, raw.spec)
        return await self.target_of(key.namespace, spec)

    async def target_of(self, namespace: str, spec: ManagedDatabaseSpec) -> Target:
        """Return how to reach the database that a spec describes."""
        name = spec.connection.secret_ref.name
        secret = await self.store.read_secret(namespace, name)
        if secret is None:
            raise SecretNotFound(f"Secret {name} does not exist in namespace {namespace}")
        parameters = _parameters(name, secret)
        tls = spec.connection.tls or TlsSpec()
        parameters["sslmode"] = _ssl_mode(tls, parameters.get("sslmode"), name)
        files = await self._tls_files(namespace, tls, parameters["sslmode"])
        return target_with(spec, {**_shut(parameters, files), **parameters}, files)

    async def _tls_files(self, namespace: str, tls: TlsSpec, mode: str) -> TLSFiles:
        root = None
        if tls.ca_ref is not None and mode != TlsMode.DISABLE:
            ref = tls.ca_ref
            read = (
                self.store.read_secret if ref.kind is CaKind.SECRET else self.store.read_config_map
            )
            data = await read(namespace, ref.name)
            if data is None:
                raise SecretNotFound(
                    f"{ref.kind} {ref.name} of tls.caRef does not exist in namespace {namespace}"
                )
            root = _value(data, ref.key, f"{ref.kind} {ref.name}")
        if tls.cert_ref is None or mode == TlsMode.DISABLE:
            return TLSFiles(root_certificate=root)
        name = tls.cert_ref.name
        pair = await self.store.read_secret(namespace, name)
        if pair is None:
            raise SecretNotFound(
                f"Secret {name} of tls.certRef does not exist in namespace {namespace}"
            )
        origin = f"Secret {name}"
        return TLSFiles(root, _value(pair, "tls.crt", origin), _value(pair, "tls.key", origin))


def target_with(
    spec: ManagedDatabaseSpec, parameters: Mapping[str, str], tls: TLSFiles | None = None
) -> Target:
    """Return the database of libpq's `parameters`, to be treated as the spec says.

    Raises InvalidSpec for a window whose schedule or zone cannot be.
    """
    throttle = spec.throttle
    return Target(
        parameters=parameters,
        timeouts=Timeouts(
            connect=spec.timeouts.connect.total_seconds(),
            lock=spec.timeouts.lock.total_seconds(),
            statement=spec.timeouts.statement.total_seconds(),
        ),
        tls=tls or TLSFiles(),
        max_connections=spec.max_connections,
        windows=tuple(
            Window(window.name, window.schedule, window.duration, window.time_zone)
            for window in spec.windows
        ),
        throttle=ThrottleLimits(
            max_replica_lag=throttle.max_replica_lag.total_seconds(),
            max_connection_utilization=throttle.max_connection_utilization,
            max_slot_retained=throttle.max_slot_retained,
            max_archive_backlog=throttle.max_archive_backlog,
            pause_on_autovacuum=throttle.pause_on_autovacuum,
            query=throttle.query,
        ),
        suspended=spec.suspend,
    )


def _parameters(name: str, secret: Mapping[str, bytes]) -> dict[str, str]:
    """Read the Secret: `uri` wins over single keys; `username` stands for `user`."""
    origin = f"key uri of Secret {name}"
    if "uri" in secret:
        parameters = parse_url(_text(secret["uri"], origin).strip(), origin=origin)
    else:
        keys = {"username": "user", **{k: k for k in sorted(_TAKEN)}}
        parameters = {
            parameter: _text(secret[key], f"key {key} of Secret {name}").strip("\n")
            for key, parameter in keys.items()
            if key in secret
        }
        if "host" not in parameters:
            raise SecretKeyMissing(
                f"Secret {name} has neither the key uri nor the key host; it needs uri, or host, "
                "port, dbname, user and password"
            )
    unknown = sorted(set(parameters) - _TAKEN)
    if unknown:
        raise InvalidSpec(
            f"{origin} has parameters that are not taken from a Secret: {', '.join(unknown)}"
        )
    host = parameters.get("host", "")
    if set(host) & _OF_PATHS or not (host or parameters.get("hostaddr")):
        raise InvalidSpec(f"{origin} must name a host, not a path")
    if not parameters.get("port", "0").replace(",", "").isdecimal():
        raise InvalidSpec(f"the port of Secret {name} is no number")
    if parameters.get("sslmode", "require") not in _SSL_MODES:
        raise InvalidSpec(f"the sslmode of Secret {name} is not one of {', '.join(_SSL_MODES)}")
    for needed in ("dbname", "user"):
        if not parameters.get(needed):
            raise SecretKeyMissing(f"Secret {name} names no {needed}")
    return parameters


def _ssl_mode(tls: TlsSpec, from_secret: str | None, name: str) -> str:
    """The spec's mode, else the Secret's, else verify-full with an authority, else require."""
    if tls.mode is not None:
        return tls.mode.value
    mode = from_secret or ("verify-full" if tls.ca_ref is not None else "require")
    if mode.startswith("verify") and tls.ca_ref is None:
        raise InvalidSpec(
            f"the sslmode {mode} of Secret {name} needs spec.connection.tls.caRef, the authority "
            "to verify with"
        )
    return mode


def _shut(parameters: Mapping[str, str], files: TLSFiles) -> dict[str, str]:
    """Keep libpq from reading the operator's own home, environment and ticket cache."""
    shut = {
        "gssencmode": "disable",
        "hostaddr": "",
        "options": "",
        "sslcrl": "",
        "sslcrldir": "",
        "passfile": _NOWHERE,
        "target_session_attrs": "read-write",
        "password": "",
        "port": "5432",
    }
    if files.certificate is None:
        shut |= {"sslcertmode": "disable"}
    if files.root_certificate is None:
        shut |= {"sslrootcert": _NOWHERE}
    return {name: value for name, value in shut.items() if name not in parameters}


def _value(data: Mapping[str, bytes], key: str, origin: str) -> bytes:
    if key not in data:
        raise SecretKeyMissing(f"{origin} has no key {key}")
    return data[key]


def _text(value: bytes, origin: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise InvalidSpec(f"{origin} is not UTF-8 text") from None
