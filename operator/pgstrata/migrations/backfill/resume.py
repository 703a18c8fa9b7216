"""Finds the statement of a backfill that was begun again, and refuses what could not go on soundly.

A backfill is written down under its step: file and place. Whoever puts a statement above it or
renames the file moves it to another step; it is the same backfill as long as its text is the same.
Two rules:

- A row that may be taken once only is never taken again. What was begun goes on behind its cursor,
  also where the statement was mended at its place; where it is not certain where to go on, it is
  refused before anything runs.
- A cursor is trusted only as long as the trigger that it was made under is there: see `trust`.

Called by reconcile.py before anything runs, by leftovers.py, and by step.py.
"""

from collections.abc import Mapping, Sequence

from pgstrata.core.errors import MigrationFailed
from pgstrata.core.names import LockedObject
from pgstrata.engine.exclusive import Exclusive
from pgstrata.engine.owned import list_owned
from pgstrata.migrations.backfill.cursor import Begun, cursor_dropped, list_begun
from pgstrata.migrations.backfill.keep_rule import KeepRule
from pgstrata.migrations.backfill.row_ranges import key_table, key_way
from pgstrata.migrations.backfill.shape import BackfillShape, read_shape
from pgstrata.migrations.journal import Entry, Journal
from pgstrata.migrations.script_file import FileStatement, MigrationFile
from pgstrata.migrations.versions import Version
from pgstrata.pg.failures import LockNotAvailable
from pgstrata.pg.quoting import literal
from pgstrata.pg.session import Session

Pending = Sequence[tuple[MigrationFile, FileStatement]]
"""All statements of a source that were not applied, whatever phase is asked for now."""


def backfills(pending: Pending) -> dict[str, FileStatement]:
    """Return the backfills among them by step, in order."""
    return {file.step_id(s.index): s for file, s in pending if s.batch is not None}


def moved(journal: Journal, pending: Pending) -> dict[str, str]:
    """Return the steps whose statement is another step now: the same text, version and phase."""
    statements = backfills(pending)
    begun = {s.id: s.checksums[0] for s in journal.steps if s.checksums and not s.is_applied}
    begun |= {one.id: one.statement for one in journal.begun}
    known = {one.id for one in journal.begun} | {owned.step for owned in journal.owned}
    begun = {id_: begun[id_] for id_ in sorted(known & set(begun), key=_order)}
    taken = {i for i, checksum in begun.items() if _has(statements, i, checksum)}
    found: dict[str, str] = {}
    for id_ in [i for i in begun if i not in taken]:
        for new, statement in statements.items():
            is_same = statement.checksum == begun[id_] and _phase_of(new) == _phase_of(id_)
            if is_same and new not in taken:
                found[id_] = new
                taken.add(new)
                break
    return found


async def judge_begun(
    session: Session, object_: LockedObject, journal: Journal, pending: Pending, target: Version
) -> None:
    """Raise MigrationFailed where a row that is taken once only might be taken again.

    Args:
        target: of backfills of versions above it nothing can be said: their files are not read.
    """
    begun = {b.id: b for b in journal.begun if Version(b.id.partition("/")[0]) <= target}
    if not any(b.has_done_by_key for b in begun.values()):
        return
    names = moved(journal, pending)
    homes = {new: begun[old] for old, new in names.items() if old in begun}
    statements = backfills(pending)
    homes = {i: b for i, b in begun.items() if i in statements and i not in names} | homes
    at_home = {one.id for one in homes.values()}
    lost = [b for i, b in begun.items() if i not in at_home and b.has_done_by_key]
    for file, statement in pending:
        if statement.batch is None:
            continue
        id_ = file.step_id(statement.index)
        try:
            shape = await read_shape(session, statement.text, statement.batch, step=id_)
        except (LockNotAvailable, MigrationFailed):  # check.py says so, or step.py in its turn
            continue
        if shape.may_repeat:
            continue
        one = homes.get(id_)
        other = one if one is not None and not goes_on(one, shape) else None
        if one is None:
            same = (b for b in lost if _may_be(b, id_, statement, shape))
            other = next(same, None)
        if other is not None:
            raise MigrationFailed(refusal(file.place(statement), other, object_))


