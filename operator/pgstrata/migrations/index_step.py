"""The step that makes one index exist: look, decide, act, until there is nothing left to do.

Called by engine/run.py for CREATE INDEX CONCURRENTLY. Building and dropping concurrently take SHARE
UPDATE EXCLUSIVE, which stops no reader and no writer. No lock_timeout is set for a build, because
one that fires leaves an INVALID index; whoever is waited for is named in the progress instead.
"""

from dataclasses import dataclass

from pgstrata.core.api_status import ProgressStatus
from pgstrata.core.errors import (
    AccessDenied,
    Blocked,
    DiskFull,
    MigrationFailed,
    VerificationFailed,
)
from pgstrata.core.reasons import Reason
from pgstrata.engine.exclusive import Exclusive
from pgstrata.engine.failpoints import failpoint
from pgstrata.engine.plan import Outline
from pgstrata.engine.progress import Progress
from pgstrata.engine.remains import leftover_index
from pgstrata.migrations.groups import Group
from pgstrata.migrations.index_decision import Move, next_move
from pgstrata.migrations.journal import Entry, start_step, step_finished
from pgstrata.migrations.script_file import FileStatement
from pgstrata.migrations.settings import settle
from pgstrata.migrations.statement_failure import explain
from pgstrata.pg.classification import IndexBuild
from pgstrata.pg.failures import (
    Contention,
    InsufficientPrivilege,
    LockNotAvailable,
    StatementFailed,
    StatementTimeout,
)
from pgstrata.pg.index_shape import normalise_definition, on_other_table
from pgstrata.pg.indexes import IndexName, ObservedIndex, drop_invalid_index, observe_index
from pgstrata.pg.lock_modes import RelationRef
from pgstrata.pg.quoting import compose, quoted, quoted_relation
from pgstrata.pg.session import Session, verbatim
from pgstrata.pg.timeouts import StatementClass

_WAIT_SECONDS = 1.0
_SHAPE = RelationRef("pg_temp", "pgstrata_shape")
_SHAPE_INDEX = "pgstrata_shape_index"


@dataclass(frozen=True, slots=True)
class _Table:
    schema: str
    name: str
    relkind: str
    oid: int


@dataclass(frozen=True, slots=True)
class _Definition:
    definition: str


@dataclass(frozen=True, slots=True)
class _BuildProgress:
    phase: str
    blocks_done: int
    blocks_total: int
    tuples_done: int
    tuples_total: int
    waiting_for: int
    waiting_for_name: str


