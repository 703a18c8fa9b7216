"""The database's clock: windows, due times and ages are compared by it, never by the operator's.

Two operators, or one whose host's clock is off, so come to the same answer.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from pgstrata.pg.session import Session


@dataclass(frozen=True, slots=True)
class _Clock:
    now: datetime


async def database_now(session: Session) -> datetime:
    """Return the time at the database, in UTC."""
    return (await session.one("pg/clock", _Clock)).now.astimezone(UTC)
