"""Tells a backfill whether others write to its table at this time.

The server counts the rows that are changed in a table, by all sessions together; what is more than
a backfill's own is somebody else's. Called by batches.py before each batch; asks the
server about once a second, which is how often sessions tell it what they have counted.
"""

import time
from dataclasses import dataclass

from pgstrata.pg.session import Session

LOOK_SECONDS = 1.0
QUIET_SECONDS = 3.0
"""How long nobody must have written until nobody is said to."""


@dataclass(frozen=True, slots=True)
class _Changes:
    changes: int


class Neighbours:
    """The others who write to one table, as long as one pass over it lasts."""

    def __init__(self, session: Session, monitor: Session, table_oid: int) -> None:
        """`session` does the work, `monitor` asks."""
        self._session = session
        self._monitor = monitor
        self._oid = table_oid
        self._looked_at = -LOOK_SECONDS
        self._seen_at = -QUIET_SECONDS
        self._others: int | None = None
        """Rows that others have changed, from an unknown beginning; None: not looked yet."""

    async def are_writing(self, own: int) -> bool:
        """Whether somebody was seen to write in the last seconds.

        Args:
            own: rows that this pass has changed itself until now.
        """
        now = time.monotonic()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            # The working session's own counts must be there too: they are subtracted.
            await self._session.run("migrations/count_changes_now")
            seen = await self._monitor.one("migrations/table_changes", _Changes, oid=self._oid)
            others = seen.changes - own
            if self._others is not None and others > self._others:
                self._seen_at = now
            self._others = others
        return now - self._seen_at < QUIET_SECONDS
