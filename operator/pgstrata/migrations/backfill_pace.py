"""How large the next batch is. Pure; called by backfill_batches.py.

A batch shall take about 50 ms: long enough that its transaction costs little, short enough that who
waits for one of its rows hardly notices, and, with its lock timeout, under half of
deadlock_timeout, so that an application is never the victim of a deadlock with it (traps 5). The
size follows a moving average of what batches took, as GitLab's batched background migrations do
(batch_optimizer.rb).
"""

from dataclasses import dataclass

TARGET_SECONDS = 0.05
_NEW_SHARE = 0.4
_GROWTH = (0.5, 2.0)


@dataclass(slots=True)
class Pace:
    """The size of batches, in the units of a Ranges."""

    size: int
    largest: int
    """Where the size is fixed: that size, which it comes back to after it had to be smaller."""
    is_fixed: bool = False
    _average: float | None = None

    def took(self, seconds: float, size: int) -> None:
        """Learn from a batch of `size` that ended well."""
        if self.is_fixed:
            self.size = min(self.largest, self.size * 2)
            return
        if size < self.size:
            return  # the last of a table says nothing
        old = seconds if self._average is None else self._average
        self._average = _NEW_SHARE * seconds + (1 - _NEW_SHARE) * old
        least, most = _GROWTH
        factor = TARGET_SECONDS / max(self._average, 0.001)
        factor = max(least, min(most, factor))
        self.size = max(1, min(self.largest, round(self.size * factor)))
        self._average *= factor  # what the new size is expected to take
