"""Manifests as an object store: what the API server is to the operator, files are to the CLI.

Implements core.resource.ObjectStore. Statuses live in memory and are shown as they change.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from pydantic import JsonValue

from pgstrata.cli.manifests import Manifests
from pgstrata.core.resource import ObjectKey, RawResource

Listener = Callable[[RawResource], None]
WarningListener = Callable[[ObjectKey, str, str], None]
"""Told of a resource, the reason and the message."""


def _nobody(_key: ObjectKey, _reason: str, _message: str) -> None:
    """Where no warnings are shown."""


class FileStore:
    """Holds the resources of one run of the command line."""

    def __init__(
        self, manifests: Manifests, on_status: Listener, on_warning: WarningListener = _nobody
    ) -> None:
        self._resources = dict(manifests.resources)
        self._manifests = manifests
        self._on_status = on_status
        self._on_warning = on_warning

    @property
    def resources(self) -> tuple[RawResource, ...]:
        """All resources as they stand, in the order of the files."""
        return tuple(self._resources.values())

    async def read(self, key: ObjectKey) -> RawResource | None:
        return self._resources.get(key)

    async def exists(self, key: ObjectKey) -> bool:
        return key in self._resources

    async def read_secret(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        return self._manifests.secrets.get((namespace, name))

    async def read_config_map(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        return self._manifests.config_maps.get((namespace, name))

    async def write_status(self, raw: RawResource, status: Mapping[str, JsonValue]) -> None:
        changed = replace(self._resources[raw.key], status=status)
        self._resources[raw.key] = changed
        self._on_status(changed)

    async def record_event(
        self, raw: RawResource, *, warning: bool, reason: str, message: str
    ) -> None:
        """Transitions are shown by their status already; who shows warnings knows which."""
        if warning:
            self._on_warning(raw.key, reason, message)

    async def ensure_finalizer(self, raw: RawResource) -> None:
        """A file is not deleted through us."""

    async def release(self, raw: RawResource) -> None:
        """A file is not deleted through us."""


class SystemClock:
    """The machine's wall clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)
