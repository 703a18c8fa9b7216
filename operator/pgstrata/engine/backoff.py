"""When to look again, by outcome. Pure; called by engine/drive.py."""

import random
from dataclasses import dataclass

from pgstrata.core.outcome import Done, Outcome, Retry, Stalled, Waiting
from pgstrata.core.reasons import PATIENT_REASONS, Reason

PATIENT_SECONDS = 10.0
PATIENCE_SECONDS = 300.0
"""How long a GitOps race may last before it counts as Stalled."""
_FIRST_SECONDS = 5.0
_LONGEST_SECONDS = 300.0
_SOON_SECONDS = 2.0
_STALLED_SOON = (10, 60.0)
_STALLED_LATER = 600.0
_SOON = frozenset({Reason.PROGRESSING_WITH_RETRY, Reason.LOCK_TIMEOUT})


@dataclass(frozen=True, slots=True)
class Streak:
    """The same reason, again and again, for one generation of one resource."""

    reason: Reason
    generation: int
    count: int
    """Looks that ended with it, this one included."""
    since: float
    """Monotonic seconds at the first of them."""


def delay(outcome: Outcome, count: int) -> float | None:
    """Return the seconds until the next look, or None where only a wake-up or the resync is due.

    Connection trouble: 5 s, doubling up to 5 min, with up to a fifth less at random so that
    resources of one server do not come back together. Stalled: each minute for ten minutes, then
    every ten.
    """
    match outcome:
        case Done(look_again=seconds) | Waiting(look_again=seconds):
            return seconds
        case Retry(look_again=float(seconds)):
            return seconds
        case Retry(reason=reason):
            return _retry_delay(reason, count)
        case Stalled():
            looks, seconds = _STALLED_SOON
            return seconds if count <= looks else _STALLED_LATER


def _retry_delay(reason: Reason, count: int) -> float:
    if reason in PATIENT_REASONS:
        return PATIENT_SECONDS
    if reason in _SOON:
        return _SOON_SECONDS * random.uniform(0.5, 1.5)  # noqa: S311  spreads load, no secret
    seconds = min(_FIRST_SECONDS * (1 << min(count - 1, 10)), _LONGEST_SECONDS)
    return seconds * random.uniform(0.8, 1.0)  # noqa: S311  spreads load, no secret
