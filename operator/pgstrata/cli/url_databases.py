"""--database-url in place of the Secrets of ManagedDatabases.

The URL is the caller's own, so all that libpq understands is taken (sockets, service files, any
parameter), with libpq's own defaults; all else still comes from the ManagedDatabase.
"""

from dataclasses import dataclass

from pgstrata.cli.file_store import FileStore
from pgstrata.core.api_model import parse_spec
from pgstrata.core.errors import DatabaseNotFound
from pgstrata.core.resource import ObjectKey
from pgstrata.databases.resolve import target_with
from pgstrata.databases.spec import ManagedDatabaseSpec
from pgstrata.pg.target import Target, parse_url


@dataclass(frozen=True, slots=True)
class UrlDatabases:
    """Resolves every ManagedDatabase to one URL. Implements engine.context.Databases."""

    store: FileStore
    url: str

    async def target(self, key: ObjectKey) -> Target:
        """Return the URL's database, with defaults where the files have no ManagedDatabase at all.

        Raises DatabaseNotFound where they have others: a slip of the pen must not lose what one of
        them says of windows, timeouts or `suspend`.
        """
        parameters = parse_url(self.url, origin="--database-url")
        raw = await self.store.read(key)
        if raw is None:
            others = [r.key for r in self.store.resources if r.key.kind == key.kind]
            if others:
                known = ", ".join(f"{o.namespace}/{o.name}" for o in others)
                raise DatabaseNotFound(
                    f"ManagedDatabase {key.name} is not among the files in namespace "
                    f"{key.namespace}, which have {known}: name one of them in spec.databaseRef, "
                    "or leave all out for --database-url with defaults"
                )
            return Target(parameters)
        spec = parse_spec(ManagedDatabaseSpec, raw.spec)
        return target_with(spec, parameters)
