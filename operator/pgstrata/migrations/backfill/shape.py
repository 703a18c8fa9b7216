"""What a backfill is on this very table: by which rows it goes, how its end is proven, what keeps
it right meanwhile.

Which names are columns of which table only the server knows; so it is asked by parsing texts that
it never runs: an expression that cannot be parsed once a column is taken away depends on it. Called
by check.py before anything runs, and by step.py. Raises Undecided where something
is named that does not exist: earlier statements may still have to make it; LockNotAvailable where
somebody has the table locked.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pgstrata.core.errors import MigrationFailed
from pgstrata.migrations.backfill.directive import BatchOptions, Keep
from pgstrata.migrations.backfill.keep_rule import KeepRefused, KeepRule, keep_rule
from pgstrata.migrations.backfill.reads import changes_inputs, read_beside
from pgstrata.migrations.backfill.table import BackfillTable, KeyColumn, NoKey
from pgstrata.migrations.backfill.volatility import Steadiness, steadiness
from pgstrata.pg.batch_statement import BatchStatement, read_batch_statement, row
from pgstrata.pg.failures import LockNotAvailable, StatementFailed
from pgstrata.pg.quoting import quoted, quoted_relation
from pgstrata.pg.session import Session


class Undecided(MigrationFailed):
    """The statement names what does not exist (yet); the text is the server's."""


@dataclass(frozen=True, slots=True)
class BackfillShape:
    """All that is to be known before the first batch."""

    statement: BatchStatement
    table: BackfillTable
    key: tuple[KeyColumn, ...]
    violations: str | None
    """Counts the rows that are still to be changed, and perhaps those for which WHERE holds; None:
    it cannot be said, since doing the statement to a row twice is not the same as once. Each row is
    then taken exactly once."""
    is_by_value: bool
    """That count leaves out rows that have already what they would be set to."""
    has_guards: bool
    """Its WHERE looks at what it sets: a row for which it holds in the end is as it was."""
    only: str | None
    """A condition beside the statement's own: where none of those looks at the targets, rows that
    are right already would be written again in each pass."""
    keep: KeepRule | None
    keep_refusal: str | None
    """Why there is no trigger although it was not said that there shall be none."""

    @property
    def may_repeat(self) -> bool:
        """Whether a row may be gone over twice."""
        return self.violations is not None

    def within(self, predicate: str) -> str:
        """Return the statement over some of the rows."""
        more = f"{predicate} AND {self.only}" if self.only is not None else predicate
        return self.statement.within(more)

    @property
    def by_blocks(self) -> bool:
        """Whether it goes by blocks of the table and not by the key's order (traps 14)."""
        return self.keep is not None and self.may_repeat and self.table.relkind == "r"


async def read_shape(
    session: Session, text: str, options: BatchOptions, *, step: str
) -> BackfillShape:
    """Look at the statement and its table. Raises MigrationFailed, Undecided; nothing is run.

    Args:
        step: the journal's name of the step that runs it.
    """
    statement = read_batch_statement(text)
    table = await session.one_or_none(
        "migrations/backfill_table",
        BackfillTable,
        name=quoted_relation(statement.table),
        keys=list(options.key),
    )
    if table is None:
        raise Undecided(f'relation "{statement.table}" does not exist (SQLSTATE 42P01)')
    key = _key(table, options)
    table.refuse_hidden_rows(session.facts.role)
    if moved := [column.name for column in key if column.name in statement.targets]:
        raise MigrationFailed(
            f"the statement sets {moved[0]}, a column of the key that it goes by: rows would move "
            f"while they are counted off; name another unique key of {table.table} by key=<columns>"
        )
    await _refuse_unknown_names(session, statement)
    read = await read_beside(session, statement, table)
    steady = await steadiness(session, statement)
    reader = _Reader(session, statement, table)
    is_plain = statement.expressions is not None and not await reader.reads_its_targets()
    violations, is_by_value = await _violations(reader, steady, is_plain=is_plain)
    only = None
    if statement.targets and violations is not None and not await reader.guards():
        only = statement.changes(table.types_of(statement.targets))
    keep, refusal = await _keep(
        reader, options, step, is_plain=is_plain, volatile=steady.volatile, looks_at_others=read
    )
    has_guards = bool(statement.targets and await reader.guards())
    return BackfillShape(
        statement, table, key, violations, is_by_value, has_guards, only, keep, refusal
    )


