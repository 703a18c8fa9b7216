"""What the command line of the bench may ask of a measurement."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """The same for all measurements; each takes what concerns it."""

    runs: int = 5
    """Interleaved repetitions; medians are taken over them."""
    select_seconds: float = 15.0
    """How long the SELECT of lock-queue holds its table."""
    whole: bool = False
    """rest: wait for a whole period of resyncs at the default pace (10 minutes and more)."""