@dataclass(frozen=True, slots=True)
class BuildIndex:
    """Build the index of `group`'s one statement, so that it is valid and has the wanted shape."""

    outline: Outline
    group: Group
    entry: Entry
    schema: str

    async def probe(self, work: Exclusive) -> bool:
        await settle(work, self.schema, self.entry.file, self.group)
        move, _ = await self._decide(work.session, failed_builds=0)
        return move is Move.FINISHED

    async def execute(self, work: Exclusive, progress: Progress) -> None:
        """Raise Blocked when only a person can help: the name is taken, or builds keep failing."""
        session, failed_builds = work.session, 0
        move, name = await self._decide(session, failed_builds)
        # Before the journal says that an index of this name is ours to remove.
        self._refuse(move, name, failed_builds)
        await start_step(work, self.entry, leftover_index(name))
        failpoint("index.started")
        while move is not Move.FINISHED:
            match move:
                case Move.BUILD:
                    failpoint("index.before_build")
                    is_built = await self._build(work, progress, name)
                    failpoint("index.built")
                    if is_built and not self._wanted.if_not_exists:
                        return  # it is this one: the server would have refused another
                    failed_builds += not is_built
                case Move.DROP_REMAINS:
                    failpoint("index.before_drop")
                    await drop_invalid_index(session, name)
                    failpoint("index.dropped")
                case Move.WAIT_FOR_BUILDER:
                    await self._wait_for_builder(session, name, progress)
            progress.check()
            move, name = await self._decide(session, failed_builds)
            self._refuse(move, name, failed_builds)

    async def verify(self, work: Exclusive) -> None:
        name = self._name_beside(await self._table(work.session))
        observed = await observe_index(work.session, name)
        if observed is None or not observed.is_valid:
            raise VerificationFailed(f"{self._place}: the index is not there or not valid")

    async def record(self, work: Exclusive) -> None:
        async with work.journalled() as transaction:
            transaction.closing.append(step_finished(work, self.entry))

    @property
    def index_name(self) -> str:
        """The index's own name, without its schema."""
        return str(self._wanted.name)

    @property
    def _statement(self) -> FileStatement:
        return self.group.first

    @property
    def _place(self) -> str:
        return self.entry.file.place(self._statement)

    @property
    def _wanted(self) -> IndexBuild:
        index = self._statement.what.index
        if index is None or index.name is None:
            raise AssertionError("groups.py lets only named index builds pass")
        return index

    async def _table(self, session: Session) -> _Table:
        table = await session.one_or_none(
            "migrations/find_table", _Table, name=quoted_relation(self._wanted.table)
        )
        if table is None:
            raise MigrationFailed(
                f'{self._place}: relation "{self._wanted.table}" does not exist (SQLSTATE 42P01)'
            )
        if table.relkind == "p":
            raise MigrationFailed(
                f"{self._place}: {self._wanted.table} is partitioned, where an index cannot be "
                "built concurrently (SQLSTATE 0A000): make it by CREATE INDEX ... ON ONLY "
                f"{self._wanted.table}, build one on each partition by CREATE INDEX CONCURRENTLY, "
                "and join them by ALTER INDEX ... ATTACH PARTITION"
            )
        return table

    def _name_beside(self, table: _Table) -> IndexName:
        """An index stands in the schema of its table."""
        return IndexName(table.schema, self.index_name)

    async def _decide(self, session: Session, failed_builds: int) -> tuple[Move, IndexName]:
        """Return what is to be done, and the name of what it is to be done with."""
        table = await self._table(session)
        name = self._name_beside(table)
        observed = await observe_index(session, name)
        same = (
            observed is not None
            and observed.is_valid
            and observed.table_oid == table.oid
            and await self._has_wanted_shape(session, table, observed)
        )
        move = next_move(
            observed, table_oid=table.oid, has_wanted_shape=same, failed_builds=failed_builds
        )
        return move, name

    async def _has_wanted_shape(
        self, session: Session, table: _Table, observed: ObservedIndex
    ) -> bool:
        """Compare with the same index on an empty copy of the table, which is rolled back.

        An expression over the table's own row type cannot be built on the copy; then the texts,
        as the parser prints them, must do.
        """
        create = on_other_table(self._statement.text, _SHAPE, _SHAPE_INDEX)
        found = normalise_definition(observed.definition)
        copy = compose(
            "CREATE TEMPORARY TABLE pgstrata_shape (LIKE {source})",
            source=(table.schema, table.name),
        )
        async with session.rolled_back():
            try:
                await session.execute(copy)
            except InsufficientPrivilege as error:
                raise AccessDenied(self._no_copy(session, error)) from error
            try:
                await session.execute(verbatim(create))
                wanted = await session.one("migrations/shape_definition", _Definition)
            except StatementFailed:
                return _without_method(normalise_definition(create)) == _without_method(found)
        return normalise_definition(wanted.definition) == found

    async def _build(self, work: Exclusive, progress: Progress, name: IndexName) -> bool:
        """Return whether the build ended well; a duplicate key, the data's fault, is raised."""
        session = work.session
        await session.limit(StatementClass.CONCURRENT_INDEX)
        try:
            async with progress.measured(_Gauge(work, self, name), Reason.BUILDING_INDEX):
                await session.execute(verbatim(self._statement.text))
        except (Contention, LockNotAvailable, StatementTimeout) as error:
            await progress.event(
                Reason.BUILDING_INDEX, f"building {name} was interrupted: {error.message}"
            )
            return False
        except DiskFull:
            await drop_invalid_index(session, name)  # what it wrote so far keeps the disk full
            raise
        except StatementFailed as error:
            # An INVALID index costs writers and is of no use to anybody.
            await drop_invalid_index(session, name)
            raise explain(
                error,
                self.entry.file,
                self._statement,
                session,
                standing=self.entry.first_statement,
            ) from error
        finally:
            if session.is_open:
                await session.limit(StatementClass.LOOK)
        return True

    async def _wait_for_builder(
        self, session: Session, name: IndexName, progress: Progress
    ) -> None:
        observed = await observe_index(session, name)
        pids = ", ".join(map(str, observed.builders)) if observed else ""
        await progress.say(
            Reason.BUILDING_INDEX,
            f"index {name} is not valid, and pid {pids} may still be building it: waiting",
        )
        await progress.pause(_WAIT_SECONDS)

    def _no_copy(self, session: Session, error: InsufficientPrivilege) -> str:
        role, database = quoted(session.facts.role), quoted(session.facts.database)
        return (
            f"{self._place}: {error.primary}: an index of that name exists, and to compare it role "
            f"{session.facts.role} makes an empty copy of the table; an administrator can run: "
            f"GRANT TEMPORARY ON DATABASE {database} TO {role};"
        )

    def _refuse(self, move: Move, name: IndexName, failed_builds: int) -> None:
        """Raise Blocked where only a person can go on."""
        match move:
            case Move.REFUSE_OTHER_RELATION:
                reason = f"{name} exists and is no index of this table; rename or drop it"
            case Move.REFUSE_OTHER_DEFINITION:
                reason = (
                    f"an index {name} with another definition exists; drop or rename it, or give "
                    "this one another name in the file"
                )
            case Move.GIVE_UP:
                reason = f"{failed_builds} builds of {name} have failed"
            case _:
                return
        raise Blocked(f"{self._place}: {reason}")


@dataclass(frozen=True, slots=True)
class _Gauge:
    """Measures a build by pg_stat_progress_create_index."""

    work: Exclusive
    step: BuildIndex
    name: IndexName

    async def __call__(self) -> tuple[str, ProgressStatus] | None:
        seen = await self.work.monitor.one_or_none(
            "migrations/index_progress", _BuildProgress, pid=self.work.session.pid
        )
        if seen is None:
            return None
        text = f"building index {self.name}: {seen.phase}"
        if seen.waiting_for:
            who = seen.waiting_for_name or "application name not visible"
            text += f", waiting for the transaction of pid {seen.waiting_for} ({who})"
        blocks = seen.blocks_total > 0
        return text, ProgressStatus(
            step=self.step.outline.id,
            done=seen.blocks_done if blocks else seen.tuples_done,
            total=(seen.blocks_total if blocks else seen.tuples_total) or None,
            unit="blocks" if blocks else "tuples",
        )


def _without_method(definition: str) -> str:
    """PostgreSQL prints the default access method, which a file need not name."""
    return definition.replace(" USING btree ", " ")