async def _violations(
    reader: "_Reader", steady: Steadiness, *, is_plain: bool
) -> tuple[str | None, bool]:
    """Return the query that proves the end, or None where there can be none; whether by value."""
    statement = reader.statement
    if steady.volatile and (await steadiness(reader.session, statement, rows=True)).volatile:
        return None, False  # the rows are drawn by lot: each time others
    if statement.is_delete:
        return statement.count_violations(), False
    # A lone target that is NULL where it is set: what it was says nothing, and done is done.
    is_filled = statement.fills and len(statement.targets) == 1
    is_still = is_filled or not await changes_inputs(
        reader.session, statement, reader.table, await reader.sources()
    )
    if is_plain and steady.is_steady and is_still:
        by_value = statement.count_violations(reader.table.types_of(statement.targets))
        if await _can_be_parsed(reader.session, by_value):  # else a type without equality
            return by_value, True
    if is_filled or (is_plain and is_still and await reader.guards()):
        return statement.count_violations(), False
    return None, False


async def refuse_volatile(session: Session, statement: BatchStatement) -> None:
    """Raise KeepRefused for what no trigger may call; the table need not exist."""
    steady = await steadiness(session, statement)
    if steady.volatile:
        raise KeepRefused(f"keep=always cannot be held: {_volatile_text(steady.volatile)}")


def _key(table: BackfillTable, options: BatchOptions) -> tuple[KeyColumn, ...]:
    if table.relkind not in {"r", "p"}:
        raise MigrationFailed(f"{table.table} is no table, and only a table has rows in batches")
    if table.key_columns is None or table.key_types is None:
        missing = [c for c in options.key if c not in table.columns]
        if missing:
            raise Undecided(f'column "{missing[0]}" of {table.table} does not exist')
        wanted = f"({', '.join(options.key)})" if options.key else "its primary key"
        raise NoKey(
            f"{table.table} has no unique key on {wanted}: a backfill goes by a unique index whose "
            "columns are all NOT NULL, neither partial nor over expressions; name its columns by "
            "key=<columns>"
        )
    return tuple(map(KeyColumn, table.key_columns, table.key_types))


async def _refuse_unknown_names(session: Session, statement: BatchStatement) -> None:
    """The server's own judgement of the whole statement, before it is taken apart."""
    try:
        await session.parse(statement.parsed.text)
    except LockNotAvailable:  # parsing, too, asks for the weakest lock on each table
        raise
    except StatementFailed as error:
        if error.names_unknown:
            raise Undecided(error.message) from error
        raise MigrationFailed(error.message) from error


async def _can_be_parsed(session: Session, text: str) -> bool:
    """Whether the server understands a text; it is not run."""
    try:
        await session.parse(text)
    except LockNotAvailable:
        raise
    except StatementFailed:
        return False
    return True


