"""Tells a backfill whether others write to its table at this time.

The server counts the rows that are changed in a table, by all sessions together; what is more than
a backfill's own is somebody else's. Called by batches.py before each batch. Sessions tell the
server what they have counted about once a second, each at a time of its own, so that is how often
it is asked; in the beginning more often, as the first of several may tell at any time.
"""

import time
from dataclasses import dataclass

from pgstrata.pg.session import Session

LOOK_SECONDS = 1.0
FIRST_LOOK_SECONDS = 0.1
FIRST_SECONDS = 2.0
"""As long as this it is asked as often as that."""
QUIET_SECONDS = 3.0
"""How long nobody must have written until nobody is said to."""


@dataclass(frozen=True, slots=True)
class _Changes:
    changes: int


class Neighbours:
    """The others who write to one table, as long as one backfill lasts."""

    def __init__(self, session: Session, monitor: Session, table_oid: int) -> None:
        """`session` does the work, `monitor` asks; what is written before the first look counts
        for nobody.
        """
        self._session = session
        self._monitor = monitor
        self._oid = table_oid
        self._began_at = time.monotonic()
        self._looked_at = -LOOK_SECONDS
        self._seen_at = -QUIET_SECONDS
        self._others: int | None = None
        """Rows that others have changed, from an unknown beginning; None: not looked yet."""

    async def are_writing(self, own: int) -> bool:
        """Whether somebody was seen to write in the last seconds.

        Args:
            own: rows that this backfill has changed itself until now.
        """
        now = time.monotonic()
        is_new = now - self._began_at < FIRST_SECONDS
        if now - self._looked_at >= (FIRST_LOOK_SECONDS if is_new else LOOK_SECONDS):
            self._looked_at = now
            # The working session's own counts must be there too: they are subtracted.
            await self._session.run("migrations/count_changes_now")
            seen = await self._monitor.one("migrations/table_changes", _Changes, oid=self._oid)
            others = seen.changes - own
            if self._others is not None and others > self._others:
                self._seen_at = now
            self._others = others
        return now - self._seen_at < QUIET_SECONDS
