"""What a backfill tells while it runs: rows, rate, time left, and what throttles it."""

import time
from dataclasses import dataclass, field
from datetime import timedelta
from math import floor, log10

from pgstrata.core.api_status import ProgressStatus
from pgstrata.core.reasons import Reason
from pgstrata.engine.progress import Progress
from pgstrata.migrations.backfill.cursor import Cursor, Position
from pgstrata.migrations.backfill.row_ranges import Ranges


@dataclass(slots=True)
class BackfillProgress:
    """Counts, and says so at most every 10 s."""

    progress: Progress
    ranges: Ranges
    step: str
    title: str
    estimate: int
    """Rows of the table by its statistics; 0: not known."""
    rows: int = 0
    pass_: int = 1
    _begun: float = field(default_factory=time.monotonic)
    _done_before: int | None = None
    _rows_before: int = 0
    _done: int = 0
    _total: int | None = None
    _is_throttled: bool = False

    def begin(self, cursor: Cursor) -> None:
        """A pass begins, or is gone on with: rates count from here."""
        self.rows, self.pass_ = cursor.rows, cursor.pass_
        self._rows_before, self._begun, self._done_before = cursor.rows, time.monotonic(), None
        self._place(cursor.position, cursor.upper)

    async def moved(self, position: Position | None, upper: Position, rows: int) -> None:
        """A batch is done."""
        self.rows += rows
        self._place(position, upper)
        await self.progress.figures(Reason.BACKFILLING, self._text(), self._status())

    async def throttled(self, reason: str) -> None:
        """Nothing is done now, and why."""
        self._is_throttled = True
        status = self._status().model_copy(update={"throttled_by": reason})
        await self.progress.figures(
            Reason.THROTTLED, f"{self._text()}; throttled: {reason}", status
        )

    async def resumed(self) -> None:
        """What throttled has ended, if anything did."""
        if self._is_throttled:
            self._is_throttled = False
            await self.progress.figures(Reason.BACKFILLING, self._text(), self._status())

    async def say(self, text: str) -> None:
        """Tell of something that is no batch."""
        await self.progress.figures(Reason.BACKFILLING, f"{self.title}: {text}", self._status())

    def _place(self, position: Position | None, upper: Position) -> None:
        found = self.ranges.progress(position, upper)
        self._done, self._total = found or (self.rows, self.estimate or None)
        if self._done_before is None:
            self._done_before = self._done

    def _text(self) -> str:
        again = f", pass {self.pass_}" if self.pass_ > 1 else ""
        seconds = time.monotonic() - self._begun
        rate = two_digits((self.rows - self._rows_before) / seconds) if seconds > 0 else 0
        return f"{self.title}: {self.rows:,} rows changed, {rate:g} a second{again}"

    def _status(self) -> ProgressStatus:
        seconds = time.monotonic() - self._begun
        rate = (self._done - (self._done_before or 0)) / seconds if seconds > 0 else 0.0
        left = None
        if self._total is not None and rate > 0:
            left = timedelta(seconds=two_digits(max(0, self._total - self._done) / rate))
        return ProgressStatus(
            step=self.step,
            done=self._done,
            total=self._total,
            unit=self.ranges.unit,
            rate=two_digits(rate),
            eta=left,
        )


def two_digits(value: float) -> float:
    """Return a figure rounded to two significant digits."""
    if value <= 0:
        return 0.0
    return float(round(value, 1 - floor(log10(value))))
