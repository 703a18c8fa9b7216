"""The `pgstrata` schema in the target database: installed, upgraded, and refused when not ours.

Called at every look (engine/exclusive.py, databases/). One transaction under an advisory lock that
is polled, so that any number of operators may try at once and none needs a lease for it. Upgrades
only add within a minor release; an older operator than `min_reader` touches nothing.
"""

import asyncio
from dataclasses import dataclass
from importlib.resources.abc import Traversable

from pgstrata.core.errors import AccessDenied, Busy, ControlSchemaTooNew, DatabaseChanged
from pgstrata.engine.failpoints import failpoint
from pgstrata.pg.failures import InsufficientPrivilege
from pgstrata.pg.quoting import quoted
from pgstrata.pg.script import split_script
from pgstrata.pg.session import Session, verbatim
from pgstrata.pg.texts import sql_root

CONTROL_VERSION = 2
"""The number of the newest file; a test holds it."""
MIN_READER = 1
"""The oldest control schema version whose operators can read what this one writes."""
_LOCK_KEY = 7_163_402_951_688_310_401
_POLL_SECONDS = 0.02
_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class ControlState:
    """The control schema as found."""

    version: int
    min_reader: int
    remembered_system: str
    remembered_database: str
    remembered_timeline: int
    system_identifier: str
    database: str
    timeline: int

    @property
    def identity(self) -> str:
        """What take-over must name when the database is not the remembered one."""
        return f"{self.remembered_system}/{self.remembered_database}"

    @property
    def is_same_database(self) -> bool:
        return (self.system_identifier, self.database) == (
            self.remembered_system,
            self.remembered_database,
        )


@dataclass(frozen=True, slots=True)
class _Presence:
    is_installed: bool
    has_schema: bool
    owns_schema: bool
    may_use: bool
    may_write: bool
    """All of its tables."""
    may_create_schema: bool
    role: str
    database: str


@dataclass(frozen=True, slots=True)
class _Acquired:
    acquired: bool


async def read_control(session: Session) -> ControlState | None:
    """Return what is installed, or None. Raises AccessDenied where the role may not look."""
    return await _read(session, await session.one("control/presence", _Presence))


async def _read(session: Session, presence: _Presence) -> ControlState | None:
    if not presence.is_installed:
        return None
    if not presence.may_use:
        raise AccessDenied(_use_text(presence))
    try:
        return await _state(session)
    except InsufficientPrivilege as error:
        raise AccessDenied(f"{error.primary}; {_use_text(presence)}") from error


async def settled_control(session: Session) -> ControlState | None:
    """Return what is installed where ensure_control would change nothing; None where it would.

    Raises AccessDenied, ControlSchemaTooNew, DatabaseChanged.
    """
    state = await read_control(session)
    if state is None:
        return None
    _refuse_newer(session, state)
    settled = (
        state.is_same_database
        and state.timeline == state.remembered_timeline
        and state.version >= len(_files())
    )
    return state if settled else None


async def _state(session: Session) -> ControlState:
    state = await session.one_or_none("control/read", ControlState)
    if state is None:
        raise DatabaseChanged(
            f"the control schema of {session.facts.database} is empty, as a copy made without data "
            "leaves it, so nobody knows what was applied; to begin anew run: "
            "DROP SCHEMA pgstrata CASCADE;"
        )
    return state


async def ensure_control(session: Session, *, take_over: str | None = None) -> ControlState:
    """Install or upgrade the control schema where needed and return its state.

    Args:
        take_over: "<system identifier>/<database>" of a database that this one was cloned from,
            or "all" (the command line), where a person says that the clone is to be managed.

    Raises AccessDenied, ControlSchemaTooNew, DatabaseChanged, Busy.
    """
    presence = await session.one("control/presence", _Presence)
    state = await _read(session, presence)
    if state is None:
        await _install(session)
        state = await read_control(session)
        if state is None:
            raise AssertionError("the control schema was installed a moment ago")
    elif not presence.may_write:
        raise AccessDenied(_use_text(presence))
    # An upgrade writes down whose database this is, so it must not come before these questions.
    _refuse_newer(session, state)
    if not state.is_same_database:
        if take_over not in {state.identity, "all"}:
            raise DatabaseChanged(
                f"this is database {state.database} of system {state.system_identifier}, but its "
                f"control schema was made for {state.identity}: a restored copy? To manage it from "
                f'here set the annotation pgstrata.dev/take-over: "{state.identity}"'
            )
        await _remember(session, state.version, state.min_reader)
    elif state.timeline != state.remembered_timeline:
        await _remember(session, state.version, state.min_reader)
    if state.version < len(_files()):
        await _install(session)
        state = await _state(session)
    return state


def _refuse_newer(session: Session, state: ControlState) -> None:
    if state.min_reader > len(_files()):
        raise ControlSchemaTooNew(
            f"the control schema of {session.facts.database} has version {state.version} and can "
            f"be read from version {state.min_reader} on; this pgstrata knows {len(_files())}: "
            "upgrade it"
        )


async def _install(session: Session) -> None:
    presence = await session.one("control/presence", _Presence)
    if not (presence.owns_schema if presence.has_schema else presence.may_create_schema):
        raise AccessDenied(_install_text(presence))
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while not await _try_install(session):  # noqa: ASYNC110  others end it, not we
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise Busy("another session has been changing the control schema for 30 s") from None


async def _try_install(session: Session) -> bool:
    """Return False while another session installs."""
    async with session.transaction():
        lock = await session.one("control/try_lock", _Acquired, key=_LOCK_KEY)
        if not lock.acquired:
            return False
        failpoint("control.locked")
        presence = await session.one("control/presence", _Presence)
        installed = (await _state(session)).version if presence.is_installed else 0
        for file in _files()[installed:]:
            for item in split_script(file.read_text(encoding="utf-8")):
                await session.execute(verbatim(item.text))
                failpoint("control.statement")
        await session.run("control/remember", version=len(_files()), min_reader=MIN_READER)
        failpoint("control.before_commit")
    failpoint("control.committed")
    return True


async def _remember(session: Session, version: int, min_reader: int) -> None:
    async with session.transaction():
        lock = await session.one("control/try_lock", _Acquired, key=_LOCK_KEY)
        if not lock.acquired:
            raise Busy("another session is changing the control schema")
        await session.run("control/remember", version=version, min_reader=min_reader)


def _files() -> list[Traversable]:
    """The numbered files in order; their count is the version that this pgstrata knows."""
    folder = sql_root().joinpath("control")
    return sorted((f for f in folder.iterdir() if f.name[:4].isdigit()), key=lambda f: f.name)


def _install_text(presence: _Presence) -> str:
    role = quoted(presence.role)
    cure = (
        f"ALTER SCHEMA pgstrata OWNER TO {role};"
        if presence.has_schema
        else f"GRANT CREATE ON DATABASE {quoted(presence.database)} TO {role};"
    )
    return f"role {presence.role} may not make the control schema; an administrator can run: {cure}"


def _use_text(presence: _Presence) -> str:
    role = quoted(presence.role)
    return (
        f"role {presence.role} may not use the control schema; an administrator can run: "
        f"GRANT USAGE, CREATE ON SCHEMA pgstrata TO {role}; "
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pgstrata TO {role};"
    )
