"""What the operator process can be told: read from the environment, where the chart puts it.

cli/ reads it for `pgstrata run` and may override single values by flags.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self, TypeVar

from pgstrata.core.api_values import parse_duration
from pgstrata.core.errors import InvalidSettings
from pgstrata.kube.lease import LeaseTimings

T = TypeVar("T")

_POD_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_TRUE: Final = frozenset({"true", "1", "yes"})
_FALSE: Final = frozenset({"false", "0", "no"})


@dataclass(frozen=True, slots=True)
class Settings:
    """Times are in seconds."""

    watch_namespaces: tuple[str, ...] = ()
    """Namespaces whose resources are served; empty: all."""
    watch_secrets: bool = False
    """Whether a change of a labelled Secret is noticed at once (needs list and watch)."""
    watch_config_maps: bool = True
    """The same for labelled ConfigMaps."""
    workers: int = 32
    """Looks taken at the same time; they mostly wait on networks."""
    resync: float = 1800.0
    """Every resource is looked at again at the latest after this time."""
    cluster_id: str | None = None
    """Whom claims are made out to; None: the uid of the namespace kube-system."""
    lease_namespace: str = "default"
    lease_name: str = "pgstrata"
    lease: LeaseTimings = field(default_factory=LeaseTimings)
    health_host: str = ""
    """Empty: all addresses, of IPv6 and of IPv4, because kubelet and Prometheus come from outside
    the pod."""
    health_port: int = 8080
    """0: any free one; the log says which."""
    stream_silence: float = 180.0
    """A watch stream that is silent for longer is dead; bookmarks come about once a minute."""
    watch_timeout: float = 300.0
    """How long one watch lasts; the next one is asked for at once, and shows what changed in rights
    and namespaces."""
    grace: float = 10.0
    """How long a run may go on to its next boundary when the operator is stopped."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read PGSTRATA_*; what is not set keeps its default. Raises InvalidSettings."""
        read = _Reader(environment)
        default = cls()
        lease = default.lease
        address = (default.health_host, default.health_port)
        host, port = read.value("HEALTH_ADDRESS", _address, address)
        try:
            timings = LeaseTimings(
                duration=int(read.value("LEASE_DURATION", _seconds, float(lease.duration))),
                renew=read.value("LEASE_RENEW_DEADLINE", _seconds, lease.renew),
                retry=read.value("LEASE_RETRY_PERIOD", _seconds, lease.retry),
            )
        except ValueError as error:
            raise InvalidSettings(str(error)) from error
        return cls(
            watch_namespaces=read.value("WATCH_NAMESPACES", _names, ()),
            watch_secrets=read.value("WATCH_SECRETS", _truth, default.watch_secrets),
            watch_config_maps=read.value("WATCH_CONFIG_MAPS", _truth, default.watch_config_maps),
            workers=read.value("WORKERS", _count, default.workers),
            resync=read.value("RESYNC", _seconds, default.resync),
            cluster_id=read.value("CLUSTER_ID", str, None),
            lease_namespace=read.value("NAMESPACE", str, _own_namespace(default.lease_namespace)),
            lease_name=read.value("LEASE_NAME", str, default.lease_name),
            lease=timings,
            health_host=host,
            health_port=port,
            stream_silence=read.value("STREAM_SILENCE", _seconds, default.stream_silence),
            watch_timeout=read.value("WATCH_TIMEOUT", _second_or_more, default.watch_timeout),
            grace=read.value("GRACE", _seconds, default.grace),
        )


class _Reader:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def value(self, name: str, parse: Callable[[str], T], default: T) -> T:
        text = self._environment.get(f"PGSTRATA_{name}", "").strip()
        if not text:
            return default
        try:
            return parse(text)
        except ValueError as error:
            raise InvalidSettings(f"PGSTRATA_{name}: {error}") from error


def _truth(text: str) -> bool:
    if text.lower() not in _TRUE | _FALSE:
        raise ValueError(f"{text!r} is neither true nor false")
    return text.lower() in _TRUE


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise ValueError(f"{text!r} is not a number above 0")
    return int(text)


def _seconds(text: str) -> float:
    seconds = parse_duration(text).total_seconds()
    if not seconds:
        raise ValueError(f"{text!r} is no time at all")
    return seconds


def _second_or_more(text: str) -> float:
    seconds = parse_duration(text).total_seconds()
    if seconds < 1:
        raise ValueError(f"{text!r} is too short: the API counts in whole seconds, from 1s on")
    return seconds


def _names(text: str) -> tuple[str, ...]:
    return tuple(sorted({name.strip() for name in text.split(",") if name.strip()}))


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{text!r} is not an address such as :8080")
    return host.strip("[]"), int(port)


def _own_namespace(default: str) -> str:
    """The pod's namespace as its service account knows it."""
    try:
        return _POD_NAMESPACE.read_text().strip()
    except OSError:
        return default
