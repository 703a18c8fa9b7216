"""--database-url in place of the Secrets of ManagedDatabases.

The URL is the caller's own, so all that libpq understands is taken (sockets, service files, any
parameter), with libpq's own defaults; all else still comes from the ManagedDatabase.
"""

from dataclasses import dataclass

from pgstrata.core.api_model import parse_spec
from pgstrata.core.resource import ObjectKey, ObjectStore
from pgstrata.databases.resolve import target_with
from pgstrata.databases.spec import ManagedDatabaseSpec
from pgstrata.pg.target import Target, parse_url


@dataclass(frozen=True, slots=True)
class UrlDatabases:
    """Resolves every ManagedDatabase to one URL. Implements engine.context.Databases."""

    store: ObjectStore
    url: str

    async def target(self, key: ObjectKey) -> Target:
        """Return the URL's database; a ManagedDatabase that is not among the files has defaults."""
        parameters = parse_url(self.url, origin="--database-url")
        raw = await self.store.read(key)
        if raw is None:
            return Target(parameters)
        spec = parse_spec(ManagedDatabaseSpec, raw.spec)
        return target_with(spec, parameters)
