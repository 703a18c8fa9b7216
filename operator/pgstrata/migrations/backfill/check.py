"""Judges the backfills of a source before anything runs: their table, their key, their trigger.

What earlier statements of the same source still have to make cannot be judged yet; that is looked
at again when its turn comes (step.py). Called by reconcile.py.
"""

from collections.abc import Iterable, Iterator, Mapping

from pgstrata.core.errors import MigrationFailed
from pgstrata.migrations.backfill.directive import BatchOptions, Keep
from pgstrata.migrations.backfill.keep_rule import KeepRefused
from pgstrata.migrations.backfill.shape import (
    BackfillShape,
    Undecided,
    read_shape,
    refuse_volatile,
)
from pgstrata.migrations.observed import BackfillNote
from pgstrata.migrations.script_file import FileStatement, MigrationFile
from pgstrata.pg.batch_statement import BatchStatement, read_batch_statement
from pgstrata.pg.classification import StatementKind
from pgstrata.pg.failures import LockNotAvailable
from pgstrata.pg.lock_modes import RelationRef
from pgstrata.pg.session import Session

Notes = Mapping[tuple[str, int], BackfillNote]
"""What is known of backfills, by file and index of the statement."""
_ROWS_ONLY = frozenset({StatementKind.DML, StatementKind.QUERY, StatementKind.COPY_IN})


async def judge_backfills(
    session: Session, pending: Iterable[tuple[MigrationFile, FileStatement]]
) -> Notes:
    """Return what is to be said of each. Raises MigrationFailed with the place; nothing was run."""
    notes: dict[tuple[str, int], BackfillNote] = {}
    touched: set[RelationRef] = set()
    for number, (file, statement) in enumerate(pending):
        if statement.batch is not None:
            key = (file.file, statement.index)
            notes[key] = await _judge(session, file, statement, touched, is_first=not number)
        elif statement.what.kind not in _ROWS_ONLY:
            touched |= set(_touched(statement))
    return notes


async def _judge(
    session: Session,
    file: MigrationFile,
    statement: FileStatement,
    touched: set[RelationRef],
    *,
    is_first: bool,
) -> BackfillNote:
    options = statement.batch
    if options is None:
        return BackfillNote(())
    parts = read_batch_statement(statement.text)
    try:
        if options.keep is Keep.ALWAYS:
            await refuse_volatile(session, parts)
        shape = await read_shape(
            session, statement.text, options, step=file.step_id(statement.index)
        )
    except LockNotAvailable:  # by a run that was stopped, perhaps: the look must go on to end it
        return BackfillNote(
            ("which rows and which trigger is decided once its table is not locked",)
        )
    except MigrationFailed as error:
        depends = parts.table in touched or (isinstance(error, Undecided) and not is_first)
        if depends and not isinstance(error, KeepRefused):
            likely = await _likely_sources(session, parts, options)
            return BackfillNote(
                ("which rows and which trigger is decided once the steps before are done",),
                likely,
                keeps=bool(likely),
            )
        raise MigrationFailed(
            f"{file.place(statement)}: {error.message}; nothing was run"
        ) from error
    sources = shape.keep.sources if shape.keep is not None else ()
    return BackfillNote(tuple(_said(shape)), frozenset(sources), keeps=shape.keep is not None)


async def _likely_sources(
    session: Session, parts: BatchStatement, options: BatchOptions
) -> frozenset[str]:
    """Return the columns that its trigger will be for, as far as the text alone tells."""
    if not options.may_keep:
        return frozenset()
    try:
        await refuse_volatile(session, parts)
    except KeepRefused:
        return frozenset()
    return parts.likely_sources


def _said(shape: BackfillShape) -> Iterator[str]:
    if shape.keep is not None:
        yield "a temporary trigger keeps rows right that are written meanwhile, until Contract"
    if shape.keep_refusal is not None:
        yield f"no trigger keeps rows right that are written meanwhile: {shape.keep_refusal}"
    if not shape.may_repeat:
        yield "each row is taken exactly once, and the end cannot be proven by a count"


def _touched(statement: FileStatement) -> Iterator[RelationRef]:
    yield from statement.what.creates
    yield from (lock.table for lock in statement.what.locks)
