"""Puts a session into the state that a file's own SET statements ask for, for each group anew.

SET lasts for its file: not longer, and also where the file is resumed in another session.
"""

from pgstrata.engine.exclusive import Exclusive
from pgstrata.migrations.groups import Group
from pgstrata.migrations.script_file import FileStatement, MigrationFile
from pgstrata.migrations.statement_failure import explain
from pgstrata.pg.classification import StatementKind
from pgstrata.pg.failures import StatementFailed
from pgstrata.pg.session import verbatim

_UNKNOWN = "unknown"
_MAY_SET = frozenset(
    {
        StatementKind.SET,
        StatementKind.RESET,
        StatementKind.DO_BLOCK,
        StatementKind.CALL,
        StatementKind.UNKNOWN,
    }
)
"""Statements after which the session's settings are not known for sure."""


async def settle(work: Exclusive, schema: str, file: MigrationFile, group: Group) -> None:
    """Make the settings those that hold before `group` in its file, and no others."""
    wanted = f"{file.file}:{[s.index for s in group.settings]}" if group.settings else ""
    if work.session.settled == wanted:
        return
    await work.session.reset(schema=schema)
    for statement in group.settings:
        try:
            await work.session.execute(verbatim(statement.text))
        except StatementFailed as error:
            raise explain(
                error, file, statement, work.session, standing=group.first.index
            ) from error
    work.session.settled = wanted


async def restore(work: Exclusive, schema: str) -> None:
    """Make the settings our own again, whatever a file has set: reading the journal relies on
    DateStyle, and finding tables on search_path."""
    if work.session.settled:
        await work.session.reset(schema=schema)


def unsettle(work: Exclusive, group: Group) -> None:
    """Note that a group has run which may have changed settings by itself."""
    if any(_may_set(s) for s in group.statements):
        work.session.settled = _UNKNOWN


def _may_set(statement: FileStatement) -> bool:
    """A query can change settings too, but only by a function that it calls."""
    kind = statement.what.kind
    return kind in _MAY_SET or (kind is StatementKind.QUERY and "(" in statement.text)
