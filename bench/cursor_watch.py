"""Looks at a backfill's cursor while it runs: the journal forgets it once the step is applied.

Called by backfill.py and resume.py. The times are the server's own, which writes them in each
batch's transaction; the pace of looking only decides which batches are seen.
"""

import threading
from dataclasses import dataclass
from types import TracebackType
from typing import LiteralString, Self

import psycopg

_IS_THERE: LiteralString = "select to_regclass('pgstrata.cursor') is not null"
_READ: LiteralString = """
select extract(epoch from moved_at)::float8, rows from pgstrata.cursor where position is not null
"""


@dataclass(frozen=True, slots=True)
class Moved:
    """The cursor after one batch."""

    at: float
    """Seconds of the server's clock."""
    rows: int
    """Changed up to then."""


class CursorWatch:
    """Looks as long as the block runs."""

    def __init__(self, uri: str, pace: float = 0.05) -> None:
        """`pace`: seconds between two looks."""
        self._uri = uri
        self._pace = pace
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.seen: list[Moved] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    @property
    def rate(self) -> float:
        """Rows a second from the first batch that was seen to the last; 0 with fewer than two."""
        if len(self.seen) < 2 or self.seen[-1].at <= self.seen[0].at:
            return 0.0
        first, last = self.seen[0], self.seen[-1]
        return (last.rows - first.rows) / (last.at - first.at)

    def _look(self) -> None:
        with psycopg.connect(
            self._uri, autocommit=True, application_name="bench watch"
        ) as connection:
            while not self._over.wait(self._pace):
                there = connection.execute(_IS_THERE).fetchone()
                if there is None or not there[0]:
                    continue
                row = connection.execute(_READ).fetchone()
                if row is not None and (not self.seen or self.seen[-1].at != row[0]):
                    self.seen.append(Moved(*row))