class _Reader:
    """Finds out what the parts of a statement depend on."""

    def __init__(self, session: Session, statement: BatchStatement, table: BackfillTable) -> None:
        self.session = session
        self.statement = statement
        self.table = table
        self._guards: tuple[str, ...] | None = None

    async def reads_its_targets(self) -> bool:
        """Whether what is set depends on what was set before, or on what is generated from that."""
        absent = (*self.statement.targets, *self.table.generated)
        return self.reads_its_row or not await self.stands_without(absent, self.statement.inputs)

    @property
    def reads_its_row(self) -> bool:
        """Whether it takes the row as a whole, which no absence of a column shows."""
        statement = self.statement
        is_column = statement.alias in self.table.columns
        return statement.takes_its_row or (statement.names_its_row and not is_column)

    async def guards(self) -> tuple[str, ...]:
        """The conditions that look at the targets: `category IS NULL`."""
        if self._guards is None:
            self._guards = tuple(
                [
                    condition
                    for condition in self.statement.conditions
                    if not await self.stands_without(self.statement.targets, (condition,))
                ]
            )
        return self._guards

    async def sources(self) -> tuple[str, ...]:
        """The columns that decide what is set, targets left out."""
        texts = (*(self.statement.expressions or ()), *self.statement.conditions)
        named = self.statement.mentioned - set(self.statement.targets)
        rest = [c for c in self.table.columns if c in named]
        return tuple([c for c in rest if not await self.stands_without((c,), texts)])

    async def stands_without(self, absent: Sequence[str], texts: Sequence[str]) -> bool:
        """Whether these texts can still be parsed when the table has no such columns."""
        if self.statement.alias in absent and self.statement.names_its_row:
            return False  # without the column its name would be the row's
        present = [quoted(c) for c in self.table.columns if c not in absent]
        rows = f"(SELECT {', '.join(present)} FROM {quoted(self.table.schema, self.table.name)})"
        tables = f"{rows} AS {quoted(self.statement.alias)}"
        if self.statement.others:
            tables += f", {self.statement.others}"
        return await _can_be_parsed(self.session, f"SELECT {', '.join(texts)} FROM {tables}")


async def _keep(
    reader: _Reader,
    options: BatchOptions,
    step: str,
    *,
    is_plain: bool,
    volatile: Sequence[str],
    looks_at_others: bool,
) -> tuple[KeepRule | None, str | None]:
    """Return the trigger's rule, or why there is none. Raises MigrationFailed for keep=always."""
    if options.keep is Keep.NEVER or (
        reader.statement.is_delete and options.keep is not Keep.ALWAYS
    ):
        return None, None
    try:
        await _refuse_keep(
            reader, is_plain=is_plain, volatile=volatile, looks_at_others=looks_at_others
        )
        rule = await keep_rule(
            reader.session,
            reader.statement,
            reader.table,
            step=step,
            sources=await reader.sources(),
            guards=await reader.guards(),
        )
    except KeepRefused as error:
        if options.keep is Keep.ALWAYS:
            cure = (
                "leave keep=always out, as the application may well write such rows again"
                if reader.statement.is_delete
                else "mend the statement, or let the application write the column itself and say "
                "keep=never"
            )
            raise MigrationFailed(f"keep=always cannot be held: {error.message}; {cure}") from error
        return None, error.message
    return rule, None


async def _refuse_keep(
    reader: _Reader, *, is_plain: bool, volatile: Sequence[str], looks_at_others: bool
) -> None:
    """Raise KeepRefused for what no trigger can hold, by the statement itself."""
    if reader.statement.is_delete:
        raise KeepRefused("a DELETE has nothing that could be kept")
    if looks_at_others:
        raise KeepRefused(
            "other rows of the table decide, among which a trigger does not find the new one"
        )
    if reader.reads_its_row:
        raise KeepRefused("it reads the row as a whole, with the columns that it sets")
    if not await reader.stands_without((), _all_texts(reader.statement)):
        raise KeepRefused("it names a system column, or the table by its schema")
    if reader.statement.expressions is None:
        raise KeepRefused(
            "it sets several columns by one sub-select, a part of a column, or DEFAULT, so "
            "that what each column is set to cannot be said by itself"
        )
    generated = [c for c in await reader.sources() if c in reader.table.generated]
    if generated:
        raise KeepRefused(f"column {generated[0]} is generated: a BEFORE trigger does not see it")
    if not is_plain:
        raise KeepRefused("what is set depends on what was set before")
    if volatile:
        raise KeepRefused(_volatile_text(volatile))
    if reader.statement.asks_user:
        raise KeepRefused("what is set depends on who sets it")
    columns = row(reader.statement.columns(reader.statement.targets))
    same = f"SELECT {columns} IS DISTINCT FROM {columns} FROM {reader.statement.tables}"
    if not await _can_be_parsed(reader.session, same):
        raise KeepRefused("a column that is set has a type without equality")


def _all_texts(statement: BatchStatement) -> tuple[str, ...]:
    return (*(statement.expressions or ()), *statement.conditions)


def _volatile_text(names: Sequence[str]) -> str:
    return f"{names[0]} is volatile: a trigger would not give what the UPDATE gives"
