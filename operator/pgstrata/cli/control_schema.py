"""The control schema for commands that look at a database alone: status, history, approve."""

from pgstrata.core.errors import PgstrataError
from pgstrata.engine.control import CONTROL_VERSION, ControlState, read_control
from pgstrata.pg.session import Session


class NoControlSchema(PgstrataError):
    """The database is there, and has nothing yet that this command could read."""


async def control_of(session: Session) -> ControlState:
    """Return what is installed. Raises NoControlSchema, AccessDenied."""
    label = session.target.label
    control = await read_control(session)
    if control is None:
        raise NoControlSchema(
            f"{label} has no control schema: nothing was applied, and nothing waits for approval"
        )
    if control.version < CONTROL_VERSION:
        raise NoControlSchema(
            f"{label} has control schema {control.version} of an older pgstrata; the next look of "
            "an operator or apply upgrades it"
        )
    return control