def goes_on(begun: Begun, shape: BackfillShape) -> bool:
    """Whether a statement that is done once to each row can go on behind a cursor, or begin."""
    return not begun.has_done_by_key or begun.way == key_way(shape)


def refusal(place: str, begun: Begun, object_: LockedObject) -> str:
    """Return what is said where it cannot."""
    keys, _, table = begun.way.replace('"', "").removeprefix("by ").partition(" of ")
    values = ", ".join(begun.position or ())
    over = f" over {table}" if table else ""
    return (
        f"{place}: rows up to {keys}={values} were done once already by a backfill{over} (step "
        f"{begun.id}) that is not to be taken twice, and it cannot go on from there as it is now: "
        "put statement and directive back as they were; or, where the rows that are done may be "
        f"taken anew, run: {_forget(begun.id, object_)}; nothing was run"
    )


async def trust(work: Exclusive, entry: Entry, shape: BackfillShape, place: str) -> None:
    """Forget the cursor unless the trigger that it was made under is still there.

    What was written without it is not kept right: the passes begin anew, and find by its value what
    is stale. Raises MigrationFailed where they would not: a condition that looks at what is set
    passes over a stale row as over one that the application has set; and where no row may be taken
    again. Not so where the trigger went with its resource, or with the statement: that it holds
    nothing from then on is what was asked for.
    """
    cursor = next(
        (b for b in await list_begun(work.session, work.fence.object) if b.id == entry.id), None
    )
    rule = shape.keep
    if cursor is None or rule is None:
        return
    owned = [o for o in await list_owned(work.session, work.fence.object) if o.step == entry.id]
    if any(o.keeps(shape.table.oid) for o in owned):
        return
    is_same = cursor.statement == entry.checksums[0]
    is_blind = not shape.may_repeat or any(not _compares(rule, guard) for guard in rule.guards)
    if owned and is_same and cursor.rows and rule.sources and is_blind:
        raise MigrationFailed(
            f"{place}: {cursor.rows} rows of {shape.table.table} were filled, and the trigger that "
            f"kept them right is gone or disabled: where {', '.join(rule.sources)} changed since, "
            "they are stale, and the statement would not see it; put them right or back to what its"
            " WHERE takes, or mend the WHERE so that it compares the value; with the same "
            f"statement run then: {_forget(entry.id, work.fence.object)}"
        )
    if shape.may_repeat:
        async with work.journalled():
            await work.session.run_effect(cursor_dropped(work, entry.id))


async def is_kept_right(work: Exclusive, entry: Entry, shape: BackfillShape) -> bool:
    """Whether the trigger that there shall be, if any, is there and works."""
    if shape.keep is None:
        return True
    owned = await list_owned(work.session, work.fence.object)
    return any(o.step == entry.id and o.keeps(shape.table.oid) for o in owned)


def _compares(rule: KeepRule, guard: str) -> bool:
    """Whether a condition is just that the value differs from what would be set."""
    statement = rule.statement
    if len(statement.targets) != 1 or not statement.expressions:
        return False
    column, value = statement.targets[0], statement.expressions[0]
    columns = (column, f"{statement.alias}.{column}")
    return guard in {f"{c} IS DISTINCT FROM {v}" for c in columns for v in (value, f"({value})")}


def _has(statements: Mapping[str, FileStatement], id_: str, checksum: str) -> bool:
    return id_ in statements and statements[id_].checksum == checksum


def _may_be(begun: Begun, id_: str, statement: FileStatement, shape: BackfillShape) -> bool:
    """Whether a backfill whose text is gone may have been this one."""
    is_near = _phase_of(begun.id) == _phase_of(id_) and begun.way.endswith(key_table(shape))
    return is_near or begun.statement == statement.checksum


def _phase_of(id_: str) -> list[str]:
    return id_.split("/", 2)[:2]


def _order(id_: str) -> tuple[str, int]:
    file, _, number = id_.rpartition("/")
    return file, int(number)


def _forget(id_: str, object_: LockedObject) -> str:
    where = f"object = {literal(object_.text)} AND id = {literal(id_)}"
    return f"DELETE FROM pgstrata.cursor WHERE {where}"  # noqa: S608  for a person to run
