"""Puts a session into the state that a file's own SET statements ask for, for each group anew.

SET lasts for its file: not longer, and also where the file is resumed in another session.
"""

from pgstrata.engine.exclusive import Exclusive
from pgstrata.migrations.groups import Group
from pgstrata.migrations.script_file import MigrationFile
from pgstrata.pg.classification import StatementKind
from pgstrata.pg.session import verbatim

_UNKNOWN = "unknown"
_MAY_SET = frozenset(
    {
        StatementKind.SET,
        StatementKind.RESET,
        StatementKind.DO_BLOCK,
        StatementKind.CALL,
        StatementKind.QUERY,
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
        await work.session.execute(verbatim(statement.text))
    work.session.settled = wanted


def unsettle(work: Exclusive, group: Group) -> None:
    """Note that a group has run which may have changed settings by itself."""
    if any(s.what.kind in _MAY_SET for s in group.statements):
        work.session.settled = _UNKNOWN
