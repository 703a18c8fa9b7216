"""Everything that one look may use, handed to a room's reconcile."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from pgstrata.core.api_status import KindStatus
from pgstrata.core.interrupt import Interrupt
from pgstrata.core.names import LockedObject
from pgstrata.core.resource import Clock, ObjectKey, ObjectStore, RawResource
from pgstrata.engine.approvals import ALL
from pgstrata.engine.budget import ConnectionBudget
from pgstrata.engine.claims import Owner
from pgstrata.engine.exclusive import Exclusive, exclusive
from pgstrata.engine.report import Reporter
from pgstrata.pg.connect import connect
from pgstrata.pg.session import Session
from pgstrata.pg.target import Target


class Databases(Protocol):
    """Finds the way to a ManagedDatabase; databases/resolve.py is the one that does."""

    async def target(self, key: ObjectKey) -> Target:
        """Return how to reach the database of a ManagedDatabase.

        Raises DatabaseNotFound, SecretNotFound, SecretKeyMissing, InvalidSpec.
        """
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """One look's means: where objects are, where databases are, whom to tell."""

    raw: RawResource
    store: ObjectStore
    clock: Clock
    databases: Databases
    budget: ConnectionBudget
    report: Reporter[KindStatus]
    interrupt: Interrupt
    cluster: str
    """The uid of this cluster's kube-system namespace, or `cli`."""
    holder: str
    """Names this process in the fence, for people who look."""
    take_over: str | None = None
    approve: frozenset[str] = frozenset()
    """Hashes that the command line agrees to; approvals.ALL: to all."""
    ignore_windows: bool = False

    @property
    def approved_hashes(self) -> frozenset[str]:
        """What is agreed to by hash, by the annotation or by the command line."""
        return (self.approve - {ALL}) | self.raw.approved

    @property
    def approves_all(self) -> bool:
        """Whether the command line agrees to whatever is waited for."""
        return ALL in self.approve

    @property
    def owner(self) -> Owner:
        """What claims are made out to."""
        return Owner(self.cluster, self.raw.key, self.raw.uid)

    @asynccontextmanager
    async def session(self, target: Target, *, schema: str = "public") -> AsyncIterator[Session]:
        """Open one session for a look, within the budget."""
        async with self.budget.take(target, 1):
            session = await connect(target, schema=schema, application_name="pgstrata:look")
            try:
                yield session
            finally:
                await session.close()

    @asynccontextmanager
    async def exclusive(
        self, target: Target, object_: LockedObject, *, schema: str
    ) -> AsyncIterator[Exclusive]:
        """Be the only one who works on an object, within the budget."""
        async with (
            self.budget.take(target, 2),
            exclusive(target, object_, schema=schema, holder=self.holder) as work,
        ):
            yield work
