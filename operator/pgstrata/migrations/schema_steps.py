"""The smallest steps: the schema itself, phases in which there is nothing to run, and an agreement
that is only asked for.
"""

from dataclasses import dataclass

from pgstrata.core.errors import AccessDenied
from pgstrata.engine.exclusive import Exclusive
from pgstrata.engine.plan import Gate, Outline
from pgstrata.engine.progress import Progress
from pgstrata.migrations.journal import PhaseMark, finish_phases
from pgstrata.migrations.versions import Version
from pgstrata.pg.failures import InsufficientPrivilege
from pgstrata.pg.quoting import compose, quoted


@dataclass(frozen=True, slots=True)
class _Found:
    found: bool


@dataclass(frozen=True, slots=True)
class CreateSchema:
    """Create the schema that spec.schema names."""

    schema: str

    @property
    def outline(self) -> Outline:
        statement = f"CREATE SCHEMA {quoted(self.schema)}"
        return Outline(id=f"schema/{self.schema}", title=statement, statements=(statement,))

    async def probe(self, work: Exclusive) -> bool:
        seen = await work.session.one("migrations/schema_exists", _Found, schema=self.schema)
        return seen.found

    async def execute(self, work: Exclusive, progress: Progress) -> None:
        del progress
        try:
            async with work.journalled():
                await work.session.execute(compose("CREATE SCHEMA {schema}", schema=self.schema))
        except InsufficientPrivilege as error:
            facts = work.session.facts
            raise AccessDenied(
                f"role {facts.role} may not create schema {self.schema}; an administrator can run: "
                f"CREATE SCHEMA {quoted(self.schema)} AUTHORIZATION {quoted(facts.role)}; or "
                f"GRANT CREATE ON DATABASE {quoted(facts.database)} TO {quoted(facts.role)};"
            ) from error

    async def verify(self, work: Exclusive) -> None:
        """The statement failed or did it; there is nothing in between."""

    async def record(self, work: Exclusive) -> None:
        """The catalog is the record."""


@dataclass(frozen=True, slots=True)
class MarkPhases:
    """Record phases for which there are no files, where no step before them could do it."""

    marks: tuple[PhaseMark, ...]

    @property
    def outline(self) -> Outline:
        first = self.marks[0]
        more = f" and {len(self.marks) - 1} more" if len(self.marks) > 1 else ""
        return Outline(
            id=f"{first.version.key}/{first.phase.value}",
            title=f"nothing to run in {first.phase.value} of version {first.version}{more}",
        )

    async def probe(self, work: Exclusive) -> bool:
        """The journal was read under the lock, and it lacked them."""
        return False

    async def execute(self, work: Exclusive, progress: Progress) -> None:
        async with work.journalled():
            await finish_phases(work, self.marks)

    async def verify(self, work: Exclusive) -> None:
        """The transaction committed or it did not."""

    async def record(self, work: Exclusive) -> None:
        """Recorded by execute, in its own transaction."""


@dataclass(frozen=True, slots=True)
class AwaitApproval:
    """Go on only where the contract of a version is agreed to, of which another takes a part."""

    version: Version
    approval: str
    gates: tuple[Gate, ...]

    @property
    def outline(self) -> Outline:
        return Outline(
            id=f"{self.version.key}/Contract/approval",
            title=f"what comes next ends triggers of version {self.version}",
            gates=self.gates,
            approval=self.approval,
        )

    async def probe(self, work: Exclusive) -> bool:
        """It was agreed to, or this were not asked."""
        return True

    async def execute(self, work: Exclusive, progress: Progress) -> None:
        """There is nothing to do."""

    async def verify(self, work: Exclusive) -> None:
        """There is nothing to see."""

    async def record(self, work: Exclusive) -> None:
        """The approval is used up by the contract of its own version."""
