"""Looks at one index by name, and removes what a dead concurrent build left behind.

Used by migrations/ (the index state machine) and engine/remains.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pgstrata.pg.failures import StatementFailed
from pgstrata.pg.quoting import compose, quoted
from pgstrata.pg.session import Session
from pgstrata.pg.timeouts import StatementClass

_INDEX_KINDS = frozenset({"i", "I"})
_UNDEFINED_OBJECT = "42704"


@dataclass(frozen=True, slots=True)
class IndexName:
    """An index with the schema it stands in, which is its table's."""

    schema: str
    name: str

    @property
    def quoted(self) -> str:
        """As SQL and to_regclass read it."""
        return quoted(self.schema, self.name)

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class ObservedIndex:
    """The relation that bears the wanted name (sql/pg/observe_index.sql)."""

    relkind: str
    definition: str
    """pg_get_indexdef, which PostgreSQL normalises; empty where it is no index."""
    is_valid: bool
    table_oid: int
    builders: Sequence[int]
    """Backends that hold or await SHARE UPDATE EXCLUSIVE on its table: they may be building it."""

    @property
    def is_index(self) -> bool:
        return self.relkind in _INDEX_KINDS


async def observe_index(session: Session, name: IndexName) -> ObservedIndex | None:
    """Return the relation of that name, or None."""
    return await session.one_or_none("pg/observe_index", ObservedIndex, name=name.quoted)


async def drop_invalid_index(session: Session, name: IndexName) -> None:
    """Drop the index concurrently, if it is still there and still invalid.

    It queues behind a live build of the same table; when its turn comes the index may have turned
    valid, so validity is looked at again once no builder is left.
    """
    observed = await observe_index(session, name)
    if observed is None or observed.is_valid or not observed.is_index or observed.builders:
        return
    await session.limit(StatementClass.CONCURRENT_INDEX)
    try:
        await session.execute(
            compose("DROP INDEX CONCURRENTLY {index}", index=(name.schema, name.name))
        )
    except StatementFailed as error:
        if error.sqlstate != _UNDEFINED_OBJECT:
            raise
    finally:
        if session.is_open:
            await session.limit(StatementClass.LOOK)
