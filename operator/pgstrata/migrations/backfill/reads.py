"""What a backfill's statement reads beside the row that it changes, and what may change that.

One UPDATE reads all as it was before; batches read what those before them have left. Called by
shape.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pgstrata.core.errors import MigrationFailed
from pgstrata.migrations.backfill.keep_rule import RowTrigger, sets_a_source
from pgstrata.migrations.backfill.table import BackfillTable
from pgstrata.pg.batch_statement import BatchStatement
from pgstrata.pg.quoting import quoted, quoted_relation
from pgstrata.pg.self_reads import (
    deletes_by_others,
    falls_otherwise,
    looks_at_others,
    reads_targets,
    relations_read,
)
from pgstrata.pg.session import Session


@dataclass(frozen=True, slots=True)
class _Own:
    """A relation that shows rows of the table (sql/migrations/own_rows.sql)."""

    name: str
    is_view: bool


async def read_beside(session: Session, statement: BatchStatement, table: BackfillTable) -> bool:
    """Return whether other rows of the table decide, by a sub-select or a view.

    Raises MigrationFailed where a batch would read what those before it have changed, and a second
    pass all of it; where rows fall otherwise once some have moved; and where row-level security
    hides what is read.
    """
    node = statement.parsed.node
    named = {quoted_relation(ref): ref for ref in relations_read(node)}
    if not named:
        return False
    await _refuse_hidden(session, sorted(named), table)
    found = await session.all(
        "migrations/own_rows",
        _Own,
        oid=table.oid,
        names=sorted(named),
        columns=list(statement.targets),
        deletes=statement.is_delete,
    )
    own = {named[one.name] for one in found}
    if statement.is_delete and deletes_by_others(node, own):
        raise MigrationFailed(
            f"other rows of {table.table} decide which of its rows are deleted: a batch would not "
            "see those that are gone, and could take more; run it without the directive, or gather "
            "the keys in another table and delete by that"
        )
    by_view = any(one.is_view for one in found)
    if not statement.is_delete and (by_view or reads_targets(node, statement.targets, own)):
        raise MigrationFailed(
            f"the statement reads {', '.join(statement.targets)} from other rows of {table.table}, "
            "which it sets: a batch would read what batches before it have set; run it without "
            "the directive, or let it read a copy"
        )
    if own and falls_otherwise(node, own):
        raise MigrationFailed(
            f"the statement numbers or picks rows of {table.table} (by a window function, LIMIT, "
            "DISTINCT ON or an aggregate that goes by their order): batches move rows, and the "
            "next one would find others; run it without the directive, or gather the keys in "
            "another table"
        )
    return by_view or looks_at_others(node, own)


@dataclass(frozen=True, slots=True)
class _Hidden:
    name: str


async def _refuse_hidden(session: Session, names: Sequence[str], table: BackfillTable) -> None:
    """Rows that are not seen would count as rows that are not there."""
    hidden = await session.all("migrations/hidden_relations", _Hidden, names=list(names))
    if hidden:
        role = session.facts.role
        raise MigrationFailed(
            f"row-level security hides rows of {hidden[0].name} from role {role}, by which the "
            f"rows of {table.table} are chosen or set; an administrator can run: "
            f"ALTER ROLE {quoted(role)} BYPASSRLS;"
        )


@dataclass(frozen=True, slots=True)
class _UpdateTriggers:
    after: str | None
    """The first trigger that runs behind an UPDATE, or for the statement; ours left out."""


async def changes_inputs(
    session: Session, statement: BatchStatement, table: BackfillTable, sources: Sequence[str]
) -> bool:
    """Whether an UPDATE of a row may change, by triggers, what the row would be set to next time.

    Such a row must be taken once: `modified_at = updated_at` beside a trigger that touches
    `updated_at` would lose the times in a second pass.
    """
    for trigger in await session.all("migrations/before_triggers", RowTrigger, oid=table.oid):
        if not trigger.is_ours and sets_a_source(trigger, sources) is not None:
            return True
    found = await session.one("migrations/update_triggers", _UpdateTriggers, oid=table.oid)
    return found.after is not None
