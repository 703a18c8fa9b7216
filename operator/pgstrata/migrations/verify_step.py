"""The step that asks a version's verify files: every row that one of their queries returns is a
failure.

After the version's Migrate, before its Contract, which relies on it, also where that was begun and
is gone on with, and after its Contract.
Queries run READ ONLY. What held is written down with the files' checksum, so that an edited file is
asked anew.
"""

from dataclasses import dataclass
from enum import Enum

from pgstrata.core.errors import MigrationFailed, ReadOnlyDatabase, VerificationFailed
from pgstrata.core.reasons import Reason
from pgstrata.engine.exclusive import Exclusive
from pgstrata.engine.failpoints import failpoint
from pgstrata.engine.plan import Gate, Outline
from pgstrata.engine.progress import Progress
from pgstrata.migrations.journal import Journal
from pgstrata.migrations.script_file import FileStatement, MigrationFile
from pgstrata.migrations.source import SourceVersion
from pgstrata.migrations.spec import Phase
from pgstrata.migrations.statement_failure import explain
from pgstrata.pg.failures import StatementFailed
from pgstrata.pg.script import checksum
from pgstrata.pg.session import verbatim
from pgstrata.pg.timeouts import StatementClass

_ROWS_SHOWN = 3
_ROWS_READ = 1000
_VALUE_LENGTH = 60


class Moment(Enum):
    """When a version is verified."""

    AFTER_MIGRATE = ("Migrate", "after Migrate")
    BEFORE_CONTRACT = ("Before", "before Contract")
    WITHIN_CONTRACT = ("Within", "before the rest of Contract")
    AFTER_CONTRACT = ("Contract", "after Contract")


def verification_due(version: SourceVersion, phase: Phase, journal: Journal) -> Moment | None:
    """Return at which moment a version's verify files must still hold for the end of a phase.

    None: there are none, they held as they are, or they are not asked then. A version that was
    adopted is not verified, and what files speak of after Migrate may be gone once its contract has
    begun.
    """
    moment = _AT_THE_END.get(phase)
    if moment is None or not version.verify or _key(version, moment) in journal.verified:
        return None
    key = version.version.key
    if phase is Phase.MIGRATE:
        is_asked = not journal.has_begun(key, Phase.CONTRACT.value)
    else:
        is_asked = bool(version.of_phase(phase))
    return moment if is_asked and not journal.has_adopted(key) else None


_AT_THE_END = {Phase.MIGRATE: Moment.AFTER_MIGRATE, Phase.CONTRACT: Moment.AFTER_CONTRACT}


def _key(version: SourceVersion, moment: Moment) -> tuple[str, str, str]:
    text = "\n".join(file.checksum for file in version.verify)
    return version.version.key, moment.value[0], checksum(text)


@dataclass(frozen=True, slots=True)
class VerifyVersion:
    """Ask the verify files of one version."""

    version: SourceVersion
    moment: Moment
    schema: str
    approval: str | None = None
    """Of the contract that it comes before: without it that does not begin, and so neither this."""
    gates: tuple[Gate, ...] = ()

    @property
    def key(self) -> tuple[str, str, str]:
        """What is written down of it: version, phase, checksum."""
        return _key(self.version, self.moment)

    @property
    def outline(self) -> Outline:
        files = ", ".join(file.file for file in self.version.verify)
        return Outline(
            id=f"{self.version.version.key}/verify/{self.moment.value[0]}",
            title=f"{files}: verify version {self.version.version} {self.moment.value[1]}",
            statements=tuple(s.text for file in self.version.verify for s in file.statements),
            gates=self.gates,
            approval=self.approval,
        )

    async def probe(self, work: Exclusive) -> bool:
        """What held was not planned."""
        return False

    async def execute(self, work: Exclusive, progress: Progress) -> None:
        """Raise VerificationFailed with the first rows."""
        await work.session.reset(schema=self.schema)
        for file in self.version.verify:
            for statement in file.statements:
                progress.check()
                await self._ask(work, progress, file, statement)
                failpoint("verify.asked")

    async def _ask(
        self, work: Exclusive, progress: Progress, file: MigrationFile, statement: FileStatement
    ) -> None:
        session = work.session
        await session.limit(StatementClass.SCAN)
        try:
            columns, rows = await session.read_only(verbatim(statement.text), _ROWS_READ)
        except StatementFailed as error:
            if error.names_unknown and self.moment is Moment.WITHIN_CONTRACT:
                text = f"{file.place(statement)}: not asked midway in Contract: {error.message}"
                await progress.event(Reason.PROGRESSING, text)
                return
            raise explain(error, file, statement, session, standing=None) from error
        except ReadOnlyDatabase as error:  # not the server is, the transaction is
            raise MigrationFailed(
                f"{file.place(statement)}: the query writes, and a verify file may only read "
                "(SQLSTATE 25006)"
            ) from error
        finally:
            if session.is_open:
                await session.limit(StatementClass.LOOK)
        if rows:
            count = "1 row" if len(rows) == 1 else f"{len(rows)} rows"
            count += " and more" if len(rows) == _ROWS_READ else ""
            each = "a failure" if len(rows) == 1 else "each a failure"
            shown = "; ".join(_row(columns, row) for row in rows[:_ROWS_SHOWN])
            raise VerificationFailed(
                f"{file.place(statement)}: {count} returned {self.moment.value[1]} of version "
                f"{self.version.version}, {each}: {shown}"
            )

    async def verify(self, work: Exclusive) -> None:
        """It is nothing else."""

    async def record(self, work: Exclusive) -> None:
        if self.moment in {Moment.BEFORE_CONTRACT, Moment.WITHIN_CONTRACT}:
            return  # asked each time that the contract is about to begin
        version, phase, checksum_ = self.key
        async with work.journalled():
            await work.session.run(
                "migrations/write_verification",
                object=work.fence.object.text,
                version=version,
                phase=phase,
                checksum=checksum_,
            )


def _row(columns: tuple[str, ...], row: tuple[object, ...]) -> str:
    pairs = zip(columns, row, strict=True)
    return ", ".join(f"{name}={_shown(value)}" for name, value in pairs) or "(no columns)"


def _shown(value: object) -> str:
    return "NULL" if value is None else _clipped(str(value))


def _clipped(text: str) -> str:
    return text if len(text) <= _VALUE_LENGTH else text[: _VALUE_LENGTH - 1] + "…"
