"""How large the next batch is, and how long the pause before it. Pure; called by
batches.py.

A batch shall take about 50 ms: long enough that its transaction costs little, short enough that who
waits for one of its rows hardly notices, and, with its lock timeout, under half of
deadlock_timeout, so that an application is never the victim of a deadlock with it (traps 5). The
size follows a moving average of what batches took, as GitLab's batched background migrations do
(batch_optimizer.rb): of what the server worked on them, since batches that pay for the way to it,
too, would end at a row each where it is far.

Beside others who write to the table batches are shorter, and each is followed by a pause in
proportion to what it took (gh-ost's nice-ratio): an application's statement then seldom meets one,
and waits little where it does.
"""

from dataclasses import dataclass

TARGET_SECONDS = 0.05
BESIDE_SECONDS = 0.002
"""The same beside others who write."""
PAUSE_RATIO = 2.0
"""Of the pause beside others who write, to what the batch took."""
_NEW_SHARE = 0.4
_GROWTH = (0.5, 2.0)


@dataclass(slots=True)
class Pace:
    """The size of batches, in the units of a Ranges."""

    size: int
    largest: int
    """Where the size is fixed: that size, which it comes back to after it had to be smaller."""
    smallest: int = 1
    """No slow batch makes the size smaller than this: on a machine that has too much to do a batch
    takes its time however small it is."""
    is_fixed: bool = False
    is_beside: bool = False
    """Whether others write."""
    _average: float | None = None

    def beside(self, others: bool) -> None:
        """Note whether others write to the table; the size follows at once."""
        if others == self.is_beside:
            return
        before, self.is_beside = self._target, others
        if not self.is_fixed and others:
            self._scale(self._target / before)

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
        self._scale(max(least, min(most, self._target / max(self._average, 0.001))))

    def pause_after(self, seconds: float) -> float:
        """Return the seconds to wait after a batch that took `seconds`."""
        return PAUSE_RATIO * seconds if self.is_beside else 0.0

    @property
    def _target(self) -> float:
        return BESIDE_SECONDS if self.is_beside else TARGET_SECONDS

    def _scale(self, factor: float) -> None:
        smallest = min(self.size, self.smallest)  # a row that fails may have made it smaller still
        self.size = max(smallest, min(self.largest, round(self.size * factor)))
        if self._average is not None:
            self._average *= factor  # what the new size is expected to take
